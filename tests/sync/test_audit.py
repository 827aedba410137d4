"""The record of what was done: whoever changes, removes or moves an entry is found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from sync.keys import SecretKey
from sync.region_errors import AuditBroken, AuditShortened
from sync.server.people import audit
from sync.server.people.audit_chain import NO_PREVIOUS, Entry, Linked, verify
from sync.server.storage.store import Store, open_store
from tests.region_simulator import RegionSimulator
from tests.sync.cast import NOON
from tests.sync.runner import main, settings_for

KEY = SecretKey.from_seed(bytes(32))


def chain_of(count: int) -> list[Linked]:
    links, previous = [], NO_PREVIOUS
    for number in range(1, count + 1):
        entry = Entry(number, NOON, "dana", "log_in", "dana", {"second_factor": "telephone"})
        previous = entry.proof(previous, KEY)
        links.append(Linked(entry, previous))
    return links


@given(st.integers(2, 12), st.data())
def test_one_changed_one_missing_or_two_swapped_entries_are_found(count: int, data: st.DataObject) -> None:
    links = chain_of(count)
    assert verify(links, KEY).broken_at is None
    at = data.draw(st.integers(0, count - 2))
    changed = Entry(at + 1, NOON, "mallory", "log_in", "dana")
    for wrong in (
        [*links[:at], Linked(changed, links[at].proof), *links[at + 1 :]],
        [*links[:at], *links[at + 1 :]],
        [*links[:at], links[at + 1], links[at], *links[at + 2 :]],
        [*links[: at + 1], *links[at:]],
    ):
        assert verify(wrong, KEY).broken_at is not None
    # Without the key nobody mends what he broke.
    forged = chain_of(count)
    assert verify(forged, SecretKey.from_seed(bytes(31) + b"x")).broken_at == 1


def test_entries_cut_off_at_the_end_are_found_by_the_mark_on_paper() -> None:
    assert verify(chain_of(5)[:3], KEY).broken_at is None


@pytest.fixture
def store(either_region: RegionSimulator) -> Iterator[Store]:
    store = open_store(either_region.region.database)
    for number in range(6):
        audit.append(store.db, KEY, NOON, "dana", "order_signed", str(number), step=number)
    yield store
    store.close()


def attack(store: Store, sql: str) -> None:
    """What a thief with the database's password could do: the guard goes first."""
    if store.db.dialect == "sqlite":
        for trigger in ("audit_keeps_words", "audit_keeps_rows"):
            store.db.define(f"DROP TRIGGER IF EXISTS {trigger}")
    else:
        store.db.define("ALTER TABLE audit DISABLE TRIGGER ALL")
    store.db.execute(sql)


def test_the_database_itself_refuses_to_change_the_record(store: Store) -> None:
    for sql in (
        "UPDATE audit SET actor = 'mallory'",
        "DELETE FROM audit WHERE number = 3",
        "DELETE FROM audit",
    ):
        with pytest.raises(Exception, match="only appended"):
            store.db.execute(sql)
    if store.db.dialect == "postgresql":
        with pytest.raises(Exception, match="only appended"):
            store.db.execute("TRUNCATE audit")
    assert audit.verify_record(store.db, KEY).count == 6


COPY = "INSERT INTO audit SELECT {}, at, actor, action, target, details, proof FROM audit WHERE number = 6"
ATTACKS = {
    "UPDATE audit SET actor = 'mallory' WHERE number = 3": 3,
    "UPDATE audit SET details = '{}' WHERE number = 2": 2,
    "UPDATE audit SET details = 'not json' WHERE number = 2": 2,
    "UPDATE audit SET at = '2026-01-01T00:00:00+00:00' WHERE number = 6": 6,
    "DELETE FROM audit WHERE number = 4": 4,
    "DELETE FROM audit WHERE number = 1": 1,
    "UPDATE audit SET number = CASE number WHEN 2 THEN -3 ELSE -2 END WHERE number IN (2, 3)": 1,
    COPY.format(7): 7,
    COPY.format(0): 1,
}


def test_whoever_gets_past_the_guard_is_found(store: Store) -> None:
    for sql, broken_at in ATTACKS.items():
        with pytest.raises(_UndoneError), store.transaction():
            attack(store, sql)
            assert audit.verify_record(store.db, KEY).broken_at == broken_at, sql
            raise _UndoneError
    assert audit.verify_record(store.db, KEY).broken_at is None


class _UndoneError(Exception):
    pass


def test_the_mark_on_paper_finds_what_was_cut_off_at_the_end(store: Store) -> None:
    marked = audit.head(store.db)
    assert audit.still_holds(store.db, marked)
    audit.append(store.db, KEY, NOON, "dana", "log_out")
    assert audit.still_holds(store.db, marked)
    attack(store, "DELETE FROM audit WHERE number >= 6")
    assert audit.verify_record(store.db, KEY).broken_at is None
    assert not audit.still_holds(store.db, marked)
    for nonsense in ("", "x", "6", "6:", "99999999999999999999:00", "-1:00"):
        assert not audit.still_holds(store.db, nonsense)


