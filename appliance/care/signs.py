"""What the box's figures mean, in words: one sentence of what is the matter, one of what to do next. Pure.

The same findings stand on the teacher's page (what a person in the room can mend) and in `sandyq doctor`
(all of them). Keeps out: how the figures are read, which is `senses`, and who is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from appliance.errors import N_
from sync.clock import BUILT, Quality

GOOD, WATCH, BAD = "good", "watch", "bad"

# A Raspberry Pi slows itself at 80 °C; five degrees of warning are a few minutes of a lesson.
WARM_CELSIUS = 75.0
HOT_CELSIUS = 80.0
# Below this the kernel starts to throw out the model's pages and every answer crawls.
LEAST_MEMORY_FREE_SHARE = 0.08
# SQLite's log, a backup and a pack in transit need this much; an SD card also slows when nearly full.
LEAST_DISK_FREE_BYTES = 500 * 1024 * 1024
# Bits of the Raspberry Pi's own report: what is so now, and what was since it was switched on.
UNDER_VOLTAGE_NOW = 1 << 0
UNDER_VOLTAGE_SINCE = 1 << 16
# A backup each day of school; a week without one is a holiday, more is forgotten.
BACKUP_IS_OLD = timedelta(days=8)
# Batches of a small school wait for a week; a month without a receipt is a broken line.
RECEIPT_IS_OLD = timedelta(days=31)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: `mood` is good, watch or bad; `hint` is empty when all is well."""

    area: str
    key: str
    mood: str
    message: str
    hint: str = ""
    params: Mapping[str, object] = field(default_factory=dict)


def heat(celsius: float | None) -> Finding:
    """Judge the hottest sensor; a machine in a container may have none."""
    if celsius is None:
        return Finding("machine", "heat_unknown", GOOD, N_("This machine has no thermometer."))
    params = {"celsius": round(celsius)}
    if celsius < WARM_CELSIUS:
        return Finding("machine", "heat_good", GOOD, N_("It is %(celsius)d °C warm inside."), params=params)
    hot = celsius >= HOT_CELSIUS
    return Finding(
        "machine",
        "too_hot" if hot else "warm",
        BAD if hot else WATCH,
        N_("The box is too warm (%(celsius)d °C) and slows itself down."),
        N_("Move it out of the sun, away from the heating, and leave a hand's width of air on every side."),
        params,
    )


def voltage(flags: int) -> Finding:
    """Judge the Raspberry Pi's report on its power supply; other machines report 0."""
    if not flags & (UNDER_VOLTAGE_NOW | UNDER_VOLTAGE_SINCE):
        return Finding("machine", "voltage_good", GOOD, N_("Nothing complains about the power supply."))
    is_now = bool(flags & UNDER_VOLTAGE_NOW)
    return Finding(
        "machine",
        "under_voltage" if is_now else "under_voltage_before",
        BAD if is_now else WATCH,
        N_("The power supply is too weak: the box may switch itself off in the middle of a lesson."),
        N_("Use the power supply made for this board, with its own short cable, not a phone charger."),
    )


def memory(free_share: float) -> Finding:
    if free_share >= LEAST_MEMORY_FREE_SHARE:
        return Finding("machine", "memory_good", GOOD, N_("There is enough free memory."))
    return Finding(
        "machine",
        "memory_short",
        BAD,
        N_("Memory is short, so answers may crawl."),
        N_("Restart the box after the lesson. If it happens again, choose a smaller model."),
    )


def disk_space(free_bytes: int) -> Finding:
    params = {"megabytes": free_bytes // 2**20}
    if free_bytes >= LEAST_DISK_FREE_BYTES:
        return Finding("disk", "disk_good", GOOD, N_("%(megabytes)d MB are free on the disk."), params=params)
    return Finding(
        "disk",
        "disk_nearly_full",
        BAD,
        N_("The disk is nearly full (%(megabytes)d MB free): soon nothing new can be saved."),
        N_("Call the person who looks after the box: models that are not used can be removed."),
        params,
    )


def disk_writable(is_read_only: bool) -> Finding:
    if not is_read_only:
        return Finding("disk", "disk_writable", GOOD, N_("The disk can be written."))
    return Finding(
        "disk",
        "disk_read_only",
        BAD,
        N_("The memory card has become read-only: it is worn out, and nothing new is saved."),
        N_("Switch the box off and on once. If it stays so, the technician replaces the card."),
    )


def database(is_damaged: bool | None) -> Finding:
    """Judge the quick check; None: the time allowed for it was too short to read all of it."""
    if is_damaged:
        return Finding(
            "disk",
            "database_damaged",
            BAD,
            N_("The database is damaged."),
            N_("Restart the box: its first page offers the newest good backup. Nothing is overwritten."),
        )
    if is_damaged is None:
        return Finding("disk", "database_large", GOOD, N_("As far as it was read, the database is whole."))
    return Finding("disk", "database_whole", GOOD, N_("The database is whole."))


def clock(at: datetime, quality: Quality, *, is_synchronised: bool) -> Finding:
    """Judge how far the time may be trusted. `at` is what the box's own clock shows."""
    params = {"year": at.year}
    if quality == Quality.CONFIRMED or (is_synchronised and at >= BUILT):
        return Finding("clock", "clock_right", GOOD, N_("The clock is right."))
    if quality == Quality.UNKNOWN:
        return Finding(
            "clock",
            "clock_unset",
            BAD,
            N_("The box does not know the date: its clock shows the year %(year)d."),
            N_("Log in again from a phone or computer that shows the right time."),
            params,
        )
    return Finding(
        "clock",
        "clock_unconfirmed",
        WATCH,
        N_("Nobody has confirmed the clock since the box was switched on."),
        N_("It is put right when the region answers. If the date is wrong, tell the technician."),
    )


def backup(made_at: datetime | None, now: datetime, *, is_elsewhere: bool) -> Finding:
    """Judge the newest copy that was proven to open; `is_elsewhere`: a fresh one is not on the box's card."""
    if made_at is None:
        return Finding(
            "backup",
            "backup_none",
            WATCH,
            N_("There is no backup yet."),
            N_("Plug in a stick and run: sandyq backup create FOLDER"),
        )
    params = {"days": max(0, (now - made_at).days)}
    if now - made_at > BACKUP_IS_OLD:
        return Finding(
            "backup",
            "backup_old",
            WATCH,
            N_("The newest good backup is %(days)d days old."),
            N_("Plug in a stick and run: sandyq backup create FOLDER"),
            params,
        )
    if not is_elsewhere:
        return Finding(
            "backup",
            "backup_only_here",
            WATCH,
            N_("Every backup lies on the box itself: if its card breaks, they are gone as well."),
            N_("Plug in a stick and run: sandyq backup create FOLDER"),
        )
    return Finding(
        "backup", "backup_good", GOOD, N_("The newest good backup is %(days)d days old."), params=params
    )


def matters(findings: list[Finding]) -> list[Finding]:
    """Return what is not well, the worst first."""
    return sorted((one for one in findings if one.mood != GOOD), key=lambda one: one.mood != BAD)
