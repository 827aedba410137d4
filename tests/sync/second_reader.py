"""A second reader of SB1, written from docs/envelope.md alone. Uses nothing of the product."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SUITES = {1: Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)}


@dataclass
class Letter:
    header: list[Any]
    body_bytes: bytes
    body: list[Any]
    rows: list[dict[str, Any]]
    nation_letter: bytes | None  # what the region sends on


GRADES = [*map(str, range(13)), "none"]


def read_cbor(data: bytes) -> Any:
    value, end = _item(data, 0)
    if end != len(data):
        raise ValueError("bytes after the record")
    return value


def _item(data: bytes, at: int) -> tuple[Any, int]:
    major, short = data[at] >> 5, data[at] & 31
    at += 1
    if major == 7:
        return {20: False, 21: True, 22: None}[short], at
    number = short
    if short >= 24:
        size = {24: 1, 25: 2, 26: 4, 27: 8}[short]
        number = int.from_bytes(data[at : at + size], "big")
        at += size
        if number < {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}[size]:
            raise ValueError("not the shortest form")
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major in {2, 3}:
        piece = data[at : at + number]
        if len(piece) != number:
            raise ValueError("ends early")
        return (piece if major == 2 else piece.decode()), at + number
    if major == 4:
        items = []
        for _ in range(number):
            item, at = _item(data, at)
            items.append(item)
        return items, at
    if major == 5:
        pairs: dict[Any, Any] = {}
        keys = []
        for _ in range(number):
            start = at
            key, at = _item(data, at)
            keys.append(data[start:at])
            pairs[key], at = _item(data, at)
        if keys != sorted(set(keys)):
            raise ValueError("map keys out of order")
        return pairs, at
    raise ValueError("a tag")


def open_envelope(envelope: bytes, opening_seed: bytes, device_public: bytes) -> Letter:
    magic, header_bytes, sections = read_cbor(envelope)
    if magic != "SB1":
        raise ValueError("magic")
    header = read_cbor(header_bytes)
    roles = [recipient[0] for recipient in header[4]]
    if roles not in (["R"], ["R", "N"]) or len(sections) != len(roles):
        raise ValueError("roles")
    plain = _open_section(header_bytes, "R", sections[0], opening_seed)
    body_bytes, signature = plain[:-64], plain[-64:]
    message = b"sandyq/sb1/sig" + hashlib.sha256(header_bytes).digest()
    message += b"".join(recipient[1] for recipient in header[4]) + hashlib.sha256(body_bytes).digest()
    message += b"".join(hashlib.sha256(cap + sealed).digest() for cap, sealed in sections[1:])
    Ed25519PublicKey.from_public_bytes(device_public).verify(signature, message)
    body = read_cbor(body_bytes)
    _check_place(body)
    # Written by hand: an array of three byte strings.
    letter = b"\x83" + b"".join(map(_bstr, (header_bytes, *sections[1]))) if len(sections) == 2 else None
    return Letter(header, body_bytes, body, read_rows(body[8]), letter)


def _check_place(body: list[Any]) -> None:
    _, _, seq, previous, lo, hi, events, clock, _ = body
    if (seq == 1) != (previous == bytes(32)) or (seq == 1 and lo != 1) or lo < seq:
        raise ValueError("no epoch begins so")
    if events != hi - lo + 1 or not 1 <= events <= 2000 or clock not in (0, 1, 2):
        raise ValueError("numbers")


def _bstr(value: bytes) -> bytes:
    for size, first in ((0, 24), (1, 1 << 8), (2, 1 << 16)):
        if len(value) < first:
            head = (
                bytes([0x40 + len(value)]) if size == 0 else bytes([0x57 + size]) + len(value).to_bytes(size)
            )
            return head + value
    raise ValueError("too long for this reader")


def open_nation_letter(letter: bytes, nation_seed: bytes) -> dict[str, Any]:
    header_bytes, cap, sealed = read_cbor(letter)
    version, cells, weeks = read_cbor(_open_section(header_bytes, "N", [cap, sealed], nation_seed))
    if version != 1 or cells != sorted(set(cells)):
        raise ValueError("version or cells")
    told = []
    for monday, counts in weeks:
        if len(counts) != 14 * len(cells):
            raise ValueError("counts")
        rows = [counts[at * len(cells) : (at + 1) * len(cells)] for at in range(14)]
        week = (date(1970, 1, 1) + timedelta(days=monday)).isoformat()
        told.append({"week": week, "grades": dict(zip(GRADES, rows, strict=True))})
    return {"cells": cells, "weeks": told}


def _open_section(header_bytes: bytes, role: str, section: list[bytes], seed: bytes) -> bytes:
    header = read_cbor(header_bytes)
    kem = MLKEM768PrivateKey.from_seed_bytes(seed[:64])
    curve = X25519PrivateKey.from_private_bytes(seed[64:])
    public = kem.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    kid = hashlib.sha256(public).digest()[:8]
    (commit,) = (recipient[2] for recipient in header[4] if recipient[:2] == [role, kid])
    cap, sealed = section
    info = b"sandyq/sb1/wrap" + hashlib.sha256(header_bytes).digest() + kid
    key = SUITES[header[1]].decrypt(cap, MLKEM768X25519PrivateKey(kem, curve), info=info)
    if hashlib.sha256(b"sb1-commit" + key).digest() != commit:
        raise ValueError("commit")
    padded = ChaCha20Poly1305(key).decrypt(bytes(12), sealed, header_bytes)
    length = int.from_bytes(padded[:4], "big")
    plain, zeros = padded[4 : 4 + length], padded[4 + length :]
    if any(zeros) or len(padded) != padded_length(4 + length):
        raise ValueError("padding")
    return plain


def padded_length(length: int) -> int:
    if length <= 256:
        return 256
    e = length.bit_length() - 1
    s = e.bit_length()
    step = 2 ** (e - s)
    return -(-length // step) * step


def read_rows(payload: bytes) -> list[dict[str, Any]]:
    version, count, first_day, columns = read_cbor(zstd.decompress(payload))
    if version not in (1, 2):
        raise ValueError("version")
    values = {name: _column(column) for name, column in columns.items()}
    rows = []
    for at in range(count):
        row = {name: column[at] for name, column in values.items() if column[at] is not None}
        span = row.pop("span", None)
        if "day" in row:
            day = date(1970, 1, 1) + timedelta(days=first_day + row.pop("day"))
            row[{None: "day", 1: "week", 2: "month"}[span]] = day.isoformat()
        rows.append(row)
    return rows


def _column(column: list[Any]) -> list[Any]:
    if column and isinstance(column[0], list):
        words, places = column
        return [None if place is None else words[place] for place in places]
    return column


def read_receipt(receipt: bytes, receipt_public: bytes) -> list[Any]:
    signed, signature = read_cbor(receipt)
    Ed25519PublicKey.from_public_bytes(receipt_public).verify(signature, b"sandyq/sb1/receipt" + signed)
    fields: list[Any] = read_cbor(signed)
    return fields
