"""The calendar of a run's days."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from datetime import date, timedelta

from pipelines.components.heatmap import Day, calendar

GOOD, EMPTY = Day(5, 0, 0), Day(0, 0, 0)


def drawn(days: dict[str, Day]) -> ET.Element:
    """The picture in the Markdown."""
    found = re.fullmatch(r"!\[.*\]\(data:image/svg\+xml;base64,(.*)\)", calendar(days))
    assert found is not None
    return ET.fromstring(base64.b64decode(found[1]))  # noqa: S314 (made here)


def cells(picture: ET.Element) -> list[tuple[str, str]]:
    """Colour and text of each day, in order of date."""
    parts = list(picture)
    squares = [at for at, part in enumerate(parts) if part.get("width") == "34"]
    return [(str(parts[at].get("fill")), parts[at + 1].text or "") for at in squares]


def test_the_worst_of_a_day_gives_its_colour() -> None:
    """Undelivered rows are red, wrong ones yellow, a day on which nothing changed is grey."""
    days = {
        "2013-01-01": GOOD,
        "2013-01-02": EMPTY,
        "2013-01-03": Day(5, 2, 0),
        "2013-01-04": Day(5, 2, 1),
    }
    assert cells(drawn(days)) == [("#2a8f50", "5"), ("#e4e7eb", ""), ("#f6c244", "2"), ("#d64545", "1")]


def test_a_year_has_a_column_per_week_and_the_names_of_its_months() -> None:
    """Each of 365 days is drawn once, inside the picture, under its month."""
    days = {(date(2013, 1, 1) + timedelta(days=at)).isoformat(): GOOD for at in range(365)}
    picture = drawn(days)
    assert len(cells(picture)) == 365
    assert max(float(part.get("x", 0)) for part in picture) < float(picture.get("width", 0))
    texts = [part.text for part in picture]
    assert next(text for text in texts if text and text.endswith("2013")) == "Jan 2013"
    assert sum(bool(text and text.endswith("2013")) for text in texts) == 12


def test_a_week_across_two_months_names_one_of_them() -> None:
    """Labels never lie on each other."""
    picture = drawn({"2013-01-30": GOOD, "2013-02-04": GOOD})
    assert [part.text for part in picture if str(part.text).endswith("2013")] == ["Feb 2013"]
