"""What goes with an image, and what is refused as an image: bad files never reach two hundred cards."""

import hashlib
import json
import random
import re
import subprocess
from pathlib import Path

import pytest

from provisioning import image, image_verify, sbom
from provisioning.boards import BOARDS, PC
from provisioning.errors import (
    BuildStepFailed,
    ImageRefused,
    NoRoomToBuild,
    ProgramsMissing,
    RightsMissing,
    SecretInImage,
)
from provisioning.image_engine import keep_variants, without_pip_folder
from provisioning.image_files import BLOCK_BYTES, bmap_text, find_ranges, imager_list
from provisioning.image_product import install_units, library_requirements
from provisioning.image_verify import verify_image
from provisioning.layouts import Sizes, layout_for, sfdisk_script
from provisioning.programs import Workshop
from provisioning.tree_digest import date_no_later_than, tree_digest
from provisioning.tree_search import BUILDER, search_tree
from tests.provisioning.appliance_tree import missing_tools

SMALL = Sizes(settings=2, root=4, data=4)


@pytest.fixture
def blank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image with the right table, of the right size, and nothing in it; a small one, read in no time."""
    if missing_tools("sfdisk", "zstd"):
        pytest.fail("sfdisk or zstd is missing: run `make test`, which installs them")
    monkeypatch.setattr(image_verify, "layout_for", lambda board: layout_for(board, SMALL))
    layout = layout_for("pc", SMALL)
    path = tmp_path / "sandyq-pc.img"
    with path.open("wb") as file:
        file.truncate(layout.size_bytes)
    Workshop(tmp_path, 0, tmp_path / "log").run("sfdisk", "--quiet", path, typed=sfdisk_script(layout))
    return path


# --- Is this file an image ---


def test_a_whole_image_is_known_by_its_table(blank: Path) -> None:
    found = verify_image(blank)
    assert (found.board, found.image_bytes, found.compared) == ("pc", blank.stat().st_size, False)


def test_an_image_cut_short_by_a_full_stick_is_refused(blank: Path) -> None:
    with blank.open("r+b") as file:
        file.truncate(blank.stat().st_size - 4096)
    with pytest.raises(ImageRefused, match="bytes instead of"):
        verify_image(blank)


def test_a_foreign_image_is_refused(tmp_path: Path) -> None:
    foreign = tmp_path / "other.img"
    foreign.write_bytes(random.Random(1).randbytes(100_000))
    with pytest.raises(ImageRefused, match="partition table"):
        verify_image(foreign)


def test_an_image_changed_in_one_byte_is_refused(blank: Path) -> None:
    sums = blank.with_name(blank.name + ".sha256")
    with blank.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    sums.write_text(f"{digest}  {blank.name}\n")
    assert verify_image(blank).compared
    with blank.open("r+b") as file:
        file.seek(5_000_000)
        file.write(b"x")
    with pytest.raises(ImageRefused, match="SHA-256"):
        verify_image(blank)


def test_a_packed_image_is_read_whole_and_one_cut_short_is_refused(blank: Path) -> None:
    packed = blank.with_name(blank.name + ".zst")
    subprocess.run(["zstd", "-q", "-1", str(blank), "-o", str(packed)], check=True)
    assert verify_image(packed).board == "pc"
    packed.write_bytes(packed.read_bytes()[:-40])
    with pytest.raises(ImageRefused):
        verify_image(packed)


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageRefused, match="no such file"):
        verify_image(tmp_path / "nothing.img")


# --- Before the work begins ---


def test_a_full_disk_is_noticed_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "PROGRAMS", ("sh",))
    monkeypatch.setattr(image, "NEEDED_MB", 10**9)
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(NoRoomToBuild, match="MB free"):
        image.require_builder(tmp_path / "out")


def test_a_missing_tool_and_missing_rights_are_said_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "PROGRAMS", ("sh", "no-such-tool"))
    with pytest.raises(ProgramsMissing, match="no-such-tool"):
        image.require_builder(tmp_path)
    monkeypatch.setattr(image, "PROGRAMS", ("sh",))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(RightsMissing):
        image.require_builder(tmp_path)


def test_a_unit_that_belongs_nowhere_stops_the_build(tmp_path: Path) -> None:
    (tmp_path / "systemd").mkdir()
    (tmp_path / "systemd/sandyq-new.unknown").write_text("")
    with pytest.raises(BuildStepFailed, match=r"sandyq-new\.unknown"):
        install_units(tmp_path / "root", tmp_path / "systemd")


def test_every_file_of_systemd_has_its_place(tmp_path: Path) -> None:
    install_units(tmp_path)
    assert (tmp_path / "usr/lib/systemd/system/sandyq-web.service").is_file()
    assert (tmp_path / "usr/lib/sysusers.d/sandyq.conf").is_file()
    assert (tmp_path / "usr/lib/udev/rules.d/90-sandyq-stick.rules").is_file()
    assert (tmp_path / "usr/lib/systemd/system/sandyq-.service.d/10-hardening.conf").is_file()


def test_the_libraries_are_those_of_the_project_and_its_engine_but_not_the_engine() -> None:
    found = library_requirements()
    assert any(r.startswith("flask") for r in found)
    assert any(r.startswith("nh3") for r in found)
    assert any(r.startswith("diskcache") for r in found)
    assert not any(r.startswith("llama") or "extra" in r for r in found)


def test_only_the_wanted_processors_stay_in_the_list_of_variants() -> None:
    text = (
        "        ggml_add_cpu_backend_variant(x64)\n"
        "        ggml_add_cpu_backend_variant(haswell            SSE42 AVX)\n"
        "        ggml_add_cpu_backend_variant(zen4     AVX512)\n"
    )
    left, kept = keep_variants(text, ("haswell", "alderlake"))
    assert kept == ["haswell"]
    assert left == "        ggml_add_cpu_backend_variant(haswell            SSE42 AVX)\n"


def test_the_folder_in_which_pip_compiled_is_blanked_and_nothing_moves() -> None:
    library = b"\x7fELF\0/var/tmp/pip-req-build-d4h5zdi_/vendor/llama.cpp/src/llama.cpp\0after"
    blanked = without_pip_folder(library)
    assert b"pip-req-build" not in blanked
    assert len(blanked) == len(library)
    assert blanked.endswith(b"/vendor/llama.cpp/src/llama.cpp\0after")


# --- Map, list, parts ---


def test_the_map_names_exactly_the_blocks_that_hold_something(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(50 * BLOCK_BYTES)
        file.seek(10 * BLOCK_BYTES)
        file.write(b"a" * BLOCK_BYTES * 2)
        file.seek(40 * BLOCK_BYTES + 7)
        file.write(b"b")
    ranges = find_ranges(path)
    assert [(r.first, r.last) for r in ranges] == [(10, 11), (40, 40)]
    assert ranges[0].sha256 == hashlib.sha256(b"a" * BLOCK_BYTES * 2).hexdigest()
    text = bmap_text(path.stat().st_size, ranges)
    found = re.search(r"<BmapFileChecksum> (\w{64}) ", text)
    assert found
    assert hashlib.sha256(text.replace(found[1], "0" * 64).encode()).hexdigest() == found[1]
    assert "<MappedBlocksCount> 3 <" in text


def test_the_imager_reads_sizes_and_digests_of_packed_and_unpacked(tmp_path: Path) -> None:
    packed = tmp_path / "sandyq.img.zst"
    packed.write_bytes(b"packed")
    text = imager_list(
        name="Sandyq",
        version="1",
        board="rpi",
        packed=packed,
        image_bytes=7,
        image_sha256="ab",
        date="2026-11-22",
    )
    entry = json.loads(text)["os_list"][0]
    assert entry["image_download_size"] == 6
    assert (entry["extract_size"], entry["extract_sha256"]) == (7, "ab")
    assert entry["devices"] == ["pi5-64bit", "pi4-64bit"]
    assert entry["init_format"] == "none"


def test_the_list_of_parts_names_debian_packages_libraries_and_model() -> None:
    status = (
        "Package: zstd\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.5.7\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n"
    )
    parts = [
        *sbom.debian_parts(status, "amd64"),
        sbom.python_part(
            "Metadata-Version: 2.4\nName: Flask\nVersion: 3.1\nLicense-Expression: BSD-3-Clause\n"
        ),
        sbom.Part("machine-learning-model", "smollm2", "1", "pkg:generic/smollm2@1", "Apache-2.0", "ab" * 32),
    ]
    document = json.loads(sbom.sbom_text("Sandyq", "1", "2026-11-22T00:00:00Z", parts))
    names = [c["name"] for c in document["components"]]
    assert sorted(names) == ["Flask", "smollm2", "zstd"]
    assert document["specVersion"] == "1.5"
    assert sbom.sbom_text("S", "1", "d", parts) == sbom.sbom_text("S", "1", "d", parts[::-1])


# --- The same, and nothing secret ---


def test_a_tree_has_the_same_digest_whatever_the_order_it_was_made_in(tmp_path: Path) -> None:
    for folder, names in (("one", "abc"), ("two", "cab")):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text(name)
            (tmp_path / folder / name).chmod(0o644)
        (tmp_path / folder).chmod(0o755)
        date_no_later_than(tmp_path / folder, 1_700_000_000)
    one, two = tmp_path / "one", tmp_path / "two"
    assert tree_digest(one) == tree_digest(two)
    (two / "a").chmod(0o755)
    assert tree_digest(one) != tree_digest(two)


SECRETS = {
    "a private key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAA\n",
    "an age identity": "AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQ",
    "a token of GitHub": "token = ghp_" + "a1B2" * 9,
    "an address with a password": "index = https://dana:Tr0ub4dor@packages.example.org/simple",
    BUILDER: "built in /home/builder/sandyq/models",
}


@pytest.mark.parametrize("what", SECRETS)
def test_each_kind_of_secret_is_found_also_in_the_middle_of_a_large_file(tmp_path: Path, what: str) -> None:
    file = tmp_path / "usr/lib/something"
    file.parent.mkdir(parents=True)
    # Across the border between two blocks that are read.
    file.write_bytes(b"\n" * ((1 << 20) - 20) + SECRETS[what].encode() + b"\n" * 1000)
    found = search_tree(tmp_path, ["/home/builder/sandyq"])
    assert {find.what for find in found} == {what}
    assert SECRETS[what][20:] not in str(found)


def test_what_only_one_box_may_have_is_found(tmp_path: Path) -> None:
    for name, text in (
        ("etc/shadow", "root:$y$j9T$abc:1::\nnobody::1::\nsandyq:!*:1::\n"),
        ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ("etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA\n"),
        ("var/lib/sandyq/box.json", "{}"),
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = [str(find) for find in search_tree(tmp_path, [])]
    assert len(found) == 5
    assert any("a password of root" in f for f in found)
    assert any("a password of nobody" in f for f in found)


def test_a_secret_stops_the_build_before_anything_is_written(tmp_path: Path) -> None:
    tree = tmp_path / "root"
    (tree / "usr/lib/sandyq").mkdir(parents=True)
    (tree / "etc").mkdir()
    (tree / "etc/key").write_text(SECRETS["a private key"])
    with pytest.raises(SecretInImage, match="a private key in /etc/key"):
        image.finish_tree(tree, PC, Workshop(tmp_path, 1_700_000_000, tmp_path / "log"))


def test_all_boards_are_offered() -> None:
    assert set(BOARDS) == {"pc", "rpi", "vm"}
