"""What ValueStreamer's paths, queries and bodies may hold.

Source: https://www.valuestreamer.de/help/-managing-kpis-via-rest-api. That anything else is answered with 400 is the
sandbox's reading.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from pipelines.sandbox.valuestreamer_meta import Kpi
from pipelines.sandbox.web import Refusal

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DAYS_LISTED = 31
_MONTHS_LISTED = 6


def uuid(given: str) -> str:
    """An id in lower case.

    Raises:
        Refusal: 400 where it is no UUID.
    """
    if not _UUID.fullmatch(given):
        raise Refusal(400, f"{given!r} is no UUID")
    return given.lower()


def iso_date(given: str) -> date:
    """A date.

    Raises:
        Refusal: 400 where it is none, or not in the form yyyy-MM-dd.
    """
    try:
        if _DATE.fullmatch(given):
            return date.fromisoformat(given)
    except ValueError:
        pass
    raise Refusal(400, f"{given!r} is no date in the form yyyy-MM-dd")


def check_range(first: date, last: date, kpi: Kpi | None) -> None:
    """Check the dates of a list. Both ends count: the documents' own example of 31 days is 2022-10-01 to 2022-10-31.

    Raises:
        Refusal: 400 for more than 31 days, of a weekly or monthly KPI more than 6 months.
    """
    if last < first:
        raise Refusal(400, f"{first} is after {last}")
    if kpi is None or kpi.interval == "day":
        if (last - first).days >= _DAYS_LISTED:
            raise Refusal(400, f"{first} to {last} is more than {_DAYS_LISTED} days")
        return
    months = (last.year - first.year) * 12 + last.month - first.month
    if (months, last.day) >= (_MONTHS_LISTED, first.day):
        raise Refusal(400, f"{first} to {last} is more than {_MONTHS_LISTED} months")


def checked_values(kpi: Kpi, body: Mapping[str, Any], *, whole_floats: bool) -> dict[str, float]:
    """The numbers of a PUT's body by value id. `whole_floats`: an integer KPI takes 5.0.

    Raises:
        Refusal: 400 for anything but numbers for values of the KPI, each once.
    """
    entries = body.get("values")
    if set(body) != {"values"} or not isinstance(entries, list) or not entries:
        raise Refusal(400, 'The body must be {"values": [{"kpiValueId": ..., "value": ...}, ...]}')
    values: dict[str, float] = {}
    for entry in entries:
        if not isinstance(entry, dict) or set(entry) != {"kpiValueId", "value"}:
            raise Refusal(400, "Each of the values must have a kpiValueId and a value, and nothing else")
        key, value = entry["kpiValueId"], entry["value"]
        key = uuid(key) if isinstance(key, str) else ""
        if key not in kpi.value_ids:
            raise Refusal(400, f"KPI {kpi.id} has no value {entry['kpiValueId']}")
        if key in values:
            raise Refusal(400, f"Value {key} stands twice in the body")
        values[key] = _number(kpi, value, whole_floats=whole_floats)
    return values


def _number(kpi: Kpi, value: Any, *, whole_floats: bool) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refusal(400, f"{value!r} is no number")
    whole = isinstance(value, int) or (whole_floats and value.is_integer())
    if kpi.integer and not whole:
        raise Refusal(400, f"{kpi.name} takes whole numbers only, not {value!r}")
    return value
