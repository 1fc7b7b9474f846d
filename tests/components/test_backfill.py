"""A year of history, delivered in pieces: what shows the latest value only is told once."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime, timedelta

from pipelines.components.sync_run import Order, SyncRunner
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.stativate import StativateSpec
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from pipelines.tables.extract import extract
from pipelines.tables.grains import Calendar
from pipelines.tables.store import PartitionStore
from tests.components.conftest import Deploy
from tests.components.delivering_process import PACKAGE, TABLE
from tests.components.deploying import FLOOR, floor, higher, readings

CHUNK = 61
BOARD = StativateSpec.model_validate(
    {
        "name": "board",
        "table": TABLE.name,
        "account": "stativate",
        "mode": "sandbox",
        "key": "{kpi}-{team}",
        "label": "{kpi_name} {team}",
        "value": {"column": "actual", "format": "compact"},
    }
)


def test_the_newest_day_alone_and_a_single_day_before_it(deploy: Deploy) -> None:
    """A table that goes on has yesterday as its newest partition; it and any other single day can be run alone."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    days = [(yesterday - timedelta(days=before)).isoformat() for before in (2, 1, 0)]
    deployment = deploy([readings(start=days[0], timezone="UTC")], [floor()])
    for number, day in enumerate(days):
        deployment.export(day, higher(number))
    for day in (days[2], days[0]):
        assert deployment.extract(day).success
        assert deployment.deliver(FLOOR, day).counts(FLOOR) == {day: {"extracted": 4, "accepted": 4}}
    assert deployment.statuses(FLOOR, days) == {days[0]: "MATERIALIZED", days[2]: "MATERIALIZED"}
    assert deployment.extract(days[1], days[2]).success
    told = deployment.deliver(FLOOR, days[0], days[2])
    assert {day: counts.get("unchanged", 0) for day, counts in told.counts(FLOOR).items()} == {
        days[0]: 4,
        days[1]: 0,
        days[2]: 4,
    }


def test_year_in_chunks_sends_a_latest_only_key_once(home: Home, server: SandboxServer) -> None:
    """In whatever order the chunks come, each key is sent once, with its newest reading; all else is superseded."""
    store, sync = PartitionStore(home.store_url), BOARD
    year = Calendar.of(TABLE).keys("2013-01-01", "2013-12-31")
    extract(TABLE, year, base=PACKAGE, store=store, environ=os.environ, now=datetime.now(UTC))
    chunks = [year[start : start + CHUNK] for start in range(0, len(year), CHUNK)]
    random.Random(7).shuffle(chunks)
    totals = dict.fromkeys(Outcome, 0)
    for number, chunk in enumerate(chunks):
        result = SyncRunner(sync, home).run(Order(f"chunk-{number}", chunk))
        assert all(not account.red for account in result.results.values())
        for outcome in Outcome:
            totals[outcome] += result.report.total(outcome)
    newest = {upsert.key: upsert for upsert in sync.build(store.read("flight_kpis_valid", year)).upserts}
    shown = {key: one["value"] for key, one in server.control.state("stativate")["statuses"].items()}
    assert shown == {key: upsert.payload["value"] for key, upsert in newest.items()}
    assert totals[Outcome.ACCEPTED] == len(newest)
    routes = server.control.counts("stativate")["routes"]
    assert sum(route["requests"] for name, route in routes.items() if name.startswith(("PUT", "POST"))) == len(newest)
