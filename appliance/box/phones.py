"""The test pages by which phones ask whether a network leads to the internet, and what they hope to hear.

Pure. Only plain-http addresses: over https a test asks for its maker's own certificate, which no box can or
should show. Keeps out: who has seen the box's page already (web/portal).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """What a maker's own server would say."""

    status: int
    content_type: str = "text/plain"
    body: str = ""


NOTHING = Answer(204)
_APPLE = Answer(200, "text/html", "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>")
_MOZILLA = '<meta http-equiv="refresh" content="0;url=https://support.mozilla.org/kb/captive-portal"/>'

# Android and what is built on it: each maker has a server of its own, the page is called the same.
ANDROID_PAGES = ("/generate_204", "/gen_204")
# Host and page; a page of "" stands for every page of that host.
PAGES = {
    ("captive.apple.com", ""): _APPLE,
    ("www.apple.com", "/library/test/success.html"): _APPLE,
    ("www.msftconnecttest.com", "/connecttest.txt"): Answer(200, body="Microsoft Connect Test"),
    ("www.msftncsi.com", "/ncsi.txt"): Answer(200, body="Microsoft NCSI"),
    ("detectportal.firefox.com", "/success.txt"): Answer(200, body="success\n"),
    ("detectportal.firefox.com", "/canonical.html"): Answer(200, "text/html", _MOZILLA),
    ("connectivity-check.ubuntu.com", ""): NOTHING,
    ("nmcheck.gnome.org", "/check_network_status.txt"): Answer(200, body="NetworkManager is online\n"),
    ("networkcheck.kde.org", ""): Answer(200, body="OK\n"),
}
# Where Windows sends the person once it has seen that the test page is not its own.
SENT_ON = {("www.msftconnecttest.com", "/redirect")}


def find_answer(host: str, path: str) -> Answer | None:
    """Return what this test hopes to hear, or None when it is no test page."""
    name = host.rsplit(":", 1)[0].lower().rstrip(".")
    if path in ANDROID_PAGES and "." in name and not name.replace(".", "").isdigit():
        return NOTHING
    return PAGES.get((name, path)) or PAGES.get((name, "")) or (NOTHING if (name, path) in SENT_ON else None)
