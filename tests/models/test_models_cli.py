"""`sandyq models …`, as typed."""

import json
from pathlib import Path

import pytest

import models.store
from models.card import ModelCard
from models.store import Store


@pytest.fixture(autouse=True)
def tiny_catalogue_only(tiny_catalogue, monkeypatch):
    monkeypatch.setattr(models.store, "shipped_catalogue", lambda: tiny_catalogue)


def test_the_first_pull_makes_the_model_current(terminal, home, stick: Path, tiny_card: ModelCard):
    pulled = terminal.run("models", "pull", "tiny", "--from", str(stick))
    assert pulled.exit_code == 0
    assert "copying 100 % (3 of 3 MB)" in pulled.stderr
    assert pulled.stdout == "tiny is here and verified.\n"
    assert Store(home).get_current() == tiny_card
    again = terminal.run("models", "pull", "tiny", "--from", str(stick))
    assert again.stdout == "tiny was already here and is intact.\n"


def test_json_is_one_object_and_nothing_else(terminal, stick: Path, tiny_card):
    pulled = json.loads(terminal.run("models", "pull", "tiny", "--from", str(stick), "--json").output)
    assert pulled["fetched"] is True
    assert pulled["current"] is True
    assert pulled["sha256"] == tiny_card.sha256
    assert json.loads(terminal.run("models", "verify", "--json").output) == {
        "models": [{"name": "tiny", "intact": True}]
    }
    assert json.loads(terminal.run("models", "use", "tiny", "--json").output)["name"] == "tiny"


def test_the_list_shows_what_is_here(terminal, home, stick: Path, tiny_card):
    assert "absent" in terminal.run("models", "list").output
    terminal.run("models", "pull", "tiny", "--from", str(stick))
    assert terminal.run("models", "list").output.startswith("* tiny")
    Store(home).path_of(tiny_card).write_bytes(b"cut")
    row = json.loads(terminal.run("models", "list", "--json").output)["models"][0]
    assert row["state"] == "damaged"
    assert row["licence"] == "Apache-2.0"


def test_a_damaged_file_fails_verification_with_what_to_do(terminal, home, stick: Path, tiny_card):
    terminal.run("models", "pull", "tiny", "--from", str(stick))
    with Store(home).path_of(tiny_card).open("r+b") as file:
        file.write(b"GARBAGE")
    verified = terminal.run("models", "verify")
    assert verified.exit_code == 1
    assert "sandyq models pull tiny" in verified.output
    as_json = terminal.run("models", "verify", "tiny", "--json")
    assert as_json.exit_code == 1
    assert '"code": "model_damaged"' in as_json.output
    repaired = terminal.run("models", "pull", "tiny", "--from", str(stick))
    assert repaired.stdout == "tiny is here and verified.\n"
    assert terminal.run("models", "verify").exit_code == 0


def test_wrong_names_and_wrong_use_have_their_own_exit_codes(terminal):
    assert terminal.run("models", "pull", "nobody").exit_code == 1
    assert terminal.run("models", "use", "tiny").exit_code == 1
    assert terminal.run("models", "verify", "tiny").exit_code == 1
    assert terminal.run("models", "pull").exit_code == 2
    assert terminal.run("models", "pull", "tiny", "--colour").exit_code == 2


def test_verify_with_nothing_here_says_so(terminal):
    verified = terminal.run("models", "verify")
    assert verified.exit_code == 0
    assert verified.output == "No model is on this box yet.\n"
