"""Parquet and CSV: the columns of a file, and the scan of many in one query."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.tables.source_spec import SourceSpec
from pipelines.tables.sources.engine import literal, quoted, short
from pipelines.tables.sources.places import Place
from pipelines.tables.sources.wanted import FILE

REJECTS = """
    SELECT s.file_path AS file, e.line AS line, any_value(e.csv_line) AS text, any_value(e.error_type) AS problem
    FROM reject_errors e JOIN reject_scans s USING (scan_id, file_id) GROUP BY ALL ORDER BY ALL
"""
_HIVE = re.compile(r"([^/=]+)=[^/]+/")
_DELIMITERS = ",;\t|"
_MAY_SWALLOW = ("UNQUOTED VALUE", "LINE SIZE OVER MAXIMUM")
_LINE_SHOWN = 160
_HEADER_BYTES = 1 << 20


class UnreadableFile(Exception):
    """A file is not what its format says; the message goes on from the file's name: "is empty"."""


class UnclosedQuote(UnreadableFile):
    """A quotation mark that is not closed on its line, so that the lines after it are taken for its value."""

    def __init__(self, file: str, line: int, text: str) -> None:
        super().__init__(
            f"has in line {line} a quotation mark that is not closed, so that the lines after it are read as a part of "
            f"it: {text[:_LINE_SHOWN]!r}"
        )
        self.file = file


@dataclass(frozen=True, slots=True)
class Head:
    """What one file says about itself. `delimiter` is None for Parquet."""

    name: str
    columns: tuple[str, ...]
    delimiter: str | None = None


def head(source: SourceSpec, place: Place, name: str) -> Head:
    """The columns of a file.

    Raises:
        UnreadableFile: it has none, or is no file of its format.
    """
    try:
        found = Head(name, _parquet_columns(place, name)) if source.is_parquet else _csv_head(source, place, name)
    except (OSError, EOFError, csv.Error, pa.ArrowException) as error:
        raise UnreadableFile(f"cannot be read ({short(error)})") from error
    lower = [column.lower() for column in found.columns]  # DuckDB knows no capitals
    twice = next((column for column in found.columns if lower.count(column.lower()) > 1), None)
    if twice is not None:
        raise UnreadableFile(f"has two columns named {twice!r}")
    return found


def _parquet_columns(place: Place, name: str) -> tuple[str, ...]:
    with place.opened(name) as stream:
        columns = pq.read_schema(stream).names
    hive = _HIVE.findall(name)
    return (*columns, *(column for column in hive if column not in columns))


def _csv_head(source: SourceSpec, place: Place, name: str) -> Head:
    with place.opened(name, unpack=True) as stream:
        start = stream.read(_HEADER_BYTES)
    encoding = {"utf-8": "utf-8-sig", "utf-16": "utf-16", "latin-1": "latin-1"}[source.encoding]
    text = start.decode(encoding, "replace")
    if not text.strip():
        raise UnreadableFile("is empty: it has no header line")
    delimiter = source.delimiter or max(_DELIMITERS, key=lambda mark: len(_first_line(text, mark)))
    columns = tuple(column or f"column{at}" for at, column in enumerate(_first_line(text, delimiter)))
    return Head(name, columns, delimiter)


def _first_line(text: str, delimiter: str) -> list[str]:
    return next(csv.reader(io.StringIO(text), delimiter=delimiter), [])


def scan(source: SourceSpec, place: Place, heads: Sequence[Head]) -> str:
    """All rows of the files, with the column `FILE`, as something that can stand after FROM."""
    if source.is_parquet:
        return f"read_parquet({_list(place, heads)}, union_by_name = true, filename = '{FILE}')"
    groups: dict[tuple[tuple[str, ...], str | None], list[Head]] = {}
    for item in heads:
        groups.setdefault((item.columns, item.delimiter), []).append(item)
    return "(" + " UNION ALL BY NAME ".join(_csv_scan(source, place, group) for group in groups.values()) + ")"


def _csv_scan(source: SourceSpec, place: Place, heads: Sequence[Head]) -> str:
    """Files with the same header line. Nothing is guessed: lines that do not fit it are kept as rejects."""
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in heads[0].columns)
    options = (
        f"columns = {{{columns}}}, auto_detect = false, header = true,"
        f" delim = {literal(str(heads[0].delimiter))}, quote = '\"', escape = '\"', encoding = '{source.encoding}',"
        f" store_rejects = true, filename = '{FILE}'"
    )
    return f"SELECT * FROM read_csv({_list(place, heads)}, {options})"  # noqa: S608 - names are literals


def rejects(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """The lines of CSV files that could not be taken apart, each once: file, line, text, problem."""
    if not connection.sql("SELECT 1 FROM duckdb_tables() WHERE table_name = 'reject_errors'").fetchall():
        return pa.table({"file": pa.array([], pa.string())})
    return connection.sql(REJECTS).to_arrow_table()


def check_quotes(lines: pa.Table) -> None:
    """That no rejected line has swallowed those after it: then nobody knows which rows are missing.

    Raises:
        UnclosedQuote: one has.
    """
    for line in lines.to_pylist():
        text = str(line["text"]).strip()
        if line["problem"] in _MAY_SWALLOW and re.search(r"[\r\n]", text):
            raise UnclosedQuote(line["file"], int(line["line"]), text.splitlines()[0])


def without_file(relation: str) -> str:
    """A scan without its column `FILE`."""
    return f"(SELECT * EXCLUDE ({quoted(FILE)}) FROM {relation})"  # noqa: S608 - made by us


def _list(place: Place, heads: Sequence[Head]) -> str:
    return "[" + ", ".join(literal(place.exact(item.name)) for item in heads) + "]"
