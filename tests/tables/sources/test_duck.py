"""DuckDB database files as sources."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pipelines.delivery.errors import TableError
from pipelines.tables.sources import Harvest, columns, read
from tests.tables.helpers import table_spec, wanted


@pytest.fixture
def mart(tmp_path: Path) -> Path:
    """A folder with a DuckDB file: a table in a schema, a view, and a table with odd names."""
    with duckdb.connect(str(tmp_path / "mart.duckdb")) as connection:
        connection.execute('''
            create table readings as
                select date '2024-01-01' + cast(i // 2 as integer) as day, 'T' || i as team_code, 'K' as kpi_code,
                       i * 1.5 as value
                from range(10) r(i);
            create view recent as select * from readings where day > date '2024-01-02';
            create table "odd ""name""" as select * from readings;
            create schema mart.mart;
            create table mart.mart.kpi as select * from readings;
        ''')
    return tmp_path


def harvest(base: Path, source: dict[str, Any], *partitions: str) -> Harvest:
    """What an extract of the table finds."""
    spec = table_spec(source={"duckdb": "mart.duckdb", **source})
    return read(spec.source, wanted(*partitions, spec=spec), base=base, environ={})


@pytest.mark.parametrize(
    "source",
    [
        {"table": "mart.kpi"},
        {"table": "mart.mart.kpi"},
        {"table": "recent"},
        {"table": "mart.recent"},
        {"table": "main.recent"},
        {"table": 'odd "name"'},
        {"query": "select * from mart.mart.kpi -- all of it;"},
        {"query": "with k as (select * from mart.mart.kpi) select * from k;"},
    ],
)
def test_tables_views_and_queries_are_read(mart: Path, source: dict[str, str]) -> None:
    """A table, a view, a query, with any name or ending, gives the rows of the wanted days."""
    found = harvest(mart, source, "2024-01-03").table.to_pylist()
    assert [(row["row"], row["team_code"], float(row["value"])) for row in found] == [(0, "T4", 6.0), (1, "T5", 7.5)]


def test_the_database_is_only_read(mart: Path) -> None:
    """A query cannot change the database, whatever it says."""
    with pytest.raises(TableError):
        harvest(mart, {"query": "select 1); drop table mart.mart.kpi; select (1"}, "2024-01-01")
    assert harvest(mart, {"table": "mart.kpi"}, "2024-01-01").table.num_rows == 2


def test_no_python_variable_is_taken_for_a_table(mart: Path) -> None:
    """A name that happens to be a variable of the program is no table."""
    with pytest.raises(TableError, match="wanted"):
        harvest(mart, {"query": "select * from wanted"}, "2024-01-01")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"table": "mart.kpis"}, "mart.duckdb has no table 'mart.kpis'; it has"),
        ({"table": "mart.kpis"}, "Did you mean 'mart.kpi'?"),
        ({"query": "select * from nothing"}, "the query in mart.duckdb cannot be read"),
        ({"query": "select day, team_code, kpi_code from mart.mart.kpi"}, "has no column 'value'"),
        ({"query": "select * from mart.kpi"}, "use a fully qualified path like 'mart.mart'"),
        ({"query": "selekt"}, "cannot be read"),
        ({"duckdb": "other.duckdb", "table": "t"}, "there is no DuckDB file other.duckdb"),
        ({"duckdb": "text.duckdb", "table": "t"}, "t in text.duckdb cannot be read"),
    ],
)
def test_what_cannot_be_read_is_named(mart: Path, source: dict[str, str], said: str) -> None:
    """A missing file, table or column and a wrong query are errors that name them."""
    (mart / "text.duckdb").write_text("no database " * 1000)
    with pytest.raises(TableError) as caught:
        harvest(mart, source, "2024-01-01")
    assert said in str(caught.value)


def test_a_database_held_by_a_writer_is_an_error_about_that(mart: Path) -> None:
    """While the file is open for writing, the error says what to do."""
    with (
        duckdb.connect(str(mart / "mart.duckdb")),
        pytest.raises(TableError, match="a file open for writing elsewhere must be closed there"),
    ):
        harvest(mart, {"table": "mart.kpi"}, "2024-01-01")


def test_several_readers_at_once(mart: Path) -> None:
    """Readers side by side do not disturb each other, and each has its own timezone."""
    spec = table_spec(
        source={"duckdb": "mart.duckdb", "query": "select day::timestamptz as day, * exclude day from mart.mart.kpi"}
    )
    zones = ["UTC", "Asia/Tokyo", "America/New_York"] * 4

    def count(zone: str) -> int:
        changed = spec.model_copy(update={"timezone": zone})
        return read(spec.source, wanted("2024-01-02", spec=changed), base=mart, environ={}).table.num_rows

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(count, zones)) == [2] * len(zones)


def test_columns_are_known_without_reading_rows(mart: Path) -> None:
    """The columns of a table are asked for, not its rows."""
    spec = table_spec(source={"duckdb": "mart.duckdb", "table": "mart.kpi"})
    assert columns(spec.source, wanted(spec=spec), base=mart, environ={}) == ["day", "team_code", "kpi_code", "value"]
