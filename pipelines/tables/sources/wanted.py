"""What is asked of a source and what comes back, the same for every kind of source."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipelines.delivery.errors import TableError
from pipelines.tables.compute import pc
from pipelines.tables.frames import storable
from pipelines.tables.grains import SNAPSHOT, Calendar

UNREADABLE = "unreadable"
"""Column of the raw extract: why the source's line could not be taken apart; empty for nearly every row."""
RESERVED = ("partition", "row", UNREADABLE)
"""The columns that a raw extract has beside the source's own."""
DAY, FILE = "__day", "__file"
"""Columns that queries add to the source's own: the row's local date, the address of its file."""
UNDATED_SAMPLE = 20
"""Undated rows are counted all, but only so many are shown."""
WRITTEN = (
    "Map columns.date to the column with the date, or set date_format to how it is written, such as '%d.%m.%Y' "
    "for 31.12.2026."
)
"""What mends a source of files or DuckDB in which no row has a date."""
_NAMES_SHOWN = 40
_TOLD = 3
_LINE_SHOWN = 160


def stored_name(source: str) -> str:
    """The name of a source's column in the raw extract."""
    return f"source.{source}" if source in RESERVED else source


@dataclass(frozen=True, slots=True)
class Wanted:
    """The partitions to read, of which table, and what must be there.

    `date` is the source's column by which rows belong to partitions: none in a snapshot, nor in files of one
    partition each. `required` are the columns that the source must have.
    """

    table: str
    calendar: Calendar
    partitions: tuple[str, ...]
    date: str | None
    required: tuple[str, ...]
    date_format: str | None = None


@dataclass(frozen=True, slots=True)
class Undated:
    """Rows that belong to no partition, since they have no date that can be read."""

    count: int = 0
    sample: Sequence[Mapping[str, str | None]] = ()

    def __add__(self, other: Undated) -> Undated:
        return Undated(self.count + other.count, [*self.sample, *other.sample][:UNDATED_SAMPLE])

    def told(self, date: str) -> str:
        """Some of them for people: what stands in the column `date`, where it is empty the whole row."""
        texts = [repr(row[date]) if row.get(date) else f"({_line(row)})" for row in self.sample]
        return ", ".join(list(dict.fromkeys(texts))[:_TOLD]) + (", ..." if self.count > _TOLD else "")


@dataclass(frozen=True, slots=True)
class Extent:
    """The first and the last date of a source, None where no row has one, and the rows without a date."""

    first: object = None
    last: object = None
    undated: Undated = field(default_factory=Undated)


@dataclass(frozen=True, slots=True)
class Harvest:
    """The rows: `partition`, `row` (0, 1, .. within its partition), `unreadable`, then the source's columns.

    `failed` holds the partitions whose own files cannot be used; they have no rows in `table`.
    """

    table: pa.Table
    failed: Mapping[str, TableError] = field(default_factory=dict)
    undated: Undated = field(default_factory=Undated)


def check_columns(wanted: Wanted, found: Sequence[str], where: str) -> None:
    """That the source has the required columns.

    Raises:
        TableError: a name occurs twice, or is one of `DAY` and `FILE`; or names the first one that is missing, what is
            there, and the closest name.
    """
    ours = next((name for name in found if name.lower() in (DAY, FILE)), None)
    if ours is not None:
        raise TableError(
            f"table {wanted.table}: {where} has a column {ours!r}, a name that is needed while it is read",
            do="Give the column another name, in the source or by a query.",
            table=wanted.table,
            column=ours,
        )
    twice = next((name for name in found if list(found).count(name) > 1), None)
    if twice is not None:
        raise TableError(
            f"table {wanted.table}: {where} has two columns named {twice!r}",
            do="Name the columns one by one in a query, each with a name of its own.",
            table=wanted.table,
            column=twice,
        )
    missing = [name for name in (*wanted.required, *([wanted.date] if wanted.date else [])) if name not in found]
    if missing:
        raise TableError(
            f"table {wanted.table}: {where} has no column {missing[0]!r}; it has {some(found) or 'no columns'}",
            do=f"{closest(missing[0], found)}Correct `columns` in the table's YAML, or the source.",
            table=wanted.table,
            column=missing[0],
        )


