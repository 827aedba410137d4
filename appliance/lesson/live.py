"""Answers while they are being written: text that is not yet a fact, and who waits for it.

In memory only: after a restart the question is asked again, so nothing here needs to survive.
Threads meet under one condition; nobody holds it while writing to a socket or a disk.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """What a page may show of an open question."""

    text: str = ""
    place: int = 0  # 1 = next; 0 = being answered, or not known yet
    seconds: int = 0  # about how long until the first word; 0 = not known
    finished: bool = False


class LiveBoard:
    """The newest state of every open question, and two versions: one grows with each change, the other
    only with what a class view shows. Thirty answers bring words many times a second, and no view of the
    class is drawn for a word."""

    def __init__(self) -> None:
        lock = threading.RLock()
        self._changed = threading.Condition(lock)
        # The same lock with sleepers of its own: a word does not wake whoever watches the class.
        self._class_changed = threading.Condition(lock)
        self._progress: dict[str, Progress] = {}
        self._stops: dict[str, threading.Event] = {}
        self._version = 0
        self._class_version = 0
        self._closed = False
        self._closing = threading.Event()

    @property
    def version(self) -> int:
        return self._version

    @property
    def class_version(self) -> int:
        return self._class_version

    @property
    def closed(self) -> bool:
        return self._closed

    def begin(self, question_id: str) -> threading.Event:
        """Start an answer afresh; the returned event is set when it must stop."""
        stop = threading.Event()
        with self._changed:
            self._stops[question_id] = stop
            self._set(question_id, Progress())
        return stop

    def append(self, question_id: str, piece: str) -> None:
        with self._changed:
            if self._is_stopped(question_id):
                return
            before = self._progress.get(question_id, Progress())
            # The first word moves a learner from waiting to working; the others change no state.
            self._set(question_id, Progress(before.text + piece), shows_in_class=not before.text)

    def finish(self, question_id: str) -> None:
        """The answer is a fact now, or waits again: readers look in the database."""
        with self._changed:
            self._stops.pop(question_id, None)
            self._progress.pop(question_id, None)
            self._bump()

    def stop(self, question_ids: Sequence[str]) -> None:
        """Ask the writers of these answers to stop. Their readers see the end at once."""
        with self._changed:
            for question_id in question_ids:
                if question_id in self._stops:
                    self._stops[question_id].set()
                self._progress.pop(question_id, None)
            self._bump()

    def wait_until_quiet(self, question_ids: Sequence[str], timeout_seconds: float) -> bool:
        """Sleep until nobody writes these answers any more; return False when somebody still does."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._closed or not self._stops.keys() & set(question_ids), timeout_seconds
            )

    def touch(self) -> None:
        """Something that the class view shows has changed."""
        with self._changed:
            self._bump()

    def set_place(self, question_id: str, place: int, seconds: int) -> None:
        """The engine says where this question stands in its own line."""
        with self._changed:
            if not self._is_stopped(question_id) and self._progress.get(question_id) != Progress(
                place=place, seconds=seconds
            ):
                self._set(question_id, Progress(place=place, seconds=seconds))

    def set_places(self, waiting: Sequence[str], seconds_each: float) -> None:
        """Show the line as it stands now: first those at the engine, then those who wait here."""
        with self._changed:
            writing = {key: value for key, value in self._progress.items() if key in self._stops}
            ahead = sum(1 for value in writing.values() if value.place)
            places = {
                question_id: Progress(place=place, seconds=round(place * seconds_each))
                for place, question_id in enumerate(waiting, ahead + 1)
            }
            if {**places, **writing} != self._progress:
                self._progress = {**places, **writing}
                self._bump()

    def progress(self, question_id: str) -> Progress:
        with self._changed:
            return self._progress.get(question_id, Progress(finished=True))

    def wait(self, seen_version: int, timeout_seconds: float) -> int:
        """Sleep until something changed since `seen_version`; return the version now."""
        with self._changed:
            self._changed.wait_for(lambda: self._version != seen_version or self._closed, timeout_seconds)
            return self._version

    def wait_for_class(self, seen_version: int, timeout_seconds: float) -> None:
        """Sleep until a class view would look different from what it was at `seen_version`."""
        with self._class_changed:
            self._class_changed.wait_for(
                lambda: self._class_version != seen_version or self._closed, timeout_seconds
            )

    def pause(self, seconds: float) -> None:
        """Sleep, but not past the end of the process; news does not wake this sleeper."""
        self._closing.wait(seconds)

    def close(self) -> None:
        """The process ends: let every stream go."""
        with self._changed:
            self._closed = True
            self._closing.set()
            for stop in self._stops.values():
                stop.set()
            self._changed.notify_all()
            self._class_changed.notify_all()

    def _is_stopped(self, question_id: str) -> bool:
        return question_id in self._stops and self._stops[question_id].is_set()

    def _set(self, question_id: str, progress: Progress, *, shows_in_class: bool = True) -> None:
        self._progress[question_id] = progress
        self._bump(shows_in_class=shows_in_class)

    def _bump(self, *, shows_in_class: bool = True) -> None:
        self._version += 1
        self._changed.notify_all()
        if shows_in_class:
            self._class_version += 1
            self._class_changed.notify_all()
