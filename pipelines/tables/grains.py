"""Date maths of partitions: keys, windows and their order. Pure; no clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa

from pipelines.delivery.errors import ConfigurationError
from pipelines.tables.compute import pc
from pipelines.tables.spec import AnyTable, Grain, TableSpec

SNAPSHOT = "snapshot"
"""The only partition of a table without partitions."""
_LAST_YEAR = 9998
"""The window of a partition ends in the year after it at the latest, and Python's calendar ends with 9999."""


@dataclass(frozen=True, slots=True)
class Window:
    """The days from `start` up to, not including, `end`, as they are counted in `timezone`."""

    start: date
    end: date
    timezone: str

    @property
    def opens(self) -> datetime:
        """The window's first instant, timezone aware."""
        return datetime.combine(self.start, time.min, ZoneInfo(self.timezone))

    @property
    def closes(self) -> datetime:
        """The first instant after the window, timezone aware."""
        return datetime.combine(self.end, time.min, ZoneInfo(self.timezone))

    @property
    def hours(self) -> float:
        """How long the window is; 23 or 25 on the day of a clock change."""
        return (self.closes.astimezone(UTC) - self.opens.astimezone(UTC)).total_seconds() / 3600


@dataclass(frozen=True, slots=True)
class Calendar:
    """The partitions of one table. Keys are ISO dates: the day, the week's Monday, the month's 1st; or `snapshot`."""

    grain: Grain
    timezone: str = "UTC"

    @classmethod
    def of(cls, spec: AnyTable) -> Calendar:
        """The calendar of a table; areas are a snapshot."""
        return cls(spec.grain if isinstance(spec, TableSpec) else SNAPSHOT, spec.timezone)

    def first_day(self, key: str) -> date:
        """The first day of a partition.

        Raises:
            ConfigurationError: the key is no date, or not one with which a partition of this grain begins.
        """
        if self.grain == SNAPSHOT:
            raise ConfigurationError(f"a snapshot has no dates, so {key!r} has no first day")
        try:
            day = date.fromisoformat(key)
        except ValueError:
            raise ConfigurationError(f"{key!r} is no {self.grain} partition", do="Write it like 2013-01-31.") from None
        if day.isoformat() != key or day.year > _LAST_YEAR:
            raise ConfigurationError(f"{key!r} is no {self.grain} partition", do="Write it like 2013-01-31.")
        if self.start_of(day) != day:
            begins = "on a Monday" if self.grain == "weekly" else "on the 1st"
            raise ConfigurationError(
                f"{key} is no {self.grain} partition: those begin {begins}", do=f"Use {self.start_of(day)} instead."
            )
        return day

    def check(self, key: str) -> str:
        """The key itself, if it is one of this calendar; else as `first_day`."""
        if self.grain != SNAPSHOT:
            self.first_day(key)
        elif key != SNAPSHOT:
            raise ConfigurationError(
                f"the table has no partitions, so {key!r} is none of them", do=f"Use {SNAPSHOT!r}."
            )
        return key

    def start_of(self, day: date) -> date:
        """The first day of the partition in which a day lies."""
        if self.grain == "weekly":
            return day - timedelta(days=min(day.weekday(), day.toordinal() - 1))
        return day.replace(day=1) if self.grain == "monthly" else day

    def next_start(self, day: date) -> date:
        """The first day of the partition after the one that begins on `day`."""
        if self.grain == "monthly":
            return date(day.year + day.month // 12, day.month % 12 + 1, 1)
        return day + timedelta(days=7 if self.grain == "weekly" else 1)

    def window(self, key: str) -> Window:
        """The days of a partition."""
        start = self.first_day(key)
        return Window(start, self.next_start(start), self.timezone)

    def keys(self, first: str, last: str) -> list[str]:
        """All keys from `first` to `last`, both included; none if `last` is earlier."""
        day, end, found = self.first_day(first), self.first_day(last), []
        while day <= end:
            found.append(day.isoformat())
            day = self.next_start(day)
        return found

    def ranges(self, keys: Iterable[str]) -> list[Window]:
        """The windows of the keys, neighbours joined: one query each."""
        joined: list[Window] = []
        for window in sorted({self.window(key) for key in keys}, key=lambda item: item.start):
            if joined and joined[-1].end == window.start:
                joined[-1] = Window(joined[-1].start, window.end, self.timezone)
            else:
                joined.append(window)
        return joined

    def as_of(self, key: str, extracted_at: datetime) -> str:
        """The time of what a partition's rows say, as sortable ISO text: its key, or when a snapshot was taken."""
        return self.check(key) if self.grain != SNAPSHOT else instant_text(extracted_at)

    def newest(self, now: datetime, count: int = 1) -> list[str]:
        """The newest `count` partitions that have ended by `now`, oldest first."""
        if self.grain == SNAPSHOT:
            return [SNAPSHOT]
        end, found = self.start_of(now.astimezone(ZoneInfo(self.timezone)).date()), []
        for _ in range(count):
            end = self.start_of(end - timedelta(days=1))
            found.append(end.isoformat())
        return found[::-1]


def partition_of(days: pa.ChunkedArray, calendar: Calendar) -> pa.ChunkedArray:
    """The key of the partition in which each day lies."""
    if calendar.grain == "monthly":
        return pc.binary_join_element_wise(pc.utf8_slice_codeunits(pc.cast(days, pa.string()), 0, 7), "01", "-")
    if calendar.grain == "weekly":
        ordinal = pc.cast(days, pa.int32())
        days = pc.cast(pc.subtract(ordinal, pc.cast(pc.day_of_week(days), pa.int32())), pa.date32())
    return pc.cast(days, pa.string())


def instant_text(moment: datetime) -> str:
    """An aware instant as ISO text of fixed length in UTC, so that text order is time order."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
