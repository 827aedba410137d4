"""Which cards are believed: the signed ones, of the newest catalogue, and no other."""

import errno
import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

import models.catalogue
import models.signature
import models.store
from models.catalogue import INDEX, SIGNATURE, Bundle, find_bundle, read_bundle, shipped_catalogue
from models.errors import (
    CardChanged,
    CardMissing,
    CardUnsigned,
    CatalogueDamaged,
    CatalogueOlder,
    CatalogueUnreadable,
    CatalogueUntrusted,
    DiskFull,
    ModelsError,
    ModelUnknown,
    SigningKeyUnusable,
)
from models.sign_catalogue import main as sign_command
from models.sign_catalogue import read_key, sign_folder, write_new_key
from models.signature import public_half
from models.store import Store

CARDS = Path("models/cards")
CARD = "smollm2-135m-instruct"


@pytest.fixture
def private_key(tmp_path: Path, monkeypatch) -> bytes:
    """A key of the test's own, which the box trusts meanwhile."""
    path = tmp_path / "key"
    public = write_new_key(path)
    monkeypatch.setattr(models.catalogue, "maintainers_key", lambda: public)
    return read_key(path)


@pytest.fixture
def publish(tmp_path: Path, private_key: bytes):
    """Sign a catalogue of a version, with the given models."""

    def sign(version: int, names: tuple[str, ...] = (CARD, "qwen3-4b"), key: bytes = private_key) -> Path:
        folder = tmp_path / f"published-{version}-{len(names)}-{key[:2].hex()}"
        folder.mkdir()
        for name in names:
            shutil.copy(CARDS / f"{name}.toml", folder)
        sign_folder(folder, key, version, "2026-11-22")
        return folder

    return sign


@pytest.fixture
def box(home: Path, publish, monkeypatch) -> Path:
    """The home of a box whose software shipped version 5, with one model."""
    shipped = publish(5, (CARD,))

    def read() -> models.catalogue.Catalogue:
        return read_bundle(shipped, "shipped").open(models.catalogue.maintainers_key())

    monkeypatch.setattr(models.store, "shipped_catalogue", read)
    return home


def _make_pipe(path: Path) -> None:
    """Whoever opens it to read waits for ever."""
    path.unlink()
    os.mkfifo(path)


def test_every_shipped_card_is_the_signed_one():
    """A card was edited? Sign anew with a higher version (decision 0034)."""
    catalogue = shipped_catalogue()
    assert catalogue.refused == ()
    assert {card.name for card in catalogue} == {path.stem for path in CARDS.glob("*.toml")}
    assert catalogue.index.version >= 1


@pytest.mark.parametrize(
    ("spoil", "error"),
    [
        (lambda folder: (folder / "qwen3-4b.toml").unlink(), CardMissing),
        (lambda folder: shutil.copy(CARDS / "qwen3-4b.toml", folder / "new-one.toml"), CardUnsigned),
        (lambda folder: (folder / "qwen3-4b.toml").write_bytes(b" "), CardChanged),
        (lambda folder: (folder / "qwen3-4b.toml").write_bytes(b" " * (2 << 20)), CardChanged),
        (lambda folder: _make_pipe(folder / "qwen3-4b.toml"), CardMissing),
    ],
)
def test_one_false_card_is_refused_and_the_others_work(publish, home, spoil, error):
    folder = publish(1)
    spoil(folder)
    catalogue = read_bundle(folder, folder).open(models.catalogue.maintainers_key())
    assert [type(each) for each in catalogue.refused] == [error]
    assert catalogue.get(CARD).name == CARD
    with pytest.raises(error) as told:
        catalogue.get(str(catalogue.refused[0].params["name"]))
    assert "sandyq models catalogue import PATH" in str(told.value)
    # Brought from outside, the same catalogue is refused as a whole, and nothing of it is kept.
    with pytest.raises(error):
        Store(home).import_catalogue(find_bundle(folder))
    assert not list((home / "models" / "catalogues").iterdir())


def test_a_catalogue_of_another_signer_or_with_another_list_is_not_believed(publish, box):
    foreign = publish(9, key=os.urandom(32))
    changed = publish(8)
    text = (changed / INDEX).read_text()
    (changed / INDEX).write_text(text.replace('"version": 8', '"version": 80'))
    unsigned = publish(7)
    (unsigned / SIGNATURE).write_text("00" * 64)
    cut = publish(6)
    (cut / SIGNATURE).write_text("00" * 3)
    for folder in (foreign, changed, unsigned, cut):
        with pytest.raises(CatalogueUntrusted):
            Store(box).import_catalogue(find_bundle(folder))
    assert Store(box).catalogue.index.version == 5


