"""The region's pages over a year of fifty million events, and while PostgreSQL is restarted.

The part `region-pages`. The rollups are generated as `insight/rollups` would have left them; pages, files
and the HTTP server are real, and the readers share the machine and the process with them.
"""

import hashlib
import random
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import urllib3

from sync.envelope import REGION_ID_BYTES
from sync.keys import SigningKey
from sync.nation import CELLS, GRADES
from sync.parcel import ALIAS_BYTES, Statement, digest_of, sign_statement
from sync.server.insight import telling
from sync.server.insight.equity import MEASURES, VECTORS, effective_part
from sync.server.people.web_access import LOGIN_COOKIE
from sync.server.storage.identity import NATION
from sync.server.storage.nation_tables import SUMS_FORWARD
from sync.server.storage.store import Store, open_store
from tests.bench.figures import Measurement, Section
from tests.bench.judging import Judged, Must, percentile
from tests.bench.processes import say
from tests.region_simulator import RegionSimulator
from tests.sync.postgres import Postgres, running_postgres

NOW = datetime(2027, 6, 20, 8, tzinfo=UTC)
FIRST_DAY = date(2026, 7, 1)
DAYS = 340  # told days; the last weeks wait
EVENTS = 50_000_000
BOXES = 2_000
READERS = 2
VISITS = 25  # of each page, by each reader

PAGES = ("/", "/?lang=ru", "/boxes", "/boxes?show=needs&page=3", "/boxes?q=19", "/equity", "/tables")
FILES = ("/data/boxes", "/data/told/2027-03.json", "/data/told/2027-03.csv", "/data/told/2027-03.parquet")
SLOWEST = Must(300, at_least=False, unit="ms")
NATION_PAGE = "/nation"
NONE_SILENT = Must(0, at_least=False, unit="answers")

# How the rows of a year lie: by language, by kind of school, by part.
LANGUAGES = {"kk": 0.7, "ru": 0.25, "en": 0.03, "": 0.02}
STRATA = {("rural", "small"): 0.2, ("rural", "large"): 0.3, ("urban", "small"): 0.1, ("urban", "large"): 0.4}
PARTS = {
    "failed": 0.02,
    "s8": 0.16,
    "s16": 0.1,
    "s33": 0.05,
    "long": 0.03,
    "untimed": 0.06,
    "asked": 0.42,
    "refused": 0.01,
    "handed": 0.01,
    "right": 0.08,
    "wrong": 0.06,
}


def judge_region_pages(rounds: int) -> tuple[Section, list[Judged]]:
    rows: list[Measurement] = []
    judged: list[Judged] = []
    with tempfile.TemporaryDirectory(prefix="sandyq-pages-") as folder, running_postgres() as server:
        for name, address in (("SQLite", ""), ("PostgreSQL", server.new_database())):
            region = RegionSimulator(Path(folder) / name, address)
            region.time = NOW
            with closing(open_store(region.region.database)) as store:
                events = fill(store)
            say(f"{name}: rollups of {events:,} events of {BOXES:,} boxes")
            slowest = measure(region, name, (*PAGES, *FILES), rounds, rows)
            judged.append(Judged(f"the slowest page, p95, {name}", f"{slowest:.0f} ms", "", slowest, SLOWEST))
        for name, address in (("SQLite", ""), ("PostgreSQL", server.new_database())):
            nation = RegionSimulator(Path(folder) / f"nation on {name}", address, role=NATION)
            nation.time = NOW
            with nation.store() as store:
                letters = fill_nation(store)
            say(f"{name}: a nation with {letters:,} letters")
            slowest = measure(nation, f"the nation on {name}", (NATION_PAGE,), rounds, rows)
            judged.append(
                Judged(f"the nation's page, p95, {name}", f"{slowest:.0f} ms", "", slowest, SLOWEST)
            )
        told = restarted(region, server)
        rows.append(Measurement("answers while PostgreSQL restarts", "", (float(told.answers),)))
        rows.append(Measurement("... of them an error with a message", "", (float(told.errors),)))
        silent = float(told.silent)
        judged.append(Judged("errors without a message", f"{told.silent}", "", silent, NONE_SILENT))
    section = Section(
        "The region's pages",
        f"Rollups of {EVENTS:,} events in a year of {BOXES:,} boxes, generated; for the nation's page a\n"
        f"school year of {REGIONS * BOXES_OF_A_REGION:,} boxes in {REGIONS} regions. {READERS} readers\n"
        f"at once over HTTP, {VISITS} visits of each page by each, in one process with the server. Then\n"
        "the region's pages again while PostgreSQL is restarted twice.",
        tuple(rows),
    )
    return section, judged


