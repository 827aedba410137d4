"""From the region to the nation: unopened, once, and both count the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from sync import cbor, client
from sync.envelope import open_nation_letter
from sync.errors import BatchFork, ParcelMalformed, RegionUnreachable, StatementForged
from sync.keys import ensure_device_key, get_device_key
from sync.nation import CELLS, GRADES, read_section
from sync.parcel import ForwardedLetter, Parcel, Statement, digest_of, sign_statement, write_parcel
from sync.region_errors import RegionNamedTwice
from sync.server.enrolment import registry
from sync.server.enrolment.enrolments import move
from sync.server.nation import forward, forward_statements, national, national_accounts
from sync.server.nation.national import CountReport
from sync.server.nation.national_accounts import RegionAccount
from sync.server.storage.identity import NATION
from sync.server.storage.schema import migrate, step_back
from sync.server.storage.store import Place
from sync.server.upkeep import key_life
from sync.settings import SyncSettings
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box

MORNING = datetime(2026, 12, 7, 6, 0, tzinfo=UTC)


@dataclass
class Country:
    """A nation, one region and its boxes."""

    nation: RegionSimulator
    region: RegionSimulator
    folder: Path
    boxes: int = 0

    def box(self) -> Box:
        self.boxes += 1
        settings = SyncSettings(home=self.folder / f"box-{self.boxes}")
        with self.region.serve() as url:
            enrolment = client.enrol(settings, url, self.region.code())
        return Box(settings, self.region, enrolment, ensure_device_key(settings.home))

    def wait(self, **duration: float) -> None:
        self.nation.wait(**duration)
        self.region.wait(**duration)

    def forward(self) -> forward.ForwardReport:
        return self.region.forward(self.nation)

    @property
    def account(self) -> RegionAccount:
        with self.nation.store() as store:
            (account,) = national_accounts.accounts(store)
        return account

    def query(self, sql: str, *, of: str = "nation") -> list[tuple[object, ...]]:
        with getattr(self, of).store() as store:
            return store.db.rows(sql)

    def verify_sums(self) -> None:
        """What is summed up beside the letters and counts is what they add up to."""
        for summed, of_all in (
            (
                "SELECT box_id, day, state, letters FROM national_day",
                "SELECT box_id, day, state, count(*) FROM national_letter GROUP BY box_id, day, state",
            ),
            (
                "SELECT week, cell, total, draws FROM national_total",
                "SELECT week, cell, sum(total), sum(draws) FROM national_count GROUP BY week, cell",
            ),
        ):
            assert sorted(self.query(summed), key=str) == sorted(self.query(of_all), key=str)

    def counted(self) -> dict[str, int]:
        """Return the nation's sum of each cell over everything."""
        with self.nation.store() as store:
            found: dict[str, int] = {}
            for (*_, cell), told in national_accounts.sums(store).items():
                found[cell] = found.get(cell, 0) + told.total
        return found


@pytest.fixture
def country(tmp_path: Path, region_address: str) -> Iterator[Country]:
    """On both databases."""
    made = make_country(tmp_path, region_address)
    yield made
    made.verify_sums()


@pytest.fixture
def filed(tmp_path: Path) -> Iterator[Country]:
    """On one file, where a test copies files about."""
    made = make_country(tmp_path, f"sqlite:///{tmp_path}/region-home/region/region.sqlite")
    yield made
    made.verify_sums()


def make_country(folder: Path, address: str) -> Country:
    nation = RegionSimulator(folder / "nation-home", role=NATION, name="Қазақстан")
    region = RegionSimulator(folder / "region-home", address)
    nation.time = region.time = MORNING
    region.join(nation)
    return Country(nation, region, folder)


def put_back(backup: Path, file: Path) -> None:
    """Restore a database as it was; its log belongs to what is thrown away."""
    for side in ("-wal", "-shm"):
        Path(f"{file}{side}").unlink(missing_ok=True)
    shutil.copy(backup, file)


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """No noise, so that a test can count."""
    monkeypatch.setattr("sync.nation.discrete_laplace", lambda _scale, _below: 0)


def sent(country: Country, boxes: int = 1) -> list[Box]:
    """Boxes that told their region of some finished weeks."""
    made = [country.box() for _ in range(boxes)]
    for box in made:
        box.ask(times=3)
        box.sync()
    return made


def totals(country: Country) -> tuple[int, int, int]:
    """Return the events that boxes, region and nation know of."""
    at_region = country.query("SELECT coalesce(sum(hi - lo + 1), 0) FROM ledger", of="region")[0][0]
    rows = country.query("SELECT count(*) FROM event", of="region")[0][0]
    newest = country.account.newest
    return int(str(at_region)), int(str(rows)), newest.all_events if newest else 0


