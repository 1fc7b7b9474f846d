"""How a range of dates is cut for ValueStreamer's list endpoint."""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterator
from typing import Literal

Grain = Literal["daily", "weekly", "monthly"]

_DAYS = 31
_MONTHS = 6


def windows(first: dt.date, last: dt.date, grain: Grain) -> Iterator[tuple[dt.date, dt.date]]:
    """Spans that cover `first` to `last`, both included, without gap or overlap.

    One query covers at most 31 days of daily data, or 6 months of weekly and monthly data (seed: "Managing KPIs via
    REST API"). Whether the ends count is written nowhere, so each span keeps within the limit with both ends counted.
    """
    start = first
    while start <= last:
        end = min(last, _end(start, grain))
        yield start, end
        start = end + dt.timedelta(days=1)


def _end(start: dt.date, grain: Grain) -> dt.date:
    if grain == "daily":
        return start + dt.timedelta(days=_DAYS - 1)
    years, month = divmod(start.month - 1 + _MONTHS, 12)
    year, month = start.year + years, month + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return dt.date(year, month, day) - dt.timedelta(days=1)