# Fifty million events ---------------------------------------------------------------------------


def fill(store: Store) -> int:
    """Write what a year of lessons leaves; return how many events it stands for."""
    chance = random.Random(6)
    boxes = add_boxes(store, chance)
    with store.transaction():
        total = add_told(store)
        total += add_waiting(store, boxes, EVENTS - total)
        store.db.execute("UPDATE rollup_mark SET settled_on = ?", (NOW.date().isoformat(),))
    return total


def add_boxes(store: Store, chance: random.Random) -> list[int]:
    at = (NOW - timedelta(days=300)).isoformat()
    kinds = list(STRATA)
    for number in range(BOXES):
        key = number.to_bytes(8)
        store.db.execute(
            "INSERT INTO box (label, kid, device_key, token_sha256, software, enrolled_at, last_contact_at,"
            " school, stratum, size_class, approved_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(f"B-{number:05}", key, key, key, "0.1.0" if number % 9 else "0.0.9", at),
                (NOW - timedelta(days=int(chance.expovariate(1 / 6)))).isoformat(),
                *(f"№ {number} орта мектеп", *kinds[number % len(kinds)], at),
            ),
        )
    boxes = [box for (box,) in store.db.rows("SELECT id FROM box ORDER BY id")]
    store.db.copy_rows(
        "rollup_state",
        ("box_id", "batches", "missing", "remarks", "flags", "software", "disk", "heat"),
        [
            (
                *(box, 200, int(chance.random() < 0.03), "gap" if chance.random() < 0.05 else ""),
                chance.choice(["", "", "", "", "slow", "stuck", "slow stuck"]),
                *(1_000, chance.choice(["good"] * 20 + ["bad"]), chance.choice(["good"] * 10 + ["watch"])),
            )
            for box in boxes
        ],
    )
    return boxes


def cells() -> Iterator[tuple[str, str, str, str, str, float]]:
    for (stratum, size), kind_share in STRATA.items():
        for language, language_share in LANGUAGES.items():
            for vector in VECTORS.values():
                for part in vector.parts:
                    yield (
                        stratum,
                        size,
                        language,
                        vector.name,
                        part,
                        kind_share * language_share * PARTS[part],
                    )


def add_told(store: Store) -> int:
    """Every day of the year as blocks, and the months they make."""
    a_day = EVENTS * 0.97 / DAYS
    told: list[tuple[object, ...]] = []
    months: dict[tuple[str, ...], int] = {}
    block = 0
    for number in range(DAYS):
        day = (FIRST_DAY + timedelta(days=number)).isoformat()
        last = None
        for stratum, size, language, vector, part, share in cells():
            if (cell := (stratum, size, language, vector)) != last:
                block, last = block + 1, cell
            amount = int(a_day * share)
            if amount >= 10:
                told.append((block, day, day, *cell, part, amount))
                key = (day[:7], *cell, part)
                months[key] = months.get(key, 0) + amount
    columns = ("stratum", "size_class", "language", "vector", "part", "amount")
    store.db.copy_rows("told", ("block", "told_on", "period", *columns), told)
    effective = [
        (month, stratum, size, language, measure.vector, effective_part(measure), 900)
        for month, stratum, size, language in sorted({key[:4] for key in months})
        for measure in MEASURES.values()
    ]
    of_months = [(*key, rows) for key, rows in months.items()]
    store.db.copy_rows("told_month", ("month", *columns), [*of_months, *effective])
    settled = [(month, f"{month}-28") for month in sorted({key[0] for key in months})]
    store.db.copy_rows("told_settled", ("month", "settled_on"), settled)
    return sum(months.values())


