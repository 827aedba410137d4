"""How many devices a Wi-Fi chip carries as a hotspot, and what to buy when that is too few. Pure.

Figures only where somebody has counted, each with its source; of every other chip we say that nobody has.
"""

from dataclasses import dataclass

from appliance.care.signs import GOOD, WATCH, Finding
from appliance.errors import N_

# A Raspberry Pi 4 or 5 with its standard firmware: eight, counted by Internet-in-a-Box (iiab/iiab issues
# 3934 and 823).
PI_STANDARD_CLIENTS = 8
# The same with "minimal" firmware: nineteen (iiab/iiab issue 2853).
PI_MINIMAL_CLIENTS = 19
# The class we promise to serve; fewer than this through a hotspot is worth a word to the teacher.
FULL_CLASS = 30


@dataclass(frozen=True)
class Hotspot:
    """What is known of the radio that the class comes in through."""

    driver: str
    firmware: str
    most_clients: int | None  # None: nobody has counted


def judge(driver: str, firmware: str) -> Hotspot:
    if driver != "brcmfmac":
        return Hotspot(driver, firmware, None)
    is_minimal = "minimal" in firmware
    return Hotspot(driver, firmware, PI_MINIMAL_CLIENTS if is_minimal else PI_STANDARD_CLIENTS)


def hotspot_finding(hotspot: Hotspot) -> Finding:
    """Say how many devices may come in while the box is its own hotspot."""
    if hotspot.most_clients is None:
        return Finding(
            "network",
            "hotspot_uncounted",
            WATCH,
            N_("The box is its own Wi-Fi. Nobody has counted how many devices this chip carries."),
            N_("For a whole class connect an access point to the box with a cable."),
        )
    if hotspot.most_clients >= FULL_CLASS:
        return Finding("network", "hotspot_enough", GOOD, N_("The box's own Wi-Fi carries the whole class."))
    return Finding(
        "network",
        "hotspot_small",
        WATCH,
        N_("The box is its own Wi-Fi. Its chip carries %(most)d devices at once; others cannot come in."),
        N_("For a whole class connect an access point to the box with a cable."),
        {"most": hotspot.most_clients},
    )
