"""What a teacher sees of the box's own health, of its backups, and of the sheet that opens them."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from appliance.care import backup_book, health, school_key, senses, signs, soundness
from appliance.care.backup_book import Proof, Restored
from appliance.care.radios import hotspot_finding, judge
from sync import boots
from sync.clock import Moment, Quality
from sync.keys import school_seeds
from tests.classroom import PIN, Browser, Classroom

NOW = datetime.now(UTC)


@pytest.fixture
def erlan(classroom: Classroom, dana: Browser) -> Browser:
    """Teaches 8B on the same box; Dana handed him her device to set up."""
    browser = classroom.browser()
    browser.client.set_cookie("sandyq_login", dana.client.get_cookie("sandyq_login").value)
    form = {"school_class": "8B", "grade": "8", "language": "en", "learners": "Saule"}
    assert browser.post("/setup", form | {"pin": "141421", "pin_again": "141421"}).status_code == 303
    # The device is his now; Dana logs in again on hers.
    first = str(classroom.value("SELECT id FROM school_class ORDER BY rowid"))
    assert dana.post("/teacher/login", {"pin": PIN, "school_class": first}).status_code == 303
    return browser


def feel(monkeypatch: pytest.MonkeyPatch, *findings: signs.Finding) -> None:
    monkeypatch.setattr(health, "findings", lambda _home: list(findings))


def test_a_healthy_box_says_nothing(dana: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    feel(monkeypatch, signs.heat(50), signs.voltage(0))
    assert re.search(r'<section id="warnings">\s*</section>', dana.get("/teacher").text)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ["too warm (83 °C)", "power supply is too weak", "12 MB free", "worn out"]),
        ("ru", ["перегрелось (83 °C)", "питания слишком слаб", "свободно 12 МБ", "износилась"]),
        ("kk", ["қызып (83 °C)", "Қуат көзі әлсіз", "12 МБ бос", "тозған"]),
    ],
)
def test_trouble_is_said_in_words_with_the_next_step(
    dana: Browser, monkeypatch: pytest.MonkeyPatch, language: str, words: list[str]
) -> None:
    found = [
        signs.heat(83),
        signs.voltage(1),
        signs.disk_space(12 << 20),
        signs.disk_writable(is_read_only=True),
    ]
    feel(monkeypatch, *found)
    page = dana.page(f"/teacher?lang={language}")
    for word in words:
        assert word in page


def test_a_clock_that_is_unset_is_told_and_an_unconfirmed_one_is_not(
    dana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    feel(monkeypatch)
    monkeypatch.setattr(senses, "is_synchronised", lambda: False)
    assert "clock" not in dana.page("/teacher")
    monkeypatch.setattr(boots, "now", lambda _db: Moment(NOW, Quality.UNKNOWN))
    assert "does not know the date" in dana.page("/teacher")


def test_the_limits_of_its_own_wifi_are_told_with_what_to_buy(
    dana: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    feel(monkeypatch, hotspot_finding(judge("brcmfmac", "cyfmac43455-sdio-minimal.bin")))
    page = dana.page("/teacher")
    assert "carries 19 devices at once" in page
    assert "access point" in page


def test_damage_that_the_night_found_is_told(dana: Browser, classroom: Classroom) -> None:
    soundness.note_damage(classroom.home)
    assert "The database is damaged" in dana.page("/teacher")


def test_the_sheet_is_for_whoever_speaks_for_the_school_alone(
    dana: Browser, erlan: Browser, aigerim: Browser, classroom: Classroom
) -> None:
    assert erlan.get("/teacher/backup").status_code == 403
    assert erlan.post("/teacher/backup").status_code == 403
    assert aigerim.post("/teacher/backup").status_code == 403
    assert classroom.browser().post("/teacher/backup").status_code == 403
    assert "/teacher/backup" not in erlan.get("/teacher").text
    assert not school_seeds(classroom.home), "looking makes no key"
    page = dana.post("/teacher/backup").text
    code = re.sub("<br>", " ", re.search(r'class="digits">([^/]+)</b>', page)[1])
    assert school_key.from_code(code) == school_seeds(classroom.home)[0]
    assert dana.post("/teacher/backup").text == page, "again as often as it is wanted"


def test_the_page_asks_for_the_sheet_until_it_was_seen(dana: Browser, classroom: Classroom) -> None:
    reminder = "open only with its code"
    assert reminder not in dana.page("/teacher"), "before the first backup there is nothing to open"
    backup_book.note(classroom.home, Proof("a.age", NOW, 1, is_elsewhere=False))
    assert reminder in dana.page("/teacher")
    dana.post("/teacher/backup")
    assert reminder not in dana.page("/teacher")
    backup_book.forget_sheet(classroom.home)
    assert reminder in dana.page("/teacher")


def test_the_age_of_the_backup_stands_beside_the_gauges(dana: Browser, classroom: Classroom) -> None:
    assert "There is no backup yet" in dana.page("/teacher")
    backup_book.note(classroom.home, Proof("a.age", NOW - timedelta(days=3), 1, is_elsewhere=True))
    assert "3 days old" in dana.page("/teacher")


def test_after_a_restore_everybody_reads_it_until_the_school_has_checked(
    dana: Browser, erlan: Browser, classroom: Classroom
) -> None:
    backup_book.note_restored(classroom.home, Restored(NOW, NOW, ("85e9",)))
    assert "I have checked the list" in dana.page("/teacher")
    assert "was restored" in erlan.page("/teacher")
    assert "I have checked the list" not in erlan.page("/teacher")
    assert erlan.post("/teacher/restored/checked").status_code == 403
    assert dana.post("/teacher/restored/checked").status_code == 303
    assert "was restored" not in dana.page("/teacher")
    assert backup_book.former_boxes(classroom.home) == {"85e9"}
