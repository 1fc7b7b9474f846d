"""Sources that are away or held by somebody else, told apart from those that somebody must mend."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from sqlalchemy.exc import OperationalError

from pipelines.delivery.errors import SourceUnavailable, TableError
from pipelines.tables.sources import read
from pipelines.tables.sources.away import is_away
from tests.tables.helpers import table_spec, wanted

HOLDER = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
"""


def extract(source: dict[str, Any], url: str = "", base: Path = Path()) -> Any:
    """Read the readings of a day."""
    spec = table_spec(source=source)
    return read(spec.source, wanted("2024-01-01", spec=spec), base=base, environ={"MART_URL": url})


def of_database(url: str) -> Any:
    """Read them from a database."""
    return extract({"database_env": "MART_URL", "table": "kpi"}, url)


def test_a_database_that_refuses_connections_is_away() -> None:
    """Nothing listens at its address: a later try may find it."""
    with pytest.raises(SourceUnavailable, match="Is the database running"):
        of_database("postgresql+psycopg://user:pass@127.0.0.1:1/name")


def test_a_database_that_answers_no_is_not_away(postgres: Callable[[], str]) -> None:
    """A database of another name, or a table that is not there, is not found by waiting."""
    url = postgres().replace("postgresql://", "postgresql+psycopg://", 1)
    head, slash, tail = url.rpartition("/")
    nowhere = f"{head}{slash}nosuchdatabase{'?' if '?' in tail else ''}{tail.partition('?')[2]}"
    for there in (url, nowhere):
        with pytest.raises(TableError) as caught:
            of_database(there)
        assert type(caught.value) is TableError, there


def test_a_password_that_is_wrong_at_one_of_a_hosts_addresses_is_not_away() -> None:
    """Clients list every address of a host; tries with a wrong password would only lock the account."""
    refused = 'connection to server at "localhost" (::1), port 5432 failed: Connection refused'
    wrong = 'connection to server at "localhost" (127.0.0.1), port 5432 failed: FATAL: password authentication failed'
    assert is_away(OperationalError("select 1", {}, Exception(refused)))
    assert not is_away(OperationalError("select 1", {}, Exception(f"{refused}\n{wrong}")))


def test_a_file_that_another_one_writes_is_held(tmp_path: Path) -> None:
    """SQLite and DuckDB files under somebody's lock, of another process: free later."""
    file = tmp_path / "mart.db"
    with closing(sqlite3.connect(file)) as writer:
        writer.execute("begin exclusive")
        with pytest.raises(SourceUnavailable, match="locked"):
            of_database(f"sqlite:///{file}?timeout=0")
    mart = tmp_path / "mart.duckdb"
    duckdb.connect(str(mart)).close()
    command = [sys.executable, "-c", HOLDER, str(mart)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(SourceUnavailable, match="lock"):
            extract({"duckdb": "mart.duckdb", "table": "kpi"}, base=tmp_path)
        holder.communicate("\n")
    with pytest.raises(TableError) as caught:
        extract({"duckdb": "mart.duckdb", "table": "kpi"}, base=tmp_path)
    assert type(caught.value) is TableError


class _Away(MemoryFileSystem):
    """A store of files that names them, and is away when it is asked for one; or away from the start."""

    protocol = "away"
    store: dict[str, Any] = {}  # noqa: RUF012 - as in its base class, which has one for all of its kind
    finds = True

    def isfile(self, path: str) -> bool:
        if not self.finds:
            raise TimeoutError("no answer")
        return True

    def _open(self, path: str, *args: object, **options: object) -> Any:
        raise ConnectionResetError("reset by peer")


@pytest.mark.parametrize("finds", [True, False])
@pytest.mark.parametrize("name", ["kpi_{date}.csv", "kpi.csv"])
def test_a_store_of_files_that_is_away(monkeypatch: pytest.MonkeyPatch, name: str, *, finds: bool) -> None:
    """Whether files are looked for or opened, of a day each or one of all: told as away, with the days that it hits."""
    fsspec.register_implementation("away", _Away, clobber=True)
    monkeypatch.setattr(_Away, "finds", finds)
    try:
        failed = extract({"files": f"away://exports/{name}"}).failed
    except SourceUnavailable as error:
        failed = {"2024-01-01": error}
    assert {day: type(error) for day, error in failed.items()} == {"2024-01-01": SourceUnavailable}


def test_a_broken_file_is_not_away(tmp_path: Path) -> None:
    """Somebody must export it again."""
    (tmp_path / "kpi_2024-01-01.csv").write_text("")
    (error,) = extract({"files": "kpi_{date}.csv"}, base=tmp_path).failed.values()
    assert type(error) is TableError
