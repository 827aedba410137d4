"""What happened in a lesson, and beside it what may leave the school.

A kind of event is declared once, with a decision for every one of its fields;
an event whose fields differ from the declaration cannot be made. `allowed_row`
is the only way into the outbox: a field that stays is not in it, and no rule
lets free text through: words come from a closed list, numbers from a range.
A field that leaves also says at which step it gives way when too few learners
look alike (`sync/generalise` walks the steps), and a kind says whether the
nation counts its learners. Pure: no clock, disk or network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import IntEnum
from types import MappingProxyType

from sync.errors import EventFieldsDiffer, EventValueInvalid, UnknownEventKind

Value = str | int | None

# The written order in which a row becomes coarser --------------------------------


class Step(IntEnum):
    """Until ten learners look alike, a row loses what these name, one after the other.

    First what tells most of one learner and least of a school; the outcome of an answer, which a
    region needs most, late.
    """

    WHOLE = 0
    TOKENS = 1
    SIZES = 2
    SESSION = 3  # from here on rows of one lesson are no longer joined
    MODEL = 4
    LANGUAGE = 5
    WEEK = 6  # the day becomes its week
    OUTCOME = 7
    MONTH = 8
    TIMELESS = 9
    COUNT_ONLY = 10  # only the kind is left, or not even that


# What a field may become on its way out --------------------------------------


@dataclass(frozen=True)
class Stays:
    """Never leaves the box."""


@dataclass(frozen=True)
class OneOf:
    """Leaves as one of these words; any other word leaves as nothing."""

    words: tuple[str, ...]
    gives_way: Step
    # Whoever knows that a learner is among a few must not learn the value from all of them having it.
    is_telling: bool = False


@dataclass(frozen=True)
class Whole:
    """Leaves as it is inside the range; outside it leaves as nothing."""

    lowest: int
    highest: int
    gives_way: Step


@dataclass(frozen=True)
class Log2:
    """Leaves as its number of binary digits, so that an exact size or time does not."""

    highest: int  # larger values share the last bucket
    gives_way: Step


@dataclass(frozen=True)
class HexPrefix:
    """Leaves as the first digits of a hash; anything but a hash leaves as nothing."""

    digits: int
    gives_way: Step


Leaving = OneOf | Whole | Log2 | HexPrefix
Rule = Stays | Leaving


@dataclass(frozen=True)
class Kind:
    """One kind of event: every raw field with its rule. There is no default on purpose."""

    fields: Mapping[str, Rule]
    # Everybody does it in every lesson, so that it happened tells nothing of anyone: its rows keep
    # their kind even in a school of five. Of any other kind fewer than ten learners are not told.
    is_ordinary: bool = False
    # It tells of the box and of nobody: its rows keep their fields, and say no day and no lesson.
    is_of_machine: bool = False
    # The nation counts the learners of a week who did this; `counted_by` names the field of words
    # the count is split by.
    is_counted: bool = False
    counted_by: str | None = None


STAYS = Stays()
LANGUAGE = OneOf(("kk", "ru", "en"), Step.LANGUAGE)
OUTCOME = OneOf(("answered", "failed", "stopped"), Step.OUTCOME, is_telling=True)
GRADE = Whole(0, 12, Step.LANGUAGE)  # 0 is pre-school; the school of twelve years is planned
CHARACTERS = Log2(17, Step.SIZES)  # the box refuses a question of 100 kB, so 2**17 never happens
DURATION_MS = Log2(22, Step.SIZES)  # past about an hour a longer answer tells nothing more
TOKENS = Log2(16, Step.TOKENS)
MODEL = HexPrefix(8, Step.MODEL)
RUNG = Whole(0, 5, Step.SIZES)
# Distress is missing on purpose: of that no row at all is recorded here, so that not even a gap can tell.
HAND_BACK_REASON = OneOf(("asked_for_person", "third_hint", "low_confidence"), Step.OUTCOME, is_telling=True)
RESULT = OneOf(("right", "wrong"), Step.OUTCOME, is_telling=True)
MOOD = OneOf(("good", "watch", "bad"), Step.TIMELESS)
SOFTWARE = Whole(0, 999_999_999, Step.TIMELESS)  # 1.2.3 is 1002003

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "session_opened": Kind(
            {"school_class": STAYS, "grade": GRADE, "language": LANGUAGE}, is_ordinary=True
        ),
        "session_closed": Kind({}, is_ordinary=True),
        "learner_joined": Kind(
            {"learner_name": STAYS, "language": LANGUAGE}, is_ordinary=True, is_counted=True
        ),
        "question_asked": Kind(
            {
                "question_id": STAYS,
                "learner_name": STAYS,
                "text": STAYS,
                "language": LANGUAGE,
                "characters": CHARACTERS,
            },
            is_ordinary=True,
            is_counted=True,
            counted_by="language",
        ),
        "answer_finished": Kind(
            {
                "question_id": STAYS,
                "text": STAYS,
                "outcome": OUTCOME,
                "model": STAYS,
                "model_sha256": MODEL,
                "duration_ms": DURATION_MS,
                "answer_tokens": TOKENS,
                "language": LANGUAGE,
            },
            is_ordinary=True,
            is_counted=True,
            counted_by="outcome",
        ),
        "attempt_checked": Kind(
            {
                "task_id": STAYS,
                "text": STAYS,
                "rung": RUNG,
                "result": RESULT,
                "language": LANGUAGE,
            },
            is_counted=True,
            counted_by="result",
        ),
        # The reason is for the report of the lesson; that somebody was refused tells the region enough.
        "question_refused": Kind({"learner_name": STAYS, "reason": STAYS, "language": LANGUAGE}),
        "hand_back": Kind(
            {"hand_back_id": STAYS, "reason": HAND_BACK_REASON, "language": LANGUAGE}, is_counted=True
        ),
        # Of a class or the school, never of one learner: a stop for one makes no event at all. The region
        # counts that they happened, and nothing of them: what they hold could be read as a teacher's work.
        "stop_set": Kind({"level": STAYS, "questions": STAYS}, is_ordinary=True),
        "stop_drill": Kind({"quiet_ms": STAYS}, is_ordinary=True),
        "exam_ended": Kind(
            {"exam_id": STAYS, "minutes": STAYS, "refused": STAYS, "answers": STAYS}, is_ordinary=True
        ),
        # Once on a day with a lesson: does the machine need somebody's help?
        "box_health": Kind(
            {"software": SOFTWARE, "disk": MOOD, "heat": MOOD}, is_ordinary=True, is_of_machine=True
        ),
    }
)


@dataclass(frozen=True)
class Event:
    """A past fact with everything the box knows of it. Holds names and text: it stays here."""

    kind: str
    occurred_at: datetime  # aware
    session_id: str  # random, local to this box
    learner_id: str | None  # local to this box
    fields: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        declared = get_kind(self.kind).fields
        differing = set(declared) ^ set(self.fields)
        if differing:
            raise EventFieldsDiffer(kind=self.kind, fields=", ".join(sorted(differing)))
        if self.occurred_at.utcoffset() is None:
            raise EventValueInvalid(kind=self.kind, field="occurred_at")
        for name, rule in declared.items():
            if not _has_right_type(rule, self.fields[name]):
                raise EventValueInvalid(kind=self.kind, field=name)
        object.__setattr__(self, "fields", MappingProxyType(dict(self.fields)))


class Span(IntEnum):
    """What the day of a row stands for: itself, the week it begins, the month it begins."""

    DAY = 0
    WEEK = 1
    MONTH = 2


@dataclass(frozen=True)
class AllowedRow:
    """What is kept of an event for the region. `session_id` only joins rows; it is numbered anew
    in every batch and does not leave. A coarser row has nothing where it says nothing."""

    kind: str | None
    day: date | None
    session_id: str | None
    fields: Mapping[str, str | int]
    span: Span = Span.DAY


def get_kind(kind: str) -> Kind:
    """Return the declaration, or raise: an undeclared kind cannot be recorded."""
    try:
        return KINDS[kind]
    except KeyError:
        raise UnknownEventKind(kind=kind) from None


def allowed_row(event: Event) -> AllowedRow:
    """Return the part of an event that may be queued for the region."""
    fields: dict[str, str | int] = {}
    for name, rule in get_kind(event.kind).fields.items():
        value = leaving_value(rule, event.fields[name])
        if value is not None:
            fields[name] = value
    # One day for every box, whatever its time zone; Kazakh lessons do not cross midnight UTC.
    day = event.occurred_at.astimezone(UTC).date()
    return AllowedRow(event.kind, day, event.session_id, MappingProxyType(fields))


def leaving_value(rule: Rule, value: Value) -> Value:
    """Return what leaves of a value. Whatever does not fit its rule leaves as nothing:
    the row still counts, and a mistake elsewhere can never carry a name out."""
    match rule:
        case OneOf(words=words):
            return value if value in words else None
        case Whole(lowest=lowest, highest=highest):
            return value if isinstance(value, int) and lowest <= value <= highest else None
        case Log2(highest=highest):
            return log2_bucket(value, highest) if isinstance(value, int) else None
        case HexPrefix(digits=digits):
            return _hex_prefix(value, digits)
        case Stays():
            return None


def log2_bucket(value: int, highest: int) -> int:
    """0 for 0, 1 for 1, 2 for 2-3, 3 for 4-7, and so on; at most `highest`."""
    return min(max(value, 0).bit_length(), highest)


def _hex_prefix(value: Value, digits: int) -> str | None:
    if not isinstance(value, str) or len(value) < digits:
        return None
    prefix = value[:digits].lower()
    return prefix if all(digit in "0123456789abcdef" for digit in prefix) else None


def _has_right_type(rule: Rule, value: Value) -> bool:
    if value is None:
        return True
    match rule:
        case Stays():
            return isinstance(value, str | int)
        case OneOf() | HexPrefix():
            return isinstance(value, str)
        case Whole() | Log2():
            return isinstance(value, int) and not isinstance(value, bool)
