"""Let the box's light say how it is; one of the root helpers. Standard library only.

The kernel calls a way of blinking a trigger. A mini-PC has no light of its own: then the answer says so.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

# A Raspberry Pi's green light has had both names.
LIGHTS = ("ACT", "led0")
FOLDER = Path("/sys/class/leds")
# heartbeat: all is well; timer: something needs a person; default-on: working, do not switch off.
TRIGGERS = {"well": "heartbeat", "trouble": "timer", "working": "default-on"}


def show(state: str, folder: Path = FOLDER) -> Mapping[str, object]:
    for name in LIGHTS:
        trigger = folder / name / "trigger"
        if trigger.exists():
            trigger.write_text(TRIGGERS[state])
            return {"light": name}
    return {"light": None}


VERBS: Mapping[str, Callable[[], Mapping[str, object]]] = {state: partial(show, state) for state in TRIGGERS}