@pytest.mark.usefixtures("exact")
def test_letters_go_up_unopened_and_both_count_the_same(country: Country) -> None:
    aigerim, bolat = sent(country, 2)
    report = country.forward()
    assert (report.parcels, report.letters, report.statements) == (1, 2, 0)
    # Nobody was told a thing by the region: what arrived is what the boxes sealed, byte for byte.
    sealed = {row[0] for row in country.query("SELECT letter FROM nation_letter", of="region")}
    (blob,) = country.nation.received
    parcel = country.nation.open(blob, get_device_key(country.region.region.folder / "nation").public)
    assert all(letter in parcel.payload for letter in sealed)
    for box in (aigerim, bolat):
        assert box.enrolment.box_label.encode() not in parcel.payload
        assert box.device.kid not in parcel.payload
    assert country.counted()["question_asked:kk"] == 2
    country.wait(days=1)
    assert country.forward().statements == 1
    assert totals(country) == (6, 6, 6)
    assert (country.account.state, country.account.letters) == ("equal", {"counted": 2})
    assert country.account.days[0].stated == replace(
        country.account.days[0].stated, boxes=2, batches=2, events=6, missing=0, letters=2, all_letters=2
    )
    again = country.forward()
    assert (again.parcels, again.letters, again.statements) == (0, 0, 0)


@pytest.mark.usefixtures("exact")
def test_sums_are_made_of_what_an_older_program_counted(country: Country) -> None:
    sent(country, 2)
    country.forward()
    with country.nation.store() as store:
        national.count_waiting(store, country.nation.region.keys)
        assert store.db.row("SELECT sum(total) > 0 FROM national_total") in {(True,), (1,)}
        step_back(store.db)
        migrate(store.db)
    country.verify_sums()


@pytest.mark.usefixtures("exact")
def test_a_lost_receipt_counts_a_parcel_once(country: Country) -> None:
    sent(country)
    country.nation.lose_next_receipt()
    with pytest.raises(RegionUnreachable):
        country.forward()
    assert forward_status(country).sealed_parcels == 1
    country.forward()
    first, *more = country.nation.received
    assert all(blob == first for blob in more), "the same bytes, or none: the receipt came with the answer"
    assert country.counted()["question_asked:kk"] == 1
    assert forward_status(country).confirmed_parcels == 1


def forward_status(country: Country) -> forward.ForwardStatus:
    with country.region.store() as store:
        return forward.status(store)


@pytest.mark.usefixtures("exact")
def test_a_nation_that_is_down_for_a_week_misses_nothing(country: Country) -> None:
    country.nation.go_down()
    boxes = sent(country)
    for _ in range(7):
        with pytest.raises(RegionUnreachable):
            country.forward()
        country.wait(days=1)
        boxes += sent(country)
    assert forward_status(country).waiting_letters + forward_status(country).sealed_parcels > 0
    country.nation.come_back()
    report = country.forward()
    assert (report.letters, report.statements) == (8, 7)
    country.wait(days=1)
    country.forward()
    assert totals(country) == (24, 24, 24)
    assert country.account.state == "equal"
    assert country.counted()["question_asked:kk"] == 8


@pytest.mark.usefixtures("exact")
def test_a_region_restored_from_an_old_backup_doubles_nothing_and_is_noticed(
    filed: Country, tmp_path: Path
) -> None:
    sent(filed)
    filed.wait(days=1)
    filed.forward()
    file = Path(filed.region.region.database.removeprefix("sqlite:///"))
    shutil.copy(file, tmp_path / "backup")
    sent(filed)
    filed.forward()
    filed.wait(days=1)
    filed.forward()
    before = filed.counted()
    assert before["question_asked:kk"] == 2
    put_back(tmp_path / "backup", file)
    sent(filed)
    filed.forward()
    filed.wait(days=1)
    filed.forward()
    assert filed.counted()["question_asked:kk"] == 3
    # It lost a batch for good, and says so: the day is stated anew with less in it.
    assert "statement" in filed.account.remarks
    assert "epoch" in filed.account.remarks
    assert filed.account.state != "equal"


