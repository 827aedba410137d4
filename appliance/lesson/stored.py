"""What is kept and what leaves, in sentences that parents read. Pure.

The part about leaving is made from the allow-list itself (`sync.event`), so that the page cannot promise
what the code does not do.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from appliance.errors import N_
from sync.event import KINDS, HexPrefix, Log2, OneOf, Rule, Stays, Whole

# Every table that holds rows of a learner, in words; a test fails on one without.
TABLES = {
    "accommodation": N_("How pages look and sound for them"),
    "attempt": N_("Tries at tasks"),
    "card": N_("Their card for coming in"),
    "contest": N_("Disagreements with answers"),
    "event": N_("The diary of lessons: came in, asked, was answered"),
    "hand_back": N_("Calls for a person"),
    "learner": N_("Name and class"),
    "login": N_("Devices that are logged in now"),
    "outbox": N_("Counts that wait to be made anonymous"),
    "picture_code": N_("Their picture code"),
    "question": N_("Questions and the answers of the AI"),
    "stop": N_("Pauses of AI"),
    "week_mark": N_("What counts for this week's numbers"),
}

# Every kind of event, in words; a test fails on one without.
EVENTS = {
    "answer_finished": N_("An answer was finished"),
    "attempt_checked": N_("A try at a task was checked"),
    "box_health": N_("The box said how it feels"),
    "exam_ended": N_("An exam ended"),
    "hand_back": N_("The tutor stepped back for a person"),
    "learner_joined": N_("A learner came in"),
    "question_asked": N_("A question was asked"),
    "question_refused": N_("A question was refused by a rule"),
    "session_closed": N_("A lesson was closed"),
    "session_opened": N_("A lesson was opened"),
    "stop_drill": N_("Stopping the AI was practised"),
    "stop_set": N_("The AI was stopped for a class"),
}

# Fields that leave, in words.
FIELDS = {
    "answer_tokens": N_("length of the answer"),
    "characters": N_("length of the question"),
    "disk": N_("how full the disk is"),
    "duration_ms": N_("time until the answer"),
    "grade": N_("grade"),
    "heat": N_("how warm the box is"),
    "language": N_("language"),
    "model_sha256": N_("which model"),
    "outcome": N_("how it ended"),
    "reason": N_("reason"),
    "result": N_("right or wrong"),
    "rung": N_("step of help"),
    "software": N_("version of the program"),
}


@dataclass(frozen=True)
class Leaving:
    """One kind of event with what of it leaves."""

    name: str
    fields: tuple[tuple[str, str], ...]  # what, and in what form


def what_leaves() -> Iterator[Leaving]:
    """Yield each kind of event as the allow-list has it."""
    for kind, declared in KINDS.items():
        yield Leaving(
            EVENTS.get(kind, kind),
            tuple(
                (FIELDS.get(name, name), form_of(rule))
                for name, rule in declared.fields.items()
                if not isinstance(rule, Stays)
            ),
        )


def form_of(rule: Rule) -> str:
    """Return in what form a field leaves."""
    match rule:
        case OneOf():
            return N_("one word of a fixed list")
        case Whole():
            return N_("a small number")
        case Log2():
            return N_("only roughly, as a size class")
        case HexPrefix():
            return N_("the beginning of a checksum")
        case _:
            return N_("stays on the box")
