"""Turn what a teacher typed, pasted or brought in a file into learners, row by row. Pure.

Every row becomes a learner or is named with its number and the reason; nothing is dropped in silence.
Understands names one a line, CSV with `,` `;` or tab in UTF-8, UTF-16 or the Windows code pages, XLSX, and
OneRoster 1.2 CSV as a ZIP or as single files. Of a list only names and grades are taken: numbers, dates and
everything else that identifies a child is left where it was.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from appliance.errors import N_, ListRefused, ListTooLarge, TooManyLearners
from appliance.people import oneroster, spreadsheet
from appliance.people.archive import Archive, is_archive, open_archive
from appliance.people.roster import GRADES, MAX_LEARNERS, MAX_NAME_CHARACTERS, clean_name
from appliance.people.spreadsheet import MAX_ROWS, Table

# A screen of them; the rest is counted. Whoever has more mends the file, not the rows.
MAX_PROBLEMS = 20
# What a teacher may call the columns, in lower case. "Аты" and "имя" are first names beside a surname.
SURNAMES = frozenset({"surname", "last name", "lastname", "family name", "familyname", "фамилия", "тегі"})
FIRST_NAMES = frozenset({"first name", "firstname", "given name", "givenname"})
NAMES = frozenset(
    {
        *{"name", "full name", "learner", "student", "pupil", "аты-жөні", "аты жөні", "аты", "есімі", "есім"},
        *{"оқушы", "оқушының аты-жөні", "тегі, аты", "фио", "ф.и.о.", "ф.и.о", "имя", "ученик", "учащийся"},
        *{"фамилия, имя", "фамилия имя", "тегі аты", "фамилия, имя ученика", "т.а.ә.", "таә"},
    }
)
GRADE_TITLES = frozenset({"grade", "class", "form", "year", "сынып", "класс", "параллель", "сыныбы"})

_GRADE = re.compile(
    r"(?:grade\s*)?(\d{1,2})\s*(?:[-\s]?(?:сынып|класс|grade|кл\.?)|[-\s]?[«\"']?\w[»\"']?)?:?"
)
_SEPARATORS = "\t;,"


@dataclass(frozen=True)
class Row:
    number: int
    name: str
    grade: int | None


@dataclass(frozen=True)
class Problem:
    """Why a row is no learner: a sentence for the catalogues and what to put into it."""

    row: int
    message: str
    params: Mapping[str, object] = field(default_factory=dict)
    file: str = ""


@dataclass(frozen=True)
class ClassList:
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...] = ()  # the first MAX_PROBLEMS
    more_problems: int = 0
    repeats: tuple[tuple[int, int], ...] = ()  # a row, and the earlier row it repeats

    def without_repeats(self, known: Iterable[str] = ()) -> tuple[Row, ...]:
        """Return the rows that are neither a repetition nor called like somebody in `known`."""
        names = {name.casefold() for name in known}
        again = {row for row, _ in self.repeats}
        return tuple(r for r in self.rows if r.number not in again and r.name.casefold() not in names)


def read_typed(text: str, grades: Sequence[int] = ()) -> ClassList:
    """Return the learners of a text field, one a line; "3" alone above some names is their grade."""
    # A quotation mark in a text field is part of a name, not the start of a cell of many lines.
    return _judge(_rows_under_headings(_table(text, csv.QUOTE_NONE)), grades)


def read_files(files: Mapping[str, bytes], grades: Sequence[int] = (), wanted: str = "") -> ClassList:
    """Return the learners of the files that were sent; their names only tell OneRoster's parts apart.

    Raises:
        ListRefused and its children: nothing can be read, with the reason.
    """
    if len(files) > 1:
        return _judge_enrolled(oneroster.read(_records(files), wanted), grades)
    raw = next(iter(files.values()), b"")
    if not is_archive(raw):
        return _judge(_named_columns(_table(decode(raw))), grades)
    archive = open_archive(raw)
    if spreadsheet.WORKBOOK in archive.names:
        return _judge(_named_columns(spreadsheet.read_first_sheet(archive)), grades)
    return _judge_enrolled(oneroster.read(_records(_csv_members(archive)), wanted), grades)


def decode(raw: bytes) -> str:
    """Return a file's text: by its mark, as UTF-8, as UTF-16, or in the Windows code page of Kazakhstan.

    KZ-1048 is Windows-1251 with the Kazakh letters in places that Russian does not use: it reads both.

    Raises:
        ListRefused: this is no text.
    """
    text = _decode(raw)
    if "\0" in text:
        raise ListRefused
    return text


def _decode(raw: bytes) -> str:
    marks = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
    for mark, encoding in marks.items():
        if raw.startswith(mark):
            return raw.decode(encoding, "replace")
    if b"\0" in raw:
        # Without a mark: the zeros of blanks, digits and line ends stand on one side only.
        if 0 in raw[::2] and 0 in raw[1::2]:
            raise ListRefused
        return raw.decode("utf-16-be" if 0 in raw[::2] else "utf-16-le", "replace")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("kz1048", "replace")


def _table(text: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Table:
    """Return the rows that hold something, numbered as a spreadsheet would number them."""
    separator = _separator(text)
    table: Table = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quoting=quoting)
        for number, cells in enumerate(reader, 1):
            if number > MAX_ROWS:
                raise ListTooLarge
            if any(cell.strip() for cell in cells):
                table.append((number, cells[: spreadsheet.MAX_COLUMNS]))
    except csv.Error as error:
        raise ListRefused from error
    return table


def _separator(text: str) -> str:
    """Return the sign that stands in most of the first lines; excel's `sep=` line needs no special case."""
    lines = [re.sub(r'"[^"]*"', "", line) for line in text[:20_000].splitlines()[:50]]
    counts = {sign: sum(sign in line for line in lines) for sign in _SEPARATORS}
    return max(_SEPARATORS, key=lambda sign: counts[sign])


