"""A run's partitions at a glance: a calendar in which each one has the colour of its verdict."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from html import escape

_WIDE, _HIGH, _GAP, _LEFT, _TOP = 42, 36, 4, 48, 52
_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_GREENS = ("#d9f2e0", "#9fdcb2", "#5cbf7d", "#2a8f50")
_GREY, _YELLOW, _RED = "#e4e7eb", "#f6c244", "#d64545"
_INK, _PALE, _SOFT = "#1f2933", "#ffffff", "#52606d"
_LEGEND_WIDTH = 440


class Shade(StrEnum):
    """What a partition's square says, the worst first."""

    RED = "red"
    MISSING = "missing"
    YELLOW = "yellow"
    GREEN = "green"
    GREY = "grey"


_FILLS = {Shade.RED: _RED, Shade.MISSING: _PALE, Shade.YELLOW: _YELLOW, Shade.GREEN: _GREENS[2], Shade.GREY: _GREY}
_MARKS = {Shade.RED: "\u2715", Shade.YELLOW: "!"}
"""Beside the colour, for whoever cannot tell red from green."""
_LEGEND = {
    Shade.GREEN: "rows sent, the darker the more",
    Shade.GREY: "nothing to send: all of it stands there, or something newer",
    Shade.YELLOW: "delivered, but rows were rejected, invalid or quarantined",
    Shade.RED: "failed: something did not arrive, or too many rows were refused",
    Shade.MISSING: "missing: the table was never extracted for it",
}
_NUMBERS = (
    "In a square: rows that were sent; on grey, rows that stayed as they are; on yellow and red, what went wrong "
    "(rows, or keys to take away)."
)


@dataclass(frozen=True, slots=True)
class Day:
    """A partition as the run left it. `sent`: rows; `number`: the rows, or keys, that its colour is about."""

    shade: Shade
    number: int = 0
    sent: int = 0

    def fill(self, most: int) -> str:
        """Of green days what was sent is the darker the more it was, beside the run's fullest partition."""
        if self.shade is not Shade.GREEN:
            return _FILLS[self.shade]
        return _GREENS[min(len(_GREENS) - 1, self.sent * len(_GREENS) // (most + 1))]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a partition stands, and what its column and its row are called; no column name: that of one before it."""

    column: int
    row: int
    column_name: str
    row_name: str


_UNITS = {"daily": "day", "weekly": "week", "monthly": "month"}


def calendar(days: Mapping[str, Day], title: str, grain: str = "daily") -> str:
    """Markdown with the picture; `days` by ISO date, at least one.

    Days stand in a column per week; weeks and months in a line per year.
    """
    dates = {date.fromisoformat(key): day for key, day in sorted(days.items())}
    places = _places(list(dates), grain)
    most = max(day.sent for day in dates.values())
    parts = [_text(10, 20, title, 14, _INK), *_names(places)]
    for when, day in dates.items():
        parts += _cell(places[when], when, day, most, grain)
    bottom = _TOP + (max(place.row for place in places.values()) + 1) * (_HIGH + _GAP) + 8
    parts += _legend(bottom, Counter(day.shade for day in dates.values()), _UNITS[grain])
    right = _LEFT + (max(place.column for place in places.values()) + 1) * (_WIDE + _GAP)
    width, height = max(right + 10, 2 * _LEGEND_WIDTH), bottom + 92
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
        f'<rect width="{width}" height="{height}" fill="{_PALE}"/>{"".join(parts)}</svg>'
    )
    return f"![{escape(title)}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _places(dates: list[date], grain: str) -> dict[date, _Place]:
    if grain == "monthly":
        return {
            day: _Place(day.month - 1, day.year - dates[0].year, day.strftime("%b"), str(day.year)) for day in dates
        }
    if grain == "weekly":
        iso = {day: day.isocalendar() for day in dates}
        first = iso[dates[0]].year
        return {day: _Place(one.week - 1, one.year - first, f"w{one.week}", str(one.year)) for day, one in iso.items()}
    monday = dates[0] - timedelta(days=dates[0].weekday())
    places: dict[date, _Place] = {}
    named: set[tuple[int, int]] = set()
    for day in dates:
        month = (day.year, day.month)
        name = "" if month in named else day.strftime("%b %Y")
        named.add(month)
        places[day] = _Place((day - monday).days // 7, day.weekday(), name, _DAYS[day.weekday()])
    return places


def _names(places: Mapping[date, _Place]) -> list[str]:
    """The names above columns and beside rows; of two columns next to each other the newer one is named."""
    columns = {place.column: place.column_name for place in places.values() if place.column_name}
    long = any(len(name) > 3 for name in columns.values())
    above = {at: name for at, name in columns.items() if not long or at + 1 not in columns}
    rows = {place.row: place.row_name for place in places.values()}
    return [
        *(_text(_LEFT + at * (_WIDE + _GAP), _TOP - 8, name) for at, name in sorted(above.items())),
        *(_text(10, _TOP + at * (_HIGH + _GAP) + 23, name) for at, name in sorted(rows.items())),
    ]


def _cell(place: _Place, when: date, day: Day, most: int, grain: str) -> list[str]:
    x, y = _LEFT + place.column * (_WIDE + _GAP), _TOP + place.row * (_HIGH + _GAP)
    fill = day.fill(most)
    ink = _PALE if fill in {_RED, _GREENS[-1]} else _INK
    number = f'<text x="{x + _WIDE / 2:g}" y="{y + 26}" font-size="12" text-anchor="middle" fill="{ink}">'
    mark = _MARKS.get(day.shade)
    return [
        _square((x, y), (_WIDE, _HIGH), fill, day.shade),
        _text(x + 3, y + 10, str(when.day) if grain == "daily" else "", 9, ink),
        f"{number}{_short(day)}</text>",
        *([_text(x + _WIDE - 10, y + 11, mark, 10, ink)] if mark else []),
    ]


def _square(at: tuple[float, float], size: tuple[float, float], fill: str, shade: Shade) -> str:
    """A coloured square; what is missing has a broken edge."""
    (x, y), (wide, high), edge = at, size, ""
    if shade is Shade.MISSING:
        x, y, wide, high = x + 0.5, y + 0.5, wide - 1, high - 1
        edge = f' stroke="{_SOFT}" stroke-dasharray="3 3"'
    return f'<rect x="{x:g}" y="{y:g}" width="{wide:g}" height="{high:g}" rx="4" fill="{fill}"{edge}/>'


def _legend(top: int, days: Mapping[Shade, int], unit: str) -> list[str]:
    """What the colours mean, and how many partitions have each."""
    drawn = []
    for at, (shade, words) in enumerate(_LEGEND.items()):
        x, y = 10 + at % 2 * _LEGEND_WIDTH, top + at // 2 * 22
        drawn.append(_square((x, y), (14, 14), _FILLS[shade], shade))
        count = days.get(shade, 0)
        drawn.append(_text(x + 20, y + 12, f"{count} {unit if count == 1 else f'{unit}s'}: {words}"))
    drawn.append(_text(10, top + 80, _NUMBERS))
    return drawn


def _text(x: float, y: float, words: str, size: int = 12, ink: str = _SOFT) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{ink}">{escape(words)}</text>'


def _short(day: Day) -> str:
    if day.shade is Shade.MISSING:
        return "\u2013"
    return f"{day.number / 1000:.0f}k" if day.number >= 10_000 else str(day.number)
