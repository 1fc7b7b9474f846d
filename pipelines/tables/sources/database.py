"""Any database that SQLAlchemy reaches, by a URL from the environment; reading only, bound parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from pipelines.delivery.errors import ConfigurationError, MissingSetting, SourceUnavailable, TableError
from pipelines.delivery.redact import url_secrets
from pipelines.tables.frames import array_of, concat
from pipelines.tables.grains import SNAPSHOT, Window
from pipelines.tables.source_spec import SourceSpec
from pipelines.tables.sources import duck
from pipelines.tables.sources.away import is_away
from pipelines.tables.sources.dates import date_column
from pipelines.tables.sources.engine import bare, columns_of, connect, short
from pipelines.tables.sources.wanted import (
    UNDATED_SAMPLE,
    Extent,
    Harvest,
    Undated,
    Wanted,
    by_partition,
    check_columns,
    no_rows,
)

_CHUNK = 50_000
_ISO_TEXT = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?$"
_OF_FILES = frozenset({"sqlite", "duckdb"})
CONVERT = "Map columns.date to the column with the date, or give a query that converts it to a date."
"""What mends a database in which no row has a date."""
_BIND = re.compile(r"(?<![:\w\\]):(?=\w)")


def read(source: SourceSpec, wanted: Wanted, environ: Mapping[str, str]) -> Harvest:
    """Read a table or a query of a database.

    Raises:
        MissingSetting: the environment variable with the URL is not set.
        ConfigurationError: it holds no URL, or its driver is not installed.
        TableError: the database, the table or a column is not there, or there is no row; SourceUnavailable where the
            database cannot be reached.
    """
    with _reader(source, wanted, environ) as reader:
        return reader.read()


def columns(source: SourceSpec, wanted: Wanted, environ: Mapping[str, str]) -> list[str]:
    """The columns of a table or a query; raises as `read`."""
    with _reader(source, wanted, environ) as reader:
        return reader.columns()


def dates(source: SourceSpec, wanted: Wanted, environ: Mapping[str, str]) -> Extent:
    """The dates of a table or a query; raises as `read`."""
    with _reader(source, wanted, environ) as reader:
        return reader.dates()


@contextmanager
def _reader(source: SourceSpec, wanted: Wanted, environ: Mapping[str, str]) -> Iterator[_Reader]:
    engine = _engine(source, wanted, environ)
    hidden = url_secrets(environ[str(source.database_env)])
    try:
        with engine.connect() as connection:
            yield _Reader(connection, source, wanted)
    except (SQLAlchemyError, duckdb.Error, pa.ArrowException, TypeError, UnicodeError) as error:  # drivers' own too
        said = short(getattr(error, "orig", None) or error, hidden)
        kind, first = (
            (SourceUnavailable, "Is the database running? Else check") if is_away(error) else (TableError, "Check")
        )
        raise kind(
            f"table {wanted.table}: {source} cannot be read ({said})",
            do=f"{first} the address in {source.database_env}, the rights of its user, and the table's YAML.",
            table=wanted.table,
        ) from None  # a driver's own error may show the address


def _engine(source: SourceSpec, wanted: Wanted, environ: Mapping[str, str]) -> sa.Engine:
    name = str(source.database_env)
    url = environ.get(name)
    if not url:
        raise MissingSetting(
            f"table {wanted.table}: the environment variable {name} is not set",
            do="Set it to the database's SQLAlchemy URL, such as postgresql+psycopg://user:password@host/name.",
            setting=name,
        )
    try:
        engine = sa.create_engine(url, poolclass=NullPool, hide_parameters=True)
    except (ArgumentError, ImportError, ValueError) as error:
        why = f"its driver is missing: {error}" if isinstance(error, ImportError) else "that is no SQLAlchemy URL"
        raise ConfigurationError(
            f"table {wanted.table}: the database of {name} cannot be used ({why})",
            do="Write it like postgresql+psycopg://user:password@host/name, and install its driver.",
            setting=name,
        ) from None  # SQLAlchemy's own error may show the URL
    if "@" in (engine.url.host or ""):
        raise ConfigurationError(
            f"table {wanted.table}: the password in {name} holds an @ that is not encoded",
            do="Write @ as %40, and any other character that has a meaning in a URL likewise.",
            setting=name,
        )
    file = engine.url.database or ":memory:"
    of_file = engine.dialect.name in _OF_FILES and file != ":memory:" and not file.startswith("file:")
    if of_file and not Path(file).is_file():  # to connect would make it
        raise TableError(
            f"table {wanted.table}: the database of {name} is no file: {file}",
            do=f"Correct the path in {name}; a whole one has four slashes: sqlite:////folder/mart.db.",
            table=wanted.table,
            file=file,
        )
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(postgresql_readonly=True)
    return engine


@dataclass(frozen=True, slots=True)
class _Reader:
    connection: sa.Connection
    source: SourceSpec
    wanted: Wanted

    def columns(self) -> list[str]:
        """The columns, which are there and have different names."""
        with self.connection.execute(self._rows().limit(0)) as empty:
            found = list(empty.keys())
        check_columns(self.wanted, found, str(self.source))
        return found

    def read(self) -> Harvest:
        """All of it for a snapshot, else the wanted windows, one query per range."""
        self.columns()
        if self.wanted.calendar.grain == SNAPSHOT:
            rows = self._fetch(self._rows())
            if not rows.num_rows:
                raise no_rows(self.wanted, str(self.source))
            return Harvest(by_partition(rows, pa.repeat(pa.scalar(SNAPSHOT), rows.num_rows)))
        column: sa.ColumnClause[Any] = sa.column(str(self.wanted.date))
        known = self._known(column)
        windows = self.wanted.calendar.ranges(self.wanted.partitions)
        rows = concat([self._fetch(self._rows().where(self._within(column, window, known))) for window in windows])
        table, beside = self._cut(rows)
        if not table.num_rows:
            raise no_rows(self.wanted, str(self.source), self._extent(column, known), CONVERT)
        return Harvest(table, undated=self._undated(self._is_undated(column, known)) + beside)

    def dates(self) -> Extent:
        """The first and last date, and the rows whose date is empty or no text of a date."""
        self.columns()
        column: sa.ColumnClause[Any] = sa.column(str(self.wanted.date))
        return self._extent(column, self._known(column))

    def _extent(self, column: sa.ColumnClause[Any], known: object) -> Extent:
        without = self._is_undated(column, known)
        bounds = self._rows(sa.func.min(column), sa.func.max(column)).where(sa.not_(without))
        first, last = tuple(self.connection.execute(bounds).one())
        return Extent(first, last, self._undated(without))

    def _cut(self, rows: pa.Table) -> tuple[pa.Table, Undated]:
        """Exactly the rows of the wanted partitions, and those whose text only looked like a date."""
        if not rows.num_rows:
            return rows, Undated()
        with connect(self.wanted.calendar.timezone) as memory:
            memory.register("__rows", rows)
            dates = date_column(self.wanted, columns_of(memory, "__rows"))
            return duck.select(memory, "__rows", self.wanted, dates), duck.undated(memory, "__rows", dates)

    def _known(self, column: sa.ColumnClause[Any]) -> date | str | None:
        """One of the dates, to see what the driver makes of the column; None where all are empty."""
        known = self.connection.execute(self._rows(column).where(column.is_not(None)).limit(1)).scalar()
        if known is None or isinstance(known, (date, str)):
            return known
        raise TableError(
            f"table {self.wanted.table}: no date can be read from column {column.name!r} of {type(known).__name__}",
            do="Give a query that converts it to a date.",
            table=self.wanted.table,
            column=column.name,
        )

    def _rows(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        what = columns or (sa.literal_column("*"),)
        if self.source.query:
            query = _BIND.sub(r"\\:", bare(self.source.query))
            return sa.select(*what).select_from(sa.text(f"({query}\n) AS source_query"))
        *schema, name = str(self.source.table).split(".")
        return sa.select(*what).select_from(sa.table(name, schema=".".join(schema) or None))

    def _within(self, column: sa.ColumnClause[Any], window: Window, known: object) -> sa.ColumnElement[bool]:
        """The window as the column's own type sees it. Text is cut generously; the exact cut follows in memory."""
        if isinstance(known, datetime):
            bounds: Sequence[Any] = (window.opens, window.closes)
            if known.tzinfo is None:
                bounds = [datetime.combine(day, time.min) for day in (window.start, window.end)]
        elif isinstance(known, date):
            bounds = (window.start, window.end)
        else:
            text, day = self._text(column), timedelta(days=1)
            least = window.start - day if window.start > date.min else window.start
            return sa.and_(
                text >= least.isoformat(), text < (window.end + day).isoformat(), text.regexp_match(_ISO_TEXT)
            )
        return sa.and_(column >= bounds[0], column < bounds[1])

    def _text(self, column: sa.ColumnClause[Any]) -> sa.ColumnElement[str]:
        """The column in plain order of characters, whatever the database's language."""
        text = sa.type_coerce(column, sa.String())
        return text.collate("C") if self.connection.dialect.name == "postgresql" else text

    def _is_undated(self, column: sa.ColumnClause[Any], known: object) -> sa.ColumnElement[bool]:
        if isinstance(known, str):
            return sa.or_(column.is_(None), sa.not_(self._text(column).regexp_match(_ISO_TEXT)))
        return column.is_(None)

    def _undated(self, condition: sa.ColumnElement[bool]) -> Undated:
        sample = self._fetch(self._rows().where(condition).limit(UNDATED_SAMPLE))
        if not sample.num_rows:
            return Undated()
        count = self.connection.execute(self._rows(sa.func.count()).where(condition)).scalar_one()
        return Undated(int(count), duck.as_sample(sample))

    def _fetch(self, query: sa.Select[Any]) -> pa.Table:
        """The rows as an Arrow table, built a chunk at a time from the driver's values."""
        with self.connection.execute(query, execution_options={"stream_results": True}) as result:
            names = list(result.keys())
            parts = [
                pa.table([array_of(values) for values in zip(*rows, strict=True)], names=names)
                for rows in result.partitions(_CHUNK)
            ]
        return concat(parts) if parts else pa.table({name: pa.nulls(0) for name in names})
