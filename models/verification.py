"""Is this stream of bytes the file the card promises, and is this the catalogue that was signed?

Bytes come in, the answer goes out. Nothing of a model is used before `finish` agreed. Where the
card knows no digest, `FirstSight` tells the one that was seen, so that it can be demanded from then on.
"""

import hashlib
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace

from models.card import ModelCard
from models.errors import ModelDamaged

_MAGIC = b"GGUF"
# A signature takes milliseconds; starting Python from a slow card takes most of this.
CHILD_SECONDS = 60.0


class Verification:
    """Counts and hashes bytes as they pass."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._digest = hashlib.sha256()
        self.bytes_seen = 0

    def update(self, block: bytes) -> None:
        self.bytes_seen += len(block)
        if self.bytes_seen > self._card.bytes:
            # Stop at once: a source that never ends must not fill the disk.
            raise ModelDamaged(name=self._card.name, detail="it is longer than the card says")
        self._digest.update(block)

    def finish(self) -> None:
        """Raise ModelDamaged unless exactly the promised bytes have passed."""
        if self.bytes_seen < self._card.bytes:
            detail = f"only {self.bytes_seen} of {self._card.bytes} bytes are there"
            raise ModelDamaged(name=self._card.name, detail=detail)
        if self._digest.hexdigest() != self._card.sha256:
            raise ModelDamaged(name=self._card.name, detail="its SHA-256 is not the one on the card")


class FirstSight:
    """Looks at a file nobody can vouch for: is it at least a model, and which digest has it?"""

    def __init__(self, card: ModelCard) -> None:
        self._card = card
        self._digest = hashlib.sha256()
        self._head = b""
        self.bytes_seen = 0

    def update(self, block: bytes) -> None:
        if self.bytes_seen < len(_MAGIC):
            self._head += block[: len(_MAGIC)]
        self.bytes_seen += len(block)
        self._digest.update(block)
        if not self._head.startswith(_MAGIC[: len(self._head)]):
            raise ModelDamaged(name=self._card.name, detail="it is not a GGUF file")

    def finish(self) -> ModelCard:
        """Return the card with what was seen noted on it."""
        if self.bytes_seen <= len(_MAGIC):
            raise ModelDamaged(name=self._card.name, detail="it is empty")
        return replace(self._card, sha256=self._digest.hexdigest(), bytes=self.bytes_seen)


def verify_blocks(card: ModelCard, blocks: Iterable[bytes]) -> None:
    verification = Verification(card)
    for block in blocks:
        verification.update(block)
    verification.finish()


def is_signed(index: bytes, signature: bytes, public_key: bytes) -> bool:
    """Whether the holder of the key's other half signed this list of cards.

    Asked of a process of its own: the library for it takes 7 MB, and the engine, which asks once, stays up
    for a whole term. Whatever else happens to that process is a no.
    """
    command = [sys.executable, "-m", "models.signature"]
    asked = public_key + signature + index
    try:
        done = subprocess.run(command, input=asked, capture_output=True, timeout=CHILD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
