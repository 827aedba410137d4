"""Lessons on disk: after a restart the class does not wait for the same pages to be read again.

Each is a file that the engine wrote and a note with its tokens and digest. A note is written last and by
renaming, so a cut leaves a file without a note, which is swept away. What does not match the model, the
engine's build or its own digest is removed and read anew: a wrong memory would answer wrongly.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.prefixes import common_length
from models.protocol import Engine

logger = logging.getLogger(__name__)

FORMAT = 1
# The lessons of a day; SmolLM2 needs 11 MB for one of 500 tokens, a 4B model 70 MB.
MAX_FILES = 8
MAX_BYTES = 512 << 20
# Below this, reading the prompt is quicker than reading the disk.
MIN_TOKENS = 128


@dataclass(frozen=True, slots=True)
class SavedLesson:
    tokens: list[int]
    path: Path


class PrefixFiles:
    """The folder's one owner; used by the engine's thread only."""

    def __init__(self, folder: Path, key: str) -> None:
        """`key`: everything that must be the same for a saved state to fit, such as model and library."""
        self._folder = folder
        self._key = key
        self._lessons: list[SavedLesson] = []
        self._lessons = self._read_notes()

    def find(self, prompt: Sequence[int], better_than: int) -> SavedLesson | None:
        """The saved lesson with which the prompt begins, if that is clearly more than is known already."""
        best = None
        for lesson in self._lessons:
            length = len(lesson.tokens)
            is_whole = length < len(prompt) and common_length(lesson.tokens, prompt) == length
            if is_whole and length >= better_than + MIN_TOKENS:
                best, better_than = lesson, length
        return best

    def load(self, engine: Engine, sequence: int, lesson: SavedLesson) -> bool:
        """Fill the empty sequence; False when the file is damaged, and then it is gone."""
        try:
            note = json.loads(_note(lesson.path).read_text())
            is_intact = note["digest"] == _digest(lesson.path)
            if is_intact and engine.load(sequence, lesson.path) == lesson.tokens:
                os.utime(_note(lesson.path))  # the longest unused goes first
                return True
        except (OSError, ValueError, KeyError, TypeError):
            pass
        logger.warning("a saved lesson is damaged and was removed: %s", lesson.path.name)
        engine.free(sequence)
        self._remove(lesson)
        return False

    def save(self, engine: Engine, sequence: int, tokens: Sequence[int]) -> None:
        """Write the lesson; a full disk costs a second reading and nothing else."""
        if len(tokens) < MIN_TOKENS or any(lesson.tokens == list(tokens) for lesson in self._lessons):
            return
        name = hashlib.sha256(f"{self._key} {list(tokens)}".encode()).hexdigest()[:32]
        path = self._folder / f"{name}.state"
        part = path.with_suffix(".part")
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            engine.save(sequence, part, tokens)
            if part.stat().st_size > MAX_BYTES // 2:
                part.unlink()
                return
            note = {"format": FORMAT, "key": self._key, "tokens": list(tokens), "digest": _digest(part)}
            _sync(part)
            part.replace(path)
            part.write_text(json.dumps(note))
            _sync(part)
            part.replace(_note(path))
        except OSError as error:
            logger.warning("a lesson was not saved: %s", error)
            part.unlink(missing_ok=True)
            return
        self._lessons.append(SavedLesson(list(tokens), path))
        self._sweep()

    def _read_notes(self) -> list[SavedLesson]:
        lessons = []
        for path in sorted(self._folder.glob("*.state")):
            try:
                note = json.loads(_note(path).read_text())
                fits = note["format"] == FORMAT and note["key"] == self._key
                tokens = [int(token) for token in note["tokens"]]
            except (OSError, ValueError, KeyError, TypeError):
                fits, tokens = False, []
            lesson = SavedLesson(tokens, path)
            if fits and tokens:
                lessons.append(lesson)
            else:
                self._remove(lesson)
        for part in self._folder.glob("*.part"):
            part.unlink(missing_ok=True)
        return lessons

    def _sweep(self) -> None:
        """Keep within the bounds; the longest unused goes first."""
        self._lessons.sort(key=lambda lesson: _age(lesson.path))
        while len(self._lessons) > MAX_FILES or sum(_size(one.path) for one in self._lessons) > MAX_BYTES:
            self._remove(self._lessons[0])

    def _remove(self, lesson: SavedLesson) -> None:
        # The note first: a state without a note is nothing.
        try:
            _note(lesson.path).unlink(missing_ok=True)
            lesson.path.unlink(missing_ok=True)
        except OSError as error:
            logger.warning("a saved lesson could not be removed: %s", error)
        if lesson in self._lessons:
            self._lessons.remove(lesson)


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


def _age(path: Path) -> float:
    try:
        return _note(path).stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
