"""A region's signed promise that a batch is stored.

A box lets go of a batch only for a receipt that its own region signed over
exactly the bytes that were sent. Pure: keys and times are passed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sync import cbor
from sync.batch import EPOCH_BYTES, KID_BYTES, SHA256_BYTES
from sync.envelope import BLOB_ID_BYTES
from sync.errors import ReceiptForged, ReceiptMalformed
from sync.keys import SIGNATURE_BYTES, SigningKey, is_signed_by, key_id

VERSION = 1
MAX_RECEIPT_BYTES = 4096  # about 250 bytes today; later a signed policy rides along
_SIGN = b"sandyq/sb1/receipt"


@dataclass(frozen=True)
class Receipt:
    """What the region promises to have stored."""

    blob_id: bytes
    sha256: bytes  # of the whole envelope
    box_kid: bytes
    epoch: bytes
    seq: int
    events: int
    contiguous_high: int  # every batch of the epoch up to this one is stored
    server_time: datetime
    region_kid: bytes  # which key signed

    def to_bytes(self) -> bytes:
        return cbor.write(
            [
                VERSION,
                self.blob_id,
                self.sha256,
                self.box_kid,
                self.epoch,
                self.seq,
                self.events,
                self.contiguous_high,
                int(self.server_time.timestamp()),
                self.region_kid,
            ]
        )


def sign_receipt(receipt: Receipt, key: SigningKey) -> bytes:
    """Return the receipt as it travels."""
    body = receipt.to_bytes()
    return cbor.write([body, key.sign(_SIGN + body)])


def verify_receipt(signed: bytes, region_public: bytes) -> Receipt:
    """Return the receipt if the region with this key signed it."""
    try:
        body, signature = cbor.array(cbor.read(signed), 2)
        cbor.octets(signature, SIGNATURE_BYTES)
        receipt = _read(cbor.octets(body))
    except cbor.NotOurCbor as fault:
        raise ReceiptMalformed from fault
    if receipt.region_kid != key_id(region_public) or not is_signed_by(
        region_public, signature, _SIGN + body
    ):
        raise ReceiptForged
    return receipt


def _read(body: bytes) -> Receipt:
    fields = cbor.array(cbor.read(body), 10)
    cbor.whole(fields[0], VERSION, VERSION)
    return Receipt(
        cbor.octets(fields[1], BLOB_ID_BYTES),
        cbor.octets(fields[2], SHA256_BYTES),
        cbor.octets(fields[3], KID_BYTES),
        cbor.octets(fields[4], EPOCH_BYTES),
        cbor.whole(fields[5], 1),
        cbor.whole(fields[6], 1),
        cbor.whole(fields[7]),
        cbor.moment(fields[8]),
        cbor.octets(fields[9], KID_BYTES),
    )
