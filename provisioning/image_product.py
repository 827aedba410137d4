"""Put this project into the system of an image: its Python environment, units and settings of the system.

Promises: the same versions of libraries that this environment was tested with, as wheels made for the image's
own Python; nothing is compiled but the engine; nothing names the machine that builds. What needs the image's
own programs (users, byte code) is run inside the tree. Keeps out: Debian, the model, partitions.
"""

import os
import shutil
import tomllib
from importlib import metadata, util
from pathlib import Path

from provisioning.boards import Board
from provisioning.errors import BuildStepFailed, SourcesMissing
from provisioning.image_engine import PACKAGE as ENGINE_PACKAGE
from provisioning.image_engine import build_engine, pip
from provisioning.programs import Workshop

REPOSITORY = Path(__file__).parents[1]
ROOMS = ("appliance", "models", "provisioning", "sync")

# Debian trixie's own Python, which the wheels must be made for.
PYTHON = "3.13"
VENV = Path("opt/sandyq/venv")
SITE = VENV / f"lib/python{PYTHON}/site-packages"

# Where each kind of file of systemd/ belongs. A kind that is not here stops the build: a forgotten file would
# be missed on two hundred boxes.
PLACES = {
    ".service": "usr/lib/systemd/system",
    ".socket": "usr/lib/systemd/system",
    ".timer": "usr/lib/systemd/system",
    ".path": "usr/lib/systemd/system",
    ".target": "usr/lib/systemd/system",
    ".mount": "usr/lib/systemd/system",
    ".slice": "usr/lib/systemd/system",
    ".d": "usr/lib/systemd/system",
    ".rules": "usr/lib/udev/rules.d",
    ".preset": "usr/lib/systemd/system-preset",
    ".sysusers.conf": "usr/lib/sysusers.d",
    ".tmpfiles.conf": "usr/lib/tmpfiles.d",
}

# Debian's own helpers that write to the system or fetch from the network by themselves; a box's system is
# replaced as a whole. systemd-firstboot would ask questions on the screen.
UNWANTED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "systemd-firstboot.service",
    # On the first screen stand the box's address and codes (sandyq-console.service); the second has a log-in.
    "getty@tty1.service",
    "console-setup.service",
    "keyboard-setup.service",
    "ssh.service",
    "ssh.socket",
    "systemd-networkd.service",
    "systemd-networkd.socket",
    "systemd-network-generator.service",
    "systemd-networkd-wait-online.service",
    "NetworkManager-wait-online.service",
    "systemd-boot-update.service",
    "systemd-pstore.service",
)

START_SCRIPT = """#!/opt/sandyq/venv/bin/python3
import sys

from appliance.cli import main

sys.exit(main())
"""


def install_product(tree: Path, board: Board, workshop: Workshop) -> None:
    """Put the project into a system made by make_system; the tree is finished but for its dates."""
    _require_sources()
    _make_venv(tree)
    _install_wheels(tree, board, workshop)
    _install_engine(tree, board, workshop)
    copy_overlay(tree, board)
    install_units(tree)
    _link_settings(tree)
    _run_inside(tree, workshop)


def _require_sources() -> None:
    if not (REPOSITORY / "pyproject.toml").is_file() or not (REPOSITORY / "systemd").is_dir():
        raise SourcesMissing(path=REPOSITORY)


# --- Python ---


def _make_venv(tree: Path) -> None:
    """Write what `python -m venv` writes, without running the image's Python: it may be of another kind."""
    python = tree / f"usr/bin/python{PYTHON}"
    if not python.exists():
        raise BuildStepFailed(program="venv", reason=f"the system has no Python {PYTHON}", log=tree)
    venv = tree / VENV
    (venv / "bin").mkdir(parents=True)
    (tree / SITE).mkdir(parents=True)
    (venv / "bin/python3").symlink_to("/usr/bin/python3")
    (venv / "bin/python").symlink_to("python3")
    (venv / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {PYTHON}\n"
    )
    script = venv / "bin/sandyq"
    script.write_text(START_SCRIPT)
    script.chmod(0o755)
    (tree / "usr/bin/sandyq").symlink_to(f"/{VENV}/bin/sandyq")


def _install_wheels(tree: Path, board: Board, workshop: Workshop) -> None:
    wheels = workshop.folder / "wheels"
    fetch_wheels(board, workshop, wheels)
    _build_own_wheel(workshop, wheels)
    names = sorted(wheel.name.split("-")[0] for wheel in wheels.glob("*.whl"))
    target: list[str | Path] = ["--target", tree / SITE, *_for_target(board)]
    local: list[str | Path] = ["--no-deps", "--no-index", "--find-links", wheels, "--no-compile"]
    pip(workshop, "install", *target, *local, *names)
    # Scripts that start with this machine's Python; the box has its own one above.
    shutil.rmtree(tree / SITE / "bin", ignore_errors=True)


def fetch_wheels(board: Board, workshop: Workshop, folder: Path) -> None:
    """Fetch wheels of every library for the image's Python, in the versions of this environment."""
    folder.mkdir(parents=True, exist_ok=True)
    constraints = workshop.folder / "constraints.txt"
    # PYTHONPATH may show one package twice; pip wants one line.
    versions = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    lines = [f"{n}=={v}" for n, v in sorted(versions.items()) if n not in ("sandyq", ENGINE_PACKAGE)]
    constraints.write_text("\n".join(lines) + "\n")
    pip(
        workshop,
        "download",
        *("--dest", folder, "--constraint", constraints),
        *_for_target(board),
        *library_requirements(),
    )


