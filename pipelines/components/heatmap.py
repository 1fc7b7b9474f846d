"""A run's partitions at a glance: a calendar in which each one's colour says what was sent, left alone or refused."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape

_WIDE, _HIGH, _GAP, _LEFT, _TOP = 42, 36, 4, 48, 52
_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_GREENS = ("#d9f2e0", "#9fdcb2", "#5cbf7d", "#2a8f50")
_GREY, _YELLOW, _RED = "#e4e7eb", "#f6c244", "#d64545"
_INK, _PALE, _SOFT = "#1f2933", "#ffffff", "#52606d"
_LEGEND = (
    (_GREENS[2], "rows sent, the darker the more", "sent"),
    (_GREY, "rows unchanged or superseded, nothing sent", "left"),
    (_YELLOW, "rows rejected, invalid or quarantined", "wrong"),
    (_RED, "rows failed, unknown or not sent", "undelivered"),
)
"""Colour, what it means, and the field of a day that it is about; each with the run's total beside it."""
_LEGEND_WIDTH = 380


@dataclass(frozen=True, slots=True)
class Day:
    """Rows of a partition: sent in this run, wrong (rejected, invalid, quarantined), undelivered, left as they are."""

    sent: int
    wrong: int
    undelivered: int
    left: int = 0

    def colour(self, most: int) -> str:
        """Worst first; what was sent is the darker the more it was, beside the run's fullest partition."""
        if self.undelivered:
            return _RED
        if self.wrong:
            return _YELLOW
        if not self.sent:
            return _GREY
        return _GREENS[min(len(_GREENS) - 1, self.sent * len(_GREENS) // (most + 1))]

    @property
    def shown(self) -> int:
        """The number of rows that the colour is about."""
        return self.undelivered or self.wrong or self.sent or self.left


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a partition stands, and what its column and its row are called; no column name: that of one before it."""

    column: int
    row: int
    column_name: str
    row_name: str


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
    parts += _legend(bottom, list(dates.values()))
    right = _LEFT + (max(place.column for place in places.values()) + 1) * (_WIDE + _GAP)
    width, height = max(right + 10, 2 * _LEGEND_WIDTH), bottom + 70
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
    dark = day.undelivered or (not day.wrong and day.sent > most // 2)
    ink = _PALE if dark else _INK
    number = f'<text x="{x + _WIDE / 2:g}" y="{y + 26}" font-size="12" text-anchor="middle" fill="{ink}">'
    return [
        f'<rect x="{x}" y="{y}" width="{_WIDE}" height="{_HIGH}" rx="4" fill="{day.colour(most)}"/>',
        _text(x + 3, y + 10, str(when.day) if grain == "daily" else "", 9, ink),
        f"{number}{_short(day.shown)}</text>",
    ]


def _legend(top: int, days: Sequence[Day]) -> list[str]:
    drawn = []
    for at, (colour, words, field) in enumerate(_LEGEND):
        x, y = 10 + at % 2 * _LEGEND_WIDTH, top + at // 2 * 22
        drawn.append(f'<rect x="{x}" y="{y}" width="14" height="14" rx="3" fill="{colour}"/>')
        drawn.append(_text(x + 20, y + 12, f"{sum(getattr(day, field) for day in days)} {words}"))
    drawn.append(
        _text(10, top + 58, "The number in a square is how many rows its colour is about; the worst one counts.")
    )
    return drawn


def _text(x: float, y: float, words: str, size: int = 12, ink: str = _SOFT) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{ink}">{escape(words)}</text>'


def _short(number: int) -> str:
    return f"{number / 1000:.0f}k" if number >= 10_000 else str(number)
