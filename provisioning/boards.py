"""The kinds of machine an image is made for, as facts.

Pure. Keeps out: how partitions lie on them (layouts) and what their firmware reads (boot_texts).
"""

from dataclasses import dataclass, replace

# Only the kernels and the boot firmware of the Raspberry Pi are not in Debian.
RASPBERRY_ARCHIVE = "http://archive.raspberrypi.com/debian"
# Raspberry Pi OS has this key; anywhere else its package of the same name is installed first.
RASPBERRY_KEYRING = "/usr/share/keyrings/raspberrypi-archive-keyring.pgp"
RASPBERRY_SOURCE = f"deb [signed-by={RASPBERRY_KEYRING}] {RASPBERRY_ARCHIVE} trixie main"


@dataclass(frozen=True)
class Board:
    """One kind of machine: what runs on it and how Debian, pip and the compiler call its processor."""

    name: str
    title: str
    architecture: str  # as Debian says it
    machine: str  # as the compiler says it
    wheel_platforms: tuple[str, ...]  # as pip says it, the newest C library first
    package_groups: tuple[str, ...]
    engine_variants: tuple[str, ...]  # one for each kind of processor; the start takes the best
    more_sources: tuple[str, ...] = ()


# The C libraries that wheels may have been made for; trixie's own is 2.41.
_LIBRARIES = (39, 35, 34, 31, 28, 27, 26, 24, 17, 12, 5)


def _wheel_platforms(machine: str) -> tuple[str, ...]:
    numbered = [f"manylinux_2_{minor}_{machine}" for minor in _LIBRARIES]
    return (*numbered, f"manylinux2014_{machine}", f"manylinux2010_{machine}", f"manylinux1_{machine}")


PC = Board(
    name="pc",
    title="PC or mini-PC, 64 bit, UEFI",
    architecture="amd64",
    machine="x86_64",
    wheel_platforms=_wheel_platforms("x86_64"),
    package_groups=("pc",),
    # PCs since 2009; since 2013; and those with 8-bit dot products (N100 and other small ones since 2021).
    engine_variants=("sse42", "haswell", "alderlake"),
)

# The same image with a kernel for virtual machines: what the tests start, in half the time.
VM = replace(
    PC,
    name="vm",
    title="virtual machine",
    package_groups=("vm",),
    engine_variants=("sse42", "haswell"),  # the oldest, and what hosts of virtual machines have
)

RPI = Board(
    name="rpi",
    title="Raspberry Pi 4 and 5",
    architecture="arm64",
    machine="aarch64",
    wheel_platforms=_wheel_platforms("aarch64"),
    package_groups=("rpi",),
    engine_variants=("armv8.0_1", "armv8.2_2"),  # the Pi 4; the Pi 5, with dot products and 16-bit floats
    more_sources=(RASPBERRY_SOURCE,),
)

BOARDS = {board.name: board for board in (PC, RPI, VM)}
