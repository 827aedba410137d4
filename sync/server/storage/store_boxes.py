"""What the region keeps of codes and boxes: the part of the store that says who belongs to it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any

from sync.server.storage.database import RegionDatabase
from sync.server.storage.records import Box, Code, Place


class BoxTables:
    """Tables code, box, box_key, box_place and held_envelope."""

    def __init__(self, db: RegionDatabase) -> None:
        self.db = db

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing; what is read inside stays true until it is written."""
        return self.db.transaction()

    def add_codes(self, codes: Iterable[Code]) -> None:
        self.db.execute_many(
            f"INSERT INTO code ({_CODE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own words
            [
                (
                    *(code.secret_sha256, code.expires_at.isoformat(), code.device_key, code.sheet),
                    *(code.place.school, code.place.stratum, code.place.size_class),
                    *(int(code.needs_approval), code.renews),
                )
                for code in codes
            ],
        )

    def find_code(self, secret_sha256: bytes, now: datetime) -> Code | None:
        """Return the code with this hash while it lives, and drop those whose time is over."""
        self.db.execute("DELETE FROM code WHERE expires_at <= ?", (now.isoformat(),))
        row = self.db.row(
            f"SELECT {_CODE_COLUMNS} FROM code WHERE secret_sha256 = ?",  # noqa: S608 - our own words
            (secret_sha256,),
        )
        return _read_code(row) if row else None

    def codes(self) -> list[Code]:
        """Return every code that is kept, those of one sheet together."""
        rows = self.db.rows(
            f"SELECT {_CODE_COLUMNS} FROM code ORDER BY sheet, expires_at, secret_sha256"  # noqa: S608 - our own words
        )
        return [_read_code(row) for row in rows]

    def bind_code(self, code: Code, device_key: bytes) -> None:
        self.db.execute(
            "UPDATE code SET device_key = ? WHERE secret_sha256 = ?", (device_key, code.secret_sha256)
        )

    def find_box_by_kid(self, kid: bytes) -> Box | None:
        return self._find_box("kid = ?", kid)

    def find_box_by_label(self, label: str) -> Box | None:
        return self._find_box("label = ?", label)

    def add_box(
        self,
        label: str,
        kid: bytes,
        device_key: bytes,
        token_sha256: bytes,
        software: str,
        now: datetime,
        *,
        is_approved: bool = True,
    ) -> None:
        self.db.execute(
            "INSERT INTO box (label, kid, device_key, token_sha256, software, enrolled_at,"
            " last_contact_at, approved_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(label, kid, device_key, token_sha256, software, now.isoformat(), now.isoformat()),
                now.isoformat() if is_approved else None,
            ),
        )

    def renew_box(self, box: Box, token_sha256: bytes, software: str, now: datetime) -> None:
        self.db.execute(
            "UPDATE box SET token_sha256 = ?, software = ?, last_contact_at = ? WHERE id = ?",
            (token_sha256, software, now.isoformat(), box.id),
        )

    def rekey_box(self, box: Box, kid: bytes, device_key: bytes, now: datetime) -> None:
        """Give a box another key. Its name and history stay; the old key is noted and believed no more."""
        with self.transaction():
            self.db.execute(
                "INSERT INTO box_key (box_id, kid, ended_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (box.id, box.kid, now.isoformat()),
            )
            self.db.execute(
                "UPDATE box SET kid = ?, device_key = ?, revoked_at = NULL WHERE id = ?",
                (kid, device_key, box.id),
            )

    def has_ended(self, kid: bytes) -> bool:
        """Say whether this key was some box's before it got another."""
        return self.db.row("SELECT 1 FROM box_key WHERE kid = ?", (kid,)) is not None

    def approve_box(self, box: Box, now: datetime) -> None:
        self.db.execute(
            "UPDATE box SET approved_at = ? WHERE id = ? AND approved_at IS NULL", (now.isoformat(), box.id)
        )

    def move_box(self, box: Box, place: Place, now: datetime) -> None:
        """Say where a box stands from now on; where it stood before is kept."""
        # A ledger row tells whole seconds; what comes in this one came from the new place.
        since = now.replace(microsecond=0).isoformat()
        with self.transaction():
            self.db.execute(
                "UPDATE box SET school = ?, stratum = ?, size_class = ? WHERE id = ?",
                (place.school, place.stratum, place.size_class, box.id),
            )
            self.db.execute(
                "INSERT INTO box_place (box_id, since, school, stratum, size_class) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (box_id, since) DO UPDATE SET school = excluded.school,"
                " stratum = excluded.stratum, size_class = excluded.size_class",
                (box.id, since, place.school, place.stratum, place.size_class),
            )

    def places(self, box: Box) -> list[tuple[datetime, Place]]:
        """Return where a box stood since when, the newest first."""
        rows = self.db.rows(
            "SELECT since, school, stratum, size_class FROM box_place WHERE box_id = ? ORDER BY since DESC",
            (box.id,),
        )
        return [(datetime.fromisoformat(since), Place(*place)) for since, *place in rows]

    def revoke_box(self, box: Box, now: datetime) -> None:
        """Believe nothing more of a box; what waited for its approval goes unread."""
        with self.transaction():
            self.db.execute("UPDATE box SET revoked_at = ? WHERE id = ?", (now.isoformat(), box.id))
            self.db.execute("DELETE FROM held_envelope WHERE box_id = ?", (box.id,))

    def touch_box(self, box: Box, now: datetime) -> None:
        self.db.execute("UPDATE box SET last_contact_at = ? WHERE id = ?", (now.isoformat(), box.id))

    def touch_boxes(self, boxes: Iterable[Box], now: datetime) -> None:
        self.db.execute_many(
            "UPDATE box SET last_contact_at = ? WHERE id = ?",
            [(now.isoformat(), box_id) for box_id in sorted({box.id for box in boxes})],
        )

    def _find_box(self, condition: str, value: bytes | str) -> Box | None:
        row = self.db.row(
            "SELECT id, label, kid, device_key, token_sha256, revoked_at IS NOT NULL,"  # noqa: S608 - our own words
            f" approved_at IS NOT NULL FROM box WHERE {condition}",
            (value,),
        )
        return replace(Box(*row), is_revoked=bool(row[-2]), is_approved=bool(row[-1])) if row else None

    def hold(self, box: Box, sha256: bytes, envelope: bytes, now: datetime) -> None:
        """Keep an envelope of a box that nobody approved yet; the same again changes nothing."""
        self.db.execute(
            "INSERT INTO held_envelope (box_id, sha256, held_at, envelope) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (box.id, sha256, now.isoformat(), envelope),
        )

    def count_held(self, box: Box) -> int:
        return int((self.db.row("SELECT count(*) FROM held_envelope WHERE box_id = ?", (box.id,)) or (0,))[0])

    def held(self, box: Box) -> list[bytes]:
        """Return what waits for the approval of a box, in the order in which it came."""
        rows = self.db.rows(
            "SELECT envelope FROM held_envelope WHERE box_id = ? ORDER BY held_at, sha256", (box.id,)
        )
        return [row[0] for row in rows]

    def let_go(self, box: Box, sha256: bytes) -> None:
        self.db.execute("DELETE FROM held_envelope WHERE box_id = ? AND sha256 = ?", (box.id, sha256))


_CODE_COLUMNS = (
    "secret_sha256, expires_at, device_key, sheet, school, stratum, size_class, needs_approval, renews"
)


def _read_code(row: tuple[Any, ...]) -> Code:
    secret, expires_at, device_key, sheet, school, stratum, size_class, needs_approval, renews = row
    place = Place(school, stratum, size_class)
    return Code(
        *(secret, datetime.fromisoformat(expires_at), device_key, sheet, place), bool(needs_approval), renews
    )
