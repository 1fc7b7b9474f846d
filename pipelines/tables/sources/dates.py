"""Dates in DuckDB: how a local day is read from a column, and how a window is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

import pyarrow as pa

from pipelines.delivery.errors import TableError
from pipelines.tables.grains import Window
from pipelines.tables.sources.engine import columns_of, connect, literal, quoted
from pipelines.tables.sources.wanted import DAY, Wanted

_ZONED = "TIMESTAMP WITH TIME ZONE"
_ISO = r"^\d{4}-\d{1,2}-\d{1,2}([T ][^()]*)?$"
_ZONE = r"[T ].*([+-]\d{2}(:?\d{2})?|[a-zA-Z][\w/+-]*)\s*$"
"""A time with its offset, or with the name of a zone, which a cast to a time without one would drop unseen."""
_BOUNDS = "BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'"


@dataclass(frozen=True, slots=True)
class DateColumn:
    """A date column in DuckDB: its type decides how a local day is read from it."""

    name: str
    type: str
    date_format: str | None = None

    @property
    def sql(self) -> str:
        """The column as an identifier."""
        return quoted(self.name)

    @property
    def is_text(self) -> bool:
        """Whether the date has to be read from text (or from a whole number, by a format)."""
        return (
            self.type == "VARCHAR"
            or self.type.startswith("ENUM")
            or (self.date_format is not None and "INT" in self.type)
        )

    @property
    def usable(self) -> bool:
        """Whether dates can be read from a column of this type at all."""
        return self.is_text or self.type == "DATE" or self.type.startswith("TIMESTAMP")

    def day(self) -> str:
        """The local date, NULL where there is none that can be read."""
        if not self.is_text:
            day = f"CAST({self.sql} AS DATE)"
            return f"(CASE WHEN isfinite({self.sql}) AND {day} {_BOUNDS} THEN {day} END)"
        text = f"trim(CAST({self.sql} AS VARCHAR))"
        if self.date_format is not None:
            day = f"CAST(TRY_STRPTIME({text}, {literal(self.date_format)}) AS DATE)"
        else:
            day = (
                f"CASE WHEN NOT regexp_matches({text}, '{_ISO}') THEN NULL"
                f" WHEN regexp_matches({text}, '{_ZONE}') THEN CAST(TRY_CAST({text} AS {_ZONED}) AS DATE)"
                f" ELSE CAST(TRY_CAST({text} AS TIMESTAMP) AS DATE) END"
            )
        return f"(CASE WHEN {day} {_BOUNDS} THEN {day} END)"

    def instant(self) -> str:
        """The moment as sortable ISO text: a date as it is, a time in UTC; NULL where none can be read."""
        moment = f"CAST({self.sql} AS {_ZONED})"
        only_date = "true" if self.type == "DATE" else "false"
        if self.is_text:
            text = f"trim(CAST({self.sql} AS VARCHAR))"
            moment = f"TRY_CAST({text} AS {_ZONED})"
            only_date = f"NOT contains({text}, ':')"
            if self.date_format is not None:
                moment = f"CAST(TRY_STRPTIME({text}, {literal(self.date_format)}) AS {_ZONED})"
        utc = f"strftime({moment} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
        day = self.day()
        return f"CASE WHEN {day} IS NULL THEN NULL WHEN {only_date} THEN CAST({day} AS VARCHAR) ELSE {utc} END"

    def within(self, window: Window) -> tuple[str, list[Any]]:
        """The condition that a row lies in the window, and its parameters; pushed down into the source.

        For text it refers to the local date as the column `DAY` of the same query.
        """
        subject = DAY if self.is_text else self.sql
        return f"{subject} >= ? AND {subject} < ?", [self._bound(window.start, window), self._bound(window.end, window)]

    def _bound(self, day: date, window: Window) -> date | datetime:
        if self.is_text or self.type == "DATE":
            return day
        if self.type == _ZONED:
            return window.opens if day == window.start else window.closes
        return datetime.combine(day, time.min)

    def undated(self) -> str:
        """The condition that a row has no date."""
        return f"{self.day()} IS NULL" if self.is_text else f"({self.sql} IS NULL OR NOT isfinite({self.sql}))"


def date_column(wanted: Wanted, types: dict[str, str]) -> DateColumn:
    """The table's date column.

    Raises:
        TableError: dates cannot be read from a column of its type.
    """
    assert wanted.date is not None  # noqa: S101 - callers ask only for tables with a date
    column = DateColumn(wanted.date, types[wanted.date], wanted.date_format)
    if not column.usable:
        raise TableError(
            f"table {wanted.table}: column {column.name!r} holds {column.type}, and no date can be read from that",
            do="Map columns.date to a date, a time or a text; for numbers like 20130131 set date_format: '%Y%m%d'",
            table=wanted.table,
            column=column.name,
        )
    return column


def local_days(values: pa.Array, timezone: str, date_format: str | None = None) -> pa.Array | None:
    """The local date of each value, empty where there is none; None for a type that holds no dates."""
    return _computed(values, timezone, date_format, DateColumn.day)


def instants(values: pa.Array, timezone: str, date_format: str | None = None) -> pa.Array | None:
    """The moment of each value as `DateColumn.instant`; None for a type that holds no dates."""
    return _computed(values, timezone, date_format, DateColumn.instant)


def _computed(
    values: pa.Array, timezone: str, date_format: str | None, expression: Callable[[DateColumn], str]
) -> pa.Array | None:
    with connect(timezone) as connection:
        connection.register("__values", pa.table({"value": values}))
        column = DateColumn("value", columns_of(connection, "__values")["value"], date_format)
        if not column.usable:
            return None
        query = f"SELECT {expression(column)} AS value FROM __values"  # noqa: S608 - names are quoted
        return connection.sql(query).to_arrow_table()["value"].combine_chunks()
