"""Read a text aloud: `espeak-ng` in a process of its own gives the sound, the browser plays it.

Nothing leaves the box. The text goes in by a pipe, never by a command line that other accounts can read.
Promises: a bounded text, a bounded time, and never more processes than the box can spare in a lesson.
"""

import re
import shutil
import subprocess
import threading

from appliance.errors import NothingToSay, SpeechBusy, SpeechMissing

PROGRAM = "espeak-ng"
VOICES = {"kk": "kk", "ru": "ru", "en": "en"}
# Two minutes of speech, about 6 MB of sound: longer answers are read to here and the rest with the eyes.
MAX_CHARACTERS = 1_500
# Each takes most of a core for a tenth of a second to a second; the other cores are the model's.
MAX_PROCESSES = 2
# Who taps at the same moment as others waits this long for a turn before being told to tap again.
TURN_SECONDS = 4.0
SECONDS = 10.0
# A little slower than the program's 175 words a minute: it reads to children.
WORDS_A_MINUTE = "150"

_turns = threading.BoundedSemaphore(MAX_PROCESSES)


def speak(text: str, language: str) -> bytes:
    """Return the text as a WAV file in the voice of this language.

    Raises:
        NothingToSay: no letter or digit in it.
        SpeechBusy: others are being read to, or the program hung.
        SpeechMissing: the program is not installed or failed.
    """
    words = tidy(text)
    if not words:
        raise NothingToSay
    program = shutil.which(PROGRAM)
    if program is None:
        raise SpeechMissing
    if not _turns.acquire(timeout=TURN_SECONDS):
        raise SpeechBusy
    try:
        return _with_true_lengths(_run(program, words, VOICES.get(language, "en")))
    finally:
        _turns.release()


def tidy(text: str) -> str:
    """Return what is worth saying: no Markdown signs, no control characters, at most MAX_CHARACTERS."""
    plain = re.sub(r"[*_`#>|~\\$]+", " ", text)
    plain = " ".join("".join(c if c >= " " else " " for c in plain).split())
    if not any(character.isalnum() for character in plain):
        return ""
    if len(plain) <= MAX_CHARACTERS:
        return plain
    return plain[:MAX_CHARACTERS].rsplit(" ", 1)[0] + " …"


def _run(program: str, words: str, voice: str) -> bytes:
    command = [program, "--stdin", "--stdout", "-b", "1", "-v", voice, "-s", WORDS_A_MINUTE]
    try:
        done = subprocess.run(
            command,
            input=words.encode(),
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env={"LC_ALL": "C.UTF-8"},  # nothing of ours is its business
        )
    except subprocess.TimeoutExpired as error:
        raise SpeechBusy from error
    except OSError as error:
        raise SpeechMissing from error
    if done.returncode != 0 or not done.stdout.startswith(b"RIFF"):
        raise SpeechMissing
    return done.stdout


def _with_true_lengths(wav: bytes) -> bytes:
    """The program writes to a pipe and cannot know its lengths in advance; browsers show a bar by them."""
    data = wav.find(b"data", 12)
    if data < 0:
        raise SpeechMissing
    sound = wav[data + 8 :]
    head = wav[8:data]  # "WAVE" and the format, between the two lengths
    riff = (len(head) + 8 + len(sound)).to_bytes(4, "little")
    return b"RIFF" + riff + head + b"data" + len(sound).to_bytes(4, "little") + sound
