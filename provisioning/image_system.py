"""Make the Debian system of an image as a folder: packages, nothing of this project yet.

Promises: the same packages, the same folder, byte for byte (`SOURCE_DATE_EPOCH`); nothing of the machine that
builds, and no key, is left in it; no loop device, no mount, no container. Keeps out: the product, partitions.
"""

import http
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import urllib3

from provisioning.boards import Board
from provisioning.errors import ArchiveUnreachable, BuildStepFailed
from provisioning.packages import BOX_GROUPS, packages_of
from provisioning.programs import Workshop

SUITE = "trixie"
COMPONENTS = "main,non-free-firmware"
PUBLIC_MIRROR = "http://deb.debian.org/debian"
PUBLIC_SECURITY = "http://deb.debian.org/debian-security"

PACKAGE_LIST = Path(__file__).with_name("debian-packages.txt")

# A slow line answers within this; a closed one does not hold up the message.
REACH_SECONDS = 20.0

# Manuals and other languages of Debian's own tools: 60 MB that nobody reads at a box. Licences stay.
LEFT_OUT = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
)

# What a package made on the machine that builds, and every box must make for itself or not have at all.
OF_THE_BUILDER = (
    "etc/hostname",
    "etc/resolv.conf",
    "etc/ssh/ssh_host_*",
    "etc/.pwd.lock",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/apt/lists/*",
    "var/cache/apt/*",
    "var/cache/debconf/*-old",
    "var/cache/ldconfig/aux-cache",
    "var/log/*",
    "etc/*-",  # passwd-, group-, shadow-: each the file before its last change
    "boot/*.old",
    "run/*",
    "tmp/*",
)

# cp is 30 s quicker with few big blocks; a start is 2 s quicker with zstd than with gzip.
INITRAMFS = "MODULES=most\nCOMPRESS=zstd\nCOMPRESSLEVEL=3\n"


def make_system(tree: Path, board: Board, workshop: Workshop) -> None:
    """Put a whole Debian system into `tree`, which must not exist yet."""
    packages = packages_of(PACKAGE_LIST.read_text("utf-8"), (*BOX_GROUPS, *board.package_groups))
    try:
        workshop.run(*_mmdebstrap(tree, board, packages))
    except BuildStepFailed as failure:
        _explain(failure, board, workshop)
        raise
    forget_builder(tree)


def require_archives(board: Board, log: Path) -> None:
    """Raise before the work when an archive beside Debian's does not answer, or its key is not here."""
    for source in board.more_sources:
        _, address, suite, *_ = re.sub(r"\[.*?\] ", "", source).split()
        reason = _why_not(f"{address}/dists/{suite}/InRelease") or _why_no_key(source)
        if reason:
            log.write_text(f"{source}: {reason}\n")
            raise ArchiveUnreachable(archive=f"{address} ({reason})", board=board.name, log=log)


def _why_not(address: str) -> str:
    try:
        timeout = urllib3.Timeout(connect=REACH_SECONDS, read=REACH_SECONDS)
        status = urllib3.PoolManager().request("GET", address, timeout=timeout, retries=False).status
    except urllib3.exceptions.HTTPError as error:
        return type(error).__name__
    return "" if status == http.HTTPStatus.OK else f"HTTP {status}"


def _why_no_key(source: str) -> str:
    key = re.search(r"signed-by=([^\] ]+)", source)
    return f"its key {key[1]} is missing" if key and not Path(key[1]).exists() else ""


def _mmdebstrap(tree: Path, board: Board, packages: Sequence[str]) -> list[str]:
    # In a mount namespace of its own: mmdebstrap mounts this machine's /proc, /sys and parts of /dev in the
    # tree, and a build that is interrupted must not leave them where the next step removes the tree.
    command = ["unshare", "--mount", "mmdebstrap", "--mode=root", "--variant=minbase", "--format=directory"]
    command += [f"--architectures={board.architecture}", f"--include={','.join(packages)}"]
    command += ["--aptopt=APT::Install-Recommends false", "--aptopt=Acquire::Languages none"]
    command += ["--aptopt=Acquire::Retries 3"]
    command += [f"--dpkgopt={rule}" for rule in LEFT_OUT]
    # Before the kernel is installed, so that its first steps are packed once and rightly.
    folder = '"$1/etc/initramfs-tools/conf.d"'
    lines = INITRAMFS.replace("\n", "\\n")
    command += [f"--setup-hook=mkdir -p {folder} && printf '{lines}' >{folder}/sandyq"]
    return [*command, SUITE, str(tree), *_sources(board)]


def _sources(board: Board) -> list[str]:
    """The archives to take packages from: this machine's own mirror of Debian where it names one."""
    mirror, security = find_mirrors(Path("/etc/apt"))
    names = COMPONENTS.replace(",", " ")
    debian = [
        f"deb {mirror} {SUITE} {names}",
        f"deb {mirror} {SUITE}-updates {names}",
        f"deb {security} {SUITE}-security {names}",
    ]
    return [*debian, *board.more_sources]


def find_mirrors(folder: Path) -> tuple[str, str]:
    """Return where this machine's apt finds Debian and its security updates, or Debian's public names."""
    text = "\n".join(
        path.read_text("utf-8", "replace")
        for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]
        if path.is_file()
    )
    addresses = re.findall(r"https?://[^\s\]]+", "\n".join(_without_comments(text)))
    mirror = next((a for a in addresses if re.search(r"/debian/?$", a)), PUBLIC_MIRROR)
    security = next((a for a in addresses if re.search(r"/debian-security/?$", a)), PUBLIC_SECURITY)
    return mirror, security


def _without_comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.lstrip().startswith("#")]


def _explain(failure: BuildStepFailed, board: Board, workshop: Workshop) -> None:
    """An archive that cannot be reached is not a fault of the build: say which one."""
    log = workshop.log.read_text("utf-8", "replace")
    unreachable = re.findall(
        r"(?:E|W|Err).*?(https?://[^\s'/]+/\S*).*(?:Could not|Unable to|40[34]|Cannot|Failed)", log
    )
    if unreachable or "Could not resolve" in log or "Could not connect" in log or "Failed to fetch" in log:
        archive = unreachable[0] if unreachable else PUBLIC_MIRROR
        raise ArchiveUnreachable(archive=archive, board=board.name, log=workshop.log) from failure


def forget_builder(tree: Path) -> None:
    """Remove what tells of the machine that built, and what no two boxes may share."""
    for pattern in OF_THE_BUILDER:
        for path in tree.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    # Empty, not missing: systemd then makes one at each start, until the box has its own.
    (tree / "etc/machine-id").write_text("")
    names = COMPONENTS.replace(",", " ")
    (tree / "etc/apt/sources.list").write_text(
        f"deb {PUBLIC_MIRROR} {SUITE} {names}\ndeb {PUBLIC_MIRROR} {SUITE}-updates {names}\n"
        f"deb {PUBLIC_SECURITY} {SUITE}-security {names}\n"
    )
