"""What happened in a lesson, and beside it what may leave the school.

A kind of event is declared once, with a decision for every one of its fields;
an event whose fields differ from the declaration cannot be made. `allowed_row`
is the only way into the outbox: a field that stays is not in it, and no rule
lets free text through: words come from a closed list, numbers from a range.
Pure: no clock, disk or network.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from types import MappingProxyType

from sync.errors import EventFieldsDiffer, EventValueInvalid, UnknownEventKind

Value = str | int | None

# What a field may become on its way out --------------------------------------


@dataclass(frozen=True)
class Stays:
    """Never leaves the box."""


@dataclass(frozen=True)
class OneOf:
    """Leaves as one of these words; any other word leaves as nothing."""

    words: tuple[str, ...]


@dataclass(frozen=True)
class Whole:
    """Leaves as it is inside the range; outside it leaves as nothing."""

    lowest: int
    highest: int


@dataclass(frozen=True)
class Log2:
    """Leaves as its number of binary digits, so that an exact size or time does not."""

    highest: int  # larger values share the last bucket


@dataclass(frozen=True)
class HexPrefix:
    """Leaves as the first digits of a hash; anything but a hash leaves as nothing."""

    digits: int


Rule = Stays | OneOf | Whole | Log2 | HexPrefix


@dataclass(frozen=True)
class Kind:
    """One kind of event: every raw field with its rule. There is no default on purpose."""

    fields: Mapping[str, Rule]


STAYS = Stays()
LANGUAGE = OneOf(("kk", "ru", "en"))
OUTCOME = OneOf(("answered", "failed", "stopped"))
GRADE = Whole(0, 12)  # 0 is pre-school; the school of twelve years is planned
CHARACTERS = Log2(17)  # the box refuses a question of 100 kB, so 2**17 never happens
DURATION_MS = Log2(22)  # past about an hour a longer answer tells nothing more
TOKENS = Log2(16)
MODEL = HexPrefix(8)
RUNG = Whole(0, 5)
# Distress is missing on purpose: of that no row at all is recorded here, so that not even a gap can tell.
HAND_BACK_REASON = OneOf(("asked_for_person", "third_hint", "low_confidence"))

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "session_opened": Kind({"school_class": STAYS, "grade": GRADE, "language": LANGUAGE}),
        "session_closed": Kind({}),
        "learner_joined": Kind({"learner_name": STAYS, "language": LANGUAGE}),
        "question_asked": Kind(
            {
                "question_id": STAYS,
                "learner_name": STAYS,
                "text": STAYS,
                "language": LANGUAGE,
                "characters": CHARACTERS,
            }
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
            }
        ),
        "attempt_checked": Kind(
            {
                "task_id": STAYS,
                "text": STAYS,
                "rung": RUNG,
                "result": OneOf(("right", "wrong")),
                "language": LANGUAGE,
            }
        ),
        "hand_back": Kind({"hand_back_id": STAYS, "reason": HAND_BACK_REASON}),
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


@dataclass(frozen=True)
class AllowedRow:
    """What is kept of an event for the region. `session_id` only joins rows; it is numbered anew
    in every batch and does not leave."""

    kind: str
    day: date
    session_id: str
    fields: Mapping[str, str | int]


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
        case OneOf(words):
            return value if value in words else None
        case Whole(lowest, highest):
            return value if isinstance(value, int) and lowest <= value <= highest else None
        case Log2(highest):
            return log2_bucket(value, highest) if isinstance(value, int) else None
        case HexPrefix(digits):
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
