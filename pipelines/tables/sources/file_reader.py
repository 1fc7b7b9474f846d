"""The files of one source, opened side by side and read in one query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date

import duckdb
import pyarrow as pa

from pipelines.delivery.errors import SourceUnavailable, TableError
from pipelines.tables.compute import pc
from pipelines.tables.source_spec import SourceSpec
from pipelines.tables.sources.away import is_away
from pipelines.tables.sources.formats import Head, UnreadableFile, check_quotes, head, rejects, scan
from pipelines.tables.sources.places import Place
from pipelines.tables.sources.wanted import FILE, RESERVED, UNREADABLE, Wanted, by_partition, check_columns

BROKEN = (duckdb.Error, OSError, pa.ArrowException)
"""What reading a file may raise where the file or its address is at fault."""
_OPENERS = 8
_EXAMPLE = date(2026, 1, 31)
_LINE_SHOWN = 160


@dataclass(frozen=True, slots=True)
class FileReader:
    """Reads files of a source for what is wanted."""

    source: SourceSpec
    wanted: Wanted
    place: Place

    def heads(self, names: Sequence[str]) -> dict[str, Head | TableError]:
        """The columns of each file, or why it cannot be used."""
        with ThreadPoolExecutor(_OPENERS) as pool:
            return dict(zip(names, pool.map(self._head, names), strict=True))

    def _head(self, name: str) -> Head | TableError:
        try:
            found = head(self.source, self.place, name)
            check_columns(self.wanted, found.columns, _short(name))
        except UnreadableFile as error:
            return self.unreadable(name, str(error), error)
        except TableError as error:
            return error
        return found

    def load(self, owners: Mapping[Head, str]) -> pa.Table:
        """The rows of files that belong to one partition each, in one query.

        Raises:
            UnclosedQuote: of one of them nobody knows which rows it has.
        """
        if not owners:
            return by_partition(pa.table({name: pa.nulls(0) for name in self.wanted.required}), pa.nulls(0))
        heads = list(owners)
        with self.place.connected(self.wanted.calendar.timezone) as connection:
            rows = connection.sql(f"SELECT * FROM {scan(self.source, self.place, heads)}").to_arrow_table()  # noqa: S608 - names are literals
            lines = rejects(connection)
        check_quotes(lines)
        addresses = pa.array([self.place.address(item.name) for item in heads])
        partitions = pa.array(owners.values(), pa.string())
        table = by_partition(rows.drop_columns([FILE]), partitions.take(_index(rows[FILE], addresses)))
        return self.with_lines(table, lines, partitions.take(_index(lines["file"], addresses)))

    def with_lines(self, table: pa.Table, lines: pa.Table, partition: pa.Array) -> pa.Table:
        """The extract with the lines that could not be taken apart: rows of which only the problem is known."""
        if not lines.num_rows:
            return table
        problems = [
            f"line {line['line']} of {_short(line['file'])}: {line['problem'].lower()} ({line['text'][:_LINE_SHOWN]!r})"
            for line in lines.to_pylist()
        ]
        rows = table.drop_columns(list(RESERVED))
        empty = pa.table({name: pa.nulls(len(problems), rows[name].type) for name in rows.column_names})
        return by_partition(
            pa.concat_tables([rows, empty]),
            pa.concat_arrays([*table["partition"].chunks, partition]),
            pa.concat_arrays([*table[UNREADABLE].chunks, pa.array(problems, pa.string())]),
        )

    def no_file(self, partition: str | None = None, there: str = "") -> TableError:
        """The error of a file that is not there; `there` tells what is."""
        name, whose = str(self.source.files), ""
        if partition is not None:
            name, whose = self.place.named(self.wanted.calendar.first_day(partition)), f" for {partition}"
        elif self.source.per_partition:
            whose = f", such as {self.place.named(_EXAMPLE)}"
        return TableError(
            f"table {self.wanted.table}: there is no file {name}{whose}{f'; {there}' if there else ''}",
            do="Correct `files` in the table's YAML, or wait for the export and materialize again.",
            table=self.wanted.table,
            file=str(self.source.files),
            partitions=[partition] if partition else list(self.wanted.partitions),
        )

    def unreadable(self, file: str, why: str, error: Exception) -> TableError:
        """The error of a file that is there and cannot be used, or reached; `why` goes on from its name."""
        kind, do = TableError, "Correct the file, or have it exported again."
        if is_away(error):
            kind, do = SourceUnavailable, "Look whether the place of the file can be reached, and materialize again."
        return kind(
            f"table {self.wanted.table}: {_short(file)} {why}",
            do=do,
            table=self.wanted.table,
            file=file,
        )


def _index(values: pa.ChunkedArray, among: pa.Array) -> pa.Array:
    return pc.index_in(values, among).combine_chunks()


def _short(name: str) -> str:
    return name.rsplit("/", 1)[-1]
