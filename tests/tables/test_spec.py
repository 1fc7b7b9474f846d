"""What a data engineer may write, and what is refused before anything is read."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from pipelines.tables import source_spec, spec
from pipelines.tables.spec import AreaTableSpec, RuleSpec, SourceSpec, TableSpec
from tests.tables.helpers import area_spec, table_spec


def test_the_documented_example_is_accepted() -> None:
    """The configuration that the documentation shows is valid, with all of its parts."""
    table = TableSpec.model_validate(
        {
            "name": "flight_kpis",
            "source": {"files": "sample/kpi_readings.parquet"},
            "catalogues": {
                "kpi": "sample/kpis.parquet",
                "team": {"duckdb": "mart.duckdb", "table": "teams", "key": "t"},
            },
            "grain": "daily",
            "start": "2013-01-01",
            "timezone": "America/New_York",
            "columns": {"date": "reading_date", "team": "team_code", "kpi": "kpi_code", "actual": "value"},
            "empty_days": "allow",
            "schedule": {"at": "05:30", "lookback": 7},
            "rules": [{"column": "actual", "min": 0, "max": 100, "where": {"kpi": "on_time_pct"}}],
        }
    )
    assert table.catalogue("kpi").files == "sample/kpis.parquet"
    assert table.catalogue("team").key == "t"
    assert table.columns.mapped["actual"] == "value"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"source": {}}, "exactly one of files, duckdb and database_env"),
        ({"source": {"files": "a.csv", "duckdb": "b.duckdb"}}, "found: files, duckdb"),
        ({"source": {"files": "a.csv", "table": "t"}}, "table belongs to duckdb or database_env"),
        ({"source": {"duckdb": "a.duckdb"}}, "exactly one of table and query"),
        ({"source": {"duckdb": "a", "table": "t", "query": "select 1"}}, "exactly one of table and query"),
        ({"source": {"duckdb": "a", "table": "t", "encoding": "latin-1"}}, "encoding belongs to files"),
        ({"source": {"files": "a_{day}.csv"}}, "only {date}"),
        ({"source": {"files": "kpi"}}, "say format"),
        ({"source": {"files": "ftp://me:secret@host/a.csv"}}, "leave credentials to the environment"),
        ({"source": {"files": "a.csv", "missing_files": "empty"}}, "needs {date}"),
        ({"source": {"files": "a.csv", "flies": "b"}}, "Extra inputs are not permitted"),
        ({"catalogues": {"kpi": {"files": "a_{date}.csv"}}}, "read as a whole"),
        ({"start": None}, "needs start"),
        ({"start": "01.02.2024"}, "is no date"),
        ({"grain": "weekly", "start": "2024-01-02"}, "2024-01-01 instead of 2024-01-02"),
        ({"grain": "monthly", "start": "2024-01-02"}, "begins on the 1st: 2024-01-01"),
        ({"grain": "snapshot"}, "start has no meaning"),
        ({"grain": "snapshot", "start": None, "source": {"files": "a_{date}.csv"}}, "{date} in source.files has no"),
        ({"grain": "snapshot", "start": None, "schedule": {"at": "05:30", "lookback": 2}}, "lookback has no meaning"),
        ({"columns": {"team": "t", "kpi": "k", "actual": "a"}}, "columns.date is missing"),
        ({"columns": {"date": "d", "team": "t", "kpi": "t", "actual": "a"}}, "columns maps t twice"),
        ({"columns": {"date": "d", "as_of": "x"}}, "as_of belongs to grain: snapshot"),
        ({"types": {"value": "number"}}, "types.value: the type of a mapped column is known"),
        ({"timezone": "America/NewYork"}, "no IANA timezone"),
        ({"timezone": "../etc/passwd"}, "no IANA timezone"),
        ({"name": "KPI daily"}, "String should match pattern"),
        ({"schedule": {"at": "5:30"}}, "String should match pattern"),
        ({"date_format": "%Q"}, "String should match pattern"),
        ({"date_format": "%Y%m%d", "source": {"database_env": "A", "table": "t"}}, "convert the date in a query"),
        ({"rules": [{"column": "team", "min": 1}]}, "is about a number, but team is a text"),
        ({"rules": [{"column": "actual", "one_of": ["a"]}]}, "is about a text, but actual is a number"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], said: str) -> None:
    """What cannot work is refused when the file is loaded, in words that say what is wrong."""
    with pytest.raises(ValidationError) as caught:
        table_spec(**changes)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"column": "actual"}, "says nothing"),
        ({"column": "actual", "min": 2, "max": 1}, "allows nothing"),
        ({"column": "a", "min": 2, "matches": "x"}, "make it two rules"),
        ({"column": "a", "matches": "("}, "is no regular expression"),
    ],
)
def test_rules_that_cannot_work_are_refused(rule: dict[str, Any], said: str) -> None:
    """A rule that says nothing, allows nothing or is no pattern is refused."""
    with pytest.raises(ValidationError) as caught:
        RuleSpec.model_validate(rule)
    assert said in str(caught.value)


def test_a_date_without_quotation_marks_is_taken() -> None:
    """YAML makes a date of an unquoted start; it means the same."""
    assert table_spec(start=date(2024, 1, 1)).start == "2024-01-01"


def test_areas_are_a_snapshot() -> None:
    """A table of areas has no partitions, so files per date and a lookback are refused."""
    assert area_spec().columns.mapped == {
        name: name for name in ("area_code", "area_name", "parent_code", "active", "tags")
    }
    with pytest.raises(ValidationError, match="has no meaning"):
        area_spec(source={"files": "areas_{date}.csv"})
    with pytest.raises(ValidationError, match="lookback has no meaning"):
        area_spec(schedule={"at": "05:30", "lookback": 3})


def test_every_field_is_described() -> None:
    """The fields' descriptions are the documentation, so none is without."""
    models = {
        item
        for module in (spec, source_spec)
        for item in vars(module).values()
        if isinstance(item, type) and issubclass(item, BaseModel)
    }
    assert {TableSpec, AreaTableSpec, SourceSpec} <= models
    missing = [
        f"{model.__name__}.{name}"
        for model in models
        for name, field in model.model_fields.items()
        if not field.description
    ]
    assert missing == []


