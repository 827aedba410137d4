"""Who needs the teacher first: handed back, contested, stuck; in this order. Reads, never writes."""

from dataclasses import dataclass
from datetime import datetime

from sqlite_utils import Database

from appliance.lesson import hand_back, questions, review, states
from appliance.lesson.class_now import ClassNow
from appliance.people.roster import SchoolClass


@dataclass(frozen=True)
class Flag:
    kind: str  # hand_back, contest or stuck
    id: str  # of the hand-back, of the contested question, or of the learner
    learner_name: str
    reason: str
    at: datetime | None = None
    text: str = ""
    is_overdue: bool = False


def raised(db: Database, school_class: SchoolClass, now_in_class: ClassNow, *, now: datetime) -> list[Flag]:
    """Return the flags of a class, the most urgent first."""
    names = {learner.id: learner.name for learner in now_in_class.learners}
    return [
        *_handed_back(db, school_class, names),
        *_contested(db, school_class, names, now),
        *(
            Flag("stuck", learner.id, learner.name, learner.state.why, text=learner.question)
            for learner in now_in_class.learners
            if learner.state.name == states.STUCK
        ),
    ]


def _handed_back(db: Database, school_class: SchoolClass, names: dict[str, str]) -> list[Flag]:
    flags = []
    for held in hand_back.open_ones(db, school_class.id):
        text = questions.get(db, held.question_id).text if held.question_id else ""
        flags.append(Flag("hand_back", held.id, names[held.learner_id], held.reason, held.at, text))
    return flags


def _contested(db: Database, school_class: SchoolClass, names: dict[str, str], now: datetime) -> list[Flag]:
    """The longest overdue is on top, because the list is by age."""
    return [
        Flag(
            "contest",
            contest.question_id,
            names[contest.learner_id],
            contest.reason,
            contest.at,
            contest.words,
            is_overdue=contest.is_overdue(now),
        )
        for contest in review.of_class(db, school_class.id, only_open=True)
    ]
