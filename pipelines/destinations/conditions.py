"""A sync's `where`: SQL over the row's columns, looked at without any row."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from functools import cache
from typing import Any

import duckdb
import orjson

from pipelines.delivery.errors import ConfigurationError
from pipelines.destinations.columns import unknown

ROWS = "rows"
"""What a condition may call the table of the row, as in rows.actual."""
_WRITE = "Write a SQL condition over the row's columns, such as kpi = 'on_time_pct'."
_QUOTES = "A text stands in single quotation marks, a column in double ones or in none."
# With columns of unknown types the binder cannot choose among functions, but these it knows whatever the types are.
_WHATEVER_TYPES = re.compile(r"clause cannot contain|used as a scalar function|not supported here")
_Path = tuple[str, ...]


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB that reaches no file and no network; close it."""
    return duckdb.connect(config={"enable_external_access": "false", "threads": "1"})


def bad_condition(where: str, error: Exception | str) -> ConfigurationError:
    """The error for a condition that DuckDB refuses, in its words."""
    said = str(error).partition("\n")[0]
    return ConfigurationError(f"where: the condition {where!r} cannot be used: {said}", do=_WRITE, field="where")


def check_condition(where: str) -> None:
    """That it is one condition, of functions that there are; its columns are not known here.

    Raises:
        ConfigurationError: it is not, in DuckDB's words.
    """
    try:
        with connect() as connection:
            # The line break keeps a trailing comment in the condition from swallowing the parenthesis.
            query = f"SELECT 1 FROM {ROWS} WHERE ({where}\n)"  # noqa: S608 - the person who configures the sync writes SQL here
            if len(connection.extract_statements(query)) != 1:
                raise bad_condition(where, "it is more than one condition")
            names = {_column_of(path).lower(): _column_of(path) for path in _paths(_parsed(connection, query))}
            columns = ", ".join(f'{_quoted(name)} "NULL"' for name in [*names.values(), "__any"])
            connection.execute(f"CREATE TABLE {ROWS} ({columns})")
            connection.execute(f"EXPLAIN {query}")
    except duckdb.BinderException as error:
        if _WHATEVER_TYPES.search(str(error)):
            raise bad_condition(where, error) from error
    except duckdb.Error as error:
        raise bad_condition(where, error) from error


def check_columns(where: str, columns: Collection[str], field_name: str) -> None:
    """That the columns which a condition names are there; those within a subquery are its own affair.

    Raises:
        ConfigurationError: names the field, the column, and the closest columns there are.
    """
    known = {name.lower(): name for name in columns}  # DuckDB knows no capitals
    for path in _named_in(where):
        whole = ".".join(path)
        if len(path) > 1 and whole.lower() in known:
            raise ConfigurationError(
                f'{field_name}: the column "{whole}" stands without quotation marks',
                do=f'Write "{whole}" in double quotation marks, since its name holds a dot.',
                field=field_name,
            )
        if _column_of(path).lower() not in known:
            error = unknown(field_name, "column", _column_of(path), columns)
            raise ConfigurationError(error.what, do=f"{error.do} {_QUOTES}", **error.facts)


@cache
def _named_in(where: str) -> tuple[_Path, ...]:
    with connect() as connection:
        parsed = _parsed(connection, f"SELECT 1 FROM {ROWS} WHERE ({where}\n)")  # noqa: S608 - as above; only parsed
        paths = dict.fromkeys(_paths(parsed, inner=False))
        return tuple(path for path in paths if not _is_value(connection, path))


def _is_value(connection: duckdb.DuckDBPyConnection, path: _Path) -> bool:
    """Whether it is written like a column and is none, as current_date."""
    try:
        connection.execute(f"EXPLAIN SELECT {'.'.join(map(_quoted, path))}")
    except duckdb.Error:
        return False
    return True


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _parsed(connection: duckdb.DuckDBPyConnection, query: str) -> Any:
    (text,) = connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0]
    found = orjson.loads(text)
    if found["error"]:  # what DuckDB runs and cannot write down: nothing is known of its columns
        return None
    return found["statements"][0]["node"]["where_clause"]


def _column_of(path: _Path) -> str:
    first, *further = path
    return further[0] if further and first.lower() == ROWS else first


def _paths(node: Any, *, inner: bool = True, own: frozenset[str] = frozenset()) -> Iterator[_Path]:
    """The columns that an expression names; `own` are the parameters of functions written within it."""
    if isinstance(node, list):
        for one in node:
            yield from _paths(one, inner=inner, own=own)
    if not isinstance(node, dict) or (node.get("class") == "SUBQUERY" and not inner):
        return
    if node.get("class") == "COLUMN_REF":
        path = tuple(node["column_names"])
        if path[0] not in own:
            yield path
    elif node.get("class") == "LAMBDA":
        yield from _paths(node["expr"], inner=inner, own=own | {name for path in _paths(node["lhs"]) for name in path})
    else:
        yield from _paths(list(node.values()), inner=inner, own=own)