def add_waiting(store: Store, boxes: list[int], events: int) -> int:
    """The last weeks of every box wait; and every box has its year, which no page reads."""
    days = [(NOW.date() - timedelta(days=back)).isoformat() for back in range(1, 11)]
    kinds = list(STRATA)
    places = [
        (day, *kinds[at % len(kinds)], language, vector.name, part, box)
        for day in days
        for at, box in enumerate(boxes)
        for language in ("kk", "ru")[: 1 + at % 2]
        for vector in VECTORS.values()
        for part in vector.parts
    ]
    each = max(1, events // len(places))
    columns = (
        "period",
        "stratum",
        "size_class",
        "language",
        "vector",
        "part",
        "box_id",
        "amount",
        "learners",
    )
    store.db.copy_rows("rollup_waiting", columns, ((*place, each, 10) for place in places))
    months = sorted({month for (month,) in store.db.rows("SELECT month FROM told_settled")})
    store.db.copy_rows(
        "rollup_box",
        ("month", "box_id", "language", "vector", "part", "amount", "learners"),
        (
            (month, box, "kk", vector.name, part, 500, 10)
            for month in months
            for box in boxes
            for vector in VECTORS.values()
            for part in vector.parts
        ),
    )
    return each * len(places)


# The nation --------------------------------------------------------------------------------------

REGIONS = 20
BOXES_OF_A_REGION = 350
SCHOOL_WEEKS = 34


def fill_nation(store: Store) -> int:
    """Write what a school year of seven thousand boxes leaves at the nation; return how many letters."""
    mondays = [NOW.date() - timedelta(weeks=back, days=NOW.weekday()) for back in range(SCHOOL_WEEKS, 0, -1)]
    with store.transaction():
        regions = add_regions(store)
        letters = [letter for region in regions for letter in letters_of(region, mondays)]
        columns = ("box_id", "sha256", "alias", "stratum", "size_class", "day", "received_at", "state")
        store.db.copy_rows("national_letter", columns, letters)
        add_national_counts(store, regions, mondays)
        add_statements(store, regions, letters)
        for statement in SUMS_FORWARD:  # as the migration does it
            if statement.startswith("INSERT"):
                store.db.execute(statement)
    return len(letters)


def add_regions(store: Store) -> list[int]:
    at = NOW.isoformat()
    for number in range(REGIONS):
        device = SigningKey.from_seed(bytes([number]) * 32)
        store.add_box(f"R-{number:02}", device.kid, device.public, bytes([number]) * 32, "0.1.0", NOW)
        store.db.execute(
            "UPDATE box SET school = ?, approved_at = ? WHERE label = ?",
            (f"Өңір {number}", at, f"R-{number:02}"),
        )
    return [box for (box,) in store.db.rows("SELECT id FROM box ORDER BY id")]


# region, hash, alias, stratum, size class, day, moment, state
Letter = tuple[int, bytes, bytes, str, str, str, str, str]


def letters_of(region: int, mondays: list[date]) -> Iterator[Letter]:
    """A letter of each box in each week, counted long ago."""
    kinds = list(STRATA)
    for at, monday in enumerate(mondays):
        for box in range(BOXES_OF_A_REGION):
            alias = hashlib.sha256(f"{region} {box}".encode()).digest()[:ALIAS_BYTES]
            day = (monday + timedelta(days=7 + box % 5)).isoformat()
            sha256 = hashlib.sha256(f"{region} {box} {at}".encode()).digest()
            yield (region, sha256, alias, *kinds[box % len(kinds)], day, f"{day}T20:00:00+00:00", "counted")


def add_national_counts(store: Store, regions: list[int], mondays: list[date]) -> None:
    store.db.copy_rows(
        "national_count",
        ("box_id", "stratum", "size_class", "week", "grade", "cell", "total", "draws"),
        (
            (region, *kind, monday.isoformat(), grade, cell, 900, BOXES_OF_A_REGION // len(STRATA))
            for region in regions
            for kind in STRATA
            for monday in mondays
            for grade in range(GRADES)
            for cell in CELLS
        ),
    )


def add_statements(store: Store, regions: list[int], letters: list[Letter]) -> None:
    """Each region stated every day, and both agree."""
    by_day: dict[tuple[int, str], list[bytes]] = {}
    for region, sha256, _alias, _stratum, _size, day, *_ in letters:
        by_day.setdefault((region, day), []).append(sha256)
    device = SigningKey.from_seed(bytes(32))
    for at, (region, day) in enumerate(sorted(by_day)):
        held = by_day[region, day]
        account = Statement(
            bytes(REGION_ID_BYTES),
            date.fromisoformat(day),
            70,
            70,
            7_000,
            0,
            len(held),
            digest=digest_of(held),
            all_batches=70 * at,
            all_events=7_000 * at,
            all_letters=70 * at,
        )
        store.db.execute(
            "INSERT INTO national_statement (box_id, day, signer, document, agreed) VALUES (?, ?, ?, ?, ?)",
            (region, day, device.public, sign_statement(account, device), len(held)),
        )


# Readers -------------------------------------------------------------------------------------------


def measure(
    region: RegionSimulator, name: str, paths: Iterable[str], rounds: int, rows: list[Measurement]
) -> float:
    """Visit everything; return the 95th percentile of the slowest page (files are only written down)."""
    times: dict[str, list[float]] = {path: [] for path in paths}
    with region.serve() as url, ThreadPoolExecutor(READERS) as readers:
        cookie = cookie_of(region)
        for _ in range(rounds):
            for path in times:
                for taken in readers.map(lambda _: visits(url + path, cookie), range(READERS)):  # noqa: B023
                    times[path] += taken
    found = {path: percentile(taken, 0.95) * 1000 for path, taken in times.items()}
    rows += [Measurement(f"{name}: {path}, p95", "ms", (found[path],)) for path in found]
    return max(found[path] for path in found if path not in FILES)


def visits(url: str, cookie: str) -> list[float]:
    taken = []
    with urllib3.PoolManager(headers={"Cookie": cookie, "Accept": "text/html, */*;q=0.5"}) as line:
        for _ in range(VISITS):
            began = time.perf_counter()
            answer = line.request("GET", url, retries=False)
            taken.append(time.perf_counter() - began)
            if answer.status != 200:
                raise ValueError(f"{url}: {answer.status}")
    return taken


def cookie_of(region: RegionSimulator) -> str:
    cookie = region.enter().get_cookie(LOGIN_COOKIE)
    if cookie is None:
        raise ValueError("nobody is logged in")
    return f"{LOGIN_COOKIE}={cookie.value}"


@dataclass
class Told:
    """What readers were told while the database was away."""

    answers: int = 0
    errors: int = 0
    silent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


def restarted(region: RegionSimulator, server: Postgres, times: int = 2) -> Told:
    """Read every page while PostgreSQL is restarted; afterwards all is as before."""
    told, done = Told(), threading.Event()
    with region.serve() as url:
        cookie = cookie_of(region)
        readers = [threading.Thread(target=read_on, args=(url, cookie, told, done)) for _ in range(READERS)]
        for reader in readers:
            reader.start()
        for _ in range(times):
            time.sleep(1)
            server.restart()
        time.sleep(1)
        done.set()
        for reader in readers:
            reader.join()
        visits(url + "/", cookie)
    with closing(open_store(region.region.database)) as store:
        if not telling.settled_months(store.db):
            raise ValueError("what was told is gone")
    return told


def read_on(url: str, cookie: str, told: Told, done: threading.Event) -> None:
    with urllib3.PoolManager(headers={"Cookie": cookie, "Accept": "text/html"}) as line:
        while not done.is_set():
            for path in PAGES:
                try:
                    answer = line.request("GET", url + path, retries=False, redirect=False)
                except urllib3.exceptions.HTTPError:
                    status, page = 0, ""
                else:
                    status, page = answer.status, answer.data.decode()
                is_error = status != 200
                has_message = "<h1>" in page and len(page.partition("<h1>")[2].partition("</h1>")[0]) > 10
                with told.lock:
                    told.answers += 1
                    told.errors += is_error
                    told.silent += is_error and not has_message
