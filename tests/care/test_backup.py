"""A backup is whole and opens, or there is none; what comes back is counted once and forgets whom it must."""

import errno
import io
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from appliance.care import backup, backup_book, backup_file, backup_folder, care_errors, school_key, soundness
from appliance.care.restore import finish_exchange
from appliance.database import sole_server
from appliance.errors import ApplianceError
from appliance.people import access
from appliance.settings import Settings
from provisioning.first_boot import prepare_box
from sync import client, policy
from sync.clock import Moment, Quality
from sync.database import open_database, write_transaction
from sync.keys import get_device_key, school_seeds
from sync.policy import Policy, sign_policy
from tests.care.backup_cut_short import cut_at_points
from tests.care.school import PIN, delete, learners, machine, make_school, rows, run, settings_of
from tests.region_simulator import RegionSimulator
from tests.sync.cast import Box

NOW = datetime.now(UTC)


@pytest.fixture
def school(tmp_path: Path) -> Settings:
    return make_school(tmp_path / "box")


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    folder = tmp_path / "stick"
    folder.mkdir()
    return folder


def create(settings: Settings, folder: Path | None = None) -> Path:
    return backup.create(settings, folder, lambda _step: None).path


def code_of(settings: Settings) -> str:
    return school_key.to_code(school_seeds(settings.home)[0]) + "\n"


def fault_of(settings: Settings, *arguments: str, typed: str = "") -> ApplianceError:
    """Run a command that must fail with an error that has a next step."""
    done = run(settings, "backup", *arguments, typed=typed)
    assert isinstance(done.exception, ApplianceError), (done.exception, done.output)
    assert done.exception.hint
    return done.exception


def test_a_backup_comes_back_on_a_new_machine_with_the_code_from_the_sheet(
    school: Settings, stick: Path, tmp_path: Path
) -> None:
    made = run(school, "backup", "create", str(stick), "--json")
    assert made.exit_code == 0, made.output
    checked = json.loads(run(school, "backup", "verify", str(stick), "--json").stdout)
    assert (checked["whole"], checked["classes"], checked["learners"]) == (True, 1, 2)

    other = settings_of(tmp_path / "new machine")
    prepare_box(other.home, machine("new"))
    assert isinstance(fault_of(other, "restore", str(stick)), care_errors.BackupForeign)
    done = run(other, "backup", "restore", str(stick), "--json", typed=code_of(school))
    assert done.exit_code == 0, done.output
    assert learners(other) == ["Aigerim", "Bolat"]
    with closing(open_database(other.sync.database_path)) as db:
        class_id = db.execute("SELECT id FROM school_class").fetchone()[0]
        assert access.find_teacher_by_pin(db, PIN, class_id)
    # The sheet goes on being right, and the machine keeps its own name.
    assert school_seeds(other.home) == school_seeds(school.home)
    assert get_device_key(other.home).kid != get_device_key(school.home).kid
    assert create(other, stick).name.split("-")[1] != create(school, stick).name.split("-")[1]


def test_what_it_says_is_in_the_technicians_language(school: Settings, stick: Path) -> None:
    assert "жазылды" in run(school, "backup", "create", str(stick), language="kk").output
    assert "записана" in run(school, "backup", "create", str(stick), language="ru").output


def test_whoever_has_the_sheet_opens_it_with_the_age_format_alone(school: Settings, stick: Path) -> None:
    shown = json.loads(run(school, "backup", "key", "--show", "--json").stdout)
    raw = create(school, stick).read_bytes()
    assert raw.startswith(b"age-encryption.org/v1\n-> X25519 ")
    identity = backup_file.pyrage.x25519.Identity.from_str(shown["age_identity"])
    plain = backup_file.pyrage.decrypt(raw, [identity])
    with backup_file.tarfile.open(fileobj=io.BytesIO(plain)) as archive:
        assert archive.getnames() == ["manifest.json", "box.sqlite"]
    for word in (b"Aigerim", b"Bolat", b"7A\x00", shown["code"].encode()):
        assert word not in raw


