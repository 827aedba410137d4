"""Build an image for a kind of machine: the order of the work, from Debian's archive to a packed file.

Promises: asks nothing; nothing outside the output folder is changed; what appears there is whole and was
searched for secrets first; the same sources, package versions and model give the same tree
(`SOURCE_DATE_EPOCH`, by default the date of the commit). Keeps out: how each step is done.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from models.card import ModelCard
from models.fetch import LocalFile, choose_source
from models.store import Store
from provisioning.boards import Board
from provisioning.errors import NoRoomToBuild, RightsMissing, SecretInImage
from provisioning.image_disk import make_disk
from provisioning.image_files import (
    bmap_text,
    file_digest,
    find_ranges,
    imager_list,
    sums_text,
)
from provisioning.image_product import REPOSITORY, SITE, install_product
from provisioning.image_system import make_system, require_archives
from provisioning.layouts import layout_for
from provisioning.programs import Workshop, require_programs
from provisioning.progress import Progress
from provisioning.sbom import Part, debian_parts, python_part, sbom_text
from provisioning.tree_digest import date_no_later_than, tree_digest
from provisioning.tree_search import search_tree

PROGRAMS = ("mmdebstrap", "unshare", "sfdisk", "mke2fs", "mkfs.vfat", "mcopy", "zstd", "chroot", "g++")

# A tree of 1 GB, its parts, the raw image and the packed one.
NEEDED_MB = 6000
MEGABYTE = 1_000_000

# zstd: 9 packs as small as 19 within 5 %, in a tenth of the time.
PACK_LEVEL = "-9"

# Where a box says what it was made of; not part of what its digest counts.
RELEASE_FILE = Path("usr/lib/sandyq/image.json")

# Names shorter than this stand in any file by chance.
MIN_BUILDER_WORD = 8

STEPS = 7


@dataclass(frozen=True)
class BuiltImage:
    """What a build made, for people and programs."""

    board: str
    version: str
    tree_sha256: str
    image: str
    image_bytes: int
    packed_bytes: int
    model: str
    files: tuple[str, ...]
    seconds: int


def build_image(board: Board, output: Path, model: str, progress: Progress) -> BuiltImage:
    """Build the image of a board and put it, with all that goes with it, into the folder `output`."""
    require_builder(output)
    require_archives(board, output / "build.log")
    started = datetime.now(UTC)
    with _workshop(output) as workshop:
        tree, home = workshop.folder / "root", workshop.folder / "home"
        with progress.step(f"Debian for {board.title}"):
            make_system(tree, board, workshop)
        with progress.step("Sandyq, its libraries and its engine"):
            install_product(tree, board, workshop)
        with progress.step(f"The model {model}"):
            card = put_model(home, model)
        with progress.step("Dates, digest and a search for secrets"):
            digest = finish_tree(tree, board, workshop)
        layout = layout_for(board.name)
        image = workshop.folder / f"{image_name(board)}.img"
        with progress.step("Partitions and file systems"):
            make_disk(tree, home, board, layout, image, workshop)
        with progress.step("Packing, map and digests"):
            files = pack(tree, board, card, image, workshop)
        with progress.step(f"Moving to {output}"):
            moved = _move(files, output)
        seconds = int((datetime.now(UTC) - started).total_seconds())
        packed = next(path for path in moved if path.name.endswith(".img.zst"))
        return BuiltImage(
            board=board.name,
            version=metadata.version("sandyq"),
            tree_sha256=digest,
            image=str(packed),
            image_bytes=layout.size_bytes,
            packed_bytes=packed.stat().st_size,
            model=card.name,
            files=tuple(str(path) for path in moved),
            seconds=seconds,
        )


def require_builder(output: Path) -> None:
    """Raise before hours of work what would only fail at their end."""
    require_programs(PROGRAMS)
    if os.geteuid() != 0:
        raise RightsMissing
    output.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(output).free // MEGABYTE
    if free < NEEDED_MB:
        raise NoRoomToBuild(path=output, free=free, needed=NEEDED_MB)


@contextmanager
def _workshop(output: Path) -> Iterator[Workshop]:
    # Beside the output, so that the last step is a rename; gone afterwards, also after a failure. The log
    # stays.
    with tempfile.TemporaryDirectory(prefix=".sandyq-image-", dir=output) as folder:
        workshop = Workshop(Path(folder), epoch_of_sources(), log=output / "build.log")
        workshop.log.unlink(missing_ok=True)
        yield workshop


def epoch_of_sources() -> int:
    """Return the moment that files are dated by: given, or that of the commit the image is built from."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    command = ["git", "-C", str(REPOSITORY), "-c", "safe.directory=*", "log", "-1", "--format=%ct"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    # Sources without a history (an archive of a release) are dated by their version file.
    return int(done.stdout or (REPOSITORY / "pyproject.toml").stat().st_mtime)


