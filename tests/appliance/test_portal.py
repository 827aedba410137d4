"""Phones on the box's own Wi-Fi look for the internet; they find the class and stay."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from appliance.box.phones import find_answer
from appliance.web import portal
from tests.classroom import Browser, Classroom

TESTS = [
    ("connectivitycheck.gstatic.com", "/generate_204", 204, ""),
    ("clients3.google.com", "/gen_204", 204, ""),
    ("captive.apple.com", "/hotspot-detect.html", 200, "Success"),
    ("www.msftconnecttest.com", "/connecttest.txt", 200, "Microsoft Connect Test"),
    ("www.msftncsi.com", "/ncsi.txt", 200, "Microsoft NCSI"),
    ("detectportal.firefox.com", "/success.txt", 200, "success\n"),
    ("nmcheck.gnome.org", "/check_network_status.txt", 200, "NetworkManager is online\n"),
]


@pytest.fixture(autouse=True)
def forget_phones() -> Iterator[None]:
    yield
    portal._staying.clear()


def asked(phone: Browser, host: str, path: str):  # type: ignore[no-untyped-def]
    return phone.get(path, headers={"Host": host})


@pytest.mark.parametrize(("host", "path", "status", "body"), TESTS)
def test_a_phone_shows_the_boxs_page_once_and_then_stays(
    classroom: Classroom, host: str, path: str, status: int, body: str
) -> None:
    phone = classroom.browser()
    first = asked(phone, host, path)
    assert first.status_code == 302
    assert first.headers["Location"] == "http://192.168.7.1:8080/wifi"
    page = phone.page("/wifi")
    assert "There is no internet here" in page
    assert "192.168.7.1:8080" in page
    assert "Close this window" in phone.post("/wifi").text
    after = asked(phone, host, path)
    assert after.status_code == status
    assert body in after.text
    # The neighbour's phone has not seen the page yet.
    assert asked(classroom.browser(), host, path).status_code == 302


def test_windows_is_led_to_the_page(classroom: Classroom) -> None:
    answer = asked(classroom.browser(), "www.msftconnecttest.com", "/redirect")
    assert answer.headers["Location"].endswith("/wifi")


def test_switched_off_the_box_answers_no_test(classroom: Classroom) -> None:
    app = classroom.app
    app.extensions["sandyq"] = replace(app.extensions["sandyq"], has_portal=False)
    for host, path, _, _ in TESTS:
        assert asked(classroom.browser(), host, path).status_code == 404
    assert classroom.browser().post("/wifi").status_code == 404


@pytest.mark.parametrize(
    "host",
    [
        "192.168.7.1",
        "10.42.0.1:80",
        "sandyq",
        "sandyq-1a2b.local",
        "sandyq.lan",
        "school.kz",
        "localhost:8080",
    ],
)
def test_what_is_meant_for_the_box_is_never_taken_for_a_test(classroom: Classroom, host: str) -> None:
    for path in ("/", "/ask", "/teacher", "/health"):
        assert find_answer(host, path) is None


def test_many_phones_do_not_fill_the_memory(classroom: Classroom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portal, "MOST_PHONES", 3)
    client: FlaskClient = classroom.app.test_client()
    for number in range(10):
        client.post("/wifi", environ_overrides={"REMOTE_ADDR": f"10.42.0.{number}"})
    assert list(portal._staying) == ["10.42.0.7", "10.42.0.8", "10.42.0.9"]
