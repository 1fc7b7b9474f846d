"""A sync's `where`, looked at before there are rows."""

from __future__ import annotations

import pytest

from pipelines.delivery.errors import ConfigurationError
from pipelines.destinations.conditions import check_columns, check_condition

COLUMNS = ("row", "partition", "as_of", "date", "team", "kpi", "actual", "kpi_name", "kpi.name", "tags")


@pytest.mark.parametrize(
    "where",
    [
        "kpi = 'on_time_pct' and actual > 5 -- late ones",
        "Kpi = 'x' and rows.ACTUAL between 1 and 2",
        "year(date) = 2024 or date_trunc('month', date) = date '2024-01-01'",
        "date >= current_date - 7",
        "list_filter(tags, lambda x: x > 1) is not null",
        "tags is not null and len(list_filter([1, 2], x -> x > 1)) = 1",
        "actual = (select max(r.actual) from rows r)",
        "\"kpi.name\" like 'a%'",
        "true",
    ],
)
def test_a_condition_that_can_be_used_is_no_fault(where: str) -> None:
    """Whatever DuckDB can run over the columns passes, capitals, functions of functions and subqueries alike."""
    check_condition(where)
    check_columns(where, COLUMNS, "where")


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("kpi = = 3", "syntax error"),
        ("true); drop table rows; select (true", "more than one condition"),
        ("starswith(kpi, 'a')", "starswith does not exist"),
        ("kpi in (select kpi from other)", "Table with name other does not exist"),
        ("sum(actual) > 3", "cannot contain aggregates"),
        ("actual > $1", "parameters"),
        ("kpi in (from read_text('pyproject.toml'))", "disabled by configuration"),
    ],
)
def test_what_no_columns_could_mend_is_said_without_columns(where: str, words: str) -> None:
    """Syntax, unknown functions and tables are faults of the text alone, in DuckDB's words."""
    with pytest.raises(ConfigurationError, match=r"where: the condition .* cannot be used: ") as caught:
        check_condition(where)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("where", "column", "hint"),
    [
        ("kpii = 'x'", "kpii", "Did you mean kpi"),
        ("actual > 1 and rows.taem = 'x'", "taem", "Did you mean team "),
        ("list_contains(list_filter([1], lambda x: x > 1), x)", "x", "There are: row, "),
        ('kpi = "on_time"', "on_time", "A text stands in single quotation marks"),
    ],
)
def test_a_column_that_is_not_there_is_named(where: str, column: str, hint: str) -> None:
    """The error has the field, the column and the closest one; a text in the wrong quotation marks is one, too."""
    with pytest.raises(ConfigurationError) as caught:
        check_columns(where, COLUMNS, "sync board, where")
    assert str(caught.value).startswith(f'sync board, where: there is no column "{column}". ')
    assert hint in str(caught.value)


def test_a_name_with_a_dot_needs_quotation_marks() -> None:
    """A catalogue's column such as kpi.name would be read as a part of kpi."""
    with pytest.raises(ConfigurationError, match=r'Write "kpi.name" in double quotation marks'):
        check_columns("kpi.name = 'x'", COLUMNS, "where")
