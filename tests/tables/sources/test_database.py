"""Databases through SQLAlchemy: SQLite and a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from pipelines.delivery.errors import ConfigurationError, MissingSetting, TableError
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.sources import Harvest, columns, read
from tests.tables.helpers import local, table_spec, wanted

URL = "MART_URL"


def filled(url: str, kind: str, dates: list[Any], table: str = "kpi") -> str:
    """A database with one table of readings, a row per date."""
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(
            sa.text(f"create table {table} (day {kind}, team_code varchar(20), kpi_code varchar(20), value numeric)")
        )
        for number, day in enumerate(dates):
            row = {"day": day, "team": f"T{number}", "value": number}
            connection.execute(sa.text(f"insert into {table} values (:day, :team, 'K', :value)"), row)
    engine.dispose()
    return url


def harvest(url: str, *partitions: str, source: dict[str, Any] | None = None, **changes: Any) -> Harvest:
    """What an extract of the table finds."""
    spec = table_spec(source={"database_env": URL, **(source or {"table": "kpi"})}, **changes)
    date_column = None if spec.grain == SNAPSHOT else "day"
    return read(spec.source, wanted(*partitions, spec=spec, date_column=date_column), base=Path(), environ={URL: url})


def teams(found: Harvest) -> list[tuple[str, int, str]]:
    """Partition, row and team of each row."""
    return [(row["partition"], row["row"], row["team_code"]) for row in found.table.to_pylist()]


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    """The URL of an empty SQLite database."""
    return f"sqlite:///{tmp_path / 'mart.db'}"


TEXT = [
    "2024-03-09",
    "2024-03-10",
    "2024-03-10 23:59:59",
    "2024-03-10T04:30:00+00:00",
    "2024-03-11T03:30:00Z",
    "2024-03-11",
    "2024-03-10 nonsense",
    "2024-02-30",
    "soon",
    " 2024-03-10",
    None,
]


def test_text_dates_in_sqlite(sqlite: str) -> None:
    """Text dates are cut to the local day, and whatever is no date is reported, once."""
    found = harvest(filled(sqlite, "text", TEXT), "2024-03-10", timezone="America/New_York")
    assert teams(found) == [("2024-03-10", 0, "T1"), ("2024-03-10", 1, "T2"), ("2024-03-10", 2, "T4")]
    assert found.undated.count == 4
    assert {row["day"] for row in found.undated.sample} == {"2024-03-10 nonsense", "soon", " 2024-03-10", None}


def test_text_dates_in_postgresql(postgres: Callable[[], str]) -> None:
    """The same in PostgreSQL, whatever the order of its language."""
    found = harvest(psycopg(filled(psycopg(postgres()), "text", TEXT)), "2024-03-10", timezone="America/New_York")
    assert [team for *_, team in teams(found)] == ["T1", "T2", "T4"]
    assert found.undated.count == 4


def psycopg(url: str) -> str:
    """The URL with the driver that the product uses."""
    return url.replace("postgresql://", "postgresql+psycopg://", 1)


@pytest.mark.parametrize(
    ("kind", "dates", "inside"),
    [
        ("date", [date(2024, 3, 9), date(2024, 3, 10), date(2024, 3, 11), None], ["T1"]),
        (
            "timestamp",
            [local("2024-03-10"), local("2024-03-10T23:59:59.999999"), local("2024-03-11")],
            ["T0", "T1"],
        ),
        (
            "timestamptz",
            [datetime(2024, 3, 10, 5, tzinfo=UTC) + timedelta(hours=hours) for hours in (-0.01, 0, 22.99, 23)],
            ["T1", "T2"],
        ),
    ],
)
def test_types_of_dates_in_postgresql(
    postgres: Callable[[], str], kind: str, dates: list[Any], inside: list[str]
) -> None:
    """Dates, local times and instants give the local day of a clock change, wherever the server believes to be."""
    url = filled(psycopg(postgres()), kind, dates) + "&options=-c%20timezone%3DAsia/Tokyo"
    found = harvest(url, "2024-03-10", timezone="America/New_York")
    assert [team for *_, team in teams(found)] == inside
    assert found.undated.count == dates.count(None)


def test_only_the_window_leaves_the_database(postgres: Callable[[], str]) -> None:
    """One statement per range of neighbouring days, bounded on both sides by parameters, is all that reads rows."""
    url = filled(psycopg(postgres()), "date", [date(2024, 1, 1) + timedelta(days=number) for number in range(30)])
    statements: list[tuple[str, Any]] = []

    @sa.event.listens_for(sa.Engine, "before_cursor_execute")
    def note(connection: Any, cursor: Any, statement: str, parameters: Any, context: Any, many: bool) -> None:
        statements.append((statement, parameters))

    try:
        found = harvest(url, *(f"2024-01-{number:02}" for number in (3, 4, 5, 9)))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert [partition for partition, *_ in teams(found)] == ["2024-01-03", "2024-01-04", "2024-01-05", "2024-01-09"]
    reading = [parameters for statement, parameters in statements if ">=" in statement]
    assert [sorted(parameters.values()) for parameters in reading] == [
        [date(2024, 1, 3), date(2024, 1, 6)],
        [date(2024, 1, 9), date(2024, 1, 10)],
    ]


def test_a_query_keeps_its_own_colons_and_percent_signs(postgres: Callable[[], str]) -> None:
    """Casts, times and patterns in a query reach the database as they were written."""
    url = filled(psycopg(postgres()), "date", [date(2024, 1, 1), date(2024, 1, 2)])
    query = "select day::date, team_code, kpi_code, value, '10:30' as at from kpi where team_code like 'T%' -- end"
    found = harvest(url, "2024-01-02", source={"query": query})
    assert [(row["team_code"], row["at"]) for row in found.table.to_pylist()] == [("T1", "10:30")]


def test_a_query_cannot_write(postgres: Callable[[], str]) -> None:
    """A source is only read: PostgreSQL refuses a query that changes something."""
    url = filled(psycopg(postgres()), "date", [date(2024, 1, 1)])
    query = "select day, team_code, kpi_code, value, setval('s', 5) as s from kpi"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("create sequence s"))
    engine.dispose()
    with pytest.raises(TableError, match="read-only transaction"):
        harvest(url, "2024-01-01", source={"query": query})


def test_types_survive(postgres: Callable[[], str]) -> None:
    """Decimals, whole numbers, booleans, JSON and identifiers of PostgreSQL arrive with their values."""
    url = filled(psycopg(postgres()), "date", [date(2024, 1, 1)])
    query = """select *, 12345678901234567890::numeric as big, true as yes, null::int as none,
               '{"a": [1]}'::jsonb as js, '6f9619ff-8b86-d011-b42d-00c04fc964ff'::uuid as id from kpi"""
    row = harvest(url, "2024-01-01", source={"query": query}).table.to_pylist()[0]
    assert (int(row["big"]), row["yes"], row["none"]) == (12345678901234567890, True, None)
    assert row["id"] == "6f9619ff-8b86-d011-b42d-00c04fc964ff"
    assert row["js"] == '{"a":[1]}'


def test_mixed_values_in_sqlite_become_text(sqlite: str) -> None:
    """A SQLite column may hold anything; values of different kinds arrive as their texts."""
    engine = sa.create_engine(filled(sqlite, "text", ["2024-01-01", "2024-01-01", "2024-01-01"]))
    with engine.begin() as connection:
        connection.execute(sa.text("update kpi set value = 'n/a' where team_code = 'T0'"))
        connection.execute(sa.text("update kpi set value = x'ff00' where team_code = 'T2'"))
    engine.dispose()
    assert harvest(sqlite, "2024-01-01").table["value"].to_pylist() == ["n/a", "1", "b'\\xff\\x00'"]


def test_a_snapshot_is_read_whole(sqlite: str) -> None:
    """A snapshot has one partition with all rows."""
    found = harvest(filled(sqlite, "text", ["2024-01-01", None]), SNAPSHOT, grain="snapshot", start=None)
    assert teams(found) == [(SNAPSHOT, 0, "T0"), (SNAPSHOT, 1, "T1")]


def test_no_row_in_the_window_names_what_is_there(sqlite: str) -> None:
    """An extract without any row says from when to when the database has dates."""
    url = filled(sqlite, "text", ["2024-01-01", "2024-01-05"])
    with pytest.raises(TableError, match="the source holds dates from 2024-01-01 to 2024-01-05"):
        harvest(url, "2024-01-03")
    with pytest.raises(TableError, match="no row between 2024-01-03"):
        harvest(filled(sqlite, "text", [], table="empty"), "2024-01-03", source={"table": "empty"})


def test_the_url_comes_from_the_environment() -> None:
    """Without its environment variable the error names it."""
    spec = table_spec(source={"database_env": URL, "table": "kpi"})
    with pytest.raises(MissingSetting, match="MART_URL is not set") as caught:
        read(spec.source, wanted("2024-01-01", spec=spec), base=Path(), environ={})
    assert caught.value.facts["setting"] == URL


@pytest.mark.parametrize(
    "url",
    [
        "secret-password@host",
        "nosuchdatabase://user:secret-password@host/name",
        "postgresql+nodriver://user:secret-password@host/name",
        "postgresql+psycopg://user:secret-password@127.0.0.1:1/name",
        "postgresql+psycopg://user:secret-password@127.0.0.1:port/name",
    ],
)
def test_no_secret_is_ever_shown(url: str) -> None:
    """Whatever is wrong with the database's address, the error names the variable and never the password."""
    with pytest.raises((ConfigurationError, TableError)) as caught:
        harvest(url, "2024-01-01")
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "secret-password" not in f"{chain} {chain.args}"
        chain = None if chain.__suppress_context__ else chain.__context__
    assert URL in str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"table": "kpis"}, "kpis in the database of MART_URL cannot be read"),
        ({"table": "other.kpi"}, "cannot be read"),
        ({"query": "select day, team_code, kpi_code from kpi"}, "has no column 'value'"),
        (
            {"query": "select value as day, team_code, kpi_code, value from kpi"},
            "no date can be read from column 'day'",
        ),
    ],
)
def test_what_cannot_be_read_is_named(sqlite: str, source: dict[str, str], said: str) -> None:
    """A missing table or column and a column without dates are errors that name them."""
    with pytest.raises(TableError) as caught:
        harvest(filled(sqlite, "text", ["2024-01-01"]), "2024-01-01", source=source)
    assert said in str(caught.value)


