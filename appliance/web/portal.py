"""On the box's own Wi-Fi: what phones hear that look for the internet, and the page they show by themselves.

A phone's test is first sent on to `/wifi`, which the phone then shows: where the lessons are and one button.
After the button the same phone hears what it hopes for, so that it stays in this network and stops asking.
Lessons are never held in that window: it is no real browser and vanishes at a touch. Nothing is answered over
https, and `web.portal = false` switches all of it off.
"""

import threading
from collections import OrderedDict

from flask import Blueprint, Response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance.box import phones
from appliance.errors import NotFound
from appliance.web.context import address, services

pages = Blueprint("portal", __name__)

# A hotspot carries a few dozen; more addresses than this are not phones.
MOST_PHONES = 500
# Where the hotspot always is (provisioning/network_rules): the address on printed cards.
HOTSPOT_ADDRESS = "10.42.0.1"

_lock = threading.Lock()
_staying: OrderedDict[str, None] = OrderedDict()


def answer_test() -> ResponseReturnValue | None:
    """Answer a phone's test page; None for everything that is meant for us."""
    if request.method not in ("GET", "HEAD"):
        return None
    hoped = phones.find_answer(request.host, request.path) if services().has_portal else None
    if hoped is None:
        return None
    with _lock:
        is_staying = address() in _staying
    if not is_staying or (request.host, request.path) in phones.SENT_ON:
        return redirect(own_address() + url_for("portal.show"), 302)
    return Response(hoped.body, hoped.status, content_type=hoped.content_type)


@pages.get("/wifi")
def show() -> ResponseReturnValue:
    return _page(is_staying=False)


@pages.post("/wifi")
def stay() -> ResponseReturnValue:
    if not services().has_portal:
        raise NotFound
    with _lock:
        _staying[address()] = None
        while len(_staying) > MOST_PHONES:
            _staying.popitem(last=False)
    return _page(is_staying=True)


def own_address() -> str:
    """Return the start of a link to this box, as a phone in its Wi-Fi reaches it."""
    known = services().addresses
    host = HOTSPOT_ADDRESS if HOTSPOT_ADDRESS in known or not known else known[0]
    port = services().port
    return f"http://{host}" + ("" if port == 80 else f":{port}")


def _page(*, is_staying: bool) -> ResponseReturnValue:
    return render_template("wifi.html", link=own_address(), is_staying=is_staying)
