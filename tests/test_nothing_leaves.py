"""Canaries in every field a person can fill, searched in every byte that leaves.

The pages, the database and the region are real; what leaves is opened with the region's own key.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from flask import request

from sync import client
from sync.batch import unpack_rows
from sync.keys import ensure_device_key
from sync.settings import SyncSettings
from tests.classroom import PIN, Classroom, wait_until
from tests.fake_engine import FakeEngine
from tests.region_simulator import RegionSimulator

IIN = "140512600123"
CANARIES = {
    "class": "7Ә-канарейка",
    "learner": "Айгерім Канарейқызы",
    "question": f"Менің атым Айгерім Канарейқызы, ЖСН {IIN}, Абай көшесі 12",
    "answer": "Канарейка-жауап: Сәлем, Айгерім",
    "pin": PIN,
}
TRACES = [*CANARIES.values(), IIN, "Айгерім", "анарей", "Абай", "Aigerim"]


@dataclass
class Sent:
    envelopes: list[bytes]
    opened: list[bytes]
    headers: str
    shown: str


@pytest.fixture
def sent(classroom: Classroom, engine: FakeEngine, tmp_path: Path) -> Iterator[Sent]:
    engine.words = [CANARIES["answer"]]
    dana = classroom.browser("kk")
    form = {
        "school_class": CANARIES["class"],
        "grade": "7",
        "language": "kk",
        "learners": CANARIES["learner"],
        "pin": PIN,
        "pin_again": PIN,
    }
    assert dana.post("/setup", form).status_code == 303
    dana.post("/teacher/session", {"wish": "open"})
    classroom.joined(CANARIES["learner"], "kk").ask(CANARIES["question"])
    wait_until(classroom.all_answered)
    dana.post("/teacher/session", {"wish": "close"})

    region = RegionSimulator(tmp_path / "region")
    bodies: list[bytes] = []
    region.app.before_request(lambda: bodies.append(request.get_data()))
    settings = SyncSettings(home=classroom.home)
    with region.serve() as url:
        client.enrol(settings, url, region.code())
        shown = json.dumps(classroom.rows("SELECT * FROM outbox"), default=str, ensure_ascii=False)
        # Two children of one class wait for their week; less of each event leaves before it.
        assert client.run(settings).events == 0
        report = client.run(settings, is_early=True)
    assert report.events == len(classroom.rows("SELECT id FROM event")) == 6
    device = ensure_device_key(classroom.home).public
    batches = [region.open(body, device) for body in bodies[3:]]  # after enrolling and asking twice
    yield Sent(bodies, [batch.payload for batch in batches], str(region.headers), shown)
    # The canaries are really there to be found: the box itself holds every one.
    kept = json.dumps(classroom.rows("SELECT * FROM event"), default=str, ensure_ascii=False)
    for name in ("class", "learner", "question", "answer"):
        assert CANARIES[name] in json.dumps(json.loads(kept), ensure_ascii=False).replace('\\"', '"')


def test_no_byte_that_leaves_holds_a_canary(sent: Sent) -> None:
    rows = [row.as_record() for payload in sent.opened for row in unpack_rows(payload)]
    assert len(rows) == 6
    leaving = json.dumps(rows, ensure_ascii=False, default=str)
    for trace in TRACES:
        assert trace not in leaving
        assert trace not in sent.headers
        assert trace not in sent.shown, "not even the queue on the box holds it"
        for raw in [*sent.envelopes, *sent.opened]:
            assert trace.encode() not in raw


def test_what_leaves_is_what_the_allow_list_says(sent: Sent) -> None:
    rows = [row.as_record() for payload in sent.opened for row in unpack_rows(payload)]
    names = set().union(*rows)
    assert names <= {
        "kind",
        "session",
        "day",
        "grade",
        "language",
        "characters",
        "duration_ms",
        "answer_tokens",
        "outcome",
        "model_sha256",
        # of the box, of nobody in the room
        "software",
        "disk",
        "heat",
    }
