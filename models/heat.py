"""Is the processor so hot that it slows itself down, or about to?

Three witnesses, wherever they exist: its temperature, the Raspberry Pi's own flags (which also tell of a weak
power supply), and the counters that Intel's processors keep of every time they held back. On a machine
without any of them the answer is no, and only slow steps will tell.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

# A Raspberry Pi 5 begins to slow down at 80 degrees; mini PCs allow 90 to 105 and say so, but their fans are
# loud long before.
HOT_CELSIUS = 80.0
# Held back now, by heat or voltage (bits 0 to 3); the higher bits only remember.
_PI_FLAGS_NOW = 0xF
_PI_FLAGS = "devices/platform/soc/soc:firmware/get_throttled"
_INTEL_COUNTERS = "devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"

Temperatures = Callable[[], Sequence[tuple[float, float | None]]]  # now, and what the sensor calls high


class Heat:
    def __init__(self, temperatures: Temperatures, system: Path = Path("/sys")) -> None:
        self._temperatures = temperatures
        self._system = system
        self._held_back = self._count_held_back()

    def __call__(self) -> bool:
        counted, before = self._count_held_back(), self._held_back
        self._held_back = counted
        return counted > before or self._is_flagged() or self._is_hot()

    def _is_hot(self) -> bool:
        return any(now >= min(HOT_CELSIUS, high or HOT_CELSIUS) for now, high in self._temperatures())

    def _is_flagged(self) -> bool:
        flags = _read_number(self._system / _PI_FLAGS, base=16)
        return bool(flags & _PI_FLAGS_NOW)

    def _count_held_back(self) -> int:
        return sum(_read_number(path) for path in self._system.glob(_INTEL_COUNTERS))


def _read_number(path: Path, base: int = 10) -> int:
    try:
        return int(path.read_text(encoding="ascii"), base)
    except (OSError, ValueError):
        return 0
