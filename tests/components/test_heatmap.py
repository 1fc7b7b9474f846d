"""The calendar of a run's partitions."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from datetime import date, timedelta

from pipelines.components.heatmap import Day, Shade, calendar

GOOD, EMPTY = Day(Shade.GREEN, 5, 5), Day(Shade.GREY, 7)
NAMED = re.compile(r"[A-Z][a-z]{2} \d{4}")


def drawn(days: dict[str, Day], grain: str = "daily") -> ET.Element:
    """The picture in the Markdown."""
    found = re.fullmatch(r"!\[A title\]\(data:image/svg\+xml;base64,(.*)\)", calendar(days, "A title", grain))
    assert found is not None
    return ET.fromstring(base64.b64decode(found[1]))  # noqa: S314 (made here)


def cells(picture: ET.Element) -> list[tuple[str, str, str]]:
    """Colour, day of the month and number of rows of each partition, in order of date."""
    parts = list(picture)
    squares = [at for at, part in enumerate(parts) if part.get("width") == "42"]
    return [(str(parts[at].get("fill")), parts[at + 1].text or "", parts[at + 2].text or "") for at in squares]


def months(picture: ET.Element) -> list[str]:
    """The months that are named."""
    return [part.text for part in picture if part.text and NAMED.fullmatch(part.text)]


def test_each_day_has_the_colour_of_its_verdict_and_the_number_behind_it() -> None:
    """Red, yellow and grey as they are told; a missing day is drawn too, without a number; green is darker for more."""
    days = {
        "2013-01-01": GOOD,
        "2013-01-02": EMPTY,
        "2013-01-03": Day(Shade.YELLOW, 2, 5),
        "2013-01-04": Day(Shade.RED, 1, 5),
        "2013-01-05": Day(Shade.MISSING),
        "2013-01-06": Day(Shade.GREEN, 1, 1),
    }
    picture = drawn(days)
    assert cells(picture) == [
        ("#2a8f50", "1", "5"),
        ("#e4e7eb", "2", "7"),
        ("#f6c244", "3", "2"),
        ("#d64545", "4", "1"),
        ("#d9f2e0", "6", "1"),
    ]
    (missing,) = [part for part in picture if part.get("stroke-dasharray") and part.get("width") == "41"]
    after = list(picture)[list(picture).index(missing) + 1 :]
    assert [part.text for part in after[:2]] == ["5", "\u2013"]
    assert {part.text for part in picture} >= {"\u2715", "!"}


def test_the_picture_says_what_its_colours_mean() -> None:
    """A title, a legend of five colours with how many partitions have each, and what the numbers are."""
    days = {
        "2013-01-07": GOOD,
        "2013-01-14": GOOD,
        "2013-01-21": Day(Shade.YELLOW, 2),
        "2013-01-28": Day(Shade.RED, 1),
        "2013-02-04": Day(Shade.MISSING),
    }
    for grain, unit in (("daily", "day"), ("weekly", "week"), ("monthly", "month")):
        texts = [part.text or "" for part in drawn(days, grain)]
        assert texts[1] == "A title"
        for words in (
            f"2 {unit}s: rows sent",
            f"0 {unit}s: nothing to send",
            f"1 {unit}: delivered, but",
            f"1 {unit}: failed",
            f"1 {unit}: missing",
            "In a square: rows that were sent",
        ):
            assert any(text.startswith(words) for text in texts), words


def test_a_year_has_a_column_per_week_and_the_names_of_its_months() -> None:
    """Each of 365 days is drawn once, inside the picture, under its month."""
    days = {(date(2013, 1, 1) + timedelta(days=at)).isoformat(): GOOD for at in range(365)}
    picture = drawn(days)
    assert len(cells(picture)) == 365
    assert max(float(part.get("x", 0)) for part in picture) < float(picture.get("width", 0))
    assert len({(part.get("x"), part.get("y")) for part in picture if part.get("width") == "42"}) == 365
    assert (months(picture)[0], len(months(picture))) == ("Jan 2013", 12)


def test_no_month_is_named_that_has_no_day() -> None:
    """The last week of January is not February's, and labels never lie on each other."""
    assert months(drawn({"2013-01-28": GOOD, "2013-01-31": GOOD})) == ["Jan 2013"]
    assert months(drawn({"2013-01-30": GOOD, "2013-02-04": GOOD})) == ["Feb 2013"]


def test_weeks_and_months_stand_in_a_line_per_year() -> None:
    """Years of them stay a picture that fits on a page, each under its week or month."""
    weeks = {(date(2012, 12, 31) + timedelta(weeks=at)).isoformat(): GOOD for at in range(104)}
    some = {f"{year}-{month:02}-01": GOOD for year in (2012, 2013, 2014) for month in range(1, 13)}
    for days, grain, columns, rows in ((weeks, "weekly", 52, 2), (some, "monthly", 12, 3)):
        squares = [part for part in drawn(days, grain) if part.get("width") == "42"]
        assert len({part.get("x") for part in squares}) == columns
        assert len({part.get("y") for part in squares}) == rows
        assert len(squares) == len(days)