def image_name(board: Board) -> str:
    """Return the name all files of this build begin with."""
    return f"sandyq-{metadata.version('sandyq')}-{board.name}"


def put_model(home: Path, name: str) -> ModelCard:
    """Put the model where the box looks for it, verified; from this machine if it has it."""
    own = Store(Path(os.environ.get("SANDYQ_HOME") or Path.home() / ".local/share/sandyq"))
    store = Store(home)
    card = store.catalogue.get(name)
    source = LocalFile(own.path_of(card)) if own.holds(card) else choose_source(card, None)
    store.receive(card, source)
    store.use(card)
    for leftover in (home / "models").glob(".*"):
        leftover.unlink()
    return card


def finish_tree(tree: Path, board: Board, workshop: Workshop) -> str:
    """Date and name the tree, refuse it if anything in it must not be copied; return its digest."""
    date_no_later_than(tree, workshop.epoch)
    digest = tree_digest(tree)
    about = {"board": board.name, "version": metadata.version("sandyq"), "tree": f"sha256:{digest}"}
    (tree / RELEASE_FILE).write_text(json.dumps(about) + "\n")
    date_no_later_than(tree, workshop.epoch)
    found = search_tree(tree, builder_words(workshop))
    if found:
        raise SecretInImage(found=", ".join(str(find) for find in found[:5]))
    return digest


def builder_words(workshop: Workshop) -> list[str]:
    """Return the folders of this machine that no file of the image may name."""
    folders = [str(REPOSITORY), str(workshop.folder), str(Path.home())]
    return [name for name in folders if len(name) >= MIN_BUILDER_WORD]


def pack(tree: Path, board: Board, card: ModelCard, image: Path, workshop: Workshop) -> list[Path]:
    """Pack the image and write down what it holds; return the files that go out."""
    folder, name = workshop.folder / "out", image.name
    folder.mkdir(exist_ok=True)
    packed = folder / f"{name}.zst"
    workshop.run("zstd", "-q", "-f", PACK_LEVEL, "-T0", image, "-o", packed)
    date = datetime.fromtimestamp(workshop.epoch, UTC)
    texts = {
        f"{name}.bmap": bmap_text(image.stat().st_size, find_ranges(image)),
        f"{name}.cdx.json": _sbom(tree, board, card, f"{date:%Y-%m-%dT%H:%M:%SZ}"),
        f"{image_name(board)}.rpi-imager-manifest": imager_list(
            name=f"Sandyq, {board.title}",
            version=metadata.version("sandyq"),
            board=board.name,
            packed=packed,
            image_bytes=image.stat().st_size,
            image_sha256=file_digest(image),
            date=f"{date:%Y-%m-%d}",
        ),
    }
    for file_name, text in texts.items():
        (folder / file_name).write_text(text, "utf-8")
    digests = {path.name: file_digest(path) for path in folder.iterdir()} | {name: file_digest(image)}
    (folder / f"{name}.sha256").write_text(sums_text(digests))
    return sorted(folder.iterdir())


def _sbom(tree: Path, board: Board, card: ModelCard, date: str) -> str:
    status = (tree / "var/lib/dpkg/status").read_text("utf-8")
    parts = debian_parts(status, board.architecture)
    for notes in sorted((tree / SITE).glob("*.dist-info/METADATA")):
        parts.append(python_part(re.split(r"\n\n", notes.read_text("utf-8"), maxsplit=1)[0]))
    purl = f"pkg:generic/{card.name}@{card.sha256[:12]}?download=sha256:{card.sha256}"
    parts.append(Part("machine-learning-model", card.name, "1", purl, card.licence, card.sha256))
    return sbom_text(f"Sandyq {board.title}", metadata.version("sandyq"), date, parts)


def _move(files: list[Path], output: Path) -> list[Path]:
    """Put the finished files into the folder; the digests last, so that who sees them sees all."""
    moved = []
    for path in sorted(files, key=lambda p: p.suffix == ".sha256"):
        target = output / path.name
        path.replace(target)
        moved.append(target)
    return moved
