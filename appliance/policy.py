"""Why may, or may not, this be asked, and who may stop whom? The rule and its reason. Pure.

A decision is returned, not raised, so that a page, a report and a test read the same reason.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.errors import (
    ApplianceError,
    BrokenText,
    NotYourClass,
    QuestionEmpty,
    QuestionTooLong,
    SessionNotOpen,
    StopSetAbove,
    TooManyQuestions,
)

# A page of a school book has about 1,800 characters: whoever pastes a whole exercise still fits.
MAX_QUESTION_CHARACTERS = 2_000
# One being answered and one behind it: enough for a second thought, too few to crowd out a class.
MAX_OPEN_QUESTIONS = 2
# From the narrowest to the widest: who may stop a wider circle may also lift what a narrower one set.
LEVELS = ("learner", "school_class", "school", "region")

# A stop that nobody ever tried is a hope. Once in a month of lessons, whichever month it is.
DRILL_PERIOD = timedelta(days=31)


@dataclass(frozen=True)
class Decision:
    """Allowed when `refusal` is None; otherwise the refusal says why and what to do instead."""

    refusal: ApplianceError | None = None


@dataclass(frozen=True)
class Actor:
    """A teacher who wants to change something; never a learner."""

    school_class_id: str
    speaks_for_school: bool = False


@dataclass(frozen=True)
class Target:
    """Who is to be stopped: one learner of a class, the class, or (both None) the school."""

    school_class_id: str | None = None
    learner_id: str | None = None

    @property
    def level(self) -> str:
        if self.learner_id is not None:
            return "learner"
        return "school" if self.school_class_id is None else "school_class"


def decide_question(
    text: str, *, session_is_open: bool, open_questions: int, refusal: ApplianceError | None = None
) -> Decision:
    """Return whether a learner may ask this now. `text` is already stripped of outer white space.

    `refusal` is that of the learner's permission: a stop, an exam or a rule says more than "closed".
    """
    if refusal is not None:
        return Decision(refusal)
    if not text:
        return Decision(QuestionEmpty())
    if is_broken(text):
        return Decision(BrokenText())
    if len(text) > MAX_QUESTION_CHARACTERS:
        return Decision(QuestionTooLong(length=len(text), limit=MAX_QUESTION_CHARACTERS))
    if not session_is_open:
        return Decision(SessionNotOpen())
    if open_questions >= MAX_OPEN_QUESTIONS:
        return Decision(TooManyQuestions(limit=MAX_OPEN_QUESTIONS))
    return Decision()


def decide_stop(actor: Actor, target: Target) -> tuple[Decision, str]:
    """Return whether this teacher may stop them, and with what authority: the least that is enough."""
    if target.school_class_id == actor.school_class_id:
        return Decision(), "school_class"
    if actor.speaks_for_school:
        return Decision(), "school"
    return Decision(NotYourClass()), ""


def decide_lift(actor: Actor, target: Target, set_by: str) -> Decision:
    """Return whether this teacher may lift a stop that was set with the authority `set_by`."""
    refused = decide_stop(actor, target)[0]
    if refused.refusal is not None:
        return refused
    authority = "school" if actor.speaks_for_school else "school_class"
    if LEVELS.index(authority) < LEVELS.index(set_by):
        return Decision(StopSetAbove())
    return Decision()


def is_drill_due(last: datetime | None, first_lesson: datetime | None, now: datetime) -> bool:
    """Return whether the class should try its stop again; a class that has had no lesson need not."""
    since = last or first_lesson
    # A last drill in the future means that the clock was set back: then nobody knows how long it is ago.
    return since is not None and not timedelta(0) <= now - since <= DRILL_PERIOD


def is_broken(text: str) -> bool:
    """Return True for text with damaged UTF-8 (it arrives as U+FFFD) or unprintable control characters."""
    return any(character == "\ufffd" or (character < " " and character not in "\n\t\r") for character in text)