@pytest.mark.parametrize("where", ["same machine", "new machine"])
@pytest.mark.parametrize("lost", ["receipt", "envelope"])
def test_nothing_is_counted_twice_whoever_sends_first(
    tmp_path: Path, stick: Path, where: str, lost: str
) -> None:
    """What waited and what was on its way in the backup may have been sent since: it is kept and not sent."""
    region = RegionSimulator(tmp_path / "region")
    settings = make_school(tmp_path / "box")
    with region.serve() as url:
        enrolment = client.enrol(settings.sync, url, region.code())
        box = Box(settings.sync, region, enrolment, get_device_key(settings.home))
        box.ask(times=2)
        box.sync()
        box.ask(times=3)
        (region.lose_next_receipt if lost == "receipt" else region.lose_next_envelope)()
        with pytest.raises(client.SyncError):
            box.sync()
        box.ask(times=5)
        path = create(settings, stick)
        box.ask(times=7)  # after the backup
        client.run(settings.sync)
        assert region.count("question_asked") == 17

        restored = settings if where == "same machine" else settings_of(tmp_path / "new")
        if where == "new machine":
            prepare_box(restored.home, machine("new"))
        done = run(restored, "backup", "restore", str(path), "--replace", "--json", typed=code_of(settings))
        assert json.loads(done.stdout)["set_aside_events"] == 8, done.output
        if where == "new machine":
            client.enrol(restored.sync, url, region.code())
        again = Box(restored.sync, region, client.get_enrolment(restored.sync), get_device_key(restored.home))
        again.ask(times=4)
        client.run(restored.sync)
        assert region.count("question_asked") == 21
        assert again.status().waiting_events == again.status().sealed_batches == 0


def test_lessons_go_on_while_it_is_made_and_everything_acknowledged_before_is_in_it(
    school: Settings, stick: Path
) -> None:
    """Real processes on both sides: a writer that never rests, and the command."""
    with closing(open_database(school.sync.database_path)) as db:
        db.execute("CREATE TABLE lesson (id INTEGER PRIMARY KEY, text TEXT) STRICT")
        with write_transaction(db):
            for _ in range(3000):
                db.execute("INSERT INTO lesson (text) VALUES (?)", [os.urandom(1500).hex()])
    longest, done = 0.0, threading.Event()

    def write() -> None:
        nonlocal longest
        with closing(open_database(school.sync.database_path)) as db:
            while not done.is_set():
                began = time.monotonic()
                with write_transaction(db):
                    db.execute("INSERT INTO lesson (text) VALUES ('asked')")
                longest = max(longest, time.monotonic() - began)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(0.1)
        before = rows(school, "SELECT count(*) FROM lesson")[0][0]
        command = [sys.executable, "-m", "appliance.cli", "backup", "create", str(stick), "--json"]
        environment = os.environ | {"SANDYQ_HOME": str(school.home)}
        made = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=True
        )
    finally:
        done.set()
        writer.join()
    after = rows(school, "SELECT count(*) FROM lesson")[0][0]
    path = Path(json.loads(made.stdout)["path"])
    home = school.home
    with backup.workspace(home) as work, backup.opened(home, path, work) as opened:
        copy = sqlite3.connect(opened.folder / backup_folder.DATABASE)
        held = copy.execute("SELECT count(*) FROM lesson").fetchone()[0]
        copy.close()
    assert before <= held < after, "the lesson wrote on meanwhile"
    assert longest < 2.0, "nobody waited for the copy"


# What a stick can do ---------------------------------------------------------------------


def torn(stick: Path) -> list[str]:
    return [path.name for path in stick.iterdir() if not path.name.endswith((".age", ".json"))]


