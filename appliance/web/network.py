"""The teacher's page about the box itself: where it is found, its own Wi-Fi, restart and switch off.

Each change is asked of a root helper by one word; a machine without helpers shows the page and says what is
missing. Only a class's teacher comes here.
"""

from dataclasses import dataclass
from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from appliance.box import root_calls
from appliance.box.box_codes import find_codes, wifi_link
from appliance.box.discovery import box_name
from appliance.errors import ApplianceError, FieldMissing
from appliance.web import care
from appliance.web.context import form, get_teacher_class, services
from appliance.web.errors import sentences
from appliance.web.teacher import box_address, qr

pages = Blueprint("network", __name__, url_prefix="/teacher/box")

# What a form may wish, by helper and verb: nothing that is sent becomes a verb by itself.
WISHES = {
    "auto": ("network", "use-auto"),
    "lan": ("network", "use-lan"),
    "hotspot": ("network", "use-hotspot"),
    "restart": ("power", "restart"),
    "switch-off": ("power", "switch-off"),
}
# These end the lesson for everybody, so they are asked about once more.
ASKED_TWICE = {"restart", "switch-off"}


@dataclass(frozen=True)
class Network:
    """What the helper tells about the network."""

    wish: str
    mode: str
    has_radio: bool


@pages.get("")
def show() -> ResponseReturnValue:
    get_teacher_class()
    return _page()


@pages.post("")
def change() -> ResponseReturnValue:
    get_teacher_class()
    wish = form().get("wish", "")
    if wish not in WISHES:
        raise FieldMissing(field="wish")
    if wish in ASKED_TWICE and form().get("sure") != "yes":
        return render_template("network_sure.html", wish=wish)
    try:
        root_calls.call(services().helpers, *WISHES[wish])
    except ApplianceError as error:
        return _page(error)
    if wish in ASKED_TWICE:
        return render_template("network_gone.html", wish=wish)
    return redirect(url_for("network.show"), 303)


def _page(problem: ApplianceError | None = None) -> ResponseReturnValue:
    network, missing = _look()
    codes = find_codes(services().home)
    name = box_name(services().home)
    start = box_address(request.host, services().addresses, services().port)
    wifi = wifi_link(name, codes.wifi_password) if codes else ""
    shown = problem or missing
    page = render_template(
        "network.html",
        limits=care.limits(),
        link=start,
        addresses=services().addresses,
        port=services().port,
        host=services().presence.host,
        link_qr=qr(start),
        name=name,
        codes=codes,
        wifi_qr=qr(wifi) if wifi else "",
        network=network,
        problem=sentences(shown) if shown else None,
    )
    return page, problem.status if problem else 200


def _look() -> tuple[Network | None, ApplianceError | None]:
    try:
        said: dict[str, Any] = root_calls.call(services().helpers, "network", "status")
    except ApplianceError as error:
        return None, error
    return Network(str(said.get("wish")), str(said.get("mode")), bool(said.get("has_radio"))), None
