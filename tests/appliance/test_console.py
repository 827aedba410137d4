"""The box's own screen: where it is found, and before the first start its codes."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import segno
from click.testing import CliRunner

from appliance import languages
from appliance.box import console, discovery
from appliance.box.box_codes import Codes
from appliance.box.console import DARK, END, LIGHT, QUIET_MODULES, Shown, qr_lines, screen
from appliance.cli import sandyq

NEW = Shown("sandyq-1a2b", ("192.168.7.1",), 80, Codes("abcde-fghjk", "483920"))


def said(shown: Shown, language: str = "en") -> str:
    return screen(shown, lambda text, params: languages.render(language, text, params))


def test_the_screen_says_where_the_box_is_in_every_language() -> None:
    for language in ("kk", "ru", "en"):
        text = said(NEW, language)
        assert "http://192.168.7.1" in text
        assert "483920" in text
        assert re.search(r"\033\[47m", text)
    assert len({said(NEW, language) for language in ("kk", "ru", "en")}) == 3


def test_the_wifis_password_stands_there_while_it_is_open() -> None:
    assert "abcde-fghjk" not in said(NEW)
    assert "abcde-fghjk" in said(replace(NEW, addresses=("10.42.0.1",)))


def test_a_box_with_a_teacher_shows_no_code_to_the_class(tmp_path: Path) -> None:
    (tmp_path / "codes.json").write_text('{"wifi_password": "abcde-fghjk", "setup_code": "483920"}')
    environment = {"SANDYQ_HOME": str(tmp_path)}
    before = CliRunner().invoke(sandyq, ["console"], env=environment, catch_exceptions=False).output
    assert "483920" in before
    (tmp_path / "set-up").touch()
    after = CliRunner().invoke(sandyq, ["console"], env=environment, catch_exceptions=False).output
    assert "483920" not in after
    assert "abcde-fghjk" not in after


def test_the_code_on_the_screen_is_the_address() -> None:
    """Read back from the screen, module by module, it is what a second encoder made of the same address."""
    rows = [re.findall(r"\033\[4[07]m  ", line.removesuffix(END)) for line in qr_lines("http://10.42.0.1")]
    dark = [[cell == DARK for cell in row] for row in rows]
    assert {cell for row in rows for cell in row} == {DARK, LIGHT}
    inner = [row[QUIET_MODULES:-QUIET_MODULES] for row in dark[QUIET_MODULES:-QUIET_MODULES]]
    assert inner == [[bool(bit) for bit in row] for row in segno.make("http://10.42.0.1", error="l").matrix]
    # It stands on a screen of 80 by 48 signs, with the lines above it.
    assert len(rows) <= 33
    assert 2 * len(rows[0]) <= 80


def test_without_a_network_it_says_what_to_do() -> None:
    text = said(replace(NEW, addresses=()))
    assert "Plug in the cable" in text
    assert "\033[47m" not in text


def test_it_is_shown_anew_when_the_address_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = iter([["192.168.7.1"], ["192.168.7.1"], ["10.42.0.1"]])
    monkeypatch.setattr(discovery, "lan_addresses", lambda: next(seen))
    monkeypatch.setattr(console, "LOOK_SECONDS", 0)
    shown = CliRunner().invoke(sandyq, ["console", "--watch"], env={"SANDYQ_HOME": str(tmp_path)}).output
    assert shown.count("192.168.7.1") == 1
    assert shown.count("10.42.0.1") == 1
