"""Read the cells of an XLSX file's first sheet as text. Pure.

A class list needs forty lines of the format, so no library: openpyxl would cost the web process 20 MB and
has had no release in a year. Formulas give the value saved with them; styles, dates and pictures are not
looked at. Keeps out: what a row means.
"""

import posixpath
import re

from appliance.errors import ListRefused, ListTooLarge
from appliance.people.archive import Archive, parse_xml

Table = list[tuple[int, list[str]]]  # the row's number as the spreadsheet shows it, and its cells

WORKBOOK = "xl/workbook.xml"
# A class list has a handful of columns and sixty rows; a school's journal still fits.
MAX_COLUMNS = 40
MAX_ROWS = 20_000


def read_first_sheet(archive: Archive) -> Table:
    """Return the rows that hold something.

    Raises:
        ListRefused: it is no workbook.
        ListTooLarge: it has more than MAX_ROWS rows.
    """
    shared: list[str] = []
    if "xl/sharedStrings.xml" in archive.names:
        shared = _shared_strings(archive.read("xl/sharedStrings.xml"))
    return _Sheet(shared).read(archive.read(_first_sheet_path(archive)))


def _first_sheet_path(archive: Archive) -> str:
    sheets: list[str] = []
    targets: dict[str, str] = {}

    def note_sheet(name: str, attributes: dict[str, str]) -> None:
        if name == "sheet" and attributes.get("state", "visible") == "visible":
            sheets.append(attributes.get("id", ""))

    def note_target(name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship":
            targets[attributes.get("Id", "")] = attributes.get("Target", "")

    parse_xml(archive.read(WORKBOOK), note_sheet, _nothing, _nothing)
    parse_xml(archive.read("xl/_rels/workbook.xml.rels"), note_target, _nothing, _nothing)
    if not sheets:
        raise ListRefused
    # A target is relative to xl/ or, with a slash, to the archive; either way it is only looked up.
    return posixpath.normpath(posixpath.join("/xl", targets.get(sheets[0], ""))).lstrip("/")


def _shared_strings(raw: bytes) -> list[str]:
    """Return the texts that cells point to; reading aids for Japanese (rPh) are no part of them."""
    texts: list[str] = []
    parts: list[str] = []
    inside: list[str] = []

    def start(name: str, _attributes: dict[str, str]) -> None:
        inside.append(name)

    def end(name: str) -> None:
        inside.pop()
        if name == "si":
            texts.append("".join(parts))
            parts.clear()

    def text(words: str) -> None:
        if inside[-1] == "t" and "rPh" not in inside:
            parts.append(words)

    parse_xml(raw, start, end, text)
    return texts


class _Sheet:
    """Follows the elements of one worksheet; a row or cell that does not say where it is comes next."""

    def __init__(self, shared: list[str]) -> None:
        self._shared = shared
        self._table: Table = []
        self._row = self._column = 0
        self._cells: dict[int, str] = {}
        self._kind = ""
        self._text: list[str] = []
        self._takes_text = False

    def read(self, raw: bytes) -> Table:
        parse_xml(raw, self._start, self._end, self._words)
        return self._table

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "row":
            number = attributes.get("r", "")
            self._row = int(number) if number.isascii() and number.isdigit() else self._row + 1
            self._column = 0
            self._cells = {}
        elif name == "c":
            self._column = _column_of(attributes.get("r", "")) or self._column + 1
            self._kind = attributes.get("t", "n")
            self._text = []
        self._takes_text = name in ("v", "t")

    def _words(self, words: str) -> None:
        if self._takes_text:
            self._text.append(words)

    def _end(self, name: str) -> None:
        self._takes_text = False
        if name == "c" and self._column <= MAX_COLUMNS:
            self._cells[self._column] = self._value("".join(self._text))
        elif name == "row" and any(value.strip() for value in self._cells.values()):
            if len(self._table) == MAX_ROWS:
                raise ListTooLarge
            last = max(self._cells)
            self._table.append((self._row, [self._cells.get(n, "") for n in range(1, last + 1)]))

    def _value(self, text: str) -> str:
        if self._kind == "s":
            # A pointer past the end is a damaged file; an empty cell then names the row as bad.
            place = int(text) if text.isascii() and text.isdigit() else -1
            return self._shared[place] if 0 <= place < len(self._shared) else ""
        return text.removesuffix(".0") if self._kind == "n" else text


def _column_of(reference: str) -> int:
    letters = re.match(r"[A-Z]{1,3}(?=\d)", reference)
    column = 0
    for letter in letters[0] if letters else "":
        column = column * 26 + ord(letter) - ord("A") + 1
    return column


def _nothing(*_: object) -> None:
    pass
