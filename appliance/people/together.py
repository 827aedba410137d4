"""Commit what many threads save at the same moment with one write to the disk.

When a bell rings, thirty learners log in at once. Each commit waits until the card has really kept it:
4 ms on a good disk, 30 ms on a cheap card, one after another. Here the first in line saves for all who
wait, in one transaction; each piece of work stands or falls for itself. "Save before you promise" stays
true: nobody is told of success before the one commit is on the disk.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from sqlite_utils import Database

from appliance.database import saving

T = TypeVar("T")


@dataclass
class _Work(Generic[T]):
    act: Callable[[Database], T]
    done: threading.Event = field(default_factory=threading.Event)
    value: T | None = None
    fault: BaseException | None = None


class Together:
    """One line of small writes. Work runs in whichever thread is first: it uses only its arguments."""

    def __init__(self) -> None:
        self._door = threading.Lock()
        self._turn = threading.Lock()
        self._waiting: list[_Work[object]] = []

    def save(self, take: Callable[[], Database], act: Callable[[Database], T]) -> T:
        """Run `act` in a transaction that it may share; return what it returned, or raise what it raised.

        `take` gives a connection to the one who saves for all: thirty who wait need not hold thirty.

        Raises:
            DiskFull, DatabaseBusy: nothing was saved.
        """
        own: _Work[T] = _Work(act)
        with self._door:
            self._waiting.append(cast("_Work[object]", own))
        with self._turn:
            if not own.done.is_set():
                with self._door:
                    everybody, self._waiting = self._waiting, []
                _save_all(take(), everybody)
        if own.fault is not None:
            raise own.fault
        return cast("T", own.value)


def _save_all(db: Database, everybody: list[_Work[object]]) -> None:
    try:
        with saving(db):
            for work in everybody:
                try:
                    with saving(db):  # a savepoint: one that fails takes back only its own rows
                        work.value = work.act(db)
                except Exception as fault:
                    work.fault = fault
                    if not db.conn.in_transaction:
                        raise  # a full disk took the whole transaction back
    except Exception as fault:  # noqa: BLE001 - as above, for everybody: the commit itself failed
        for work in everybody:
            work.fault = work.fault or fault
    finally:
        for work in everybody:
            work.done.set()
