"""What operators do with boxes: codes by the sheet, approval, another school, new keys.

A code carries where its box will stand, so that whoever carries boxes to schools types nothing but the code.
A box that needs approval may send at once; what it sends is kept unopened for the ledger until an operator
says yes, and is then stored in the order in which it came. Keeps out: HTTP, SQL, pages.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sync.enrolment_code import EnrolmentCode, make_code
from sync.errors import RefusedEnvelope
from sync.keys import RegionKeys, region_fingerprint
from sync.parcel import SIZES, STRATA
from sync.region_errors import PlaceUnknown, UnknownLabel
from sync.server.arrivals import inbox
from sync.server.enrolment import registry
from sync.server.storage.store import Box, Code, Place, Store

# Boxes for a district are prepared in one week and carried out in the next ones.
SHEET_DAYS = 30
MAX_SHEET_DAYS = 90  # a forgotten sheet in a drawer is a way in
MAX_CODES = 1_000  # more than any district has schools
MAX_SCHOOL_LETTERS = 80
MAX_FOLDER_LETTERS = 50
SECRET_BYTES = 16
SHEET_NAME_BYTES = 4


@dataclass(frozen=True)
class PrintedCode:
    """A code as it is printed once and then forgotten by the region."""

    code: EnrolmentCode
    place: Place
    expires_at: datetime

    def __repr__(self) -> str:
        return f"PrintedCode({self.place.school})"


@dataclass(frozen=True)
class CodeSheet:
    """Codes that were made together."""

    name: str
    codes: tuple[PrintedCode, ...]


def make_sheet(
    store: Store,
    keys: RegionKeys,
    places: Sequence[Place],
    now: datetime,
    *,
    days: int = SHEET_DAYS,
    needs_approval: bool = False,
    renews: str = "",
) -> CodeSheet:
    """Make one code for each place; only their hashes are kept."""
    if renews and store.find_box_by_label(renews) is None:
        raise UnknownLabel(label=renews)
    expires_at = now + timedelta(days=min(days, MAX_SHEET_DAYS))
    fingerprint = region_fingerprint(keys.opening.public, keys.receipts.public)
    name = secrets.token_hex(SHEET_NAME_BYTES)
    printed = tuple(
        PrintedCode(make_code(secrets.token_bytes(SECRET_BYTES), fingerprint), place, expires_at)
        for place in places[:MAX_CODES]
    )
    store.add_codes(
        Code(registry.hash_of(one.code.secret), expires_at, None, name, one.place, needs_approval, renews)
        for one in printed
    )
    return CodeSheet(name, printed)


def read_places(text: str) -> list[Place]:
    """Return the places of a list: a line each with a school, its stratum and its size class."""
    places: list[Place] = []
    rows = csv.reader(io.StringIO(text.lstrip("\ufeff")), delimiter=";" if _has_semicolons(text) else ",")
    for number, row in enumerate(rows, start=1):
        words = [word.strip() for word in row]
        if not any(words) or (number == 1 and words[0].lower() == "school"):
            continue
        school, stratum, size_class = (*words, "", "")[:3]
        is_known = stratum.lower() in STRATA and size_class.lower() in SIZES
        if not is_known or not school.isprintable() or not 0 < len(school) <= MAX_SCHOOL_LETTERS:
            raise PlaceUnknown(line=number)
        places.append(Place(school, stratum.lower(), size_class.lower()))
    return places


def _has_semicolons(text: str) -> bool:
    """Spreadsheets in Kazakhstan write semicolons."""
    return text.partition("\n")[0].count(";") > text.partition("\n")[0].count(",")


def sheet_as_csv(sheet: CodeSheet, region_url: str) -> str:
    """Return the sheet for a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["school", "stratum", "size_class", "region_url", "code", "expires_at"])
    for one in sheet.codes:
        place = (_harmless(one.place.school), one.place.stratum, one.place.size_class)
        writer.writerow([*place, region_url, str(one.code), one.expires_at.date().isoformat()])
    return out.getvalue()


def sheet_as_settings(sheet: CodeSheet, region_url: str) -> str:
    """Return the sheet as `sandyq image settings --csv` reads it: a card for each box."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["box", "region_url", "enrolment_code"])
    for number, one in enumerate(sheet.codes, start=1):
        # The name of a folder: letters and digits of the school, and a number that makes it the only one.
        words = re.sub(r"\W+", "-", one.place.school).strip("-_")[:MAX_FOLDER_LETTERS]
        writer.writerow([f"{number:03}-{words}".rstrip("-"), region_url, str(one.code)])
    return out.getvalue()


def _harmless(text: str) -> str:
    """A school's name that begins like a formula must not become one in a spreadsheet."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


# Boxes ------------------------------------------------------------------------------------


def get_box(store: Store, label: str) -> Box:
    box = store.find_box_by_label(label)
    if box is None:
        raise UnknownLabel(label=label)
    return box


@dataclass(frozen=True)
class Approval:
    """What was waiting for an approval and is known now."""

    label: str
    stored: int
    refused: int


def approve(store: Store, keys: RegionKeys, region_id: bytes, label: str, now: datetime) -> Approval:
    """Believe a box from now on, and store what it sent before. Safe to kill and repeat."""
    store.approve_box(get_box(store, label), now)
    box = get_box(store, label)
    stored = refused = 0
    for blob in in_their_order(keys, region_id, store.held(box)):
        try:
            inbox.receive(store, keys, region_id, box, blob, now)
            stored += 1
        except RefusedEnvelope:
            refused += 1
        # Stored and let go of in two steps: after a kill between them it is known as a repeat.
        store.let_go(box, hashlib.sha256(blob).digest())
    return Approval(label, stored, refused)


def in_their_order(keys: RegionKeys, region_id: bytes, blobs: Iterable[bytes]) -> list[bytes]:
    return sorted(blobs, key=lambda blob: inbox.claimed_place(keys, region_id, blob))


def move(store: Store, label: str, place: Place, now: datetime) -> Box:
    """Another school has the box now. What it sent before stays where it was counted."""
    box = get_box(store, label)
    store.move_box(box, place, now)
    return box