def test_an_entry_is_there_only_with_what_it_tells(store: Store) -> None:
    with pytest.raises(RuntimeError), store.transaction():
        audit.append(store.db, KEY, NOON, "dana", "order_published")
        raise RuntimeError
    assert audit.verify_record(store.db, KEY).count == 6


def test_the_page_follows_only_what_came_since_today(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[int] = []
    proof = Entry.proof

    def noted(self: Entry, previous: bytes, key: SecretKey) -> bytes:
        followed.append(self.number)
        return proof(self, previous, key)

    assert audit.verify_newest(store.db, KEY, NOON)[0].count == 6
    audit.append(store.db, KEY, NOON, "dana", "log_out")
    monkeypatch.setattr(Entry, "proof", noted)
    verdict, since = audit.verify_newest(store.db, KEY, NOON + timedelta(hours=1))
    assert (verdict.count, since.count if since else 0, followed) == (7, 6, [7])
    # However often somebody looks, all of it is looked through again after a day.
    assert audit.verify_newest(store.db, KEY, NOON + timedelta(hours=23))[0].count == 7
    assert followed == [7]
    assert audit.verify_newest(store.db, KEY, NOON + timedelta(hours=25))[0].count == 7
    assert followed == [7, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_checkpoint SET count = 5, head = (SELECT proof FROM audit WHERE number = 5)",
        "UPDATE audit_checkpoint SET looked_at = '2099-01-01T00:00:00+00:00'",
        "UPDATE audit_checkpoint SET looked_at = 'never'",
        "DELETE FROM audit_checkpoint",
    ],
)
def test_a_checkpoint_that_is_not_ours_hides_nothing(store: Store, sql: str) -> None:
    audit.verify_newest(store.db, KEY, NOON)
    attack(store, "UPDATE audit SET actor = 'mallory' WHERE number = 2")
    # What was looked through today is believed until tomorrow, by the page; never by the command.
    assert audit.verify_newest(store.db, KEY, NOON)[0].broken_at is None
    assert audit.verify_record(store.db, KEY).broken_at == 2
    store.db.execute(sql)
    assert audit.verify_newest(store.db, KEY, NOON)[0].broken_at == 2


def test_entries_cut_off_behind_a_checkpoint_are_looked_for(store: Store) -> None:
    audit.verify_newest(store.db, KEY, NOON)
    attack(store, "DELETE FROM audit WHERE number IN (5, 6)")
    assert audit.verify_newest(store.db, KEY, NOON)[0].count == 4


def test_the_commands_verify_and_show_the_record(tmp_path: Path, region: RegionSimulator) -> None:
    runner, settings = CliRunner(), settings_for(region.settings.home)

    def said(*words: str) -> dict[str, object]:
        result = runner.invoke(main, ["region", *words, "--json"], obj=settings)
        assert result.exit_code == 0, result.output
        answer: dict[str, object] = json.loads(result.stdout)
        return answer

    code = said("operator", "add", "dana", "--role", "operator")["setup_code"]
    said("token", "add", "lrs")
    said("token", "revoke", "lrs")
    said("operator", "reset", "dana")
    said("operator", "disable", "dana")
    assert said("operator", "list")["operators"] == [
        {"name": "dana", "role": "operator", "telephone": False, "set_up": False, "disabled": True}
    ]
    shown = runner.invoke(main, ["region", "audit", "show"], obj=settings).output
    assert "operator_disabled" in shown
    assert str(code) not in shown
    verdict = said("audit", "verify")
    assert verdict["entries"] == 5
    said("audit", "verify", "--head", str(verdict["head"]))
    gone = runner.invoke(main, ["region", "audit", "verify", "--head", "9:00"], obj=settings)
    assert isinstance(gone.exception, AuditShortened)
    store = open_store(region.region.database)
    attack(store, "UPDATE audit SET actor = 'mallory' WHERE number = 2")
    store.close()
    broken = runner.invoke(main, ["region", "audit", "verify"], obj=settings)
    assert isinstance(broken.exception, AuditBroken)
    assert region.enter("auditor").get("/audit/verify?lang=en").text.count("does not hold at entry 2")


def test_the_auditors_page_tells_who_did_what_in_three_languages(region: RegionSimulator) -> None:
    auditor = region.enter("auditor")
    for language, words in (
        ("kk", "тіркелгі жасалды"),
        ("ru", "учётная запись создана"),
        ("en", "account made"),
    ):
        assert words in auditor.get(f"/audit?lang={language}").text
    assert region.enter("operator").get("/audit").status_code == 403