def _rows_under_headings(table: Table) -> Iterable[tuple[int, str, str]]:
    grade = ""
    for number, cells in table:
        words = [cell.strip() for cell in cells if cell.strip()]
        if len(words) == 1 and _GRADE.fullmatch(words[0].casefold()):
            grade = words[0]
            continue
        name, own = _name_and_grade(words)
        yield number, name, own or grade


def _named_columns(table: Table) -> Iterable[tuple[int, str, str]]:
    """Yield (row, name, grade as written), by the titles in the first row if it has any we know."""
    titles = [" ".join(cell.split()).casefold() for cell in table[0][1]] if table else []
    surname, first, name, grade = (
        next((n for n, title in enumerate(titles) if title in known), None)
        for known in (SURNAMES, FIRST_NAMES | NAMES, NAMES, GRADE_TITLES)
    )
    columns = [surname, first] if surname is not None else [first if name is None else name]
    if columns == [None]:
        rows = table[1:] if grade is not None else table
        runs = _starts_with_running_number(rows)
        for number, cells in rows:
            yield number, *_name_and_grade([c.strip() for c in (cells[1:] if runs else cells) if c.strip()])
        return
    for number, cells in table[1:]:
        words = [cells[column] for column in columns if column is not None and column < len(cells)]
        written = cells[grade].strip() if grade is not None and grade < len(cells) else ""
        yield number, " ".join(words), written


def _starts_with_running_number(table: Table) -> bool:
    """Return True for lists that count their rows: 1, 2, 3 are places then, not grades."""
    firsts = [cells[0].strip().rstrip(".") for _, cells in table if len(cells) > 1]
    numbers = [int(word) for word in firsts if word.isascii() and word.isdigit() and len(word) < 6]
    return len(numbers) == len(firsts) > 0 and all(b == a + 1 for a, b in pairwise(numbers))


