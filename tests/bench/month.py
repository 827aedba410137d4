"""A country for a month, in minutes: do boxes, regions and nation count the same, and is the evening calm?

The part `month`. `tests/country_simulator` says what is real and what is simulated. Each region is played by
one process; as many at once as the machine has cores, all sending to one nation.
"""

import gc
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from tests.bench.figures import Measurement, Section
from tests.bench.judging import Judged, Must
from tests.bench.processes import BenchFailed, say
from tests.country_simulator import Country, Plan, RegionPart, Tally, night_minutes, peak_over_mean

FIRST_DAY = date(2027, 3, 1)  # the month of the spring holiday
# The evening on which all regions are down when the boxes' night begins, until eleven o'clock.
DOWN = (datetime(2027, 3, 10, 15, tzinfo=UTC), datetime(2027, 3, 10, 18, tzinfo=UTC))
NATION_DOWN = (datetime(2027, 3, 15, tzinfo=UTC), datetime(2027, 3, 22, tzinfo=UTC))
# The fullest so many minutes of a night; with few boxes chance alone fills short ones, so they are longer.
WINDOWS, LEAST_MEAN = (5, 10, 20, 30, 60, 120), 5
FULL = Plan(20, 350, FIRST_DAY, 31, http_every=50, regions_down=DOWN, nation_down=NATION_DOWN)
QUICK = Plan(4, 30, FIRST_DAY, 14, http_every=10, regions_down=DOWN)
# Thousands of small files that are synced one after the other: a disk would be measured, not the program.
MEMORY_DISK = Path("/dev/shm")

NOTHING_APART = Must(0, at_least=False, unit="apart")
CALM = Must(3, at_least=False, unit="x")


def judge_month(plan: Plan) -> tuple[Section, list[Judged]]:
    place = MEMORY_DISK if MEMORY_DISK.is_dir() and os.access(MEMORY_DISK, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="sandyq-month-", dir=place) as folder:
        country = Country(Path(folder), plan)
        began = time.monotonic()
        tally = play(country)
        nation = country.totals()
        minutes = (time.monotonic() - began) / 60
    nights = [plan.first_day + timedelta(days=at) for at in range(plan.days)]
    ordinary = [night for night in nights if night != DOWN[0].date()]
    window = window_for(tally, ordinary)
    storm = peak_over_mean(tally.knocks, ordinary, window)
    parts = f"{plan.regions} regions of {plan.boxes} boxes, {tally.boxes_on_http} of them on real HTTP"
    section = Section(
        "A month of the country",
        f"{parts}, the others through the functions behind that door; {plan.days} days from\n"
        f"{plan.first_day} with {plan.lessons_a_week} lessons a week, a line down for hours at\n"
        f"{plan.bad_days:.0%} of the knocks, {tally.boxes_with_sticks} boxes on sticks alone, an evening\n"
        "on which all regions are down. The clock is simulated; files lie in memory.",
        (
            Measurement("it took", "minutes", (minutes,)),
            Measurement("boxes", "", (float(tally.boxes),)),
            Measurement("events recorded at the boxes", "", (float(tally.recorded),)),
            Measurement("batches at the regions", "", (float(tally.region_batches),)),
            Measurement("letters counted at the nation", "", (float(nation["letters"]),)),
            Measurement("knocks while the regions were down", "", (float(tally.turned_away),)),
            Measurement(
                f"fullest {window} minutes of the evening of the outage, over the mean",
                "x",
                (after_outage(tally, ordinary, window),),
            ),
        ),
    )
    return section, [
        *(
            apart(what, tally.recorded, found)
            for what, found in (
                ("events: recorded, and confirmed to the boxes", tally.confirmed),
                ("events: recorded, and in the regions' ledgers", tally.region_events),
                ("events: recorded, and rows at the regions", tally.region_rows),
                ("events: recorded, and stated to the nation", nation["events"]),
            )
        ),
        apart("batches: at the regions, and stated to the nation", tally.region_batches, nation["batches"]),
        apart(
            "letters: sealed by boxes, and counted at the nation", tally.sealed_sections, nation["letters"]
        ),
        apart("sum of all noisy numbers: sealed, and at the nation", tally.sealed_sum, nation["sum"]),
        apart("regions, and those whose statements agree", plan.regions, nation["states"].get("equal", 0)),
        Judged(
            f"knocks from 20:00 to 6:00: fullest {window} minutes over the mean",
            f"{storm:.2f} x",
            "1 x",
            storm,
            CALM,
        ),
    ]


def apart(figure: str, one: int, other: int) -> Judged:
    return Judged(figure, f"{one:,}", f"{other:,}", abs(one - other), NOTHING_APART)


def window_for(tally: Tally, nights: list[date]) -> int:
    """Return the shortest window in which a night has some knocks on average."""
    a_night = sum(tally.knocks[minute] for day in nights for minute in night_minutes(day)) / len(nights)
    minutes = len(night_minutes(nights[0]))
    return next((window for window in WINDOWS if a_night * window / minutes >= LEAST_MEAN), WINDOWS[-1])


def after_outage(tally: Tally, ordinary: list[date], window: int) -> float:
    """Return how full the fullest minutes of the evening were on which everybody had to come back."""
    night = night_minutes(DOWN[0].date())
    fullest = max(sum(tally.knocks[at + more] for more in range(window)) for at in night[::window])
    means = [sum(tally.knocks[minute] for minute in night_minutes(day)) for day in ordinary]
    return fullest * len(night) / window / max(1.0, sum(means) / len(means))


def play(country: Country) -> Tally:
    """Play every region in a process of its own."""
    both, plan = Tally(), country.plan
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(play_region, country.folder, plan, at) for at in range(plan.regions)]
        for at, part in enumerate(parts, start=1):
            both = both + part.result()
            say(f"month: region {at}/{plan.regions} is through, {both.recorded:,} events")
    return both


# Nothing that a day makes lives in circles for long; looking for them at Python's pace took 7 % of the time.
COLLECT_EVERY = 200_000
FILES_OF_A_BOX = 3  # the simulator keeps each box's database open, with its log and its index


def play_region(folder: Path, plan: Plan, number: int) -> Tally:
    gc.set_threshold(COLLECT_EVERY)
    allow_files(FILES_OF_A_BOX * plan.boxes + 256)
    part = RegionPart(Country(folder, plan), number)
    tally = part.play()
    shutil.rmtree(part.folder / "boxes")
    return tally


def allow_files(count: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and count > hard:
        raise BenchFailed(f"this machine lets a process open {hard} files; {count} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
