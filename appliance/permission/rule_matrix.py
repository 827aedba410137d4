"""Which rule of a class holds now, and how many minutes somebody has used. Pure.

A rule has a mode and may be narrowed to a subject, a weekday and a time of day. The narrowest rule that
fits the moment counts; of equally narrow ones the strictest. Without a rule AI is open: the teacher who
set nothing up must not meet a locked class.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

# From free to strict. "My material only" joins them when packs exist; until then it is not offered.
MODES = ("open", "hints", "off")
DAY_MINUTES = 24 * 60
# A question counts so long: for reading the answer and thinking about it. Questions close together
# overlap and count once, so that asking back costs little and a slow box costs nobody anything.
MINUTES_A_QUESTION = timedelta(minutes=2)


@dataclass(frozen=True)
class ClassRule:
    """`begins` and `ends` are minutes of the day, both or neither; `ends` is not within."""

    mode: str
    subject: str = ""  # "" = any
    weekday: int | None = None  # 0 = Monday
    begins: int | None = None
    ends: int | None = None

    @property
    def narrowness(self) -> int:
        return sum((bool(self.subject), self.weekday is not None, self.begins is not None))


@dataclass(frozen=True)
class Situation:
    """A moment in a class: what is taught, and what the clock on the wall shows."""

    subject: str
    weekday: int
    minute: int


def situation(subject: str, local: datetime) -> Situation:
    return Situation(subject, local.weekday(), local.hour * 60 + local.minute)


def fits(rule: ClassRule, now: Situation) -> bool:
    return (
        rule.subject in ("", now.subject)
        and rule.weekday in (None, now.weekday)
        and (rule.begins is None or rule.ends is None or rule.begins <= now.minute < rule.ends)
    )


def find_rule(rules: Iterable[ClassRule], now: Situation) -> ClassRule | None:
    """Return the rule that counts, None when none fits. The order in which rules were made is nothing."""
    fitting = [rule for rule in rules if fits(rule, now)]
    return max(fitting, key=_weight, default=None)


def _weight(rule: ClassRule) -> tuple[int, int, int]:
    # The last one only decides which of two equal modes is named: the one that ends first.
    return rule.narrowness, MODES.index(rule.mode), -(rule.ends or DAY_MINUTES)


def used_minutes(asked_at: Iterable[datetime], now: datetime) -> int:
    """Return how many minutes these questions have taken until now, each begun minute whole."""
    used, until = timedelta(0), None
    for asked in sorted(asked_at):
        begins = asked if until is None else max(asked, until)
        ends = min(asked + MINUTES_A_QUESTION, max(now, asked))
        used += max(ends - begins, timedelta(0))
        until = ends if until is None else max(until, ends)
    return -(-int(used.total_seconds()) // 60)