def test_the_highest_version_wins_and_an_older_one_is_refused(publish, box):
    assert Store(box).import_catalogue(find_bundle(publish(7)))
    catalogue = Store(box).catalogue
    assert (catalogue.index.version, catalogue.is_brought) == (7, True)
    assert catalogue.get("qwen3-4b")
    for version in (4, 5, 6):
        with pytest.raises(CatalogueOlder):
            Store(box).import_catalogue(find_bundle(publish(version)))
    # The same number with other cards is no newer one either.
    with pytest.raises(CatalogueOlder):
        Store(box).import_catalogue(find_bundle(publish(7, (CARD,))))
    assert Store(box).import_catalogue(find_bundle(publish(8, (CARD,))))
    assert [path.name for path in (box / "models" / "catalogues").iterdir()] == ["8"]


def test_software_with_a_newer_catalogue_wins_over_a_brought_one(publish, box):
    Store(box).import_catalogue(find_bundle(publish(7)))
    place = box / "models" / "catalogues"
    (place / "7").rename(place / "70")  # the name of the folder decides nothing
    assert Store(box).catalogue.index.version == 7
    shutil.rmtree(place / "70")
    shutil.copytree(publish(3), place / "3")
    assert Store(box).catalogue.index.version == 5


def test_a_brought_catalogue_that_rots_gives_way_and_is_mended_by_the_same(publish, box):
    published = publish(7)
    Store(box).import_catalogue(find_bundle(published))
    place = box / "models" / "catalogues" / "7"
    (place / "qwen3-4b.toml").write_bytes(b"\0" * 100)
    store = Store(box)
    assert store.catalogue.index.version == 7
    with pytest.raises(CardChanged):
        store.catalogue.get("qwen3-4b")
    assert store.import_catalogue(find_bundle(published))
    assert store.catalogue.refused == ()
    (place / INDEX).write_bytes(b"\0")
    store = Store(box)
    assert store.catalogue.index.version == 5
    assert [type(error) for error in store.catalogue.refused] == [CatalogueDamaged]
    with pytest.raises(CatalogueDamaged):
        store.catalogue.get("qwen3-4b")
    assert store.import_catalogue(find_bundle(published))
    assert not store.import_catalogue(find_bundle(published))


def test_it_comes_in_a_folder_on_a_stick_or_in_a_zip_file(publish, box, tmp_path):
    stick = tmp_path / "usb"
    shutil.copytree(publish(6), stick / "sandyq-catalogue")
    assert Store(box).import_catalogue(find_bundle(stick))
    archive = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", publish(7)))
    assert Store(box).import_catalogue(find_bundle(archive))
    assert Store(box).catalogue.get("qwen3-4b")


def test_what_is_no_catalogue_is_refused_in_words(tmp_path, publish, box):
    empty = tmp_path / "empty"
    empty.mkdir()
    nonsense = tmp_path / "nonsense.zip"
    nonsense.write_bytes(b"PK\x03\x04 and no more")
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr(INDEX, b"\0" * (2 << 20))
        packed.writestr(SIGNATURE, "00")
    broken = Path(shutil.make_archive(str(tmp_path / "broken"), "zip", publish(9)))
    data = bytearray(broken.read_bytes())
    data[40:90] = bytes(50)
    broken.write_bytes(data)
    no_digits = publish(8)
    (no_digits / SIGNATURE).write_bytes(b"\xff\xfe")
    for path in (empty, nonsense, bomb, broken, no_digits):
        with pytest.raises((CatalogueUnreadable, CatalogueUntrusted)):
            Store(box).import_catalogue(find_bundle(path))


@pytest.mark.parametrize(
    "index",
    [
        b"[" * 100_000,
        b"[]",
        b'{"format": 2}',
        b'{"format": 1, "version": true, "date": "", "cards": {}}',
        b'{"format": 1, "version": 1, "date": "", "cards": []}',
        json.dumps({"format": 1, "version": 1, "date": "", "cards": {"../x": "ab" * 32}}).encode(),
        json.dumps({"format": 1, "version": 1, "date": "", "cards": {"x": 1}}).encode(),
    ],
)
def test_even_a_signed_list_must_make_sense(private_key, index):
    signature = models.signature.sign(index, private_key)
    with pytest.raises(CatalogueUnreadable):
        Bundle("here", index, signature, {}).open(public_half(private_key))


def test_when_nothing_can_be_believed_every_command_says_so(home, monkeypatch):
    monkeypatch.setattr(models.catalogue, "maintainers_key", lambda: public_half(os.urandom(32)))
    catalogue = Store(home).catalogue
    assert list(catalogue) == []
    with pytest.raises(CatalogueDamaged):
        catalogue.get(CARD)


