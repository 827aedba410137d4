"""The page that a teacher prints and hangs up beside the box: everything in one place, on one sheet of A4."""

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from appliance.box.discovery import box_name
from appliance.web.context import get_teacher_class, services
from appliance.web.teacher import box_address, qr

pages = Blueprint("guide", __name__, url_prefix="/teacher")


@pages.get("/guide")
def show() -> ResponseReturnValue:
    get_teacher_class()
    link = box_address(request.host, services().addresses, services().port)
    return render_template(
        "guide.html",
        box=box_name(services().home),
        link=link,
        link_qr=qr(link),
        host=services().presence.host,
    )