def test_a_spec_does_not_change_and_can_be_written_out() -> None:
    """A spec survives being dumped and read again, and cannot be changed after it was checked."""
    table = table_spec(catalogues={"kpi": "a.csv", "team": {"files": "b.csv", "key": "x"}})
    assert TableSpec.model_validate(table.model_dump(exclude_unset=True)) == table
    assert TableSpec.model_validate(table.model_dump()) == table
    with pytest.raises(ValidationError, match="frozen"):
        table.name = "other"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"files": "a.csv"}, "a.csv"),
        ({"duckdb": "m.duckdb", "table": "t"}, "t in m.duckdb"),
        ({"database_env": "MART_URL", "query": "select 1"}, "the query in the database of MART_URL"),
    ],
)
def test_a_source_can_be_named(source: dict[str, str], words: str) -> None:
    """Messages name a source without showing an address."""
    assert str(SourceSpec.model_validate(source)) == words


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"files": "a.parquet", "decimal": ","}, "decimal belongs to CSV files"),
        ({"duckdb": "a.db", "table": "t", "thousands": "."}, "thousands belongs to CSV files"),
        ({"files": "a.csv", "thousands": "."}, "for 1.234,5 say decimal: ',' too"),
        ({"files": "a.csv", "true_words": ["Nein"], "false_words": ["nein"]}, "false_words: 'nein' means true already"),
        ({"files": "a.csv", "false_words": ["t"]}, "false_words: 't' means true already"),
    ],
)
def test_a_notation_that_cannot_be_meant_is_refused(source: dict[str, Any], words: str) -> None:
    """Marks and words that contradict each other, or a source without texts, are an error where they are written."""
    with pytest.raises(ValidationError, match=re.escape(words)):
        table_spec(source=source)
