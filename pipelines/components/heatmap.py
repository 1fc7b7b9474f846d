"""A run's days at a glance: a calendar in which each day's colour says what was sent, left alone or refused."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from html import escape

_CELL, _GAP, _LEFT, _TOP = 34, 4, 96, 30
_DAYS = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_WEEK = 7
_GREENS = ("#d9f2e0", "#9fdcb2", "#5cbf7d", "#2a8f50")
_LEGEND = (
    (_GREENS[2], "rows sent"),
    ("#e4e7eb", "unchanged"),
    ("#f6c244", "rejected, invalid or quarantined"),
    ("#d64545", "failed, unknown or not sent"),
)


@dataclass(frozen=True, slots=True)
class Day:
    """Rows of a partition: sent in this run, wrong (rejected, invalid, quarantined), undelivered."""

    sent: int
    wrong: int
    undelivered: int

    def colour(self, most: int) -> str:
        """Worst first; what was sent is the darker the more it was, beside the run's fullest day."""
        if self.undelivered:
            return _LEGEND[3][0]
        if self.wrong:
            return _LEGEND[2][0]
        if not self.sent:
            return _LEGEND[1][0]
        return _GREENS[min(len(_GREENS) - 1, self.sent * len(_GREENS) // (most + 1))]


def calendar(days: Mapping[str, Day]) -> str:
    """Markdown with the picture, a column per week and a row per weekday; `days` by ISO date, at least one."""
    dates = {date.fromisoformat(key): day for key, day in days.items()}
    first = min(dates) - timedelta(days=min(dates).weekday())
    weeks = (max(dates) - first).days // _WEEK + 1
    most = max(day.sent for day in days.values())
    drawn = [_cell(first, when, day, most) for when, day in sorted(dates.items())]
    width = max(_LEFT + weeks * (_CELL + _GAP), 640)
    height = _TOP + _WEEK * (_CELL + _GAP) + 40
    labels = [_text(_LEFT - 34, _TOP + at * (_CELL + _GAP) + 22, name) for at, name in enumerate(_DAYS)]
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif">'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
        + "".join([*_months(first, weeks), *labels, *drawn, *_legend(height - 24)])
        + "</svg>"
    )
    said = ", ".join(f"{key}: {day.sent} sent" for key, day in sorted(days.items())[-1:])
    return f"![rows per day, {said}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"


def _cell(first: date, when: date, day: Day, most: int) -> str:
    week, weekday = divmod((when - first).days, _WEEK)
    x, y = _LEFT + week * (_CELL + _GAP), _TOP + weekday * (_CELL + _GAP)
    shown = day.undelivered or day.wrong or day.sent
    dark = day.undelivered or (not day.wrong and day.sent > most // 2)
    return (
        f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" rx="4" fill="{day.colour(most)}"/>'
        f'<text x="{x + _CELL / 2:g}" y="{y + 22}" font-size="11" text-anchor="middle" '
        f'fill="{"#ffffff" if dark else "#1f2933"}">{_short(shown)}</text>'
    )


def _months(first: date, weeks: int) -> list[str]:
    """The name of a month above the week in which it begins, and of the first one where there is room."""
    named = {0: first}
    for week in range(weeks):
        monday = first + timedelta(weeks=week)
        for day in (monday + timedelta(days=at) for at in range(_WEEK)):
            if day.day == 1:
                named[week] = day
    if named.keys() & {1, 2}:
        del named[0]
    return [_text(_LEFT + week * (_CELL + _GAP), _TOP - 10, day.strftime("%b %Y")) for week, day in named.items()]


def _legend(y: int) -> list[str]:
    drawn, x = [], 10
    for colour, words in _LEGEND:
        drawn.append(f'<rect x="{x}" y="{y}" width="14" height="14" rx="3" fill="{colour}"/>')
        drawn.append(_text(x + 20, y + 12, words))
        x += 36 + 7 * len(words)
    return drawn


def _text(x: float, y: float, words: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="12" fill="#52606d">{escape(words)}</text>'


def _short(number: int) -> str:
    return f"{number / 1000:.0f}k" if number >= 10_000 else str(number) if number else ""
