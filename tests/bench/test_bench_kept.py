"""What was measured is kept part by part."""

from dataclasses import replace
from pathlib import Path

from tests.bench.figures import MachineFacts, Measurement, Section
from tests.bench.judging import Judged, Must
from tests.bench.kept import Part, page, read, write

MACHINE = MachineFacts("Cortex-A76", 4, 8 * 1024**3, "Linux 6.12 aarch64", "Python 3.13", 0.1, 3.9)
DOOR = Part(
    "2026-11-22",
    "abc1234",
    3,
    MACHINE,
    Section("Door", "How it was done.", (Measurement("first page", "s", (0.5, 0.7)),)),
    (Judged("door", "0.5 s", "1 s", 0.5, Must(0.9, at_least=False)),),
)
LOGIN = replace(DOOR, day="2026-11-20", section=Section("Log-in", "As a class does.", ()), judged=())


def test_what_was_kept_is_read_as_it_was(tmp_path: Path) -> None:
    write(tmp_path / "kept.json", {"door": DOOR, "login": LOGIN})
    assert read(tmp_path / "kept.json") == {"door": DOOR, "login": LOGIN}


def test_nothing_was_ever_measured(tmp_path: Path) -> None:
    assert read(tmp_path / "kept.json") == {}


def test_each_part_of_the_page_names_its_day_its_machine_and_its_load() -> None:
    text = page({"login": LOGIN, "door": DOOR, "gone": DOOR}, ("door", "login"), "As judged.")
    for fact in ("2026-11-22", "`abc1234`", "Cortex-A76, 4 cores", "8.0 GiB", "0.10, 3.90", "## Judged"):
        assert fact in text
    assert text.index("## Door") < text.index("## Log-in")
    assert text.count("## Door") == 1
    assert "2026-11-20" in text
