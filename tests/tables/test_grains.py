"""Keys, windows and their order."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.errors import ConfigurationError
from pipelines.tables.grains import SNAPSHOT, Calendar, instant_text, partition_of
from tests.tables.helpers import area_spec, local, table_spec

DAYS = st.dates(date(1, 1, 8), date(9998, 12, 1))


@pytest.mark.parametrize(
    ("zone", "key", "hours"),
    [
        ("America/New_York", "2024-03-10", 23),
        ("America/New_York", "2024-11-03", 25),
        ("America/New_York", "2024-07-01", 24),
        ("Europe/Berlin", "2024-03-31", 23),
        ("America/Sao_Paulo", "2018-11-04", 23),
        ("UTC", "2024-03-10", 24),
    ],
)
def test_the_day_of_a_clock_change_has_its_own_length(zone: str, key: str, hours: float) -> None:
    """A window runs from midnight to midnight as the clocks there show it: 23 or 25 hours twice a year."""
    assert Calendar("daily", zone).window(key).hours == hours


def test_windows_of_each_grain() -> None:
    """A week runs from Monday, a month from its 1st, and both end where the next begins."""
    week = Calendar("weekly").window("2024-02-26")
    month = Calendar("monthly").window("2024-02-01")
    assert (week.start, week.end) == (date(2024, 2, 26), date(2024, 3, 4))
    assert (month.start, month.end) == (date(2024, 2, 1), date(2024, 3, 1))
    assert Calendar("monthly").window("2024-12-01").end == date(2025, 1, 1)


@pytest.mark.parametrize(
    ("grain", "key", "said"),
    [
        ("daily", "2024-02-30", "is no daily partition"),
        ("daily", "20240201", "is no daily partition"),
        ("daily", "9999-12-31", "is no daily partition"),
        ("daily", "snapshot", "is no daily partition"),
        ("weekly", "2024-01-03", "Use 2024-01-01 instead"),
        ("monthly", "2024-01-03", "Use 2024-01-01 instead"),
        ("snapshot", "2024-01-01", "Use 'snapshot'"),
    ],
)
def test_keys_are_checked(grain: str, key: str, said: str) -> None:
    """A key that no partition has is refused, with the right one where there is one."""
    with pytest.raises(ConfigurationError) as caught:
        Calendar(grain).check(key)  # type: ignore[arg-type]  # parametrised
    assert said in str(caught.value)


@given(DAYS, st.sampled_from(["daily", "weekly", "monthly"]))
def test_every_day_lies_in_exactly_the_partition_that_is_named(day: date, grain: str) -> None:
    """The partition of a day begins on or before it, ends after it, and is the same for frames of days."""
    calendar = Calendar(grain)  # type: ignore[arg-type]  # sampled
    key = calendar.start_of(day).isoformat()
    window = calendar.window(key)
    assert window.start <= day < window.end
    assert partition_of(pa.chunked_array([pa.array([day])]), calendar).to_pylist() == [key]


@given(
    st.dates(date(2000, 1, 1), date(2030, 1, 1)), st.integers(0, 60), st.sampled_from(["daily", "weekly", "monthly"])
)
def test_a_range_has_no_gap(day: date, count: int, grain: str) -> None:
    """The keys of a range join to one window, whatever the grain."""
    calendar = Calendar(grain)  # type: ignore[arg-type]  # sampled
    first = calendar.start_of(day)
    last = calendar.start_of(day + timedelta(days=count))
    keys = calendar.keys(first.isoformat(), last.isoformat())
    assert keys[0] == first.isoformat()
    assert keys[-1] == last.isoformat()
    assert len(calendar.ranges(keys)) == 1
    assert calendar.ranges(keys)[0].end == calendar.next_start(last)


def test_neighbours_are_read_together() -> None:
    """Partitions side by side are one range; a gap between them makes two."""
    ranges = Calendar("daily").ranges(["2024-01-05", "2024-01-01", "2024-01-02"])
    assert [(item.start.day, item.end.day) for item in ranges] == [(1, 3), (5, 6)]


def test_an_empty_range_has_no_keys() -> None:
    """A range that ends before it begins has no keys."""
    assert Calendar("daily").keys("2024-01-02", "2024-01-01") == []


def test_as_of_is_the_partition_or_the_time_of_the_extract() -> None:
    """A dated reading is as of its partition, a snapshot as of its extract, in text that sorts by time."""
    moment = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert Calendar("weekly").as_of("2024-01-01", moment) == "2024-01-01"
    assert Calendar(SNAPSHOT).as_of(SNAPSHOT, moment) == "2024-01-02T03:04:05.000000Z"


@given(
    st.datetimes(local("1000-01-01"), timezones=st.timezones()),
    st.datetimes(local("1000-01-01"), timezones=st.timezones()),
)
def test_instants_sort_as_text(one: datetime, other: datetime) -> None:
    """Of two moments the later one has the later text, whatever their timezones."""
    try:
        texts = instant_text(one), instant_text(other)
    except OverflowError:
        return
    assert (one < other) == (texts[0] < texts[1])


def test_the_newest_partitions_have_ended() -> None:
    """What a schedule reads are the last partitions that are over, in the table's own timezone."""
    just_after_midnight_in_berlin = datetime(2024, 4, 30, 22, 30, tzinfo=UTC)
    assert Calendar("daily", "Europe/Berlin").newest(just_after_midnight_in_berlin, 2) == ["2024-04-29", "2024-04-30"]
    assert Calendar("daily", "UTC").newest(just_after_midnight_in_berlin, 1) == ["2024-04-29"]
    assert Calendar("weekly").newest(just_after_midnight_in_berlin, 2) == ["2024-04-15", "2024-04-22"]
    assert Calendar("monthly").newest(just_after_midnight_in_berlin, 2) == ["2024-02-01", "2024-03-01"]
    assert Calendar(SNAPSHOT).newest(just_after_midnight_in_berlin, 3) == [SNAPSHOT]


def test_a_calendar_knows_its_table() -> None:
    """A table of readings has the calendar of its grain, a table of areas that of a snapshot."""
    assert Calendar.of(table_spec(timezone="Europe/Berlin")) == Calendar("daily", "Europe/Berlin")
    assert Calendar.of(area_spec()) == Calendar(SNAPSHOT, "UTC")
