"""The box's models: each file once, under its SHA-256, and a note which one is current.

Owns `models/` in the state folder: `blobs/<sha256>.gguf`, `current.json`, `pins.json` (digests of
first sight, for cards that ship none), `catalogues/<version>/` (brought ones), `incoming/`, `.lock`.
A file appears under its name only after every byte was verified and is safe on the disk; until then
it is a `.part` that the next pull continues. Nothing here loads a model.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from models.card import ModelCard, is_digest
from models.catalogue import Bundle, Catalogue, admit, keep, newest_catalogue, shipped_catalogue
from models.errors import (
    N_,
    CurrentUnreadable,
    DiskFull,
    ModelAbsent,
    ModelDamaged,
    ModelUnverified,
    NoCurrentModel,
    PullRunning,
    StoreUnwritable,
)
from models.fetch import Delivery, Progress, Source, read_blocks, silent
from models.notes import read_note, sync_folder, write_note
from models.verification import FirstSight, Verification, verify_blocks

MEGABYTE = 1_000_000
# The box's database and logs live on the same disk and must be able to go on.
SPARE_BYTES = 64 * MEGABYTE
FILE_MODE = 0o644  # a model is public; the engine may run as another account than the one that pulled


class Store:
    def __init__(self, home: Path, catalogue: Catalogue | None = None) -> None:
        self._folder = home / "models"
        self._blobs = self._folder / "blobs"
        self._current = self._folder / "current.json"
        self._pins = self._folder / "pins.json"
        self._catalogues = self._folder / "catalogues"
        self.catalogue = self._with_pins(catalogue or self._find_catalogue())

    # --- reading ---

    def _find_catalogue(self) -> Catalogue:
        return newest_catalogue(shipped_catalogue(), self._catalogues)

    def _with_pins(self, catalogue: Catalogue) -> Catalogue:
        """Digests noted at first sight; only where the card ships none, whatever the note says."""
        for name, pin in read_note(self._pins).items():
            card = catalogue.find(name)
            if card is None or not card.unverified or not isinstance(pin, dict):
                continue
            sha256, size = pin.get("sha256"), pin.get("bytes")
            if isinstance(sha256, str) and is_digest(sha256) and isinstance(size, int) and size > 0:
                catalogue = catalogue.with_card(replace(card, sha256=sha256, bytes=size))
        return catalogue

    def path_of(self, card: ModelCard) -> Path:
        return self._blobs / f"{card.sha256}.gguf"

    def holds(self, card: ModelCard) -> bool:
        """A quick look: the file is there in its full length. Only `verify` reads it."""
        try:
            return self.path_of(card).stat().st_size == card.bytes
        except FileNotFoundError:
            return False

    def verify(self, card: ModelCard, progress: Progress = silent) -> Path:
        """Read the whole file; return its path, or raise ModelAbsent or ModelDamaged."""
        path = self.path_of(card)
        try:
            with path.open("rb") as file:
                verify_blocks(card, _counted(read_blocks(file), N_("verifying"), 0, card.bytes, progress))
        except FileNotFoundError as error:
            raise ModelAbsent(name=card.name) from error
        except OSError as error:  # a dying card answers with EIO
            raise ModelDamaged(name=card.name, detail=error.strerror or str(error)) from error
        return path

    def chosen_name(self) -> str | None:
        try:
            name: str = json.loads(self._current.read_text(encoding="utf-8"))["name"]
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise CurrentUnreadable(path=self._current) from error
        return name

    def current(self) -> ModelCard | None:
        """The chosen model, or None when none was chosen yet. The file itself may still be missing."""
        name = self.chosen_name()
        return None if name is None else self.catalogue.get(name)

    def find_current(self) -> ModelCard | None:
        """The same for who only looks: None also when its card is refused now."""
        return self.catalogue.find(self.chosen_name() or "")

    def get_current(self) -> ModelCard:
        """The chosen model with its file in place, or an error that says what to do."""
        card = self.current()
        if card is None:
            raise NoCurrentModel
        if not self.path_of(card).exists():
            raise ModelAbsent(name=card.name)
        if not self.holds(card):
            raise ModelDamaged(name=card.name, detail="its length is not the one on the card")
        return card

    def _part_of(self, card: ModelCard) -> Path:
        return self._blobs / f"{card.sha256}.gguf.part"

    # --- writing ---

    def use(self, card: ModelCard) -> None:
        """Make the model current; it must be here in full."""
        if not self.path_of(card).exists():
            raise ModelAbsent(name=card.name)
        self.verify(card)
        note = json.dumps({"name": card.name, "sha256": card.sha256}) + "\n"
        with self._write_errors():
            part = self._current.with_suffix(".json.part")
            with part.open("w", encoding="utf-8") as file:
                file.write(note)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._current)
            sync_folder(self._folder)

    def import_catalogue(self, bundle: Bundle) -> bool:
        """Keep a catalogue that was brought, once all of it is verified. False when it is here already."""
        with self._write_errors():
            self._catalogues.mkdir(parents=True, exist_ok=True)
        with self._lock():
            fresh = admit(bundle, self._find_catalogue())
            if fresh:
                with self._write_errors():
                    keep(bundle, self._catalogues)
                    sync_folder(self._catalogues)
        self.catalogue = self._with_pins(self._find_catalogue())
        return fresh

    def receive(self, card: ModelCard, source: Source, progress: Progress = silent) -> bool:
        """Fetch the file unless a good one is here. True when bytes were fetched."""
        if not card.sha256:
            raise ModelUnverified(name=card.name)
        with self._write_errors():
            self._blobs.mkdir(parents=True, exist_ok=True)
        with self._lock():
            if self._is_good(card, progress):
                return False
            self._check_room(card, source)
            continued = self._part_of(card).exists()
            try:
                self._receive_part(card, source, progress)
            except ModelDamaged:
                # A continued part may have been damaged before (a power cut leaves blocks of zeros):
                # it is gone now, so one fresh start can still succeed.
                if not continued:
                    raise
                self._receive_part(card, source, progress)
        return True

    def receive_unverified(self, card: ModelCard, source: Source, progress: Progress = silent) -> ModelCard:
        """Take a file that nobody vouches for; return the card with its digest, demanded from now on.

        Always from the first byte: parts of two different files would make a third that is neither.
        """
        with self._write_errors():
            self._blobs.mkdir(parents=True, exist_ok=True)
        with self._lock():
            part = self._blobs / f"{card.name}.unverified.part"
            part.unlink(missing_ok=True)
            self._check_room(card, source)
            sight = FirstSight(card)
            try:
                with self._workspace() as workspace, self._write_errors(), part.open("wb") as file:
                    delivery = source.deliver(0, workspace, progress)
                    for block in _counted(delivery.blocks, N_("copying"), 0, card.about_bytes, progress):
                        sight.update(block)
                        file.write(block)
                    seen = sight.finish()
                    file.flush()
                    os.fsync(file.fileno())
                    os.fchmod(file.fileno(), FILE_MODE)
                with self._write_errors():
                    part.replace(self.path_of(seen))
                    sync_folder(self._blobs)
                    # After the file: a digest is never noted for bytes that are not here.
                    write_note(self._pins, read_note(self._pins) | {card.name: _pin(seen)})
            finally:
                part.unlink(missing_ok=True)
        if card.sha256 and card.sha256 != seen.sha256:
            self.path_of(card).unlink(missing_ok=True)
        self.catalogue = self.catalogue.with_card(seen)
        return seen

    def _is_good(self, card: ModelCard, progress: Progress) -> bool:
        try:
            path = self.verify(card, progress)
        except ModelAbsent:
            return False
        except ModelDamaged:
            self.path_of(card).unlink(missing_ok=True)
            return False
        _make_readable(path)
        return True

    def _receive_part(self, card: ModelCard, source: Source, progress: Progress) -> None:
        part = self._part_of(card)
        offset = part.stat().st_size if part.exists() else 0
        if offset > card.bytes:
            part.unlink()
            offset = 0
        with self._workspace() as workspace:
            if offset == card.bytes:  # cut off between the last byte and the new name
                delivery = Delivery(offset, iter(()))
            else:
                delivery = source.deliver(offset, workspace, progress)
            try:
                self._write_part(card, part, delivery, progress)
            except ModelDamaged:
                part.unlink(missing_ok=True)
                raise
        with self._write_errors():
            part.replace(self.path_of(card))
            sync_folder(self._blobs)

    def _write_part(self, card: ModelCard, part: Path, delivery: Delivery, progress: Progress) -> None:
        verification = Verification(card)
        with self._write_errors(), part.open("r+b" if delivery.start else "wb") as file:
            for block in read_blocks(file) if delivery.start else ():
                verification.update(block)
            file.seek(delivery.start)
            blocks = _counted(delivery.blocks, N_("copying"), delivery.start, card.bytes, progress)
            try:
                for block in blocks:
                    verification.update(block)
                    file.write(block)
            finally:  # also when the link broke: what came is worth keeping
                file.flush()
                os.fsync(file.fileno())
            verification.finish()
            os.fchmod(file.fileno(), FILE_MODE)

    # --- disk manners ---

    def _check_room(self, card: ModelCard, source: Source) -> None:
        part = self._part_of(card)
        here = part.stat().st_size if part.exists() else 0
        size = card.bytes or card.about_bytes
        needed = size - min(here, size) + source.extra_bytes + SPARE_BYTES
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise DiskFull(needed_mb=needed // MEGABYTE + 1, free_mb=free // MEGABYTE)

    @contextmanager
    def _workspace(self) -> Iterator[Path]:
        folder = self._folder / "incoming"
        shutil.rmtree(folder, ignore_errors=True)  # left over from a killed pull
        with self._write_errors():
            folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with self._write_errors():
            lock = (self._folder / ".lock").open("w")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise PullRunning from error
            yield

    @contextmanager
    def _write_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                free = shutil.disk_usage(self._folder).free
                raise DiskFull(needed_mb=SPARE_BYTES // MEGABYTE, free_mb=free // MEGABYTE) from error
            raise StoreUnwritable(path=self._folder, detail=error.strerror or str(error)) from error


def _counted(
    blocks: Iterator[bytes], what: str, start: int, total: int, progress: Progress
) -> Iterator[bytes]:
    done = start
    for block in blocks:
        yield block
        done += len(block)
        progress(what, done, max(done, total))


def _pin(card: ModelCard) -> dict[str, object]:
    return {"sha256": card.sha256, "bytes": card.bytes}


def _make_readable(path: Path) -> None:
    if path.stat().st_mode & 0o777 != FILE_MODE:
        path.chmod(FILE_MODE)
