"""Runs inside a mount namespace of its own: a real box on a real small disk that fills up.

usage: full_disk_inside.py FOLDER PORT; prints one JSON object. Started by tests/test_full_disk.py.
"""

import json
import os
import re
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlencode

import urllib3

SIZE_BYTES = 12_000_000
LEARNERS = 40

folder, port = Path(sys.argv[1]), int(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_BYTES}", "tmpfs", str(folder)], check=True)
environment = os.environ | {"SANDYQ_HOME": str(folder / "home"), "SANDYQ_WEB_HOST": "127.0.0.1"}
web = subprocess.Popen(
    [sys.executable, "-m", "appliance.cli", "web", "serve", "--port", str(port)],
    env=environment,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)
http = urllib3.PoolManager(retries=False)
url = f"http://127.0.0.1:{port}"


def send(path: str, form: dict[str, str], cookie: str = "") -> urllib3.BaseHTTPResponse:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie, "Accept-Language": "ru"}
    return http.request("POST", url + path, body=urlencode(form), headers=headers, redirect=False)


def login_of(answer: urllib3.BaseHTTPResponse) -> str:
    return answer.headers["Set-Cookie"].split(";")[0]


for _ in range(300):
    try:
        http.request("GET", url + "/health")
        break
    except urllib3.exceptions.HTTPError:
        time.sleep(0.1)
names = [f"Learner{number:02d}" for number in range(LEARNERS)]
form = {"school_class": "7A", "language": "ru", "learners": "\n".join(names), "pin": "271828"}
dana = login_of(send("/setup", {**form, "pin_again": "271828"}))
send("/teacher/session", {"wish": "open"}, dana)
page = http.request("GET", url + "/teacher", headers={"Cookie": dana}).data.decode()
path = re.search(r"/class/\d+", page)[0]
ids = re.findall(r'name="learner" value="(\w+)"', http.request("GET", url + path).data.decode())
logins = [login_of(send(path, {"learner": learner})) for learner in ids]
for login in logins:
    send("/welcome", {}, login)  # the rules, read once

filler = folder / "filler"
with filler.open("wb", buffering=0) as file:
    try:
        while True:
            file.write(b"x" * 4096)
    except OSError:
        pass

acknowledged, refused = [], None
for number, login in enumerate(logins):
    text = f"question {number} " + "қ" * 1900
    answer = send("/ask", {"question": text, "submission": f"s{number}"}, login)
    if answer.status == 303:
        acknowledged.append(f"s{number}")
        continue
    refused = {"status": answer.status, "page": answer.data.decode(), "text": text}
    break
readable = http.request("GET", url + "/ask", headers={"Cookie": logins[0]}).status
filler.unlink()
again = send("/ask", {"question": "after", "submission": "after"}, logins[-1]).status
if again == 303:
    acknowledged.append("after")
web.kill()
web.wait()
db = sqlite3.connect(folder / "home" / "box.sqlite")
saved = [row[0] for row in db.execute("SELECT submission FROM question ORDER BY rowid")]
whole = db.execute("PRAGMA integrity_check").fetchone()[0]
outbox = db.execute("SELECT count(*) FROM outbox").fetchone()[0]
events = db.execute("SELECT count(*) FROM event").fetchone()[0]
db.close()
facts = {
    "acknowledged": acknowledged,
    "refused": refused,
    "readable": readable,
    "again": again,
    "saved": saved,
    "whole": whole,
    "outbox": outbox,
    "events": events,
}
print(json.dumps(facts))
