"""The record of an exam that nobody can mend afterwards: each line carries the hash of the one before. Pure.

A certificate is text: one line a record, then one with the box's signature over the last hash. Every line
is written in exactly one way, so a changed space is a changed line. The bytes are described in docs/exam.md.
Keeps out: names, and who signs; the signature is checked by a function that is handed in.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

FORMAT = "sandyq-exam-1"
FIRST = "0" * 64  # what the first record says came before it
# What the first and the last record must tell, beside what every record does.
STARTED = frozenset({"exam", "class", "planned_minutes", "engine", "at", "second"})
ENDED = frozenset({"by", "refused", "answers", "restarts", "records", "at", "second"})
Value = str | int

IsSigned = Callable[[bytes, bytes, bytes], bool]  # public key, signature, message


@dataclass(frozen=True)
class Record:
    """One fact of an exam, in its place."""

    number: int
    previous: str
    facts: Mapping[str, Value]

    @property
    def hash(self) -> str:
        body = {"format": FORMAT, "number": self.number, "previous": self.previous, "facts": dict(self.facts)}
        return hashlib.sha256(_canonical(body).encode("ascii")).hexdigest()

    @property
    def line(self) -> str:
        body = {"number": self.number, "previous": self.previous, "facts": dict(self.facts)}
        return _canonical({**body, "hash": self.hash})


@dataclass(frozen=True)
class Verdict:
    """`flaw` is "" only for a whole certificate; otherwise the first thing that is wrong, and its line."""

    flaw: str = ""
    line: int = 0
    device: str = ""  # the public key that signed
    facts: Sequence[Mapping[str, Value]] = field(default=())

    @property
    def is_whole(self) -> bool:
        return not self.flaw


def follow(last: Record | None, facts: Mapping[str, Value]) -> Record:
    """Return the record that comes after `last`."""
    return Record(last.number + 1, last.hash, facts) if last else Record(0, FIRST, facts)


def read_line(line: str) -> Record:
    """Return the record of a line; ValueError unless it is written in the one way and has its own hash."""
    body = json.loads(line)
    if not isinstance(body, dict) or set(body) != {"number", "previous", "facts", "hash"}:
        raise ValueError("not a record")
    if type(body["number"]) is not int or type(body["previous"]) is not str:
        raise ValueError("not a record")
    record = Record(body["number"], body["previous"], _facts(body["facts"]))
    if record.line != line:
        raise ValueError("changed")
    return record


def seal_message(last_hash: str) -> bytes:
    """Return what the box signs."""
    return f"{FORMAT} {last_hash}".encode("ascii")


def write_certificate(lines: Sequence[str], last_hash: str, device: bytes, signature: bytes) -> bytes:
    seal = {"device": device.hex(), "signature": signature.hex(), "signs": last_hash}
    return ("\n".join([*lines, _canonical(seal)]) + "\n").encode("ascii")


def verify_certificate(content: bytes, is_signed: IsSigned) -> Verdict:
    """Judge a certificate. Whole means: from `started` to `ended`, none missing, none changed, signed."""
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        return Verdict("unreadable", 1)
    if not text.endswith("\n"):
        return Verdict("cut", text.count("\n") + 1)
    *lines, seal = text[:-1].split("\n")
    records: list[Record] = []
    for number, line in enumerate(lines, 1):
        flaw, record = _judge(line, records[-1] if records else None)
        if flaw or record is None:
            return Verdict(flaw, number)
        records.append(record)
    flaw = _judge_whole(records)
    if flaw:
        return Verdict(flaw, max(1, len(lines)))
    device = _signer(seal, records[-1].hash, is_signed)
    if not device:
        return Verdict("signature", len(lines) + 1)
    return Verdict(device=device, facts=tuple(record.facts for record in records))


def _judge(line: str, last: Record | None) -> tuple[str, Record | None]:
    try:
        record = read_line(line)
    except (ValueError, TypeError, KeyError, RecursionError):
        return "changed", None
    if follow(last, record.facts) != record:
        return "order", None
    return "", record


def _judge_whole(records: Sequence[Record]) -> str:
    """The ends must be there, once each, and the last record must agree with what it sums up."""
    kinds = [record.facts.get("kind") for record in records]
    if len(kinds) < 2 or kinds[0] != "started" or kinds[-1] != "ended":
        return "ends"
    first, told = records[0].facts, records[-1].facts
    if {"started", "ended"} & set(kinds[1:-1]) or not first.keys() >= STARTED or not told.keys() >= ENDED:
        return "ends"
    if told.get("records") != len(records) or told.get("refused") != refused_in(
        record.facts for record in records
    ):
        return "sums"
    return ""


def refused_in(facts: Iterable[Mapping[str, Value]]) -> int:
    """Return how many tries these records tell of."""
    counts = [fact.get("count") for fact in facts if fact.get("kind") == "refused"]
    return sum(count for count in counts if isinstance(count, int))


def _signer(seal: str, last_hash: str, is_signed: IsSigned) -> str:
    try:
        body = json.loads(seal)
        device, signature = bytes.fromhex(body["device"]), bytes.fromhex(body["signature"])
        expected = {"device": device.hex(), "signature": signature.hex(), "signs": last_hash}
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    if _canonical(expected) != seal or not is_signed(device, signature, seal_message(last_hash)):
        return ""
    return device.hex()


def _facts(value: object) -> dict[str, Value]:
    if not isinstance(value, dict) or not all(type(fact) in (str, int) for fact in value.values()):
        raise ValueError("not facts")
    return value


def _canonical(body: Mapping[str, object]) -> str:
    return json.dumps(body, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
