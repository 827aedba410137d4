"""What `sandyq models …` tells a person comes in the reader's language; what programs read does not."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import models.store
from appliance.cli import sandyq
from appliance.settings import read_settings
from models.calibration import StepTime, Timings, calibrate
from models.fit import Machine

# Names, formats and units stay as they are in every language.
FOREIGN = re.compile(
    r"tiny|Tiny|Apache|sha256|sandyq( models \w+)?|engine\.context_cells|kk,en|[0-9a-f]{64}|Processor"
)
LANGUAGES = ("kk", "ru")


@pytest.fixture
def said(home: Path, tiny_catalogue, monkeypatch):
    """Type a command in a language, through the outermost door."""
    monkeypatch.setattr(models.store, "shipped_catalogue", lambda: tiny_catalogue)
    monkeypatch.setattr("models.tuning.processor_name", lambda: "Processor")
    settings = read_settings({"SANDYQ_HOME": str(home)})

    def say(code: str, *words: str) -> str:
        monkeypatch.setenv("SANDYQ_LANGUAGE", code)
        result = CliRunner().invoke(sandyq, ["models", *words], obj=settings)
        assert result.exception is None, result.exception
        return result.output

    return say


def english_words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z]{2,}", FOREIGN.sub("", text))


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_model_is_fetched_checked_and_chosen_in_the_readers_language(said, code, stick):
    assert english_words(said("en", "verify"))
    texts = [said(code, "verify"), said(code, "list")]
    texts += [said(code, "pull", "tiny", "--from", str(stick)) for _ in range(2)]
    texts += [said(code, *words) for words in (("list",), ("verify",), ("use", "tiny"))]
    assert all(texts)
    assert [english_words(text) for text in texts] == [[]] * len(texts)


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("megabytes", [100, 4000])
def test_what_fits_is_told_in_the_readers_language(said, code, megabytes, monkeypatch):
    monkeypatch.setattr(
        "models.fit.look_at_machine", lambda *_: Machine(megabytes * 1_000_000, 1e9, 1e10, "tiny")
    )
    assert english_words(said(code, "fit")) == []
    assert english_words(said("en", "fit"))


@pytest.mark.parametrize("code", LANGUAGES)
@pytest.mark.parametrize("slowest", [0.03, 0.2, 0.9])
def test_the_measurement_is_told_in_the_readers_language(said, code, slowest, stick, monkeypatch):
    said(code, "pull", "tiny", "--from", str(stick))
    steps = (StepTime(1, 0.01), StepTime(2, 0.015), StepTime(4, slowest))
    timings = Timings(2, ((1, steps[2]),), steps, (StepTime(60, 0.2),), quiet=False)
    monkeypatch.setattr("models.machine_cli._measure", lambda *_: calibrate("k", timings, "2026-11-22"))
    monkeypatch.setattr("models.machine_cli._refuse_beside_engine", lambda _: None)
    assert english_words(said(code, "bench")) == []
    told = {language: said(language, "bench", "--json") for language in ("en", code)}
    assert told[code] == told["en"]


@pytest.mark.parametrize("code", LANGUAGES)
def test_json_is_the_same_in_every_language(said, code, stick):
    said("en", "pull", "tiny", "--from", str(stick))
    for words in (("list",), ("verify",), ("use", "tiny"), ("catalogue", "show")):
        told = said(code, *words, "--json")
        assert json.loads(told) == json.loads(said("en", *words, "--json"))