def test_a_doubled_name_is_named(postgres: Callable[[], str]) -> None:
    """A query with two columns of one name is an error that says which."""
    url = filled(psycopg(postgres()), "date", [date(2024, 1, 1)])
    with pytest.raises(TableError, match="has two columns named 'value'"):
        harvest(url, "2024-01-01", source={"query": "select *, 1 as value from kpi"})


def test_columns_are_known_without_reading_rows(sqlite: str) -> None:
    """The columns of a table are asked for, not its rows."""
    spec = table_spec(source={"database_env": URL, "table": "kpi"})
    url = filled(sqlite, "text", [])
    assert columns(spec.source, wanted(spec=spec), base=Path(), environ={URL: url}) == [
        "day",
        "team_code",
        "kpi_code",
        "value",
    ]


def test_a_database_without_any_date_shows_what_stands_there(sqlite: str) -> None:
    """Texts that are no dates are no missing rows: the error shows some, and asks for a query, not for a format."""
    with pytest.raises(TableError) as caught:
        harvest(filled(sqlite, "text", ["31.12.2024", "soon"]), "2024-01-01")
    said = "none of the 2 rows of kpi in the database of MART_URL has a date that can be read from column 'day': "
    assert f"{said}'31.12.2024', 'soon'." in str(caught.value)
    assert "give a query that converts it to a date" in str(caught.value)
