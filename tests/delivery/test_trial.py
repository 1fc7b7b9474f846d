"""A trial of the ledger: it says what a run would meet, and leaves everything as it was."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.address import address_of
from pipelines.delivery.ledger.people import decide
from pipelines.delivery.ledger.queries import find_decisions
from pipelines.delivery.ledger.trial import live_address, trial
from tests.delivery.ledgers import load_version_1


def test_a_ledger_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Its tables are tried beside the place where it would be; not even a folder of its address remains."""
    with trial(f"sqlite:///{tmp_path}/deep/down/ledger.db") as connection:
        assert live_address(connection, "a") is None
    assert list(tmp_path.iterdir()) == []


def test_an_empty_database_stays_empty(postgres: Callable[[], str]) -> None:
    """In PostgreSQL the tables are made in a transaction that is taken back."""
    url = postgres()
    with trial(url) as connection:
        decide(connection, "hold", "s", "r", 1.0)
    engine = create_engine(address_of(url))
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_what_is_there_is_seen_and_what_is_written_is_taken_back(tmp_path: Path) -> None:
    """A trial reads the ledger's own state, and its writing fails nowhere and stays nowhere."""
    url = f"sqlite:///{tmp_path}/ledger.db"
    with closing(Ledger(url)) as ledger:
        ledger.scope("a", "live", "the hash", "", 1.0)
        with trial(url) as connection:
            assert live_address(connection, "a") == "the hash"
            assert live_address(connection, "b") is None
            decide(connection, "hold", "s", "r", 1.0)
        with ledger.reading() as connection:
            assert find_decisions(connection, None, 1) == ([], 0)


def test_an_older_ledger_is_not_brought_up_to_date(tmp_path: Path) -> None:
    """Who only checks must not change the tables under a release that still runs."""
    file = tmp_path / "ledger.db"
    load_version_1(f"sqlite:///{file}")
    with trial(f"sqlite:///{file}"):
        pass
    with closing(sqlite3.connect(file)) as old:
        assert old.execute("select value from pipelines_meta where name = 'schema_version'").fetchone() == ("1",)


@pytest.mark.parametrize("place", ["file/ledger.db", "file/deep/ledger.db"])
def test_a_folder_that_is_a_file_is_told(tmp_path: Path, place: str) -> None:
    """The error has the ledger's place and what stands in its way."""
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError) as caught, trial(f"sqlite:///{tmp_path}/{place}"):
        pass
    assert f"the ledger cannot be made at {tmp_path}/{place}: Not a directory ({tmp_path}/file)" in str(caught.value)
