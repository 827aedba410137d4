"""How a learner needs the pages to be: it follows the person, and the voice reads only what is theirs."""

import io
import shutil
import struct
import threading
import time
import wave
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.database import connection
from appliance.errors import NothingToSay, SpeechBusy, SpeechMissing
from appliance.people import accommodations, speech
from appliance.people.accommodations import Accommodation
from tests.classroom import Browser, Classroom, wait_until

NEEDS = {"font": "clear", "size": "150", "spacing": "wide", "contrast": "dark", "read_aloud": "yes"}


def test_what_a_learner_chose_is_there_on_every_device(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    assert aigerim.post("/reading", NEEDS).status_code == 303
    tablet = classroom.joined("Aigerim")
    page = tablet.get("/ask").text
    for word in ("font-clear", "size-150", "spacing-wide", "contrast-dark"):
        assert word in page.split(">", 3)[1]
    assert "<audio" not in page, "nothing is there to be read yet"
    assert "class=" not in classroom.joined("Bolat").get("/ask").text.split(">", 3)[1]


def test_more_time_is_the_teachers_to_give(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    learner = classroom.value("SELECT id FROM learner WHERE name = 'Aigerim'")
    aigerim.post("/reading", {**NEEDS, "more_time": "100"})
    with connection(classroom.database) as db:
        assert accommodations.minutes_of(db, learner, 10) == 10
    dana.post(f"/teacher/learners/{learner}", {"name": "Aigerim", **NEEDS, "more_time": "50"})
    aigerim.post("/reading", {"more_time": "0"})
    with connection(classroom.database) as db:
        assert accommodations.minutes_of(db, learner, 10) == 15
        assert accommodations.minutes_of(db, learner, 3) == 5, "a started minute counts"
        assert accommodations.minutes_of(db, "nobody", 3) == 3


@given(st.integers(0, 10_000), st.sampled_from(accommodations.MORE_TIMES))
def test_nobody_gets_less_time_than_the_class(minutes: int, more: int) -> None:
    given_minutes = Accommodation(more_time=more).minutes(minutes)
    assert minutes <= given_minutes <= 2 * minutes + 1


@pytest.mark.parametrize("field", list(NEEDS))
@pytest.mark.parametrize("value", ["", "evil", '"><script>', "-1", "99999999999999999999"])
def test_unknown_wishes_leave_things_as_they_are(
    classroom: Classroom, dana: Browser, aigerim: Browser, field: str, value: str
) -> None:
    aigerim.post("/reading", NEEDS)
    assert aigerim.post("/reading", {**NEEDS, field: value}).status_code == 303
    page = aigerim.get("/reading").text
    assert "evil" not in page.split("<main")[0]
    assert "<script>" not in page.split("<main")[0].replace("<script src", "")


def test_the_letters_are_fetched_only_by_those_who_chose_them(
    classroom: Classroom, dana: Browser, aigerim: Browser
) -> None:
    style = aigerim.get("/static/sandyq.css").text
    assert style.count("reading.woff2") == 1
    assert ".font-clear body" in style
    assert "preload" not in aigerim.get("/ask").text.split("<main")[0]
    font = aigerim.get("/static/reading.woff2")
    assert font.data[:4] == b"wOF2"
    assert len(font.data) < 30_000
    assert "font-src 'self'" in aigerim.get("/ask").headers["Content-Security-Policy"]
    licence = Path("appliance/static/reading-licence.txt").read_text(encoding="utf-8")
    assert "SIL OPEN FONT LICENSE Version 1.1" in licence


# The voice -------------------------------------------------------------------

needs_voice = pytest.mark.skipif(shutil.which(speech.PROGRAM) is None, reason="Debian's espeak-ng is missing")


def asked(classroom: Classroom, browser: Browser) -> str:
    browser.ask("What is a prime number?")
    wait_until(classroom.all_answered)
    return str(classroom.value("SELECT id FROM question"))


@needs_voice
@pytest.mark.parametrize(("language", "text"), [("kk", "Сәлем, әлем"), ("ru", "Здравствуй"), ("en", "Hello")])
def test_the_box_speaks_three_languages(language: str, text: str) -> None:
    with wave.open(io.BytesIO(speech.speak(text, language))) as sound:
        seconds = sound.getnframes() / sound.getframerate()
        assert 0.2 < seconds < 10
        assert any(sound.readframes(sound.getnframes()))


@needs_voice
def test_a_wav_says_its_true_length() -> None:
    raw = speech.speak("One two three", "en")
    assert struct.unpack("<I", raw[4:8])[0] == len(raw) - 8


@needs_voice
def test_an_answer_is_read_to_the_learner_it_was_given_to(
    classroom: Classroom, dana: Browser, aigerim: Browser, bolat: Browser
) -> None:
    question = asked(classroom, aigerim)
    aigerim.post("/reading", NEEDS)
    assert f'src="/speech/answer/{question}"' in aigerim.get("/ask").text
    sound = aigerim.get(f"/speech/answer/{question}")
    assert sound.content_type == "audio/wav"
    assert sound.data.startswith(b"RIFF")
    assert sound.headers["Cache-Control"] == "no-store"
    part = aigerim.get(f"/speech/answer/{question}", headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.data)) == (206, 100)
    assert aigerim.get("/speech/rules").data.startswith(b"RIFF")
    for other in (bolat, dana, classroom.browser()):
        assert other.get(f"/speech/answer/{question}").status_code in (403, 404)


def test_an_unfinished_answer_is_not_read(classroom: Classroom, dana: Browser, aigerim: Browser) -> None:
    classroom.engine.hold()
    aigerim.ask("Wait?")
    question = classroom.value("SELECT id FROM question")
    assert aigerim.get(f"/speech/answer/{question}").status_code == 404
    assert aigerim.get("/speech/answer/nonsense").status_code == 404
    classroom.engine.go_on()
    wait_until(classroom.all_answered)


@needs_voice
def test_a_long_text_is_read_to_a_limit() -> None:
    begin = time.monotonic()
    with wave.open(io.BytesIO(speech.speak("сөз " * 50_000, "kk"))) as sound:
        assert sound.getnframes() / sound.getframerate() < 600
    assert time.monotonic() - begin < speech.SECONDS


@pytest.mark.parametrize("text", ["", "   ", "***", "$$ \\ $$", "\0\x07"])
def test_signs_without_words_are_not_read(text: str) -> None:
    with pytest.raises(NothingToSay):
        speech.speak(text, "kk")


@needs_voice
@pytest.mark.parametrize("text", ["-v en", "--help", "<speak><break time='100s'/>hi</speak>", "a\0b"])
def test_a_text_is_never_a_command(text: str) -> None:
    assert speech.speak(text, "kk").startswith(b"RIFF")


def test_a_box_without_the_program_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "PROGRAM", "no-such-voice")
    with pytest.raises(SpeechMissing):
        speech.speak("Hello", "en")


def test_a_program_that_hangs_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "hangs"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(speech, "PROGRAM", str(program))
    monkeypatch.setattr(speech, "SECONDS", 0.3)
    with pytest.raises(SpeechBusy):
        speech.speak("Hello", "en")


def test_a_program_that_fails_gives_no_sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "fails"
    program.write_text("#!/bin/sh\necho no sound\n")
    program.chmod(0o755)
    monkeypatch.setattr(speech, "PROGRAM", str(program))
    with pytest.raises(SpeechMissing):
        speech.speak("Hello", "en")


def test_never_more_voices_at_once_than_the_box_can_spare(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    most, now, lock = [0], [0], threading.Lock()

    def run(*_: object) -> bytes:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        with lock:
            now[0] -= 1
        return b"RIFF\0\0\0\0WAVEdata\0\0\0\0"

    monkeypatch.setattr(speech, "_run", run)
    monkeypatch.setattr(speech, "PROGRAM", "sh")
    threads = [threading.Thread(target=speech.speak, args=("Hello", "en")) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == speech.MAX_PROCESSES
