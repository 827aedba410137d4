"""What the tests about people share: a room with pictures, and a second teacher on the same box."""

import re
from typing import Any

from tests.classroom import SETUP, Browser, Classroom

ERLANS_PIN = "314159"
ERLANS_CLASS = {
    "school_class": "8B",
    "grade": "8",
    "language": "kk",
    "learners": "Zarina\nTimur",
    "pin": ERLANS_PIN,
    "pin_again": ERLANS_PIN,
}
CODE = ("sun", "yurt", "fish")


def with_pictures(classroom: Classroom) -> Browser:
    """Return Dana, who set 7A up with pictures and opened the lesson."""
    dana = classroom.browser()
    assert dana.post("/setup", {**SETUP, "uses_pictures": "yes"}).status_code == 303
    dana.post("/teacher/session", {"wish": "open"})
    return dana


def erlan_joins_the_box(classroom: Classroom, dana: Browser) -> Browser:
    """Dana hands her device to Erlan, who sets 8B up; afterwards both sit at their own."""
    handed = classroom.browser()
    handed.client.set_cookie("sandyq_login", dana.client.get_cookie("sandyq_login").value)
    answer = handed.post("/setup", ERLANS_CLASS)
    assert answer.status_code == 303, answer.text
    code = classroom.value("SELECT id FROM school_class WHERE name = '7A'")
    assert dana.post("/teacher/login", {"pin": SETUP["pin"], "school_class": code}).status_code == 303
    return handed


def door_of(classroom: Classroom, name: str) -> str:
    """Return the address of the pictures page of a learner."""
    page = classroom.browser().get(f"/class/{classroom.code()}").text
    found = re.search(rf'value="(\w+)">{name}<', page)
    assert found
    return f"/class/{classroom.code()}/{found[1]}"


def pick(browser: Browser, door: str, code: tuple[str, ...] = CODE, **more: str) -> Any:
    """Send the three pictures at once, as the script does."""
    return browser.post(door, {"picked": " ".join(code[:2]), "picture": code[2], **more})
