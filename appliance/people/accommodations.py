"""How a learner needs the pages to be: letters, size, spacing, contrast, a voice, more time.

Set by the learner or the teacher, kept for the person and not for the device: it is there on every phone
this learner logs in on, and in an exam too. Why somebody needs it is never asked and never stored, and none
of it leaves the box. The only writer of the table accommodation.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from sqlite_utils import Database

# The first of each is the page as everybody sees it.
FONTS = ("", "clear")
SIZES = (100, 125, 150, 200)
SPACINGS = ("", "wide")
CONTRASTS = ("", "high", "dark")
# Percent on top of the class's minutes, as exam boards grant it: a quarter, a half, twice as long.
MORE_TIMES = (0, 25, 50, 100)


@dataclass(frozen=True)
class Accommodation:
    font: str = ""
    size: int = 100
    spacing: str = ""
    contrast: str = ""
    read_aloud: bool = False
    more_time: int = 0

    @property
    def style(self) -> str:
        """Return the classes that the style sheet knows."""
        size = f"size-{self.size}" if self.size != SIZES[0] else ""
        named = (("font", self.font), ("spacing", self.spacing), ("contrast", self.contrast))
        words = [f"{kind}-{value}" for kind, value in named if value]
        return " ".join(filter(None, [*words, size]))

    def minutes(self, minutes: int) -> int:
        """Return how many minutes this learner has where the class has so many; a started minute counts."""
        return -(-minutes * (100 + self.more_time) // 100)


def find(db: Database, learner_id: str) -> Accommodation:
    """Return what is set for this learner, or the page as everybody sees it."""
    rows = db.query(
        "SELECT font, size, spacing, contrast, read_aloud, more_time FROM accommodation WHERE learner_id = ?",
        [learner_id],
    )
    for row in rows:
        return Accommodation(**{**row, "read_aloud": bool(row["read_aloud"])})
    return Accommodation()


def minutes_of(db: Database, learner_id: str, minutes: int) -> int:
    """Return how many minutes this learner has where the class has so many."""
    return find(db, learner_id).minutes(minutes)


def save(db: Database, learner_id: str, wanted: Accommodation) -> None:
    row = {"learner_id": learner_id, **asdict(wanted), "read_aloud": int(wanted.read_aloud)}
    db.table("accommodation").insert(row, pk="learner_id", replace=True)


def from_form(fields: Mapping[str, str], now: Accommodation, *, by_teacher: bool) -> Accommodation:
    """Return what the form asks for; an unknown value leaves things as they are.

    A learner chooses how pages look and sound. More time is the teacher's to give.
    """
    wanted = replace(
        now,
        font=_one_of(FONTS, fields.get("font", ""), now.font),
        size=int(_one_of(tuple(map(str, SIZES)), fields.get("size", ""), str(now.size))),
        spacing=_one_of(SPACINGS, fields.get("spacing", ""), now.spacing),
        contrast=_one_of(CONTRASTS, fields.get("contrast", ""), now.contrast),
        read_aloud=fields.get("read_aloud") == "yes",
    )
    if not by_teacher:
        return wanted
    more = _one_of(tuple(map(str, MORE_TIMES)), fields.get("more_time", ""), str(now.more_time))
    return replace(wanted, more_time=int(more))


def _one_of(known: tuple[str, ...], value: str, otherwise: str) -> str:
    return value if value in known else otherwise