def some(names: Sequence[str]) -> str:
    """A list of names, cut where it gets long."""
    return ", ".join(names[:_NAMES_SHOWN]) + (
        f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    )


def closest(name: str, among: Iterable[str]) -> str:
    """A question that suggests the closest name, or nothing."""
    by_lower = {other.lower(): other for other in among}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"Did you mean {by_lower[near[0]]!r}? " if near else ""


def no_rows(wanted: Wanted, where: str, extent: Extent | None = None, mend: str = WRITTEN) -> TableError:
    """The error of an extract without any row; `mend` is for a source in which no row has a date."""
    extent, do = extent or Extent(), "Check that the source was loaded for these dates, and materialize again."
    undated = extent.undated
    if wanted.calendar.grain == SNAPSHOT:
        what = f"table {wanted.table}: {where} holds no row"
    elif extent.first is None and undated.count:
        return no_dates(wanted, where, undated, mend)
    else:
        windows = wanted.calendar.ranges(wanted.partitions)
        what = f"table {wanted.table}: no row between {windows[0].start} and the end of {_last_day(wanted)} in {where}"
        if extent.first is not None:
            what += f"; the source holds dates from {extent.first} to {extent.last}"
        if undated.count:
            what += f", and {undated.count} rows without a date that can be read: {undated.told(str(wanted.date))}"
    return TableError(what, do=do, table=wanted.table, partitions=list(wanted.partitions))


def no_dates(wanted: Wanted, where: str, undated: Undated, mend: str) -> TableError:
    """The error of a source in which no row has a date that can be read; `mend` says how to write it."""
    unread = f" by date_format {wanted.date_format!r}" if wanted.date_format else ""
    return TableError(
        f"table {wanted.table}: none of the {undated.count} rows of {where} has a date that can be read{unread} "
        f"from column {wanted.date!r}: {undated.told(str(wanted.date))}",
        do=mend,
        table=wanted.table,
        column=wanted.date,
        partitions=list(wanted.partitions),
    )


def _line(row: Mapping[str, str | None]) -> str:
    """A row on one line, as far as it is shown."""
    text = ", ".join(f"{name} {value!r}" for name, value in row.items() if value is not None)
    return text if len(text) <= _LINE_SHOWN else f"{text[: _LINE_SHOWN - 1]}…"


def _last_day(wanted: Wanted) -> object:
    end = wanted.calendar.ranges(wanted.partitions)[-1].end
    return end.fromordinal(end.toordinal() - 1)


def by_partition(rows: pa.Table, partition: pa.Array | pa.ChunkedArray, unreadable: pa.Array | None = None) -> pa.Table:
    """Rows as they are stored: in order of partition, numbered within it, under names that do not clash with ours."""
    labels = pc.cast(partition, pa.string())
    labels = labels.combine_chunks() if isinstance(labels, pa.ChunkedArray) else labels
    encoded = labels.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    places = {name: place for place, name in enumerate(sorted(names))}
    rank = np.array([places[name] for name in names], np.int64)
    ranks = rank[encoded.indices.to_numpy(zero_copy_only=False)]
    if unreadable is None:
        unreadable = pa.nulls(len(labels), pa.string())
    rows = storable(rows)
    named = rows.rename_columns([stored_name(name) for name in rows.column_names])
    table = pa.table([labels, unreadable, *named.columns], names=["partition", UNREADABLE, *named.column_names])
    if len(ranks) and np.any(np.diff(ranks) < 0):
        order = np.argsort(ranks, kind="stable")
        table, ranks = table.take(pa.array(order)), ranks[order]
    starts = np.searchsorted(ranks, ranks, side="left")
    return table.add_column(1, "row", pa.array(np.arange(len(ranks)) - starts, pa.int64()))