def _name_and_grade(words: Sequence[str]) -> tuple[str, str]:
    """Return the words that can be a name, and the last one that can be a grade; numbers stay behind."""
    grade = next((w for w in reversed(words) if _GRADE.fullmatch(w.casefold())), "") if len(words) > 1 else ""
    letters = [w for w in words if w != grade and not re.fullmatch(r"[\d\s.,:/+()\-]+", w)]
    return " ".join(letters), grade


def _records(files: Mapping[str, bytes]) -> dict[str, oneroster.Records]:
    """Return the rows of each OneRoster file by its plain name without the ending; the manifest keeps it."""
    found: dict[str, oneroster.Records] = {}
    for name, raw in files.items():
        plain = re.split(r"[/\\]", name)[-1].casefold()
        key = plain if plain == oneroster.MANIFEST else plain.removesuffix(".csv")
        if plain == oneroster.MANIFEST or key in oneroster.NEEDED:
            table = _table(decode(raw))
            titles = [title.strip().casefold() for title in table[0][1]] if table else []
            found[key] = [(row, dict(zip(titles, map(str.strip, cells)))) for row, cells in table[1:]]  # noqa: B905
    return found


def _csv_members(archive: Archive) -> dict[str, bytes]:
    wanted = {oneroster.MANIFEST, *(f"{part}.csv" for part in oneroster.NEEDED)}
    return {name: archive.read(name) for name in archive.names if name.split("/")[-1].casefold() in wanted}


def _judge_enrolled(enrolled: Sequence[oneroster.Enrolled], grades: Sequence[int]) -> ClassList:
    faults = [Problem(one.row, one.fault, file=one.file) for one in enrolled if one.fault]
    rows = [(one.row, one.name, one.grade) for one in enrolled if not one.fault]
    return _judge(rows, grades, faults)


def _judge(
    rows: Iterable[tuple[int, str, str]], grades: Sequence[int], faults: Sequence[Problem] = ()
) -> ClassList:
    problems = list(faults)
    good: list[Row] = []
    first: dict[tuple[str, int | None], int] = {}
    repeats = []
    for number, written, grade in rows:
        name = clean_name(written)
        problem = _fault(number, name, grade, grades)
        if problem is None and len(good) == MAX_LEARNERS:
            problem = Problem(
                number,
                TooManyLearners.message,
                {"limit": MAX_LEARNERS},
            )
        if problem is not None:
            problems.append(problem)
            continue
        row = Row(number, name, _grade(grade))
        good.append(row)
        key = (name.casefold(), row.grade)
        if key in first:
            repeats.append((number, first[key]))
        first.setdefault(key, number)
    return ClassList(
        tuple(good), tuple(problems[:MAX_PROBLEMS]), max(0, len(problems) - MAX_PROBLEMS), tuple(repeats)
    )


def _fault(number: int, name: str, grade: str, grades: Sequence[int]) -> Problem | None:
    if not name:
        return Problem(number, N_("There is no name in this row."))
    if "\ufffd" in name:
        return Problem(number, N_("Some letters arrived broken."))
    if re.search(r"\d{6}", name):
        return Problem(number, N_("There is a long number in the name."))
    if len(name) > MAX_NAME_CHARACTERS:
        limit = {"limit": MAX_NAME_CHARACTERS}
        return Problem(number, N_("The name has more than %(limit)d characters."), limit)
    found = _grade(grade)
    if grade and found is None:
        return Problem(number, N_("This is no grade: %(grade)s."), {"grade": grade[:MAX_NAME_CHARACTERS]})
    if found is not None and grades and found not in grades:
        return Problem(number, N_("Grade %(grade)s is not one of this room's grades."), {"grade": str(found)})
    return None


def _grade(written: str) -> int | None:
    match = _GRADE.fullmatch(written.strip().casefold())
    found = int(match[1]) if match else 0
    return found if found in GRADES else None
