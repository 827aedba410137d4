"""The sheet of enrolment codes that IT staff print, cut up and carry to schools.

One card a box: the school, the code in letters and as a QR code. Whoever holds a card can enrol one box, so
a sheet is shown once, its file is private, and the region keeps only hashes. Pure but for the template.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from sync.server.enrolment.enrolments import CodeSheet
from sync.server.translation import LANGUAGES, Speaker

_HERE = Path(__file__).parents[1]  # what the whole region shows


def qr_text(region_url: str, code: str) -> str:
    """Return what the square says: the two things that are typed at the box, with a space between."""
    return f"{region_url} {code}".strip()


def sheet_context(sheet: CodeSheet, region_name: str, region_url: str, speaker: Speaker) -> dict[str, Any]:
    """Return what the template needs."""
    return {
        "speaker": speaker,
        "languages": LANGUAGES,
        "region_name": region_name,
        "region_url": region_url,
        "sheet": sheet,
        "cards": [(one, _square(qr_text(region_url, str(one.code)))) for one in sheet.codes],
    }


def render_sheet(sheet: CodeSheet, region_name: str, region_url: str, speaker: Speaker) -> str:
    """Return the sheet as one file that needs nothing else to be printed."""
    style = Markup((_HERE / "static/sheet.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
    context = sheet_context(sheet, region_name, region_url, speaker)
    return _environment().get_template("code_sheet.html").render(**context, style=style)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _square(text: str) -> Markup:
    drawing = segno.make(text, error="m").svg_inline(border=2, svgclass="qr", lineclass=None, omitsize=True)
    return Markup(drawing)  # noqa: S704 - drawn by segno: an SVG path, no text of anybody's in it
