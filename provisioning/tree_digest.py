"""Say in one number what a folder holds, so that two builds of the same sources can be compared.

Counts names, kinds, rights, owners, dates, contents and where links lead: all that ends up on a card. The
order in which a disk lists names does not count. Promises: only reads.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path


def tree_digest(tree: Path) -> str:
    """Return the digest of everything below `tree`."""
    whole = hashlib.sha256()
    for line in tree_lines(tree):
        whole.update(line.encode("utf-8", "surrogateescape") + b"\n")
    return whole.hexdigest()


def tree_lines(tree: Path) -> Iterator[str]:
    """Yield a line for each thing in the tree, sorted: two lists of lines show what differs."""
    for path in sorted(_walk(tree)):
        facts = path.lstat()
        kind = stat.S_IFMT(facts.st_mode)
        shown = "." if path == tree else os.fspath(path.relative_to(tree))
        what = ""
        if kind == stat.S_IFREG:
            what = _digest_of(path)
        elif kind == stat.S_IFLNK:
            what = os.fspath(path.readlink())
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            what = str(facts.st_rdev)
        date = "" if kind == stat.S_IFDIR and path == tree else str(facts.st_mtime_ns)
        yield f"{shown}\t{facts.st_mode:o}\t{facts.st_uid}:{facts.st_gid}\t{date}\t{what}"


def date_no_later_than(tree: Path, epoch: int) -> None:
    """Give what was made during the build one date; what packages brought keeps its own."""
    limit = epoch * 1_000_000_000
    for path in _walk(tree):
        facts = path.lstat()
        if facts.st_mtime_ns > limit:
            os.utime(path, ns=(limit, limit), follow_symlinks=False)


def _walk(tree: Path) -> Iterator[Path]:
    yield tree
    for folder, folders, files in os.walk(tree):
        for name in (*folders, *files):
            yield Path(folder, name)


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