def test_an_unknown_name_stays_unknown_beside_a_refused_card(publish):
    folder = publish(1)
    (folder / "qwen3-4b.toml").unlink()
    catalogue = read_bundle(folder, folder).open(models.catalogue.maintainers_key())
    with pytest.raises(ModelUnknown):
        catalogue.get("gpt-9")


def test_import_and_show_as_typed(terminal, publish, box):
    shown = json.loads(terminal.run("models", "catalogue", "show", "--json").output)
    assert shown == {
        "version": 5,
        "date": "2026-11-22",
        "models": [CARD],
        "origin": "shipped",
        "refused": [],
    }
    path = str(publish(6))
    taken = terminal.run("models", "catalogue", "import", path)
    assert taken.output.startswith("Catalogue of models, version 6 of 2026-11-22, models: 2\n")
    again = json.loads(terminal.run("models", "catalogue", "import", path, "--json").output)
    assert (again["version"], again["imported"]) == (6, False)
    assert "brought" in terminal.run("models", "catalogue", "show").output
    older = terminal.run("models", "catalogue", "import", str(publish(4)))
    assert older.exit_code == 1
    assert "version 4" in older.output
    assert terminal.run("models", "catalogue", "import", "/nowhere").exit_code == 2


def test_a_refused_card_is_told_and_stops_no_list(terminal, publish, box):
    Store(box).import_catalogue(find_bundle(publish(6)))
    (box / "models" / "current.json").write_text('{"name": "qwen3-4b"}')
    (box / "models" / "catalogues" / "6" / "qwen3-4b.toml").write_text("")
    listed = terminal.run("models", "list")
    assert listed.exit_code == 0
    assert CARD in listed.stdout
    assert "qwen3-4b is not the one that was signed" in listed.stderr
    shown = terminal.run("models", "catalogue", "show", "--json")
    assert shown.exit_code == 1
    assert '"code": "card_changed", "name": "qwen3-4b"' in shown.output
    with pytest.raises(CardChanged):
        Store(box).get_current()


# --- the maintainers' side ---


def test_a_key_that_others_can_read_signs_nothing(tmp_path, publish):
    key = tmp_path / "readable"
    key.write_text("11" * 32)
    key.chmod(0o640)
    folder = str(publish(1))
    words = ["--key", str(key), "--version", "2", folder]
    refused = CliRunner().invoke(sign_command, words)
    assert isinstance(refused.exception, SigningKeyUnusable)
    key.chmod(0o600)
    assert CliRunner().invoke(sign_command, words).output == "signed 2 cards as version 2\n"
    for content in ("11" * 31, "no digits"):
        key.write_text(content)
        with pytest.raises(SigningKeyUnusable):
            read_key(key)


def test_a_new_key_is_its_owners_alone_and_overwrites_none(tmp_path):
    path = tmp_path / "new"
    made = CliRunner().invoke(sign_command, ["--new-key", str(path)])
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.output == f'ed25519_public = "{public_half(read_key(path)).hex()}"\n'
    assert path.read_text().strip() not in made.output
    with pytest.raises(SigningKeyUnusable):
        write_new_key(path)


def test_a_faulty_card_is_not_signed(publish, private_key):
    folder = publish(1)
    (folder / "qwen3-4b.toml").write_text('name = "other"')
    before = (folder / INDEX).read_bytes()
    with pytest.raises(ModelsError):
        sign_folder(folder, private_key, 2, "2026-11-23")
    assert (folder / INDEX).read_bytes() == before


def test_a_catalogue_cut_off_anywhere_while_it_was_kept_leaves_the_old_one(publish, box, monkeypatch):
    Store(box).import_catalogue(find_bundle(publish(6)))
    newer = publish(7)
    for name in ("fsync", "fchmod"):
        with monkeypatch.context() as broken:
            broken.setattr(f"models.catalogue.os.{name}", _no_room)
            with pytest.raises(DiskFull):
                Store(box).import_catalogue(find_bundle(newer))
        catalogue = Store(box).catalogue
        assert (catalogue.index.version, catalogue.refused) == (6, ())
    assert Store(box).import_catalogue(find_bundle(newer))


def _no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_private_key_is_not_in_the_house():
    """Every run of 64 hexadecimal digits in the rooms is tried as the other half of the public key."""
    public = models.catalogue.maintainers_key()
    rooms = ("models", "provisioning", "docs", "tests/models")
    paths = [path for room in rooms for path in Path(room).rglob("*") if path.suffix not in (".pyc", ".webp")]
    texts = (path.read_text(errors="replace") for path in paths if path.is_file())
    found = {digits for text in texts for digits in re.findall(r"\b[0-9a-fA-F]{64}\b", text)}
    assert public.hex() in found
    assert not [digits for digits in found if public_half(bytes.fromhex(digits)) == public]
