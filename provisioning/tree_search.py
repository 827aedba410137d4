"""Search a built system for what must not be copied to two hundred boxes: keys, codes, tokens, build paths.

An image is public: whoever has a card has all of it. So it holds no private key, no password, no id of a
machine, no state of a box, and no name of the machine that built it. The search reads every byte of every
file; what it finds stops the build. Promises: only reads; names what it found and where, never the secret.
"""

import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

BLOCK_BYTES = 1 << 20
# The longest thing we look for must not hide on the border between two blocks.
OVERLAP_BYTES = 256

# What private keys and tokens look like wherever they lie: a few bytes that are quick to look for, and the
# shape that decides.
SECRET_SHAPES: dict[str, tuple[bytes, bytes]] = {
    "a private key": (
        b"PRIVATE KEY-----",
        rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----\s*[A-Za-z0-9+/=]{20}",
    ),
    # The name of no cipher at all, or of one, has four bytes of length before it.
    "a private key of ssh": (b"openssh-key-v1", rb"openssh-key-v1\x00\x00\x00\x00"),
    "an age identity": (b"AGE-SECRET-KEY-1", rb"AGE-SECRET-KEY-1[0-9A-Z]{20}"),
    "a token of GitHub": (b"gh", rb"\bgh[opsu]_[A-Za-z0-9]{30}"),
    "a token of GitLab": (b"glpat-", rb"\bglpat-[A-Za-z0-9_-]{20}"),
    "a folder of the build": (b"pip-req-build-", rb"pip-req-build-\w{8}"),
    "a key of a cloud": (b"AKIA", rb"\bAKIA[0-9A-Z]{16}\b"),
    # Not the word itself, as in examples of how such an address is written.
    "an address with a password": (
        b"@",
        rb"https?://[A-Za-z0-9._-]{1,40}:(?!(?:password|passwd|pass|pwd|secret)@)"
        rb"[^@/\s\"'<>{}$%()\[\]]{4,80}@[a-z0-9.-]+\.[a-z]{2,}",
    ),
}

BUILDER = "a name of the machine that built it"

# Published by their makers: examples in documentation and tests, and the keys with which a library tests
# itself.
PUBLIC_EXAMPLES = re.compile(
    r"^usr/lib/python3\.\d+/test/"
    r"|^usr/share/doc/"
    r"|^usr/lib/[^/]+/libgnutls\.so"
    r"|^opt/sandyq/venv/lib/python3\.\d+/site-packages/[^/]+/tests?/"
)

# Files that a box makes for itself and that no image has.
STATE_FILES = (
    "etc/ssh/ssh_host_*",
    "var/lib/sandyq/*",
    "var/lib/sandyq-machine/*",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "etc/NetworkManager/system-connections/*",
    "root/.*_history",
    "root/.ssh/*",
    "root/.config/*",
    "root/.netrc",
    "**/enrolment.json",
    "**/*.sqlite",
    "**/pip.conf",
)


@dataclass(frozen=True)
class Find:
    """Something that must not be in an image: what kind of thing, and in which file."""

    what: str
    path: str

    def __str__(self) -> str:
        return f"{self.what} in /{self.path}"


def search_tree(tree: Path, builder_words: Sequence[str]) -> list[Find]:
    """Return everything in the tree that must not be copied; `builder_words` name the building machine."""
    return [*_state_of_a_box(tree), *_passwords(tree), *_contents(tree, builder_words)]


def _state_of_a_box(tree: Path) -> Iterator[Find]:
    for pattern in STATE_FILES:
        for path in tree.glob(pattern):
            if path.is_file():
                yield Find("what only one box may have", path.relative_to(tree).as_posix())
    machine_id = tree / "etc/machine-id"
    if machine_id.exists() and machine_id.read_text().strip() not in ("", "uninitialized"):
        yield Find("the id of one machine", "etc/machine-id")


def _passwords(tree: Path) -> Iterator[Find]:
    shadow = tree / "etc/shadow"
    if not shadow.exists():
        return
    for line in shadow.read_text().splitlines():
        user, password, *_ = line.split(":")
        # Nothing between the colons is the worst of all: anybody comes in.
        if not password.startswith(("*", "!")):
            yield Find(f"a password of {user}", "etc/shadow")


def _contents(tree: Path, builder_words: Sequence[str]) -> Iterator[Find]:
    shapes = {what: (sign, re.compile(shape)) for what, (sign, shape) in SECRET_SHAPES.items()}
    names = [word.encode() for word in builder_words]
    for path in sorted(tree.rglob("*")):
        name = path.relative_to(tree).as_posix()
        if not stat.S_ISREG(path.lstat().st_mode) or PUBLIC_EXAMPLES.search(name):
            continue
        found: set[str] = set()
        for block in _blocks(path):
            found |= {what for what, (sign, shape) in shapes.items() if sign in block and shape.search(block)}
            if any(word in block for word in names):
                found.add(BUILDER)
        yield from (Find(what, name) for what in sorted(found))


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield the file's bytes in blocks that overlap."""
    tail = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            yield tail + block
            tail = block[-OVERLAP_BYTES:]
