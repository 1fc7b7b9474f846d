"""Reading through DuckDB: whatever can stand after FROM, and database files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from pipelines.delivery.errors import SourceUnavailable, TableError
from pipelines.tables.frames import printable, shown
from pipelines.tables.grains import SNAPSHOT, partition_of
from pipelines.tables.source_spec import SourceSpec
from pipelines.tables.sources.away import is_away
from pipelines.tables.sources.dates import DateColumn, date_column
from pipelines.tables.sources.engine import bare, columns_of, connect, quoted, short
from pipelines.tables.sources.wanted import (
    DAY,
    UNDATED_SAMPLE,
    Extent,
    Harvest,
    Undated,
    Wanted,
    by_partition,
    check_columns,
    closest,
    no_rows,
    some,
)


def harvest(connection: duckdb.DuckDBPyConnection, relation: str, wanted: Wanted, where: str) -> Harvest:
    """Read the wanted windows of a relation: one query per range of neighbouring partitions; perhaps no row at all.

    Raises:
        TableError: a column is missing.
    """
    types = columns_of(connection, relation)
    check_columns(wanted, list(types), where)
    if wanted.calendar.grain == SNAPSHOT:
        rows = connection.sql(f"SELECT * FROM {relation}").to_arrow_table()  # noqa: S608 - made by us
        return Harvest(by_partition(rows, pa.array([SNAPSHOT] * rows.num_rows, pa.string())))
    column = date_column(wanted, types)
    table = select(connection, relation, wanted, column)
    return Harvest(table, undated=undated(connection, relation, column))


def extent(connection: duckdb.DuckDBPyConnection, relation: str, wanted: Wanted, where: str) -> Extent:
    """The dates of a relation; of a snapshot none are asked.

    Raises:
        TableError: a column is missing.
    """
    types = columns_of(connection, relation)
    check_columns(wanted, list(types), where)
    if wanted.date is None:
        return Extent()
    column = date_column(wanted, types)
    days = f"(SELECT {column.day()} AS d FROM {relation})"  # noqa: S608 - names are quoted
    query = f"SELECT CAST(min(d) AS VARCHAR), CAST(max(d) AS VARCHAR) FROM {days}"  # noqa: S608 - as above
    first, last = connection.sql(query).fetchall()[0]
    return Extent(first, last, undated(connection, relation, column))


def select(connection: duckdb.DuckDBPyConnection, relation: str, wanted: Wanted, column: DateColumn) -> pa.Table:
    """The rows of the wanted windows, by partition."""
    parts = []
    for window in wanted.calendar.ranges(wanted.partitions):
        condition, values = column.within(window)
        query = f"SELECT *, {column.day()} AS {DAY} FROM {relation} WHERE {condition}"  # noqa: S608 - values are bound
        parts.append(connection.sql(query, params=values).to_arrow_table())
    rows = pa.concat_tables(parts)
    return by_partition(rows.drop_columns([DAY]), partition_of(rows[DAY], wanted.calendar))


def undated(connection: duckdb.DuckDBPyConnection, relation: str, column: DateColumn) -> Undated:
    """The rows without a date: all counted, some shown."""
    source = f"FROM {relation} WHERE {column.undated()}"
    sample = connection.sql(f"SELECT * {source} LIMIT {UNDATED_SAMPLE}").to_arrow_table()
    if not sample.num_rows:
        return Undated()
    count = connection.sql(f"SELECT count(*) {source}").fetchall()[0][0]
    return Undated(count, as_sample(sample))


def as_sample(rows: pa.Table) -> list[dict[str, str | None]]:
    """Rows as texts, for people."""
    return pa.table([printable(shown(column)) for column in rows.columns], names=rows.column_names).to_pylist()


def read(source: SourceSpec, wanted: Wanted, base: Path) -> Harvest:
    """Read a table or a query of a DuckDB database file.

    Raises:
        TableError: the file or table is not there, or lacks a column or rows; SourceUnavailable: a writer holds it.
    """
    with _opened(source, wanted, base) as (connection, relation):
        found = harvest(connection, relation, wanted, str(source))
        if not found.table.num_rows:
            raise no_rows(wanted, str(source), extent(connection, relation, wanted, str(source)))
        return found


def dates(source: SourceSpec, wanted: Wanted, base: Path) -> Extent:
    """The dates of a table or a query; raises as `read`."""
    with _opened(source, wanted, base) as (connection, relation):
        return extent(connection, relation, wanted, str(source))


def columns(source: SourceSpec, wanted: Wanted, base: Path) -> list[str]:
    """The columns of a table or a query; raises as `read`."""
    with _opened(source, wanted, base) as (connection, relation):
        found = list(columns_of(connection, relation))
    check_columns(wanted, found, str(source))
    return found


@contextmanager
def _opened(source: SourceSpec, wanted: Wanted, base: Path) -> Iterator[tuple[duckdb.DuckDBPyConnection, str]]:
    path = base / str(source.duckdb)
    if not path.is_file():
        raise TableError(
            f"table {wanted.table}: there is no DuckDB file {source.duckdb} in the deployment's folder",
            do="Correct `duckdb` in the table's YAML, or create the file.",
            table=wanted.table,
            file=str(source.duckdb),
        )
    try:
        with connect(wanted.calendar.timezone, path) as connection:
            yield connection, f"({bare(source.query)}\n)" if source.query else _table(connection, source, wanted)
    except duckdb.Error as error:
        raise (SourceUnavailable if is_away(error) else TableError)(
            f"table {wanted.table}: {source} cannot be read ({short(error)})",
            do="Correct the table's YAML or the database; a file open for writing elsewhere must be closed there.",
            table=wanted.table,
            file=str(source.duckdb),
        ) from error


def _table(connection: duckdb.DuckDBPyConnection, source: SourceSpec, wanted: Wanted) -> str:
    """The table under its full name: `mart.kpi` alone is ambiguous in a file named mart.duckdb."""
    query = """
        SELECT table_catalog, table_schema, table_name FROM information_schema.tables
        WHERE table_catalog = current_database() ORDER BY ALL
    """
    found = connection.sql(query).fetchall()
    known = {f"{schema}.{name}": (catalog, schema, name) for catalog, schema, name in found}
    for catalog, schema, name in found:
        full = (catalog, schema, name)
        known.setdefault(f"{catalog}.{schema}.{name}", full)
        if schema == "main":
            known.setdefault(name, full)
            known.setdefault(f"{catalog}.{name}", full)
    if source.table not in known:
        short_names = [f"{schema}.{name}".removeprefix("main.") for _, schema, name in found]
        raise TableError(
            f"table {wanted.table}: {source.duckdb} has no table {source.table!r}; "
            f"it has {some(short_names) or 'no tables'}",
            do=f"{closest(str(source.table), short_names)}Correct `table` in the table's YAML.",
            table=wanted.table,
            file=str(source.duckdb),
        )
    return ".".join(quoted(part) for part in known[source.table])
