"""The arithmetic and the wording of the benchmark.

Promises: pure; the same figures give the same text. Keeps out: starting and measuring anything.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

# A browser fetches these without being asked by a script.
FETCHED_LINKS = frozenset(
    {"stylesheet", "icon", "shortcut", "manifest", "preload", "modulepreload", "apple-touch-icon"}
)
FETCHED_SOURCES = frozenset({"script", "img", "iframe", "embed", "audio", "video", "source"})


@dataclass(frozen=True)
class Measurement:
    """One thing measured in several rounds."""

    what: str
    unit: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError(f"nothing was measured for {self.what}")

    @property
    def median(self) -> float:
        return statistics.median(self.values)


@dataclass(frozen=True)
class Section:
    """A table of the report: what was done, in a sentence, and what came out."""

    title: str
    how: str
    rows: tuple[Measurement, ...]


@dataclass(frozen=True)
class MachineFacts:
    """What a reader must know to compare: never a host's name."""

    processor: str
    cores: int
    memory_bytes: int
    system: str
    python: str
    load_before: float
    load_after: float


def number(value: float) -> str:
    """Three figures that say something: 0.012, 1.23, 12.3, 123, 12,345; a count stays whole."""
    if value == int(value):
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    if abs(value) >= 0.1:
        return f"{value:.2f}"
    return f"{value:.2g}"


def table(rows: Sequence[Measurement]) -> str:
    """A Markdown table whose columns also line up in a terminal."""
    cells = [("measured", "median", "min-max", "unit", "rounds")]
    for row in rows:
        spread = f"{number(min(row.values))}-{number(max(row.values))}"
        cells.append((row.what, number(row.median), spread, row.unit, str(len(row.values))))
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    # Words to the left, figures to the right.
    right = (False, True, True, False, True)
    lines = [
        "| "
        + " | ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        )
        + " |"
        for line in cells
    ]
    rule = "".join(
        f"|{'-' * (width + 1)}{':' if to_right else '-'}"
        for width, to_right in zip(widths, right, strict=True)
    )
    return "\n".join((lines[0], rule + "|", *lines[1:]))


def section_text(section: Section) -> str:
    rows = f"\n\n{table(section.rows)}" if section.rows else ""
    return f"## {section.title}\n\n{section.how}{rows}"


def page_resources(html: str, page_url: str) -> list[str]:
    """Addresses a browser with an empty cache fetches after the page itself, each once, in order."""
    parser = _ResourceParser()
    parser.feed(html)
    if not parser.names_icon:
        parser.found.append("/favicon.ico")  # then the browser asks for it unbidden
    addresses = [urljoin(page_url, address) for address in parser.found]
    return list(dict.fromkeys(a for a in addresses if urlsplit(a).scheme in ("http", "https")))


class _ResourceParser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.names_icon = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "link":
            kinds = set((attributes.get("rel") or "").lower().split())
            self.names_icon = self.names_icon or "icon" in kinds
            if kinds & FETCHED_LINKS:
                self._add(attributes.get("href"))
        elif tag in FETCHED_SOURCES:
            self._add(attributes.get("src"))

    def _add(self, address: str | None) -> None:
        if address:
            self.found.append(address)
