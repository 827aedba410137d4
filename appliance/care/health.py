"""How the box feels: heat, memory, disk, load; in figures and in one word each."""

from dataclasses import dataclass
from pathlib import Path

import psutil

from appliance.care import radios, senses, signs
from appliance.care.signs import (
    HOT_CELSIUS,
    LEAST_DISK_FREE_BYTES,
    LEAST_MEMORY_FREE_SHARE,
    WARM_CELSIUS,
    Finding,
)

# More runnable threads than this a core and the pages begin to wait for the model.
MOST_LOAD_PER_CORE = 3.0
# The address NetworkManager gives to a port that it shares, such as a hotspot.
HOTSPOT_ADDRESSES = "10.42."


@dataclass(frozen=True)
class Reading:
    """One gauge: `share` from 0 to 1 for the bar, `mood` is good, watch or bad."""

    name: str
    share: float
    value: str
    mood: str


def read(home: Path) -> list[Reading]:
    """Return the gauges that this machine has; a mini-PC in a container may show no heat."""
    return [*_heat(), _memory(), _disk(home), _load()]


@dataclass(frozen=True)
class Feeling:
    """How the box feels: gauges for the eye, and in words what is not well."""

    gauges: list[Reading]
    troubles: list[Finding]


def feel(home: Path) -> Feeling:
    return Feeling(read(home), signs.matters(findings(home)))


def findings(home: Path) -> list[Finding]:
    """Return what the machine and its disk say about themselves, in words."""
    memory = psutil.virtual_memory()
    return [
        signs.heat(_hottest()),
        signs.voltage(senses.power_flags()),
        signs.memory(memory.available / memory.total),
        signs.disk_space(psutil.disk_usage(str(home)).free),
        signs.disk_writable(senses.is_read_only(home)),
        *hotspots(),
    ]


def hotspots() -> list[Finding]:
    """Judge each radio that is a hotspot now."""
    addresses = psutil.net_if_addrs()
    return [
        radios.hotspot_finding(radios.judge(radio.driver, radio.firmware))
        for radio in senses.radios()
        if any(entry.address.startswith(HOTSPOT_ADDRESSES) for entry in addresses.get(radio.port, ()))
    ]


def _hottest() -> float | None:
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    return max((entry.current for entries in sensors.values() for entry in entries), default=None)


def _heat() -> list[Reading]:
    hottest = _hottest()
    if hottest is None:
        return []
    mood = "bad" if hottest >= HOT_CELSIUS else "watch" if hottest >= WARM_CELSIUS else "good"
    return [Reading("heat", min(1.0, max(0.0, hottest / 100)), f"{hottest:.0f} °C", mood)]


def _memory() -> Reading:
    memory = psutil.virtual_memory()
    free = memory.available / memory.total
    mood = "bad" if free < LEAST_MEMORY_FREE_SHARE else "good"
    used = (memory.total - memory.available) / 2**30
    return Reading("memory", 1 - free, f"{used:.1f} / {memory.total / 2**30:.1f} GiB", mood)


def _disk(home: Path) -> Reading:
    disk = psutil.disk_usage(str(home))
    mood = "bad" if disk.free < LEAST_DISK_FREE_BYTES else "good"
    return Reading(
        "disk", disk.used / disk.total, f"{disk.used / 2**30:.0f} / {disk.total / 2**30:.0f} GiB", mood
    )


def _load() -> Reading:
    cores = psutil.cpu_count() or 1
    load = psutil.getloadavg()[0]
    mood = "watch" if load > cores * MOST_LOAD_PER_CORE else "good"
    return Reading("load", min(1.0, load / cores), f"{load:.1f} / {cores}", mood)
