"""With the real model: an answer that is asked again is word for word the same, and the box says so."""

import re
import time
from pathlib import Path

import pytest

from tests.classroom import SETUP
from tests.processes import real_box
from tests.room import Person

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PATIENCE_SECONDS = 180.0


def wait_for(holds: object) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if holds():  # type: ignore[operator]
            return
        time.sleep(0.2)
    raise AssertionError("waited in vain")


def test_the_real_model_says_the_same_again(tmp_path: Path, real_model_home: Path) -> None:
    with real_box(tmp_path, real_model_home) as box:
        box.start("web", "engine")
        box.wait_ready("web", "engine")
        dana = Person(box.url("web"))
        dana.post("/setup", **SETUP)
        dana.post("/teacher/session", wish="open")
        aigerim = Person(box.url("web"))
        code = box.value("SELECT code FROM school_class")
        learner_id = re.search(r'value="(\w+)">Aigerim<', aigerim.text(f"/class/{code}"))[1]
        aigerim.post(f"/class/{code}", learner=learner_id)
        aigerim.post("/welcome")
        aigerim.ask("What is a prime number?")
        wait_for(lambda: box.value("SELECT count(*) FROM question WHERE state = 'answered'"))
        question = box.value("SELECT id FROM question")
        dana.post(f"/why/{question}/replay")
        wait_for(lambda: "is writing it again" not in dana.text(f"/why/{question}"))
        page = dana.text(f"/why/{question}")
        assert "Word for word the same." in page, re.sub(r"<[^>]+>", " ", page)[-1500:]