@pytest.mark.usefixtures("exact")
def test_two_servers_with_one_regions_keys_lose_and_double_nothing(filed: Country, tmp_path: Path) -> None:
    sent(filed)
    filed.forward()
    home = filed.region.settings.home
    shutil.copytree(home, tmp_path / "twin-home")
    twin = RegionSimulator(tmp_path / "twin-home")
    # The copied identity names the file it was copied from; a twin on another machine has its own.
    twin.region = replace(
        twin.region, database=filed.region.region.database.replace("region-home", "twin-home")
    )
    twin.time = MORNING
    twin_country = Country(filed.nation, twin, tmp_path / "twin-boxes")
    twin._start()
    sent(twin_country)
    filed.nation.lose_next_envelope()
    with pytest.raises(RegionUnreachable):
        twin.forward(filed.nation)
    # Both have sealed a second parcel; the first that comes has the number.
    sent(filed)
    filed.forward()
    with pytest.raises(BatchFork):
        twin.forward(filed.nation)
    twin.forward(filed.nation)
    assert filed.counted()["question_asked:kk"] == 3
    assert set(filed.account.remarks) == {"epoch", "fork"}
    # Whoever comes later finds that the nation has more of this history than it made.
    sent(twin_country)
    sent(filed)
    twin.forward(filed.nation)
    filed.forward()
    assert filed.counted()["question_asked:kk"] == 5


@pytest.mark.usefixtures("exact")
def test_a_nation_restored_from_a_backup_gets_its_letters_again(filed: Country, tmp_path: Path) -> None:
    sent(filed)
    filed.forward()
    file = Path(filed.nation.region.database.removeprefix("sqlite:///"))
    shutil.copy(file, tmp_path / "backup")
    sent(filed)
    filed.wait(days=1)
    filed.forward()
    # What was confirmed under an epoch that is over is missed as well.
    with filed.region.store() as store:
        forward.begin_anew(store, 3)
    sent(filed)
    filed.wait(days=1)
    filed.forward()
    assert filed.counted()["question_asked:kk"] == 3
    put_back(tmp_path / "backup", file)
    assert filed.counted()["question_asked:kk"] == 1
    filed.forward()
    assert filed.counted()["question_asked:kk"] == 3
    assert filed.account.state == "equal"
    assert forward_status(filed).waiting_letters == 0


# What a region cannot do, by mistake or on purpose ---------------------------------------------


def parcel_of(country: Country, *letters: ForwardedLetter, region_id: bytes = b"") -> bytes:
    """Return a parcel that the region's own key seals."""
    return sealed_payload(
        country, write_parcel(Parcel(region_id or country.region.region.id, letters, ())), len(letters)
    )


def sealed_payload(country: Country, payload: bytes, items: int, seq: int = 1) -> bytes:
    from sync.batch import Batch
    from sync.envelope import Recipient, seal

    own = forward._Own.of(country.region.region)
    batch = Batch(own.device.kid, b"anotherE", seq, bytes(32), 1, items, 2, payload)
    to = Recipient(own.enrolment.region_id, own.enrolment.sealing_public)
    return seal(batch, own.device, to, blob_id=bytes(16), content_key=bytes(range(32)))


def deliver(country: Country, blob: bytes) -> None:
    token = client.get_enrolment(forward.settings_of(country.region.region)).token
    country.nation.deliver(blob, token)


def letter_in(country: Country) -> ForwardedLetter:
    letter = country.query("SELECT letter FROM nation_letter LIMIT 1", of="region")[0][0]
    assert isinstance(letter, bytes)
    return ForwardedLetter(bytes(16), "", "", date(2026, 12, 7), letter)


@pytest.mark.usefixtures("exact")
def test_a_letter_that_is_sent_again_under_another_name_counts_once(country: Country) -> None:
    sent(country)
    country.forward()
    letter = letter_in(country)
    deliver(country, parcel_of(country, letter, replace(letter, stratum="urban", alias=b"x" * 16)))
    assert country.counted()["question_asked:kk"] == 1


@pytest.mark.usefixtures("exact")
def test_an_altered_letter_counts_nothing_and_is_named(country: Country) -> None:
    sent(country)
    letter = letter_in(country)
    header, cap, sealed = cbor.read(letter.letter)  # type: ignore[misc]
    forged = [
        cbor.write([header, cap, sealed[:-1] + bytes([sealed[-1] ^ 1])]),
        cbor.write([header, cap[:-1] + bytes([cap[-1] ^ 1]), sealed]),
        cbor.write([header]),
        b"no letter",
    ]
    deliver(country, parcel_of(country, *(replace(letter, letter=blob) for blob in forged)))
    assert country.account.letters == {"altered": len(forged)}
    country.forward()
    assert country.counted()["question_asked:kk"] == 1, "the genuine one still counts"
    country.wait(days=1)
    country.forward()
    assert country.account.state == "differs"


@pytest.mark.usefixtures("exact")
def test_a_letter_of_another_region_counts_nothing(country: Country, tmp_path: Path) -> None:
    other = RegionSimulator(tmp_path / "other-home", name="Ұлытау")
    other.join(country.nation)
    stranger = Country(country.nation, other, tmp_path / "others")
    sent(country)
    deliver(stranger, parcel_of(stranger, letter_in(country)))
    with country.nation.store() as store:
        states = {account.label: account.letters for account in national_accounts.accounts(store)}
    assert {"foreign": 1} in states.values()
    assert country.counted() == {}


