"""How the box is reached: which mode, and what NetworkManager and its name server are told for the hotspot.

Pure. Keeps out: asking and telling them (network.py).
"""

import re
import uuid
from dataclasses import dataclass

# NetworkManager's own choice for shared connections; it stands in guides and on printed cards.
HOTSPOT_ADDRESS = "10.42.0.1"
HOTSPOT_PROFILE = "sandyq-hotspot"
CABLE_PROFILE = "sandyq-cable"
PROFILES = {"wifi": HOTSPOT_PROFILE, "ethernet": CABLE_PROFILE}

# A school's switch and its address server answer within five seconds; a port that first looks for loops
# in the cabling holds everything back for fifteen.
LAN_SECONDS = 20.0

# One id a profile, the same on every box: it names the profile on this machine only.
_NAMESPACE = uuid.UUID("6f0c6a3e-0d86-4c43-9d0d-7b1a2f1c5d10")

BOX_NAME = re.compile(r"sandyq(-[0-9a-f]{4})?")
# Letters and digits that are not mistaken for each other on a printed card; more of them would be typed
# wrongly, and ten are too many to be guessed (45 bits, behind WPA2's slow hash).
PASSWORD = re.compile(r"[a-hjkmnp-z2-9]{5}-[a-hjkmnp-z2-9]{5}")
COUNTRY = re.compile(r"[A-Z]{2}")


@dataclass(frozen=True)
class Wish:
    """How the box shall be reached: from the card, changed by the teacher."""

    network: str = "auto"
    country: str = "KZ"
    portal: bool = True


def choose_mode(wish: str, *, has_address: bool, has_radio: bool) -> str:
    """Return lan or hotspot; `has_address` is asked LAN_SECONDS after the start."""
    if wish in ("lan", "hotspot"):
        return wish
    # Without a radio the box would hand out addresses over a school's own cable: only when asked to by name.
    return "lan" if has_address or not has_radio else "hotspot"


def hotspot_profile(kind: str, name: str, password: str) -> str:
    """Return NetworkManager's keyfile of the hotspot; `ethernet` serves an access point on the cable.

    Raises:
        ValueError: a name or password that is not ours could carry lines of its own.
    """
    if not BOX_NAME.fullmatch(name) or not PASSWORD.fullmatch(password):
        raise ValueError("name or password of the hotspot")
    profile = PROFILES[kind]
    lines = ["[connection]", f"id={profile}", f"uuid={uuid.uuid5(_NAMESPACE, profile)}", f"type={kind}"]
    # Never by itself: first the box looks for the school's own network.
    lines += ["autoconnect=false", ""]
    if kind == "wifi":
        # 2.4 GHz: old phones know no other, and it goes through a wall.
        lines += ["[wifi]", "mode=ap", "band=bg", f"ssid={name}", ""]
        # WPA2 with AES only; management frames are protected where the phone can.
        lines += ["[wifi-security]", "key-mgmt=wpa-psk", "proto=rsn", "pairwise=ccmp", "group=ccmp", "pmf=2"]
        lines += [f"psk={password}", ""]
    lines += ["[ipv4]", "method=shared", f"address1={HOTSPOT_ADDRESS}/24", ""]
    lines += ["[ipv6]", "method=disabled", ""]
    return "\n".join(lines)


def name_server_lines(name: str, *, portal: bool) -> str:
    """Return what the hotspot's name server answers: the box's own names, and with a portal every name."""
    lines = [f"address=/{own}/{HOTSPOT_ADDRESS}" for own in ("sandyq.lan", f"{name}.lan")]
    # A phone may call itself what it likes: it does not become sandyq.lan by that.
    lines += ["domain=lan", "no-resolv", "local=/lan/", "dhcp-ignore-names"]
    if portal:
        # Phones ask for their maker's test page; with this they find ours. Only plain http is answered.
        lines.append(f"address=/#/{HOTSPOT_ADDRESS}")
    return "\n".join(lines) + "\n"