def library_requirements() -> list[str]:
    """Return what this project and its engine need, without the engine itself, which is built."""
    # Out of the sources, not out of what this environment was told when it was made: that may be older.
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    found = [*project["dependencies"], *(metadata.requires(ENGINE_PACKAGE) or ())]
    return sorted(r for r in found if "extra ==" not in r and not r.startswith(ENGINE_PACKAGE))


def _for_target(board: Board) -> list[str]:
    """Return pip's words for the image's Python and C library."""
    words = ["--python-version", PYTHON, "--implementation", "cp", "--only-binary", ":all:"]
    for abi in ("cp" + PYTHON.replace(".", ""), "abi3", "none"):
        words += ["--abi", abi]
    for name in board.wheel_platforms:
        words += ["--platform", name]
    return words


def _build_own_wheel(workshop: Workshop, wheels: Path) -> None:
    """Build this project from a copy: setuptools leaves its notes beside the sources."""
    copy = workshop.folder / "own-sources"
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(REPOSITORY / name, copy / name)
    for room in ROOMS:
        unwanted = shutil.ignore_patterns("__pycache__", "overlay")
        shutil.copytree(REPOSITORY / room, copy / room, ignore=unwanted)
    pip(workshop, "wheel", "--no-deps", "--wheel-dir", wheels, copy)


def _install_engine(tree: Path, board: Board, workshop: Workshop) -> None:
    """The engine's Python part as it is here, its libraries as built for the image."""
    here = Path(str(util.find_spec("llama_cpp").origin)).parent  # type: ignore[union-attr]
    target = tree / SITE / "llama_cpp"
    unwanted = shutil.ignore_patterns("__pycache__", "lib", "server")
    shutil.copytree(here, target, ignore=unwanted)
    shutil.copytree(build_engine(board, workshop), target / "lib", symlinks=True)
    notes = tree / SITE / f"llama_cpp_python-{metadata.version(ENGINE_PACKAGE)}.dist-info"
    notes.mkdir()
    for name in ("METADATA", "licenses/LICENSE.md"):
        text = metadata.distribution(ENGINE_PACKAGE).read_text(name)
        if text is not None:
            (notes / name).parent.mkdir(exist_ok=True)
            (notes / name).write_text(text, "utf-8")


# --- The system ---


def copy_overlay(tree: Path, board: Board) -> None:
    """Copy our files over Debian's: those of every box, then those of its kind."""
    kind = "rpi" if board.name == "rpi" else "pc"
    for source in (REPOSITORY / "provisioning/overlay/common", REPOSITORY / "provisioning/overlay" / kind):
        shutil.copytree(source, tree, symlinks=True, dirs_exist_ok=True, copy_function=_copy_with_rights)


def _copy_with_rights(source: str, target: str) -> str:
    # Programs stay programs; whatever else this machine's umask gave a clone does not reach the image.
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    return target


def install_units(tree: Path, units: Path = REPOSITORY / "systemd") -> None:
    """Copy systemd/ to where systemd, udev and their helpers look."""
    for source in sorted(units.iterdir()):
        ending = next((e for e in sorted(PLACES, key=len, reverse=True) if source.name.endswith(e)), None)
        if ending is None:
            raise BuildStepFailed(program="systemd/", reason=f"where does {source.name} belong?", log=units)
        # sandyq.sysusers.conf becomes sysusers.d/sandyq.conf.
        name = source.name.removesuffix(ending) + ".conf" if ending.count(".") > 1 else source.name
        target = tree / PLACES[ending] / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True, copy_function=_copy_with_rights)
        else:
            _copy_with_rights(str(source), str(target))


def _link_settings(tree: Path) -> None:
    """What programs write below /etc goes elsewhere: the root is read-only."""
    links = {
        "etc/resolv.conf": "/run/NetworkManager/resolv.conf",
        # Names for the phones of the hotspot, written at each start.
        "etc/NetworkManager/dnsmasq-shared.d": "/run/sandyq-network/dnsmasq-shared.d",
    }
    for name, goal in links.items():
        path = tree / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(goal)
    for folder in (
        "data",
        "boot/card",
        "var/lib/sandyq",
        "var/lib/sandyq-machine",
        "var/lib/systemd/timesync",
    ):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    (tree / "var/log/journal").mkdir(parents=True, exist_ok=True)
    # Nothing is to be brought up to date at a first start: caches that systemd would make anew are as Debian
    # made them.
    for folder in ("etc", "var"):
        (tree / folder / ".updated").write_text("")
    # Not etc/hostname: a name in it would win over the one that each box gets (provisioning/network).
    (tree / "etc/hostname").unlink(missing_ok=True)
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 sandyq\n::1 localhost\n")


def _run_inside(tree: Path, workshop: Workshop) -> None:
    """What only the image's own programs can do: users, which units start, byte code."""
    workshop.run("chroot", tree, "systemd-sysusers")
    units = sorted(
        path.name
        for path in (tree / "usr/lib/systemd/system").glob("sandyq-*")
        if path.is_file() and "@" not in path.name
    )
    workshop.run("chroot", tree, "systemctl", "preset", *units)
    for unit in UNWANTED_UNITS:
        workshop.run("chroot", tree, "systemctl", "mask", unit)
    compile_all = ["-m", "compileall", "-q", "-j", "1", "--invalidation-mode", "unchecked-hash"]
    # Before the read-only root: otherwise each start compiles everything anew.
    workshop.run("chroot", tree, f"/usr/bin/python{PYTHON}", *compile_all, f"/{SITE}")
