"""A damaged database: the pages come up, say so, and the teacher brings the newest backup back herself."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlencode

import pytest
import urllib3

from appliance.care import backup, soundness, stage
from appliance.settings import Settings
from sync.errors import DatabaseUnavailable
from tests.care.school import PIN, delete, learners, make_school
from tests.classroom import wait_until
from tests.processes import REPOSITORY, SANDYQ, free_ports

pytestmark = [pytest.mark.slow]


def damage(settings: Settings) -> bytes:
    """As a dying card does: blocks in the middle hold something else."""
    path = settings.sync.database_path
    content = bytearray(path.read_bytes())
    for page in range(4, len(content) // 4096):
        content[page * 4096 : page * 4096 + 2000] = os.urandom(2000)
    path.write_bytes(content)
    return bytes(content)


class Pages:
    def __init__(self, settings: Settings) -> None:
        self.settings, self.port = settings, free_ports(1)[0]
        self.http = urllib3.PoolManager(retries=False, timeout=20)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SANDYQ_")}
        self.process = subprocess.Popen(
            [*SANDYQ, "web", "serve", "--host", "127.0.0.1", "--port", str(self.port)],
            env=environment | {"SANDYQ_HOME": str(settings.home)},
            cwd=REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(self.answers, "the pages")

    def answers(self) -> bool:
        try:
            return self.get("/health").status == 200
        except urllib3.exceptions.HTTPError:
            return False

    def get(self, path: str, language: str = "en") -> urllib3.BaseHTTPResponse:
        url = f"http://127.0.0.1:{self.port}{path}"
        return self.http.request("GET", url, headers={"Accept-Language": language}, redirect=False)

    def offers(self) -> str:
        """Return the page once the backup was looked for."""
        return wait_until(lambda: "http-equiv" not in (page := self.page()) and page, "the offer")

    def page(self, language: str = "en") -> str:
        return self.get("/teacher", language).data.decode()

    def restore(self, pin: str, **headers: str) -> urllib3.BaseHTTPResponse:
        fields = {"Content-Type": "application/x-www-form-urlencoded", "Accept-Language": "en", **headers}
        url = f"http://127.0.0.1:{self.port}/rescue"
        return self.http.request("POST", url, body=urlencode({"pin": pin}), headers=fields, redirect=False)


@contextmanager
def pages_of(settings: Settings) -> Iterator[Pages]:
    pages = Pages(settings)
    try:
        yield pages
    finally:
        pages.process.terminate()
        pages.process.wait(20)


def test_the_teacher_restores_the_newest_good_backup_and_the_class_goes_on(tmp_path: Path) -> None:
    settings = make_school(tmp_path / "box")
    backup.create(settings, None, lambda _step: None)
    newest = backup.create(settings, None, lambda _step: None).path
    newest.write_bytes(newest.read_bytes()[:-9])  # the night it was made was the night the card failed
    kept = damage(settings)
    with pages_of(settings) as pages:
        assert pages.get("/health").json()["status"] == "damaged"
        for path in ("/", "/teacher", "/ask", "/class/123456"):
            assert pages.get(path).status == 503
        shown = pages.offers()
        assert "is damaged" in shown
        assert "1 classes, 2 learners" in shown
        assert "бүлінген" in pages.page("kk")
        assert "повреждена" in pages.page("ru")
        assert "Aigerim" not in shown

        assert pages.restore("000000").status == 403
        assert pages.restore(PIN, Origin="http://elsewhere").status == 403
        assert settings.sync.database_path.read_bytes() == kept, "nothing happens without the PIN"

        done = pages.restore(PIN)
        assert (done.status, done.headers["Location"]) == (303, "/teacher/login")
        # The same process, without a restart: the classroom.
        assert pages.get("/health").json()["status"] == "ok"
        assert pages.get("/teacher/login").status == 200
        assert learners(settings) == ["Aigerim", "Bolat"]
        aside = next(settings.home.glob("set-aside-*/box.sqlite"))
        assert aside.read_bytes() == kept
        assert not soundness.is_damage_noted(settings.home)
    assert pages.process.returncode == 0
    with pages_of(settings) as again:
        assert again.get("/health").json()["status"] == "ok"


def test_without_a_good_backup_the_page_says_what_to_do_and_touches_nothing(tmp_path: Path) -> None:
    settings = make_school(tmp_path / "box")
    kept = damage(settings)
    with pages_of(settings) as pages:
        assert "no good backup on the box" in pages.offers()
        assert pages.restore(PIN).status == 303  # to the same page: there is nothing to restore
        assert pages.get("/health").json()["status"] == "damaged"
    assert settings.sync.database_path.read_bytes() == kept


def test_a_guesser_is_stopped_as_at_the_log_in(tmp_path: Path) -> None:
    settings = make_school(tmp_path / "box")
    backup.create(settings, None, lambda _step: None)
    damage(settings)
    with pages_of(settings) as pages:
        pages.offers()
        assert [pages.restore(f"00000{number}").status for number in range(6)] == [403] * 5 + [429]
        assert pages.restore(PIN).status == 429


def test_what_the_night_finds_is_offered_at_the_next_start_also_from_a_stick(tmp_path: Path) -> None:
    settings = make_school(tmp_path / "box")
    stick = tmp_path / "sticks" / "sda1" / "backups"
    stick.mkdir(parents=True)
    backup.create(settings, stick, lambda _step: None)
    delete(settings, "Bolat")
    soundness.note_damage(settings.home)
    assert stage.stage(settings, tmp_path / "sticks")
    assert not stage.stage(settings, tmp_path / "no sticks")


def test_a_backup_that_is_being_made_is_waited_for(tmp_path: Path) -> None:
    settings = make_school(tmp_path / "box")
    backup.create(settings, None, lambda _step: None)
    damage(settings)
    with backup.alone(settings.home), pages_of(settings) as pages:
        assert "http-equiv" in pages.page(), "it is still looking"
        assert pages.restore(PIN).status == 303
        assert pages.get("/health").json()["status"] == "damaged"


def test_blocks_that_the_card_cannot_read_are_damage_and_a_busy_file_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_school(tmp_path / "box").sync.database_path
    for code, verdict in ((sqlite3.SQLITE_IOERR_READ, True), (sqlite3.SQLITE_INTERRUPT, None)):
        fault = sqlite3.OperationalError()
        fault.sqlite_errorcode = code
        monkeypatch.setattr(soundness, "_is_whole", Mock(side_effect=fault))
        assert soundness.is_damaged(path) is verdict
    fault.sqlite_errorcode = sqlite3.SQLITE_BUSY
    with pytest.raises(DatabaseUnavailable):
        soundness.is_damaged(path)


def test_a_healthy_start_reads_the_database_and_says_nothing(tmp_path: Path) -> None:
    settings = make_school(tmp_path / "box")
    assert soundness.is_damaged(settings.sync.database_path) is False
    assert soundness.is_damaged(settings.sync.database_path, seconds=-1.0) in (None, False)
    command = [sys.executable, "-c", "import appliance.serve, sys; sys.exit('pyrage' in sys.modules)"]
    assert subprocess.run(command, cwd=REPOSITORY, timeout=60, check=False).returncode == 0
