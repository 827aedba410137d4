"""What the region keeps, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True)
class Place:
    """Where a box stands, as far as operators said."""

    school: str = ""
    stratum: str = ""  # rural, urban
    size_class: str = ""  # small, large


@dataclass(frozen=True)
class Code:
    secret_sha256: bytes
    expires_at: datetime
    device_key: bytes | None = None
    sheet: str = ""  # codes that were printed together
    place: Place = Place()
    needs_approval: bool = False
    renews: str = ""  # the label of the box that gets new keys with it


@dataclass(frozen=True)
class Box:
    id: int
    label: str
    kid: bytes
    device_key: bytes
    token_sha256: bytes
    is_revoked: bool = False
    is_approved: bool = True  # what an unapproved box sends waits for an operator


@dataclass(frozen=True)
class LedgerRow:
    """One stored batch: enough to sign its receipt again, byte for byte."""

    epoch: bytes
    seq: int
    lo: int
    hi: int
    blob_id: bytes
    sha256: bytes
    previous_sha256: bytes
    clock_quality: int
    contiguous_high: int
    received_at: datetime


@dataclass(frozen=True)
class BoxLine:
    """One box as the region's page shows it."""

    label: str
    enrolled_at: datetime
    last_contact_at: datetime
    batches: int
    events: int
    missing: int  # batches the numbers say exist but that have not come
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Counts:
    """Everything stored, counted."""

    by_kind: dict[str, int]
    by_language: dict[str, int]
    by_day: dict[date, int]


@dataclass(frozen=True)
class Counted:
    """How much there is, over all boxes."""

    boxes: int
    batches: int
    events: int
    missing: int