def test_nobody_speaks_for_a_region_that_has_a_speaker(country: Country, tmp_path: Path) -> None:
    sent(country)
    country.forward()
    other = RegionSimulator(tmp_path / "other-home", name="Ұлытау")
    other.join(country.nation)
    stranger = Country(country.nation, other, tmp_path / "others")
    letter = letter_in(country)
    with pytest.raises(Exception, match="already speaks"):
        deliver(stranger, parcel_of(stranger, letter, region_id=country.region.region.id))
    assert RegionNamedTwice.status == 409


def test_what_is_no_parcel_is_refused_and_nothing_of_it_stored(country: Country) -> None:
    box = sent(country)[0]
    with pytest.raises(Exception, match="wrong form"):
        deliver(country, sealed_payload(country, b"rows", 1))
    with pytest.raises(Exception, match="not signed"):
        account = account_of_today(country)
        forged = sign_statement(account, box.device)
        deliver(
            country,
            sealed_payload(country, write_parcel(Parcel(account.region_id, (), (forged,))), 1),
        )
    assert ParcelMalformed.status == StatementForged.status == 400
    assert country.query("SELECT count(*) FROM ledger") == [(0,)]


def account_of_today(country: Country) -> Statement:
    with country.region.store() as store:
        return forward_statements.account_of(store, country.region.region.id, MORNING.date())


# Keys, places, time -----------------------------------------------------------------------


@pytest.mark.usefixtures("exact")
def test_letters_whose_key_is_elsewhere_wait_for_it(
    country: Country, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent(country)
    with monkeypatch.context() as patch:
        patch.setattr("sync.server.nation.national._Ring.find", lambda *_: None)
        country.forward()
    assert country.account.letters == {"waits": 1}
    with country.nation.store() as store:
        assert national.count_waiting(store, country.nation.region.keys) == CountReport(counted=1)
    assert country.counted()["question_asked:kk"] == 1
    assert country.query("SELECT letter FROM national_letter") == [(None,)], "what stays are sums"


def test_the_nations_monthly_keys_reach_the_boxes_through_their_region(country: Country) -> None:
    with country.nation.store() as store:
        key_life.publish(country.nation.region, store, country.nation.time)
    country.forward()
    with country.region.store() as store:
        keys = key_life.publish(
            country.region.region, store, MORNING, forward.months_of_nation(store, country.region.region)
        )
    told = [key for key in keys.keys if key.role == "N"]
    assert [key.since.month for key in told] == [12, 1, 2, 3, 4, 5]
    assert told[0].public == country.nation.region.keys.months.ensure("2026-12").public


@pytest.mark.usefixtures("exact")
def test_a_week_counts_where_its_box_stood_when_it_came(country: Country) -> None:
    (box,) = sent(country)
    with country.region.store() as store:
        move(store, box.enrolment.box_label, Place("Ауыл мектебі", "rural", "small"), country.region.time)
    country.forward()
    assert country.query("SELECT DISTINCT stratum, size_class FROM national_count") == [("rural", "small")]
    country.wait(days=3)
    with country.region.store() as store:
        move(store, box.enrolment.box_label, Place("Қала мектебі", "urban", "large"), country.region.time)
        known = registry.get_box_by_token(store, box.enrolment.token)
        assert [place.stratum for _, place in store.places(known)] == ["urban", "rural"]


def test_letters_are_let_go_of_long_after_their_receipt(country: Country) -> None:
    sent(country)
    country.forward()
    country.wait(days=50)
    country.forward()
    assert country.query("SELECT count(*) FROM nation_letter", of="region") == [(1,)]
    country.wait(days=12)
    country.forward()
    assert country.query("SELECT count(*) FROM nation_letter", of="region") == [(0,)]
    newest = country.account.newest
    assert newest is not None
    assert newest.all_letters == 1
    assert country.account.state == "equal"


def test_quiet_days_are_stated_as_well(country: Country) -> None:
    sent(country)
    country.wait(days=4)
    assert country.forward().statements == 4
    days = [day.day for day in country.account.days]
    assert days == [MORNING.date() + timedelta(days=at) for at in (3, 2, 1, 0)]
    assert country.account.days[0].stated == replace(
        country.account.days[0].stated, boxes=0, batches=0, events=0, letters=0, digest=digest_of([])
    )


def test_the_form_of_a_section_is_that_of_the_box(country: Country) -> None:
    """The nation's key opens what the box sealed, with all grades and cells."""
    sent(country)
    key = country.nation.region.keys.opening
    section = read_section(open_nation_letter(letter_in(country).letter, key))
    assert len(section.weeks[0].counts) == GRADES * len(CELLS)
