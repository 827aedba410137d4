"""XLSX files for tests, written by hand: as spreadsheets write them, and as nobody should."""

import io
import zipfile
from collections.abc import Sequence
from xml.sax.saxutils import escape

WORKBOOK = (
    '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets>'
    '<sheet name="Old" sheetId="1" state="hidden" r:id="rId1"/><sheet name="7A" sheetId="2" r:id="rId2"/>'
    "</sheets></workbook>"
)
RELATIONS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Type="t" Target="worksheets/sheet1.xml"/>'
    '<Relationship Id="rId2" Type="t" Target="/xl/worksheets/sheet2.xml"/></Relationships>'
)
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def workbook(rows: Sequence[Sequence[str | int | None]], **extra: bytes) -> bytes:
    """Return a workbook with a hidden first sheet and these rows in the second one.

    Texts alternate between shared and inline strings; `extra` replaces parts, dots written as `__`.
    """
    shared: list[str] = []
    lines = []
    for number, row in enumerate(rows, 1):
        cells = "".join(_cell(number, column, value, shared) for column, value in enumerate(row))
        lines.append(f'<row r="{number}">{cells}</row>')
    strings = "".join(f"<si><r><t>{escape(t)}</t></r><rPh><t>ふ</t></rPh></si>" for t in shared)
    parts = {
        "[Content_Types].xml": b"<Types/>",
        "xl/workbook.xml": WORKBOOK.encode(),
        "xl/_rels/workbook.xml.rels": RELATIONS.encode(),
        "xl/sharedStrings.xml": f"<sst {MAIN}>{strings}</sst>".encode(),
        "xl/worksheets/sheet1.xml": f"<worksheet {MAIN}><sheetData/></worksheet>".encode(),
        "xl/worksheets/sheet2.xml": (
            f"<worksheet {MAIN}><sheetData>{''.join(lines)}</sheetData></worksheet>".encode()
        ),
    }
    parts |= {f"xl/{name.replace('__', '.')}": raw for name, raw in extra.items()}
    return packed(parts)


def packed(parts: dict[str, bytes]) -> bytes:
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return raw.getvalue()


def _cell(row: int, column: int, value: str | int | None, shared: list[str]) -> str:
    place = f"{chr(ord('A') + column)}{row}"
    if value is None:
        return ""
    if isinstance(value, int):
        return f'<c r="{place}"><v>{value}.0</v></c>'
    if len(value) % 2:
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    shared.append(value)
    return f'<c r="{place}" t="s"><v>{len(shared) - 1}</v></c>'
