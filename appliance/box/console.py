"""What stands on the box's own screen: its address, as text and as a QR code, and before the first start its
codes.

`sandyq console` prints it once, with `--watch` whenever something changes (sandyq-console.service, instead of
a log-in on the first screen). Promises: needs no network, no database and no pages; shows codes only until
the first teacher has a PIN, because a screen in a classroom is read by learners.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import segno

from appliance import languages
from appliance.box import discovery
from appliance.box.box_codes import SET_UP_MARK, Codes, find_codes
from appliance.errors import N_
from appliance.settings import Settings

LOOK_SECONDS = 5.0
# Without a screen that tells its size; QR codes of our addresses need 29 lines.
CLEAR = "\033[2J\033[H"
# Spaces on light ground: every screen can show them, whatever its letters.
LIGHT, DARK, END = "\033[47m  ", "\033[40m  ", "\033[0m"
QUIET_MODULES = 2
# The address of the hotspot (provisioning/network_rules): there the codes are of use.
HOTSPOT_ADDRESS = "10.42.0.1"

NAME = N_("Sandyq: %(name)s")
OPEN = N_("Open in the browser: %(link)s")
OR = N_("or: %(links)s")
NO_ADDRESS = N_(
    "The box has no network yet. Plug in the cable, or wait: after half a minute it opens its own Wi-Fi."
)
WIFI = N_("Wi-Fi: %(name)s   Password: %(password)s")
SETUP = N_("Code for the first start: %(code)s")
SCAN = N_("Scan with a phone in the same network:")

Say = Callable[[str, dict[str, object]], str]


@dataclass(frozen=True)
class Shown:
    """All that the screen depends on."""

    name: str
    addresses: tuple[str, ...]
    port: int
    codes: Codes | None  # None once they are nobody's business

    @property
    def links(self) -> list[str]:
        port = "" if self.port == 80 else f":{self.port}"
        return [f"http://{address}{port}" for address in self.addresses]


@click.command("console")
@click.option("--watch", is_flag=True, help="Stay, and show it anew whenever it changes.")
@click.pass_obj
def console_command(settings: Settings, watch: bool) -> None:
    """Show the box's address, its QR code and, before the first start, its codes."""

    def say(sentence: str, params: dict[str, object]) -> str:
        return languages.render(settings.language, sentence, params)

    shown = look(settings)
    click.echo(screen(shown, say), color=True)
    while watch:
        time.sleep(LOOK_SECONDS)
        before, shown = shown, look(settings)
        if shown != before:
            click.echo(CLEAR + screen(shown, say), color=True)


def look(settings: Settings) -> Shown:
    home: Path = settings.home
    is_set_up = (home / SET_UP_MARK).exists()
    # On an appliance the port is the unit's, not the settings': the pages are on 80 there.
    port = 80 if (home / "box.json").exists() else settings.web.port
    return Shown(
        discovery.box_name(home),
        tuple(discovery.lan_addresses()),
        port,
        None if is_set_up else find_codes(home),
    )


def screen(shown: Shown, say: Say) -> str:
    lines = [say(NAME, {"name": shown.name}), ""]
    if shown.links:
        lines.append(say(OPEN, {"link": shown.links[0]}))
        if shown.links[1:]:
            lines.append(say(OR, {"links": ", ".join(shown.links[1:])}))
    else:
        lines.append(say(NO_ADDRESS, {}))
    if shown.codes:
        if HOTSPOT_ADDRESS in shown.addresses:
            lines.append(say(WIFI, {"name": shown.name, "password": shown.codes.wifi_password}))
        lines.append(say(SETUP, {"code": shown.codes.setup_code}))
    if shown.links:
        lines += ["", say(SCAN, {}), "", *qr_lines(shown.links[0])]
    return "\n".join(lines)


def qr_lines(link: str) -> list[str]:
    """Return the code in rows of spaces, light on dark ground as the screen is."""
    rows = segno.make(link, error="l").matrix_iter(scale=1, border=QUIET_MODULES)
    return ["".join(DARK if module else LIGHT for module in row) + END for row in rows]
