"""What the firmware and the boot programs read, as texts.

Which of the two systems starts is decided before any of our code runs, so it is decided by what stands here.
On a PC systemd-boot counts tries in the name of an entry (`sandyq-b+3.conf`): each start takes one away, a
start that came up whole removes the counter, and an entry without tries comes last. On a Raspberry Pi the
firmware starts the other partition once when it was told to (tryboot), and any reset returns to the first.

Pure. Keeps out: where the texts are written, and when the other system is tried (an update's matter).
"""

from provisioning.layouts import Layout, root_argument

# Three: a power cut in the middle of the first start must not condemn a good system.
TRIES = 3

# A kernel that stops must start again by itself: nobody is there to press a button.
PANIC_SECONDS = 10

# The newest version is tried first; a fresh image has one system, and its number is where updates go on from.
FIRST_VERSION = 1

# As the firmware's documentation demands: it reads only the first sector of this file.
AUTOBOOT_MAX_BYTES = 512


def kernel_arguments(layout: Layout, slot: str) -> str:
    """Return the kernel's command line for one of the two systems."""
    words = [
        root_argument(layout, slot),
        "ro",
        "rootwait",
        f"sandyq.slot={slot}",
        f"panic={PANIC_SECONDS}",
        # Nobody comes in by a side door that systemd would open for virtual machines.
        "systemd.ssh_auto=no",
        # A worn or cut file system is mended without asking: there is no keyboard.
        "fsck.repair=yes",
    ]
    if layout.table == "dos":
        # Without these a Pi counts no memory, and the engine's MemoryMax would be a wish.
        words += ["console=serial0,115200", "cgroup_enable=memory", "cgroup_memory=1"]
    else:
        # The FAT partition is mounted by fstab, at our own place; systemd would mount it a second time.
        words += ["systemd.gpt_auto=no", "console=ttyS0,115200"]
    if layout.board == "vm":
        # Where the host is busy, the first look for the timer finds none, and the kernel would give up.
        words.append("no_timer_check")
    # Last: what systemd says goes to the screen, where somebody may stand.
    return " ".join([*words, "console=tty0", "quiet"])


def loader_settings() -> str:
    """Return systemd-boot's settings: no menu, no editor, the newest system that is not known to fail."""
    return "timeout 0\neditor no\ndefault sandyq-*\n"


def loader_entry(layout: Layout, slot: str, version: int = FIRST_VERSION) -> str:
    """Return systemd-boot's entry for one of the two systems."""
    return (
        f"title Sandyq ({slot})\n"
        "sort-key sandyq\n"
        f"version {version}\n"
        f"linux /{slot}/vmlinuz\n"
        f"initrd /{slot}/initrd.img\n"
        f"options {kernel_arguments(layout, slot)}\n"
    )


def loader_entry_name(slot: str, tries: int | None = TRIES) -> str:
    """Return the entry's file name, with tries left or, where it has come up whole before, without."""
    return f"sandyq-{slot}.conf" if tries is None else f"sandyq-{slot}+{tries}.conf"


def autoboot_text(good: str = "a") -> str:
    """Return the Pi's autoboot.txt: start the good system's partition, and the other one when told to try."""
    partitions = {"a": 2, "b": 3}
    other = "b" if good == "a" else "a"
    return (
        "[all]\n"
        "tryboot_a_b=1\n"
        f"boot_partition={partitions[good]}\n"
        "[tryboot]\n"
        f"boot_partition={partitions[other]}\n"
    )


def pi_config_text() -> str:
    """Return the Pi's config.txt of one system; the same for both, because it names nothing of a slot."""
    return (
        "# Written by the image build; an update replaces it.\n"
        "[all]\n"
        "arm_64bit=1\n"
        "auto_initramfs=1\n"
        "# A box that hangs is started again by the chip itself.\n"
        "dtparam=watchdog=on\n"
        "# No camera, no loudspeaker jack: memory for the model instead.\n"
        "gpu_mem=16\n"
        "enable_uart=1\n"
        "# The green light shows how the box feels.\n"
        "dtparam=act_led_trigger=heartbeat\n"
        "[pi4]\n"
        "kernel=kernel8.img\n"
        "[pi5]\n"
        "kernel=kernel_2712.img\n"
    )
