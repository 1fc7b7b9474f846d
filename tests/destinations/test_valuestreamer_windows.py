from __future__ import annotations

import datetime as dt
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.destinations.valuestreamer.windows import Grain, windows


@pytest.mark.parametrize(
    ("first", "last", "grain", "expected"),
    [
        ("2022-10-01", "2022-10-31", "daily", ["2022-10-01 2022-10-31"]),
        ("2022-10-01", "2022-11-01", "daily", ["2022-10-01 2022-10-31", "2022-11-01 2022-11-01"]),
        ("2022-10-01", "2022-10-01", "daily", ["2022-10-01 2022-10-01"]),
        ("2022-10-02", "2022-10-01", "daily", []),
        ("2022-01-01", "2022-06-30", "monthly", ["2022-01-01 2022-06-30"]),
        ("2022-01-01", "2022-07-01", "monthly", ["2022-01-01 2022-06-30", "2022-07-01 2022-07-01"]),
        ("2022-08-31", "2023-02-28", "weekly", ["2022-08-31 2023-02-27", "2023-02-28 2023-02-28"]),
        ("2022-07-15", "2023-01-14", "weekly", ["2022-07-15 2023-01-14"]),
    ],
)
def test_spans_are_as_long_as_the_api_takes_and_no_longer(
    first: str, last: str, grain: Grain, expected: list[str]
) -> None:
    """31 days or 6 months, with both ends counted; the documents' own example is one span."""
    spans = windows(dt.date.fromisoformat(first), dt.date.fromisoformat(last), grain)
    assert [f"{start} {end}" for start, end in spans] == expected


@settings(deadline=None)
@given(st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)), st.integers(0, 900), st.sampled_from(get_args(Grain)))
def test_spans_cover_every_day_once(first: dt.date, days: int, grain: Grain) -> None:
    """No dataset is listed twice or missed, and no span is refused for its length."""
    last = first + dt.timedelta(days=days)
    spans = list(windows(first, last, grain))
    covered = [start + dt.timedelta(days=at) for start, end in spans for at in range((end - start).days + 1)]
    assert covered == [first + dt.timedelta(days=at) for at in range(days + 1)]
    longest = 31 if grain == "daily" else 184
    assert all((end - start).days + 1 <= longest for start, end in spans)
