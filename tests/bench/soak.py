"""An hour at full class: does the engine's memory stay where it was?

Thirty learners ask again and again. Lessons change, so that old ones must leave; answers have odd lengths;
every fourth class is hung up on in the middle, as phones do that lose the Wi-Fi. Memory is read between the
classes. What counts is the growth from the time when everything has been used once to the end: a leak of one
kilobyte an answer would be seen. What creeps is what glibc's threads put aside, until each has its fill; the
box's unit switches that off (systemd/sandyq-engine.service), the bench does not.
"""

import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bench.contest import LEARNERS
from tests.bench.figures import Measurement, Section
from tests.bench.judge_class import ours_started
from tests.bench.judging import Judged, Must
from tests.bench.learners import Question, ask_all
from tests.bench.lessons import QUESTIONS, lesson, messages
from tests.bench.processes import say

FULL_SECONDS, QUICK_SECONDS = 3_600, 300
# The first classes fill the cells, the lessons' files and the allocator's own stock.
WARM_SHARE = 0.2
LESSONS = 7  # more than stay in memory beside a class
WORDS = 350
HANG_UP_EACH, HANG_UP_SECONDS = 4, 2.0
MOST_GROWTH_MB = 5.0  # less than two per cent of the engine; a leak of an hour is a leak of a school year
SAY_SECONDS = 300


def judge_soak(home: Path, seconds: float) -> tuple[Section, list[Judged]]:
    levels: list[float] = []
    answers = hung_up = 0
    with ours_started(home, "engine-default") as engine:
        begin = said = time.monotonic()
        while time.monotonic() - begin < seconds:
            deadline = HANG_UP_SECONDS if len(levels) % HANG_UP_EACH == HANG_UP_EACH - 1 else 900.0
            heard = ask_all(engine.port, _class(len(levels)), deadline)
            levels.append(engine.process.memory_info().rss / 1e6)
            answers += sum(answer is not None and answer.status == 200 for answer in heard.answers)
            hung_up += sum(answer is None for answer in heard.answers)
            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                say(f"soak: {len(levels)} classes, {answers} answers, {hung_up} hung up, {levels[-1]:.1f} MB")
    early, late = _ends(levels)
    growth = late - early
    measured = (
        Measurement("after the first fifth", "MB", (early,)),
        Measurement("at the end", "MB", (late,)),
        Measurement("whole answers", "answers", (float(answers),)),
        Measurement("answers hung up on", "answers", (float(hung_up),)),
    )
    how = (
        f"Thirty learners ask for {seconds / 60:.0f} minutes, {LESSONS} lessons of {WORDS} words in turn;\n"
        f"every {HANG_UP_EACH}th class is hung up on after {HANG_UP_SECONDS:.0f} s. Resident memory of the\n"
        "engine, median of ten classes."
    )
    must = Must(MOST_GROWTH_MB, at_least=False, unit="MB")
    judged = Judged("growth of the engine's memory", f"{late:.1f} MB", f"{early:.1f} MB", growth, must)
    return Section("Soak", how, measured), [judged]


def _ends(levels: Sequence[float]) -> tuple[float, float]:
    """Return the level once everything was used, and the level at the end."""
    warm = levels[int(len(levels) * WARM_SHARE) :]
    ten = min(10, len(warm))
    return statistics.median(warm[:ten]), statistics.median(warm[-ten:])


def _class(number: int) -> list[Question]:
    text = lesson(50_000 + number % LESSONS, WORDS)
    return [
        Question(
            f"learner-{n}",
            messages(text, f"{QUESTIONS[n]} (part {number})"),
            after_seconds=(n * 7 % LEARNERS) / 20,
            max_tokens=16 + (n * 13 + number) % 64,
        )
        for n in range(LEARNERS)
    ]
