"""With runs, events and the ledger in PostgreSQL: webserver, daemon and queue, and a backfill in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise

import psycopg
import pytest
from psycopg import sql

from pipelines.components.partitions import END_TAG, START_TAG
from pipelines.home import Home
from pipelines.instance import VARIABLE
from tests.live import written
from tests.live.deployment import Live, export_day, sample_day, served, write_deployment
from tests.postgres import running

DAYS = [f"2013-01-0{day}" for day in range(1, 7)]
TABLE = ("readings", "readings_valid", "readings_quarantine")
SYNC = ("board_upserts", "board")
CHUNKS = {"readings": 3, "board": 2}


@pytest.fixture(scope="module")
def databases() -> Iterator[tuple[str, str]]:
    """Two empty databases: Dagster's, and the ledger's."""
    with running() as fresh:
        yield fresh(), fresh()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory, databases: tuple[str, str]) -> Iterator[Live]:
    """A table and a sync in small chunks, served over the two databases."""
    folder = tmp_path_factory.mktemp("project")
    chunk = {name: f"  partitions_per_run: {number}" for name, number in CHUNKS.items()}
    table = written.TABLE.format(name="readings", folder="past", start=DAYS[0], more=chunk["readings"])
    board = written.BOARD.format(name="board", table="readings", account="stativate", prefix="", more=chunk["board"])
    package = write_deployment(folder, {"readings": table, "board": board})
    for day in DAYS:
        export_day(package / "exports" / "past", day, sample_day(day))
    environ = {VARIABLE: databases[0], "PIPELINES_LEDGER_URL": databases[1]}
    with served(package, Home.of({"PIPELINES_HOME": str(folder / "home")}), environ=environ) as live:
        yield live


@pytest.mark.timeout(400)
def test_a_backfill_goes_in_chunks_in_order_of_dates(live: Live, databases: tuple[str, str]) -> None:
    """Every day is green, in runs of the size that the files say, one after another; nothing is kept in SQLite."""
    backfill = live.backfill([*TABLE, *SYNC], DAYS)
    assert live.wait_for_backfill(backfill) == "COMPLETED_SUCCESS"
    for asset in (*TABLE, *SYNC):
        assert live.partitions(asset) == dict.fromkeys(DAYS, "MATERIALIZED")

    runs: dict[str, list[tuple[str, str, float, float]]] = {}
    for run in live.runs(dagster__backfill=backfill):
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        row = (tags[START_TAG], tags[END_TAG], run["startTime"], run["endTime"])
        runs.setdefault(tags["pipelines/backfill_of"], []).append(row)
    assert runs.keys() == CHUNKS.keys()
    for name, most in CHUNKS.items():
        in_order = sorted(runs[name])
        assert (in_order[0][0], in_order[-1][1]) == (DAYS[0], DAYS[-1])
        assert len(in_order) >= len(DAYS) / most
        for first, last, *_ in in_order:
            assert date.fromisoformat(last) - date.fromisoformat(first) < timedelta(days=most)
        for (_, last, _, end), (first, _, start, _) in pairwise(in_order):
            assert date.fromisoformat(first) - date.fromisoformat(last) == timedelta(days=1)
            assert end <= start

    assert {path.parent.name for path in live.home.path.rglob("*.db")} == {"sandbox"}
    dagster, ledger = databases
    assert count(dagster, "event_logs") > len(DAYS) * len((*TABLE, *SYNC))
    assert (
        count(ledger, "deliveries")
        == count(ledger, "state")
        == len(live.sandbox.control.state("stativate")["statuses"])
    )


def count(url: str, table: str) -> int:
    """The rows of a table."""
    with psycopg.connect(url) as connection:
        row = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()
    assert row is not None
    return row[0]
