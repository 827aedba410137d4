"""A phone in the air of a classroom, as far as its network goes; not a test, started by some in a namespace.

    python phone.py join DEVICE        ask for an address, take it; print what was offered
    python phone.py look SERVER NAME…  ask a name server for addresses; print the answers
    python phone.py open ADDRESS HOST PATH [METHOD]   ask a web server; print status, location and text
    python phone.py find NAME…         ask everybody (multicast DNS); print who answered

Written by hand down to the packets, so that nothing of the box's own code judges the box.
"""

import http.client
import json
import os
import re
import secrets
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

PATIENCE_SECONDS = 20.0
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
NAMES = {
    1: "mask",
    3: "routers",
    6: "name_servers",
    15: "domain",
    42: "time_servers",
    51: "lease",
    54: "server",
}


def join(device: str) -> dict[str, object]:
    hardware = bytes.fromhex(Path(f"/sys/class/net/{device}/address").read_text().strip().replace(":", ""))
    number = secrets.token_bytes(4)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        line.bind(("0.0.0.0", 68))
        offered = exchange(line, hardware, number, DISCOVER, b"", OFFER)
        wishes = (
            b"\x32\x04"
            + socket.inet_aton(offered["address"])
            + b"\x36\x04"
            + socket.inet_aton(offered["server"])
        )
        given = exchange(line, hardware, number, REQUEST, wishes, ACK)
    subprocess.run(["ip", "addr", "replace", f"{given['address']}/24", "dev", device], check=True)
    subprocess.run(["ip", "route", "replace", "default", "via", given["routers"][0]], check=True)
    return given


def exchange(line, hardware, number, kind, wishes, wanted):  # type: ignore[no-untyped-def]
    # 0x8000: answer to everybody, this phone has no address yet.
    head = (
        struct.pack("!BBBB4sHH16s", 1, 1, 6, 0, number, 0, 0x8000, b"")
        + hardware.ljust(16, b"\0")
        + bytes(192)
    )
    # It calls itself by the box's own name.
    asked = (
        b"\x35\x01" + bytes([kind]) + wishes + b"\x0c\x06sandyq" + b"\x37\x05\x01\x03\x06\x0f\x2a" + b"\xff"
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        line.sendto(head + b"\x63\x82\x53\x63" + asked, ("255.255.255.255", 67))
        line.settimeout(2)
        try:
            reply = line.recv(2000)
        except TimeoutError:
            continue
        read = read_reply(reply)
        if reply[4:8] == number and read.get("kind") == wanted:
            return read
    raise SystemExit("nobody hands out addresses here")


def read_reply(reply: bytes):  # type: ignore[no-untyped-def]
    found = {"address": socket.inet_ntoa(reply[16:20])}
    options = reply[240:]
    while options and options[0] != 255:
        if options[0] == 0:
            options = options[1:]
            continue
        code, size = options[0], options[1]
        value, options = options[2 : 2 + size], options[2 + size :]
        name = NAMES.get(code)
        if code == 53:
            found["kind"] = value[0]
        elif name in ("routers", "name_servers", "time_servers"):
            found[name] = [socket.inet_ntoa(value[at : at + 4]) for at in range(0, size, 4)]
        elif name in ("server", "mask"):
            found[name] = socket.inet_ntoa(value)
        elif name == "domain":
            found[name] = value.decode().rstrip("\0")
    return found


def question(name: str, kind: int) -> bytes:
    labels = b"".join(bytes([len(part)]) + part.encode() for part in name.rstrip(".").split("."))
    return labels + b"\0" + struct.pack("!HH", kind, 1)


def look(server: str, name: str, kind: int = 1) -> dict[str, object]:
    number = os.urandom(2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.settimeout(PATIENCE_SECONDS)
        line.sendto(number + struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + question(name, kind), (server, 53))
        reply = line.recv(2000)
    answers = struct.unpack("!H", reply[6:8])[0]
    found = re.findall(
        rb"\x00\x01\x00\x01....\x00\x04(....)", reply[12 + len(question(name, kind)) :], re.DOTALL
    )
    return {"code": reply[3] & 15, "answers": answers, "addresses": [socket.inet_ntoa(one) for one in found]}


def open_page(address: str, host: str, path: str, method: str = "GET") -> dict[str, object]:
    line = http.client.HTTPConnection(address, 80, timeout=PATIENCE_SECONDS)
    line.request(method, path, headers={"Host": host})
    answer = line.getresponse()
    text = answer.read().decode("utf-8", "replace")
    return {"status": answer.status, "location": answer.headers.get("Location"), "text": text}


def is_open(address: str, port: int) -> str:
    try:
        socket.create_connection((address, port), 5).close()
    except OSError as error:
        return type(error).__name__
    return "open"


def find(name: str) -> list[str]:
    """Ask by multicast, and listen to whoever answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        line.bind(("", 5353))
        own = socket.inet_aton(own_address())
        line.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton("224.0.0.251") + own)
        line.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            kind = 12 if name.startswith("_") else 1
            line.sendto(
                struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + question(name, kind), ("224.0.0.251", 5353)
            )
            until = time.monotonic() + 1.5
            found: set[str] = set()
            while (left := until - time.monotonic()) > 0:
                line.settimeout(left)
                try:
                    reply, sender = line.recvfrom(9000)
                except TimeoutError:
                    break
                # An answer, not one of the questions that we hear as well.
                if reply[2] & 0x80 and name.split(".")[0].encode() in reply:
                    found.add(sender[0])
            if found:
                return sorted(found)
    return []


def own_address() -> str:
    shown = subprocess.run(["ip", "-4", "-o", "addr"], capture_output=True, text=True, check=True).stdout
    return next(a for a in re.findall(r"inet ([\d.]+)/", shown) if not a.startswith("127."))


if __name__ == "__main__":
    act, *words = sys.argv[1:]
    acts = {
        "join": lambda: join(*words),
        "look": lambda: {name: look(words[0], name) for name in words[1:]},
        "open": lambda: open_page(*words),
        "port": lambda: is_open(words[0], int(words[1])),
        "find": lambda: {name: find(name) for name in words},
    }
    print(json.dumps(acts[act]()))
