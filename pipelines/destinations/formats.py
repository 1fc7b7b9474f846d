"""Number formats: our own, few, and pinned by tests, because every change of a format is a resend to everybody.

All of them round half up, away from zero, on the number's shortest decimal writing: 2.675 with two digits is 2.68,
-2.5 without digits is -3. The separator is a point, there is no grouping, and trailing zeros go unless a number of
digits was asked for.

    compact    below 10,000 in full (at most two decimals, or three significant digits of a small fraction), from there
               on three significant digits with K, M, B or T; at most 10 characters, or an error
    time       minutes since midnight as 14:43
    integer    rounded to a whole number
    percent    with a percent sign and at most one decimal; the value is taken as it is, 60.0 is 60%
    plain      unrounded and without exponent; text, dates and truth values as they are
    decimalN, percentN    exactly N decimals, N from 0 to 9
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import partial
from numbers import Real
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pipelines.destinations.columns import Cells, Columns, Problem, derive, derive_by, unknown
from pipelines.destinations.texts import shown

Formatter = Callable[[Any], str]

COMPACT_LIMIT = 10
"""The most characters that `compact` writes: what a Stativate value holds."""
_SUFFIXES = {"K": 3, "M": 6, "B": 9, "T": 12}
_MINUTES_OF_A_DAY = 24 * 60
_IN_FULL_BELOW = 10_000
# 309 digits before the point of the largest float and 9 behind it, with room to spare.
_WIDE = Context(prec=400, rounding=ROUND_HALF_UP)


class FormatError(ValueError):
    """A value has no such form; the message becomes the row's reason."""


def compact(value: Any) -> str:
    """At most 10 characters: 2420, 35.2, 104K, 1.23M.

    Raises:
        FormatError: no finite number, from 1,000T on, or a fraction too small for 10 characters.
    """
    if type(value) is float and value.is_integer() and -_IN_FULL_BELOW < value < _IN_FULL_BELOW:
        return str(int(value))
    number = _number(value)
    text = _short(number)
    if text is None or len(text) > COMPACT_LIMIT:
        msg = f"{value} has no compact form of at most {COMPACT_LIMIT} characters"
        raise FormatError(msg)
    return text


def _short(number: Decimal) -> str | None:
    if abs(number) < _IN_FULL_BELOW:
        small = _rounded(number, max(2, 2 - number.adjusted()))
        if abs(small) < _IN_FULL_BELOW:
            return _bare(small)
    for suffix, exponent in _SUFFIXES.items():
        scaled = number.scaleb(-exponent, _WIDE)
        scaled = _rounded(scaled, 2 - scaled.adjusted())
        if abs(scaled) < 1000:
            return _bare(scaled) + suffix
    return None


def time(value: Any) -> str:
    """Minutes since midnight as a time of day, to the minute: 883 is 14:43.

    Raises:
        FormatError: no finite number, or none from 0 to 1439.
    """
    minutes = int(_rounded(_number(value), 0))
    if not 0 <= minutes < _MINUTES_OF_A_DAY:
        msg = f"{value} is no time of day: minutes since midnight go from 0 to 1439"
        raise FormatError(msg)
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def integer(value: Any) -> str:
    """Rounded to a whole number."""
    return _fixed(value, 0)


def percent(value: Any) -> str:
    """The value with at most one decimal and a percent sign: 83.33 is 83.3%."""
    return f"{_bare(_rounded(_number(value), 1))}%"


def plain(value: Any) -> str:
    """A number unrounded and without exponent; text, dates and truth values as they are."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() and value.tzinfo is None else value.isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return _bare(_number(value)) if isinstance(value, Real | Decimal) else str(value)


def label(value: Any) -> str:
    """A value as the text that YAML names it by; like `plain`, and anything has one."""
    try:
        return plain(value)
    except FormatError:
        return str(value)


def _fixed(value: Any, digits: int) -> str:
    number = _rounded(_number(value), digits)
    return f"{abs(number) if number.is_zero() else number:f}"


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        msg = f"{shown(value)} is no number"
        raise FormatError(msg)
    number = Decimal(value) if isinstance(value, int | Decimal) else Decimal(repr(float(value)))
    if not number.is_finite():
        msg = f"{value} is no finite number"
        raise FormatError(msg)
    return number


def _rounded(number: Decimal, digits: int) -> Decimal:
    try:
        return number.quantize(Decimal(1).scaleb(-digits), context=_WIDE)
    except InvalidOperation:
        msg = f"{number} has too many digits"
        raise FormatError(msg) from None


def _bare(number: Decimal) -> str:
    """Without exponent and trailing zeros; never -0."""
    if number.is_zero():
        return "0"
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


_NAMED: Mapping[str, Formatter] = {
    "compact": compact,
    "time": time,
    "integer": integer,
    "percent": percent,
    "plain": plain,
    **{f"decimal{n}": lambda value, n=n: _fixed(value, n) for n in range(10)},
    **{f"percent{n}": lambda value, n=n: f"{_fixed(value, n)}%" for n in range(10)},
}


FORMATS: Mapping[str, Formatter | str] = {
    **{name: written for name, written in _NAMED.items() if not name[-1].isdigit()},
    "decimalN": "Exactly so many decimals",
    "percentN": "Exactly so many decimals and a percent sign",
}
"""The formats for people: each as the function whose docstring explains it, or explained here."""


def formatter(name: str, field_name: str = "format") -> Formatter:
    """The format of that name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in _NAMED:
        raise unknown(field_name, "format", name, _NAMED)
    return _NAMED[name]


class FormatBy(BaseModel):
    """A format chosen per row by the text in another column: a KPI table holds minutes, percents and counts alike."""

    model_config = ConfigDict(extra="forbid")

    by: str = Field(description="Column that decides, such as unit.")
    cases: dict[str, str] = Field(description="Text in that column -> format, such as {Time: time, '%': percent}.")
    otherwise: str = Field(default="compact", description="Format of all other rows, those without a text included.")

    @field_validator("cases")
    @classmethod
    def _known(cls, cases: dict[str, str]) -> dict[str, str]:
        for case, name in cases.items():
            known_format(name, f"format.cases.{case}")
        return cases

    @field_validator("otherwise")
    @classmethod
    def _known_otherwise(cls, name: str) -> str:
        return known_format(name, "format.otherwise")


def known_format(name: str, field_name: str = "format") -> str:
    """The name, if it is a format's; for pydantic's validators, which want a ValueError."""
    if name not in _NAMED:
        raise ValueError(str(unknown(field_name, "format", name, _NAMED)))
    return name


def formatted(columns: Columns, column: str, style: str | FormatBy = "plain") -> Cells[str]:
    """A column as text; a null or a value without that form is the row's problem and names the column."""

    def make(form: Formatter, value: Any) -> str | Problem:
        try:
            return form(value)
        except FormatError as error:
            return Problem(f"{column}: {error}")

    values, nulls = columns.values(column), columns.nulls(column)
    if isinstance(style, str):
        return derive(values, partial(make, formatter(style)), "", nulls)
    forms = {case: formatter(name) for case, name in style.cases.items()}
    otherwise = formatter(style.otherwise)
    chosen = derive(columns.values(style.by), lambda case: forms.get(label(case), otherwise), otherwise, {})
    return derive_by(chosen.values, values, make, "", nulls)
