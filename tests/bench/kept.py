"""What was measured, part by part: the file behind docs/benchmarks.md.

A whole run takes hours and a quiet machine; a part takes minutes. So each part is kept with its own day,
revision, load and machine, and the page is written from all of them: repeating one part replaces its lines
and no others. Promises: a part that was not measured again keeps saying when it was. Keeps out: measuring.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.bench.figures import MachineFacts, Measurement, Section, section_text
from tests.bench.judging import Judged, Must, judged_table


@dataclass(frozen=True)
class Part:
    """One part of the benchmark as it came out."""

    day: str
    revision: str
    rounds: int
    machine: MachineFacts
    section: Section
    judged: tuple[Judged, ...]


def read(path: Path) -> dict[str, Part]:
    """Return the parts by name; none when nothing was ever kept."""
    if not path.exists():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    return {name: _part(record) for name, record in kept.items()}


def write(path: Path, parts: Mapping[str, Part]) -> None:
    records = {name: asdict(part) for name, part in parts.items()}
    path.write_text(json.dumps(records, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def page(parts: Mapping[str, Part], order: Sequence[str], how_judged: str) -> str:
    """The whole of docs/benchmarks.md; parts that no run knows any more are left out."""
    shown = [parts[name] for name in order if name in parts]
    judged = [line for part in shown for line in part.judged]
    head = (
        "# Benchmarks",
        "Written by `make bench`, not by hand: run it on your own machine before you compare.\n"
        "Times depend on what else the machine does; nothing in the test suite asserts one. Each part says\n"
        'when it was measured and how busy the machine was; `make bench PARTS="class-1 door"` repeats some.',
    )
    verdict = (f"## Judged\n\n{how_judged}\n\n{judged_table(judged)}",) if judged else ()
    return "\n\n".join((*head, *verdict, *(_text(part) for part in shown))) + "\n"


def _text(part: Part) -> str:
    machine = part.machine
    facts = (
        f"Measured {part.day} at `{part.revision}`, rounds: {part.rounds};"
        f" load (1 minute) before and after: {machine.load_before:.2f}, {machine.load_after:.2f};\n"
        f"{machine.processor}, {machine.cores} cores, {machine.memory_bytes / 1024**3:.1f} GiB,"
        f" {machine.system}, {machine.python}."
    )
    return f"{section_text(part.section)}\n\n{facts}"


def _part(record: dict[str, Any]) -> Part:
    section = record["section"]
    return Part(
        day=record["day"],
        revision=record["revision"],
        rounds=record["rounds"],
        machine=MachineFacts(**record["machine"]),
        section=Section(
            section["title"],
            section["how"],
            tuple(Measurement(row["what"], row["unit"], tuple(row["values"])) for row in section["rows"]),
        ),
        judged=tuple(Judged(**{**line, "must": Must(**line["must"])}) for line in record["judged"]),
    )
