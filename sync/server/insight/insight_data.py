"""The same as the pages show, for programs: JSON, CSV, Parquet and xAPI, with a read-only token.

What leaves here is what was told (`telling`) and how the boxes are; docs/openapi says each route. Keeps out:
rules, SQL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from flask import Blueprint, Response, jsonify

from sync.errors import NotFound
from sync.server.insight import box_states, equity, exports, telling
from sync.server.insight.equity import Panel
from sync.server.insight.exports import SCHEMA_NAME, ToldRow
from sync.server.insight.needs import Need, ranked
from sync.server.people.web_access import needs
from sync.server.people.web_context import db, door, now

insight_data = Blueprint("insight_data", __name__)

CSV_TYPE = "text/csv; charset=utf-8; header=present"
PARQUET_TYPE = "application/vnd.apache.parquet"
JSON_TYPE = "application/json"
_NAME = re.compile(r"(\d{4}-\d{2})\.(csv|parquet|json)")


@insight_data.get("/data/boxes")
@needs("viewer")
def boxes() -> Response:
    """How every box is, and what it needs, the most urgent first."""
    every = box_states.box_states(db())
    order = ranked(every, now().date())
    needing = {box.id: found for box, found in order}
    rank = {box.id: place for place, (box, _) in enumerate(order)}
    listed = sorted(every, key=lambda box: (rank.get(box.id, len(order)), box.label))
    return jsonify(
        [
            {
                "label": box.label,
                "school": box.school,
                "stratum": box.stratum,
                "size_class": box.size_class,
                "software": box.software,
                "enrolled_at": box.enrolled_at.isoformat(),
                "last_contact_at": box.last_contact_at.isoformat(),
                "is_sent_away": box.is_revoked,
                "batches": box.batches,
                "missing_batches": box.missing,
                "disk": box.disk,
                "heat": box.heat,
                "needs": [_need(need) for need in needing.get(box.id, ())],
            }
            for box in listed
        ]
    )


def _need(need: Need) -> dict[str, object]:
    return {"name": need.name, "level": need.level, "count": need.count}


@insight_data.get("/data/months")
@needs("viewer")
def months() -> Response:
    """The months of which something was told, and those told as a whole."""
    return jsonify({"told": telling.told_months(db()), "settled": telling.settled_months(db())})


@insight_data.get("/data/equity/<month>")
@needs("viewer")
def equity_of(month: str) -> Response:
    """Every comparison of a month, with what it cannot tell."""
    if month not in telling.settled_months(db()):
        raise NotFound
    return jsonify([_panel(panel) for panel in equity.panels(telling.told_in(db(), month))])


def _panel(panel: Panel) -> dict[str, object]:
    return {
        "measure": panel.measure.name,
        "share_of": panel.measure.share,
        "cannot_tell": panel.measure.cannot,
        "axis": panel.axis,
        "groups": [
            {
                "group": name,
                "share": round(share.value, 3) if share else None,
                "low": round(share.between()[0], 3) if share else None,
                "high": round(share.between()[1], 3) if share else None,
            }
            for name, share in panel.shares
        ],
        "differ": [[one.first, one.second] for one in panel.certain],
    }


@insight_data.get("/data/told/<name>")
@needs("viewer")
def told(name: str) -> Response:
    """A month's told rows as CSV, Parquet or JSON."""
    month, form = _read_name(name)
    rows = _rows(month)
    match form:
        case "csv":
            return _file(exports.as_csv(rows), CSV_TYPE, f"told-{name}")
        case "parquet":
            return _file(exports.as_parquet(rows), PARQUET_TYPE, f"told-{name}")
        case _:
            return _file(exports.as_json(rows), JSON_TYPE, f"told-{name}")


@insight_data.get("/data/xapi/<name>")
@needs("viewer")
def xapi(name: str) -> Response:
    """A month's told rows as xAPI statements, for whoever runs an LRS."""
    month, form = _read_name(name)
    if form != "json":
        raise NotFound
    rows = _rows(month)

    def written() -> Iterator[str]:
        yield "["
        for at, statement in enumerate(exports.statements(door().region.id, rows)):
            yield (",\n" if at else "") + json.dumps(statement)
        yield "]"

    return Response("".join(written()), content_type=JSON_TYPE)


@insight_data.get(f"/data/schema/{SCHEMA_NAME}")
@needs("viewer")
def schema() -> Response:
    """What the columns mean."""
    return Response(json.dumps(exports.schema(), indent=1), content_type="application/schema+json")


def _read_name(name: str) -> tuple[str, str]:
    found = _NAME.fullmatch(name)
    if found is None:
        raise NotFound
    return found[1], found[2]


def _rows(month: str) -> list[ToldRow]:
    rows = [ToldRow(*row) for row in telling.told_rows(db(), month)]
    if not rows:
        raise NotFound
    return rows


def _file(body: str | bytes, content_type: str, name: str) -> Response:
    return Response(
        body,
        content_type=content_type,
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Link": f'</data/schema/{SCHEMA_NAME}>; rel="describedby"',
        },
    )
