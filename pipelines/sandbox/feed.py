"""What the page is told: everything once, then only what changed since it last asked."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from pipelines.sandbox.core import Sandbox
from pipelines.sandbox.counts import UNANSWERED, ApiCounts
from pipelines.sandbox.state import Record
from pipelines.sandbox.valuestreamer_meta import Kpi

_STATUS = ("name", "value", "description", "colorNo", "changes", "notifications", "valueChangedAt", "updatedAt")
_STATE = ("id", "resource", "context", "state", "title", "message", "url", "updated_at")
_AREA = ("id", "correlationID", "name", "parent", "active", "tags")
_PLAIN = {
    "stativate/statuses": ("statuses", _STATUS),
    "dnsimple/statuses": ("states", _STATE),
    "feedback_house/areas": ("areas", _AREA),
}
_RECORDS = "valuestreamer/records"
_META = "valuestreamer/meta"
_HELD = {
    "stativate": "stativate/statuses",
    "valuestreamer": _RECORDS,
    "dnsimple": "dnsimple/statuses",
    "feedback_house": "feedback_house/areas",
}
_DAYS_SHOWN = 370


def look(sandbox: Sandbox, epoch: str, since: int) -> dict[str, Any]:
    """The boards as they differ from what was seen at `since` of `epoch`; `fresh`: these are all there is.

    `statuses`, `states` and `areas` map keys to entries, `records` series to dates to values in the order of the
    KPI's own (of a fresh look those of the newest year); null stands for what is gone. `meta` is there where it may
    have changed.
    """
    state = sandbox.state
    fresh = epoch != state.epoch
    answer: dict[str, Any] = {
        "epoch": state.epoch,
        "at": state.journal.at,
        "id": state.id,
        "fresh": fresh,
        "counts": {name: _counts(counts, len(state.shelf(_HELD[name]))) for name, counts in sandbox.counts.items()},
        "statuses": {},
        "states": {},
        "areas": {},
        "records": {},
    }
    changes = _everything(sandbox) if fresh else state.journal.since(since)
    for shelf, key in changes:
        if shelf in _PLAIN:
            name, fields = _PLAIN[shelf]
            answer[name][key] = _picked(state.record(shelf, key), fields)
        elif shelf == _RECORDS:
            _add_record(sandbox, answer["records"], key)
        elif shelf == _META:
            answer["meta"] = _meta(sandbox)
    if fresh:
        answer["meta"] = _meta(sandbox)
    return answer


def _everything(sandbox: Sandbox) -> Iterable[tuple[str, str]]:
    for shelf in _PLAIN:
        for key in sandbox.state.shelf(shelf):
            yield shelf, key
    days = sandbox.state.shelf(_RECORDS)
    newest = max(days, default="")[:10]
    oldest = str(date.fromisoformat(newest) - timedelta(days=_DAYS_SHOWN)) if newest else ""
    for key in sandbox.state.shelf(_RECORDS):
        if key >= oldest:
            yield _RECORDS, key


def _picked(record: Record | None, fields: tuple[str, ...]) -> dict[str, Any] | None:
    return None if record is None else {name: record[name] for name in fields}


def _add_record(sandbox: Sandbox, records: dict[str, dict[str, Any]], key: str) -> None:
    day, _, series = key.partition("/")
    record = sandbox.state.record(_RECORDS, key)
    values = None
    if record is not None:
        kpi = sandbox.valuestreamer.kpis.get(record["kpiId"])
        values = [record["values"].get(value.id) for value in kpi.values] if kpi else list(record["values"].values())
    records.setdefault(series, {})[day] = values


def _meta(sandbox: Sandbox) -> dict[str, Any]:
    board = sandbox.valuestreamer
    return {
        "kpis": [_kpi(kpi) for kpi in board.kpis.values()],
        "teams": [{"id": team.id, "name": team.name, "short": team.short_name} for team in board.teams.values()],
    }


def _kpi(kpi: Kpi) -> dict[str, Any]:
    return {
        "id": kpi.id,
        "name": kpi.name,
        "unit": kpi.unit,
        "interval": kpi.interval,
        "values": [{"name": value.name, "role": value.role} for value in kpi.values],
        "tiles": [{"id": tile.id, "name": tile.name} for tile in kpi.sub_tiles],
    }


def _counts(counts: ApiCounts, held: int) -> dict[str, int]:
    failed = sum(number for status, number in counts.statuses.items() if status == UNANSWERED or status[0] in "45")
    return {"requests": counts.requests, "failed": failed, "held": held}