def test_a_full_stick_keeps_what_was_on_it(school: Settings, tmp_path: Path) -> None:
    """A real small disk in a mount of our own, where there may be one."""
    script = (
        "import subprocess, sys; from pathlib import Path\n"
        "stick = Path(sys.argv[1]) / 'small'; stick.mkdir()\n"
        "subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', str(stick)], check=True)\n"
        "from tests.care.test_backup import create, fault_of, settings_of, torn\n"
        "settings = settings_of(Path(sys.argv[1]) / 'box')\n"
        "first = create(settings, stick)\n"
        "(stick / 'film.mp4').write_bytes(bytes(64000 - first.stat().st_size - 16000))\n"
        "fault = fault_of(settings, 'create', str(stick))\n"
        "print(fault.key, first.exists(), torn(stick)); sys.stdout.flush()\n"
    )
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    done = subprocess.run(
        [*alone, sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout == "backup_folder_full True ['film.mp4']\n", done.stderr


class Failing:
    """A stick that is pulled out after so many bytes."""

    def __init__(self, file: Any, left: int, number: int) -> None:
        self.file, self.left, self.number = file, left, number

    def write(self, block: bytes) -> int:
        self.left -= len(block)
        if self.left < 0:
            raise OSError(self.number, os.strerror(self.number))
        return int(self.file.write(block))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


@pytest.mark.parametrize(
    ("number", "key"),
    [
        (errno.EIO, "backup_folder_gone"),
        (errno.ENODEV, "backup_folder_gone"),
        (errno.ENOSPC, "backup_folder_full"),
        (errno.EROFS, "backup_folder_read_only"),
    ],
)
def test_a_stick_that_fails_in_the_middle_leaves_no_half_backup(
    school: Settings, stick: Path, monkeypatch: pytest.MonkeyPatch, number: int, key: str
) -> None:
    first = create(school, stick)
    real = backup_file.encrypt
    monkeypatch.setattr(
        backup_file, "encrypt", lambda source, target, seed: real(source, Failing(target, 4000, number), seed)
    )
    fault = fault_of(school, "create", str(stick))
    assert fault.key == key
    assert fault.params.get("megabytes") != 0
    assert [path.name for path in stick.glob("*.age")] == [first.name]
    assert torn(stick) == []
    assert run(school, "backup", "verify", str(stick)).exit_code == 0


def test_places_that_are_none_are_named(school: Settings, stick: Path) -> None:
    assert fault_of(school, "create", str(stick / "nowhere")).key == "backup_folder_missing"
    assert fault_of(school, "create", "/proc").key.startswith("backup_folder")
    assert fault_of(school, "verify", str(stick)).key == "backup_not_found"
    assert fault_of(school, "restore", str(stick / "sandyq.age")).key == "backup_not_found"
    (stick / "photo.age").write_bytes(b"\xff\xd8 a photo" * 100)
    assert fault_of(school, "restore", str(stick / "photo.age")).key == "backup_not_one"
    other = backup_file.pyrage.encrypt(b"no archive", [identity_of(school).to_public()])
    (stick / "letter.age").write_bytes(other)
    assert fault_of(school, "verify", str(stick / "letter.age")).key == "backup_damaged"


def test_links_and_pipes_with_our_name_are_not_opened(school: Settings, stick: Path) -> None:
    create(school, stick).rename(stick / "kept")
    name = backup_folder.name_for("sandyq-60c6", NOW)
    (stick / name).symlink_to(stick / "kept")
    os.mkfifo(stick / backup_folder.name_for("sandyq-60c6", NOW - timedelta(days=1)))
    assert fault_of(school, "verify", str(stick)).key == "backup_not_found"
    os.mkfifo(stick / "pipe.age")
    assert fault_of(school, "restore", str(stick / "pipe.age")).key == "backup_not_found"


def test_a_full_box_says_so_and_does_not_blame_the_stick(
    school: Settings, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = create(school, stick)
    real = backup_file.decrypt

    def fill(source: Any, target: Any, seeds: Any, name: str) -> None:
        is_file = hasattr(target, "fileno")  # not only a look at the head
        real(source, Failing(target, 4000, errno.ENOSPC) if is_file else target, seeds, name)

    monkeypatch.setattr(backup_file, "decrypt", fill)
    assert fault_of(school, "restore", str(path), "--replace").key == "backup_no_room_here"
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: shutil._ntuple_diskusage(1, 1, 0))
    assert fault_of(school, "create", str(stick)).key == "backup_no_room_here"
    assert list(stick.glob("*.age")) == [path]


def identity_of(settings: Settings) -> Any:
    seed = backup.ensure_school_seed(settings.home)
    return backup_file.pyrage.x25519.Identity.from_str(school_key.to_identity(seed))


def test_another_schools_backup_and_a_wrong_code_are_told_apart(
    school: Settings, stick: Path, tmp_path: Path
) -> None:
    other = make_school(tmp_path / "elsewhere", "Erlan's learner")
    path = create(other, stick)
    assert fault_of(school, "restore", str(path)).key == "backup_foreign"
    assert fault_of(school, "restore", str(path), typed="4711\n").key == "code_mistyped"
    wrong = school_key.to_code(bytes(16)) + "\n"
    assert fault_of(school, "restore", str(path), "--replace", typed=wrong).key == "backup_foreign"
    assert learners(school) == ["Aigerim", "Bolat"]


def test_a_damaged_or_shortened_backup_changes_nothing(school: Settings, stick: Path) -> None:
    path = create(school, stick)
    whole = path.read_bytes()
    before = school.sync.database_path.read_bytes()
    chance = random.Random(7)
    places = [0, 5, 30, len(whole) - 1, *chance.sample(range(len(whole)), 25)]
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << chance.randrange(8)
        for content in (bytes(flipped), whole[:place]):
            path.write_bytes(content)
            fault = fault_of(school, "restore", str(path), "--replace")
            # A changed stanza of the head fits no key any more: then it asks for another code.
            assert fault.key in ("backup_damaged", "backup_not_one", "backup_foreign"), place
    assert school.sync.database_path.read_bytes() == before
    assert not soundness.is_damage_noted(school.home)
    assert not [one for one in backup.own_folder(school.home).iterdir() if one.name.startswith(".work")]


def test_a_backup_of_a_damaged_database_is_refused_and_the_damage_is_noted(
    school: Settings, stick: Path
) -> None:
    good = create(school, stick)
    damage(school)
    fault = fault_of(school, "create", str(stick))
    assert fault.key == "source_damaged"
    assert soundness.is_damage_noted(school.home)
    assert list(stick.glob("*.age")) == [good]


def damage(settings: Settings) -> None:
    path = settings.sync.database_path
    content = bytearray(path.read_bytes())
    for page in range(4, len(content) // 4096):
        content[page * 4096 : page * 4096 + 2000] = os.urandom(2000)
    path.write_bytes(content)


# Who is deleted stays deleted -----------------------------------------------------------------


@pytest.mark.parametrize("box", ["lives", "is damaged", "is lost"])
def test_a_deleted_learner_does_not_come_back(
    school: Settings, stick: Path, tmp_path: Path, box: str
) -> None:
    path = create(school, stick)
    gone = delete(school, "Bolat")
    if box == "is lost":
        create(school, stick)  # the next night's: the stick remembers
        restored = settings_of(tmp_path / "new")
        prepare_box(restored.home, machine("new"))
    else:
        restored = school
    if box == "is damaged":
        create(school, None)
        damage(school)
    done = run(restored, "backup", "restore", str(path), "--replace", typed=code_of(school))
    assert done.exit_code == 0, done.output
    assert learners(restored) == ["Aigerim"]
    assert "Deleted again" in done.output
    for file in (*stick.glob("*.json"), restored.sync.database_path):
        assert b"Bolat" not in file.read_bytes()
        assert gone.encode() not in file.read_bytes()
    # And the next restore of the same file forgets Bolat again.
    run(restored, "backup", "restore", str(path), "--replace", typed=code_of(school))
    assert learners(restored) == ["Aigerim"]


def test_after_a_restore_the_box_says_until_it_is_checked_that_somebody_may_be_back(
    school: Settings, stick: Path
) -> None:
    create(school, stick)
    assert backup_book.find_restored(school.home) is None
    assert "check the list" in run(school, "backup", "restore", str(stick), "--replace").output
    restored = backup_book.find_restored(school.home)
    assert restored is not None
    assert not restored.is_checked


def at(monkeypatch: pytest.MonkeyPatch, moment: datetime, quality: Quality = Quality.CONFIRMED) -> None:
    monkeypatch.setattr("sync.boots.now", lambda _db, _reading=None: Moment(moment, quality))


def test_backups_age_out_once_a_newer_one_is_proven(
    school: Settings, stick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_school(tmp_path / "other")
    at(monkeypatch, NOW - timedelta(days=31))
    of_other, old = create(other, stick), create(school, stick)
    at(monkeypatch, NOW - timedelta(days=29))
    young = create(school, stick)
    at(monkeypatch, NOW, Quality.UNKNOWN)
    newest = create(school, stick)
    assert old.exists(), "a box that does not know the date judges no age"
    monkeypatch.setattr(backup_file, "unpack", lambda *_: pytest.fail("not proven"))
    at(monkeypatch, NOW + timedelta(seconds=1))
    with pytest.raises(BaseException, match="not proven"):
        create(school, stick)
    assert old.exists(), "nothing goes before the new one is proven"
    monkeypatch.undo()
    at(monkeypatch, NOW + timedelta(seconds=2))
    made = backup.create(school, stick, lambda _step: None)
    assert made.dropped == (old.name,)
    assert young.exists()
    assert newest.exists()
    assert of_other.exists(), "another box's last backup is not ours to remove"


def test_what_a_restore_set_aside_goes_after_thirty_days(
    school: Settings, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(school, stick)
    kept = json.loads(run(school, "backup", "restore", str(stick), "--replace", "--json").stdout)[
        "kept_aside"
    ]
    (school.home / "set-aside-by-hand").mkdir()
    at(monkeypatch, NOW + timedelta(days=29))
    create(school)
    assert Path(kept).exists()
    at(monkeypatch, NOW + timedelta(days=31))
    create(school)
    assert not Path(kept).exists()
    assert (school.home / "set-aside-by-hand").exists(), "not ours"


def test_an_old_backup_is_taken_only_when_somebody_says_so(
    school: Settings, stick: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, NOW - timedelta(days=31))
    create(school, stick)
    monkeypatch.undo()
    fault = fault_of(school, "restore", str(stick), "--replace")
    assert (fault.key, fault.params["days"]) == ("backup_too_old", 31)
    assert run(school, "backup", "restore", str(stick), "--replace", "--old").exit_code == 0


def test_a_backup_of_a_newer_program_is_refused(school: Settings, stick: Path) -> None:
    with closing(open_database(school.sync.database_path)) as db:
        db.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('sync', 'm999', '')"
        )
    create(school, stick)
    with closing(open_database(school.sync.database_path)) as db:
        db.execute("DELETE FROM _sqlite_migrations WHERE name = 'm999'")
    assert fault_of(school, "restore", str(stick), "--replace").key == "backup_too_new"
    assert learners(school) == ["Aigerim", "Bolat"]


def test_classes_are_replaced_only_on_demand_and_never_while_the_pages_run(
    school: Settings, stick: Path
) -> None:
    create(school, stick)
    assert fault_of(school, "restore", str(stick)).key == "classes_there"
    with sole_server(school.home):
        assert fault_of(school, "restore", str(stick), "--replace").key == "pages_running"


def test_a_stop_of_the_region_outlives_a_restore(tmp_path: Path, stick: Path) -> None:
    region = RegionSimulator(tmp_path / "region")
    settings = make_school(tmp_path / "box")
    with region.serve() as url:
        enrolment = client.enrol(settings.sync, url, region.code())
        create(settings, stick)
        order = sign_policy(Policy(region.region.id, 9, NOW, stop=True), region.region.keys.policy)
        with closing(open_database(settings.sync.database_path)) as db:
            policy.accept(db, order, enrolment.policy_public, enrolment.region_id)
    assert run(settings, "backup", "restore", str(stick), "--replace").exit_code == 0
    with closing(open_database(settings.sync.database_path)) as db:
        assert policy.current(db).stop


def test_what_was_here_is_kept_with_its_log(school: Settings, stick: Path) -> None:
    create(school, stick)
    db = open_database(school.sync.database_path)
    with write_transaction(db):
        db.execute("UPDATE learner SET name = 'Saule' WHERE name = 'Bolat'")
    log = school.sync.database_path.with_name("box.sqlite-wal")
    assert log.stat().st_size > 0
    done = json.loads(run(school, "backup", "restore", str(stick), "--replace", "--json").stdout)
    db.close()
    kept = Path(done["kept_aside"])
    assert kept.parent == school.home
    with closing(open_database(kept / "box.sqlite")) as aside:
        assert {row["name"] for row in aside.query("SELECT name FROM learner")} == {"Aigerim", "Saule"}
    assert learners(school) == ["Aigerim", "Bolat"]


def test_a_new_key_leaves_the_old_backups_open_to_this_box(school: Settings, stick: Path) -> None:
    path = create(school, stick)
    before = code_of(school)
    name = json.loads(run(school, "backup", "key", "--new", "--json").stdout)["key"]
    assert name != school_key.name_of(school_key.from_code(before))
    assert run(school, "backup", "verify", str(path)).exit_code == 0
    back = json.loads(run(school, "backup", "key", "--take", "--json", typed=before).stdout)["key"]
    assert back == school_key.name_of(school_key.from_code(before))


def test_two_at_once_are_one(school: Settings, stick: Path) -> None:
    with backup.alone(school.home):
        assert fault_of(school, "create", str(stick)).key == "backup_running"


def test_the_pages_never_carry_the_cipher(tmp_path: Path) -> None:
    script = "import appliance.serve, sys; sys.exit('pyrage' in sys.modules or 'tarfile' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, check=False).returncode == 0


# kill -9 at any change of the disk -------------------------------------------------------------


@pytest.fixture
def seed() -> int:
    number = int.from_bytes(os.urandom(4), "big")
    print("seed", number)
    return number


@pytest.mark.slow
def test_killed_at_any_moment_a_backup_is_whole_or_not_there(
    school: Settings, stick: Path, tmp_path: Path, seed: int
) -> None:
    first = create(school, stick)
    places = cut_at_points("create", school.home, stick, tmp_path / "cut", 14, seed)
    assert len(places) > 8
    named = 0
    for place in places:
        settings = settings_of(place / "home")
        found = sorted((place / "stick").glob("*.age"))
        assert first.name in {path.name for path in found}
        named += len(found) > 1
        for path in found:
            assert backup.verify(settings.home, path).learners == 2
        assert learners(settings) == ["Aigerim", "Bolat"]
        create(settings, place / "stick")  # the next one works and clears up
        assert not torn(place / "stick")
        assert not list((place / "home/backups").glob(".work*"))
    assert 0 < named < len(places), "cuts fell before and after the name was given"


@pytest.mark.slow
def test_killed_at_any_moment_a_restore_leaves_the_old_or_the_new(
    school: Settings, stick: Path, tmp_path: Path, seed: int
) -> None:
    create(school, stick)
    with closing(open_database(school.sync.database_path)) as db, write_transaction(db):
        db.execute("UPDATE learner SET name = 'Saule' WHERE name = 'Bolat'")
    places = cut_at_points("restore", school.home, stick, tmp_path / "cut", 20, seed)
    assert len(places) > 12
    ends = []
    for place in places:
        settings = settings_of(place / "home")
        backup_starts(settings)
        now = learners(settings)
        assert now in (["Aigerim", "Saule"], ["Aigerim", "Bolat"])
        ends.append(now)
        kept = list((place / "home").glob("set-aside-*/box.sqlite"))
        assert bool(kept) == (now == ["Aigerim", "Bolat"])
        for path in kept:
            with closing(open_database(path)) as aside:
                assert {row["name"] for row in aside.query("SELECT name FROM learner")} == {
                    "Aigerim",
                    "Saule",
                }
    assert ["Aigerim", "Saule"] in ends
    assert ["Aigerim", "Bolat"] in ends


def backup_starts(settings: Settings) -> None:
    """What the pages do first at their start."""
    finish_exchange(settings)
    finish_exchange(settings)
