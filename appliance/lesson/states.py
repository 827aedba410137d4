"""In what state is a learner? A rule over the signs the box sees, to be read and argued with. Pure.

Nothing here guesses at a child's mood or ability. "Stuck" is three plain signs, and the view says which
one it was, because the teacher may know better.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

STOPPED = "stopped"
WANTS_PERSON = "wants_person"
STUCK = "stuck"
WAITING = "waiting"
WORKING = "working"
FINISHED = "finished"
AWAY = "away"
# In the order of the picture and its table: who needs the teacher comes first.
STATES = (WANTS_PERSON, STUCK, WAITING, WORKING, FINISHED, STOPPED, AWAY)

# Two may be slips; the third wrong answer to one task says that trying again will not help.
STUCK_AFTER_WRONG = 3
# Long enough to read a hint twice and work on paper; a quarter of a task's usual time is lost by then.
QUIET_AFTER_HINT = timedelta(minutes=6)
# A question asked again in nearly the same words: the answer did not help.
SAME_WORDS_SHARE = 0.8
# "Why?" twice is a habit, not the same question.
LEAST_WORDS_TO_COMPARE = 3

WRONG = "wrong"
AGAIN = "again"
QUIET = "quiet"


@dataclass(frozen=True)
class Signs:
    """What the box knows of one learner in this lesson."""

    is_here: bool = False  # a browser is open in their name
    is_stopped: bool = False
    wants_person: bool = False
    place: int | None = None  # None: nothing waits; 0: it waits, the place is not known yet
    is_answered_now: bool = False  # words of an answer are on their screen
    wrong_in_a_row: int = 0  # on the task they are at
    questions: tuple[str, ...] = ()  # in the order they were asked
    hint_at: datetime | None = None  # the latest help on an unsolved task
    acted_at: datetime | None = None  # their own latest act
    has_solved_all: bool = False


@dataclass(frozen=True)
class State:
    name: str
    place: int = 0
    why: str = ""  # of "stuck": wrong, again or quiet


def decide_state(signs: Signs, *, now: datetime) -> State:
    """Return the one state to show; who needs a person is never hidden behind another state."""
    if signs.wants_person:
        return State(WANTS_PERSON)
    if signs.is_stopped:
        return State(STOPPED)
    if signs.place is not None:
        return State(WAITING, place=signs.place)
    if signs.is_answered_now:
        return State(WORKING)
    why = why_stuck(signs, now=now)
    if why:
        return State(STUCK, why=why)
    if signs.has_solved_all:
        return State(FINISHED)
    return State(WORKING if signs.is_here else AWAY)


def why_stuck(signs: Signs, *, now: datetime) -> str:
    """Return the sign by which a learner is stuck, or nothing."""
    if signs.wrong_in_a_row >= STUCK_AFTER_WRONG:
        return WRONG
    if is_asked_again(signs.questions):
        return AGAIN
    if signs.hint_at is None or not signs.is_here:
        return ""
    has_acted = signs.acted_at is not None and signs.acted_at > signs.hint_at
    return QUIET if not has_acted and now - signs.hint_at >= QUIET_AFTER_HINT else ""


def is_asked_again(questions: Sequence[str]) -> bool:
    """Return whether the newest question repeats the one before it."""
    if len(questions) < 2:
        return False
    before, newest = (set(re.findall(r"\w+", text.casefold())) for text in questions[-2:])
    if min(len(before), len(newest)) < LEAST_WORDS_TO_COMPARE:
        return False
    return len(before & newest) >= SAME_WORDS_SHARE * len(before | newest)
