"""Cards without a digest: taken only after a yes, and known from then on."""

import json
from pathlib import Path

import pytest

import models.store
from models.card import BroughtSource, read_card
from models.catalogue import Catalogue, shipped_catalogue
from models.errors import CardInvalid, ModelDamaged, ModelToBring, ModelUnverified
from models.fetch import choose_source
from models.store import Store

CARD = read_card(
    "brought",
    {
        "name": "brought",
        "title": "Brought",
        "licence": "Apache-2.0",
        "licence_note": "Tell the school.",
        "languages": ["kk"],
        "parameters": 10,
        "file": {"unverified": True, "about_bytes": 2_000_000},
        "source": {"kind": "brought", "page": "https://example.org/brought"},
    },
)


@pytest.fixture(autouse=True)
def catalogue(monkeypatch) -> Catalogue:
    catalogue = Catalogue([CARD])
    monkeypatch.setattr(models.store, "shipped_catalogue", lambda: catalogue)
    return catalogue


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    path = tmp_path / "anything.gguf"
    path.write_bytes(b"GGUF" + bytes(range(256)) * 10_000)
    return path


def test_every_shipped_card_without_a_digest_says_so():
    cards = list(shipped_catalogue())
    assert {"farabi-0.6b", "gemma-3-1b-it", "gemma-4-e2b-it", "gemma-4-e4b-it", "qolda-4.3b"} <= {
        card.name for card in cards
    }
    for card in cards:
        assert card.unverified is (card.sha256 == "")
        assert not card.is_pinned
        assert card.licence
        assert not card.unverified or isinstance(card.source, BroughtSource)


def test_a_card_cannot_be_unverified_and_know_a_digest():
    table = {"name": "brought", "title": "B", "licence": "MIT", "languages": ["kk"], "parameters": 1}
    source = {"kind": "brought", "page": "x"}
    for file in ({"unverified": True, "sha256": "ab" * 32}, {"unverified": 1.5}, {"unverified": False}):
        with pytest.raises(CardInvalid):
            read_card("brought", {**table, "file": file, "source": source})


def test_without_an_address_the_page_is_named():
    with pytest.raises(ModelToBring, match=r"example\.org/brought.*--from PATH"):
        choose_source(CARD, None)


def test_a_file_nobody_checked_needs_a_yes(terminal, home, gguf):
    refused = terminal.run("models", "pull", "brought", "--from", str(gguf))
    assert refused.exit_code == 1
    assert "--accept-unverified" in refused.output
    with pytest.raises(ModelUnverified):
        Store(home).receive(CARD, choose_source(CARD, str(gguf)))
    assert not list(home.rglob("*.gguf"))


def test_after_a_yes_only_the_same_file_is_accepted(terminal, home, gguf, tmp_path):
    pulled = terminal.run("models", "pull", "brought", "--from", str(gguf), "--accept-unverified")
    assert pulled.exit_code == 0
    assert "Brought: Apache-2.0. Tell the school." in pulled.stderr
    assert "Nobody has verified it" in pulled.stdout
    card = Store(home).get_current()
    assert card.is_pinned
    assert card.bytes == gguf.stat().st_size
    assert card.sha256 in pulled.stdout
    assert (home / "models" / "pins.json").stat().st_mode & 0o777 == 0o644
    assert terminal.run("models", "verify", "brought").exit_code == 0

    stored = Store(home).path_of(card)
    stored.unlink()
    other = tmp_path / "other.gguf"
    other.write_bytes(gguf.read_bytes()[:-1] + b"!")
    wrong = terminal.run("models", "pull", "brought", "--from", str(other))
    assert wrong.exit_code == 1
    assert "is damaged" in wrong.output
    assert terminal.run("models", "pull", "brought", "--from", str(gguf)).exit_code == 0


def test_another_yes_takes_another_file_in_its_place(terminal, home, gguf, tmp_path):
    terminal.run("models", "pull", "brought", "--from", str(gguf), "--accept-unverified")
    first = Store(home).get_current()
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF a better one")
    terminal.run("models", "pull", "brought", "--from", str(other), "--accept-unverified")
    second = Store(home).get_current()
    assert second.sha256 != first.sha256
    assert not Store(home).path_of(first).exists()
    assert Store(home).holds(second)


@pytest.mark.parametrize("content", [b"", b"GGUF", b"PK\3\4 a zip", b"<!doctype html>"])
def test_what_is_no_model_is_not_noted(content, home, tmp_path):
    path = tmp_path / "page.gguf"
    path.write_bytes(content)
    with pytest.raises(ModelDamaged):
        Store(home).receive_unverified(CARD, choose_source(CARD, str(path)))
    assert not (home / "models" / "pins.json").exists()
    assert not list(home.rglob("*.part"))


def test_a_stick_with_one_model_is_enough_and_two_are_too_many(home, gguf):
    source = choose_source(CARD, str(gguf.parent))
    assert Store(home).receive_unverified(CARD, source).sha256
    (gguf.parent / "second.gguf").write_bytes(b"GGUF2")
    with pytest.raises(Exception, match=r"2 \.gguf files"):
        choose_source(CARD, str(gguf.parent))


@pytest.mark.parametrize(
    "note",
    [
        "{",
        '{"brought": 7}',
        '{"brought": {"sha256": "x", "bytes": 3}}',
        '{"nobody": {"sha256": "%s", "bytes": 3}}' % ("ab" * 32),
    ],
)
def test_a_damaged_note_of_digests_counts_as_none(note, home):
    (home / "models").mkdir(parents=True)
    (home / "models" / "pins.json").write_text(note)
    assert not Store(home).catalogue.get("brought").sha256


def test_a_note_never_replaces_a_digest_we_ship(home, tiny_card):
    (home / "models").mkdir(parents=True)
    pins = {"tiny": {"sha256": "ab" * 32, "bytes": 3}}
    (home / "models" / "pins.json").write_text(json.dumps(pins))
    assert Store(home, Catalogue([tiny_card])).catalogue.get("tiny") == tiny_card
