"""Read what the machine says about itself in /proc and /sys: power, disk, clock, radio. Only reads.

Every file may be missing: a mini-PC reports no voltage, a container no radio. What cannot be read is
answered as "nothing seen". Keeps out: what it means (`signs`, `radios`).
"""

import os
from dataclasses import dataclass
from pathlib import Path

# The Raspberry Pi's firmware; the same number as `vcgencmd get_throttled`.
PI_FLAGS = "sys/devices/platform/soc/soc:firmware/get_throttled"
# Kernels without that file have the alarm of the same firmware as a sensor.
PI_VOLT_SENSOR = "rpi_volt"
# systemd-timesyncd makes this file when a time server has answered in this start.
SYNCHRONISED = "run/systemd/timesync/synchronized"
# Which firmware the built-in radio of a Raspberry Pi loads is chosen by this link (update-alternatives).
PI_RADIO_FIRMWARE = ("etc/alternatives/cyfmac43455-sdio.bin", "lib/firmware/cypress/cyfmac43455-sdio.bin")
UNDER_VOLTAGE_NOW = 1

ROOT = Path("/")


@dataclass(frozen=True)
class Radio:
    """A Wi-Fi port: its name, its driver, and the firmware file where that can be told."""

    port: str
    driver: str
    firmware: str


def power_flags(root: Path = ROOT) -> int:
    """Return the bits of the Raspberry Pi's report; 0 where there is none."""
    text = _read(root / PI_FLAGS)
    if text:
        try:
            return int(text, 16)
        except ValueError:
            return 0
    for name in (root / "sys/class/hwmon").glob("*/name"):
        if _read(name) == PI_VOLT_SENSOR:
            return UNDER_VOLTAGE_NOW if _read(name.with_name("in0_lcrit_alarm")) == "1" else 0
    return 0


def is_read_only(folder: Path) -> bool:
    """Whether the disk below the folder takes no writes any more: the kernel does this to a failing card."""
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def is_synchronised(root: Path = ROOT) -> bool:
    """Whether a time server has set the clock since this start."""
    return (root / SYNCHRONISED).exists()


def radios(root: Path = ROOT) -> list[Radio]:
    """Return the Wi-Fi ports."""
    found = []
    for port in sorted((root / "sys/class/net").glob("*")):
        if (port / "wireless").exists() or (port / "phy80211").exists():
            driver = port / "device/driver"
            name = os.path.basename(os.path.realpath(driver)) if driver.exists() else ""  # noqa: PTH119 - of a link's end
            found.append(Radio(port.name, name, _radio_firmware(root) if name == "brcmfmac" else ""))
    return found


def _radio_firmware(root: Path) -> str:
    for path in PI_RADIO_FIRMWARE:
        try:
            return Path(os.path.realpath(root / path, strict=True)).name
        except OSError:
            continue
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""
