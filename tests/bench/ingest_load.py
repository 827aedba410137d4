"""Boxes that send to a region, many at once: the load of the ingest benchmark, a process of its own.

`python -m tests.bench.ingest_load FOLDER` reads `load.json` and the sealed envelopes beside it, sends
each box's in their order over one connection that stays open, verifies each receipt as a box does,
and prints one JSON object. With a pace, envelopes leave at their planned moments and a wait counts
from there. Keeps out: making envelopes, judging.
"""

import http.client
import json
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from sync.receipt import verify_receipt
from sync.reply import read_reply
from sync.transport import ENVELOPE_TYPE

TIMEOUT_SECONDS = 120.0


@dataclass
class Sent:
    """What the boxes saw."""

    waits: list[float] = field(default_factory=list)
    events: int = 0
    faults: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def main() -> None:
    folder = Path(sys.argv[1])
    load = json.loads((folder / "load.json").read_text())
    sent = Sent()
    boxes = [(folder / name, token, bytes.fromhex(kid)) for name, token, kid in load["boxes"]]
    lines = [boxes[at :: load["lines"]] for at in range(load["lines"])]
    public = bytes.fromhex(load["receipt_key"])
    began = time.monotonic()
    threads = [
        threading.Thread(target=send, args=(load["ports"], at, line, public, sent, load["pace"], began))
        for at, line in enumerate(lines)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - began
    times = time.process_time()
    print(
        json.dumps(
            {
                "seconds": seconds,
                "events": sent.events,
                "waits": sent.waits,
                "faults": sent.faults[:5],
                "cpu": times,
            }
        )
    )


def send(
    ports: list[int],
    at: int,
    boxes: list[tuple[Path, str, bytes]],
    public: bytes,
    sent: Sent,
    pace: float,  # seconds between two envelopes of one line; 0: as fast as the receipts come
    began: float,
) -> None:
    waits: list[float] = []
    events = 0
    line = http.client.HTTPConnection("127.0.0.1", ports[at % len(ports)], timeout=TIMEOUT_SECONDS)
    # Boxes take turns on a line, each with its own token and its envelopes in order.
    mail = [(path, token, kid) for folder, token, kid in boxes for path in sorted(folder.glob("*.sb1"))]
    try:
        for number, (path, token, kid) in enumerate(mail):
            sealed = path.read_bytes()
            begin = began + pace * (number + at / 16) if pace else time.monotonic()
            time.sleep(max(0.0, begin - time.monotonic()))
            events += deliver(line, sealed, token, kid, public)
            waits.append(time.monotonic() - begin)
    except (OSError, http.client.HTTPException, ValueError) as fault:
        with sent.lock:
            sent.faults.append(repr(fault))
    finally:
        line.close()
    with sent.lock:
        sent.waits += waits
        sent.events += events


def deliver(line: http.client.HTTPConnection, sealed: bytes, token: str, kid: bytes, public: bytes) -> int:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": ENVELOPE_TYPE}
    try:
        answer, body = ask(line, sealed, headers)
    except ConnectionError:
        line.close()  # an idle line may be cut by either side; a box dials again
        answer, body = ask(line, sealed, headers)
    if answer.status != http.client.OK:
        raise ValueError(f"{answer.status} {body[:200]!r}")
    reply = read_reply(body, public, kid)
    return verify_receipt(reply.receipts[0], public).events


def ask(
    line: http.client.HTTPConnection, sealed: bytes, headers: dict[str, str]
) -> tuple[http.client.HTTPResponse, bytes]:
    line.request("POST", "/v1/batches", sealed, headers)
    answer = line.getresponse()
    return answer, answer.read()


if __name__ == "__main__":
    main()
