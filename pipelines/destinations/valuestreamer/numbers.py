"""Values as ValueStreamer takes them: exact, never rounded, never made up."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from functools import partial
from typing import Any, NamedTuple

from pipelines.destinations.columns import Cells, Columns, Problem, derive, derive_by
from pipelines.destinations.texts import shown

Number = int | float

_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
_MINUTES_OF_A_DAY = 24 * 60
_EXACT = 2**53 - 1
"""Above it, whole numbers are rounded on their way through float64: 2**53 may have been 2**53 + 1."""


class _Kind(NamedTuple):
    """What a KPI demands of its values."""

    is_time: bool = False
    is_whole: bool = False


def exact_numbers(columns: Columns, column: str, unit: str | None, whole_number: str | None) -> Cells[Number | None]:
    """A column as numbers for JSON, 12.0 as 12 and a null as None; a value that its KPI does not take is a problem.

    Values with the unit "Time" are minutes since midnight, 0 to 1439, or a text such as 14:43, which is 883 (seed:
    "Managing KPIs via REST API").
    """
    nothing = [None] * len(columns)
    units = columns.values(unit) if unit else nothing
    flags = columns.values(whole_number) if whole_number else nothing
    times = derive(units, _is_time, default=False, nulls={}).values
    wholes = derive(flags, bool, default=False, nulls={}).values
    cases = list(map(_Kind, times, wholes))
    return derive_by(cases, columns.values(column), partial(_exact, column), None, {})


def _is_time(unit: Any) -> bool:
    return isinstance(unit, str) and unit.strip().casefold() == "time"


def _exact(column: str, kind: _Kind, value: Any) -> Number | Problem | None:
    number = _minutes(value) if kind.is_time and isinstance(value, str) else _number(value)
    if number is None:
        return Problem(f"{column}: {shown(value)} is no {'time of day' if kind.is_time else 'finite number'}")
    if kind.is_time and not (isinstance(number, int) and 0 <= number < _MINUTES_OF_A_DAY):
        return Problem(f"{column}: {value} is no time of day: whole minutes since midnight go from 0 to 1439")
    if kind.is_whole and not isinstance(number, int):
        return Problem(f"{column}: {value} is no whole number, and this KPI takes only those")
    return number


def _minutes(text: str) -> int | None:
    match = _CLOCK.fullmatch(text.strip())
    if match:
        return int(match[1]) * 60 + int(match[2])
    return int(text) if text.strip().isascii() and text.strip().isdigit() else None


def _number(value: Any) -> Number | None:
    """The value as int or finite float; None for what is no number, or too large to be exact in JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else None
    number = float(value)
    if not math.isfinite(number) or abs(number) > _EXACT:
        return None
    return int(number) if number.is_integer() else number
