"""The sample deployment's year in one backfill: what Dagster adds to the work itself, on SQLite and on PostgreSQL.

The backfill is launched by GraphQL and carried out by the daemon, as from the UI. The floor is the same work without
Dagster: the same chunks, extracted and delivered to a sandbox of their own by plain functions, the table first, then
every sync in a process of its own. All is wall time: where others use the machine, look at its load first.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.components.deployment import read_deployment, table_of
from pipelines.components.policy import chunks
from pipelines.components.sync_run import Order, SyncRunner, upserts_of
from pipelines.delivery.ledger import Priority
from pipelines.home import Home
from pipelines.instance import VARIABLE
from pipelines.sandbox.server import SandboxServer
from pipelines.tables.extract import extract
from pipelines.tables.grains import Calendar
from pipelines.tables.names import quarantine_of, valid_of
from pipelines.tables.spec import TableSpec
from pipelines.tables.store import PartitionStore
from tests.benchmarks.parts.machine import apart, at_once, say
from tests.live.deployment import SAMPLE, served
from tests.postgres import running

_PACKAGE = SAMPLE.parent
_TABLE = "flight_kpis"
_LONGEST_S = 1800


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes."""
    parser.add_argument("--days", type=int, default=365, help="days of the sample, from its first")
    parser.add_argument(
        "--storages", nargs="*", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"], help="Dagster's"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    days = Calendar("daily").keys("2013-01-01", "2013-12-31")[: arguments.days]
    floor = apart(_work, days)
    say("without Dagster", floor)
    found = {}
    for storage in arguments.storages:
        found[storage] = _backfill(storage, days)
        found[storage]["dagster_seconds"] = round(found[storage]["seconds"] - floor["seconds"], 1)
        say(storage, found[storage])
    return {"days": len(days), "without_dagster": floor, **found}


def _work(days: Sequence[str]) -> dict[str, Any]:
    """The work itself: seconds in all, of the table, and of the syncs beside each other."""
    with tempfile.TemporaryDirectory() as name:
        home = Home.of({"PIPELINES_HOME": name})
        with SandboxServer.start(home, port=0):
            started = time.perf_counter()
            _extract(home, days)
            extracted = time.perf_counter()
            each = at_once(_deliver, [(name, sync, days) for sync in _sizes()[1]])
            ended = time.perf_counter()
    return {
        "seconds": round(ended - started, 1),
        "table_seconds": round(extracted - started, 1),
        "syncs_seconds": round(ended - extracted, 1),
        "syncs": each,
    }


def _extract(home: Home, days: Sequence[str]) -> None:
    (table, size), _ = _sizes()
    for chunk in _cut(days, size):
        extract(
            table,
            chunk,
            base=_PACKAGE,
            store=PartitionStore(home.store_url),
            environ=os.environ,
            now=datetime.now(UTC),
        )


def _deliver(home: str, name: str, days: Sequence[str]) -> dict[str, Any]:
    _, tables, syncs = read_deployment(_PACKAGE)
    sync = next(one for one in syncs if one.name == name)
    runner = SyncRunner(sync, Home.of({"PIPELINES_HOME": home}), table_of(sync, tables), _PACKAGE)
    started, requests = time.perf_counter(), 0
    for chunk in _cut(days, _sizes()[1][name]):
        result = runner.run(Order(chunk[0], chunk, Priority.BACKFILL))
        requests += result.report.traffic.requests
    return {"sync": name, "seconds": round(time.perf_counter() - started, 1), "requests": requests}


def _backfill(storage: str, days: Sequence[str]) -> dict[str, Any]:
    """The same as a backfill: seconds from its launch to its end, and its runs."""
    syncs = _sizes()[1]
    assets = [_TABLE, valid_of(_TABLE), quarantine_of(_TABLE)]
    assets += [asset for sync in syncs for asset in (upserts_of(sync), sync)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        environ = {VARIABLE: stack.enter_context(running())()} if storage == "postgresql" else {}
        home = Home.of({"PIPELINES_HOME": str(folder / "home")})
        live = stack.enter_context(served(_PACKAGE, home, "pipelines.definitions", environ))
        started = time.time()
        status = live.wait_for_backfill(live.backfill(assets, list(days)), _LONGEST_S)
        ended = time.time()
        runs = live.runs()
        idle = min(run["creationTime"] for run in runs) - started + ended - max(run["endTime"] for run in runs)
        return {
            "seconds": round(ended - started, 1),
            "of_that_waiting_for_the_daemons_rounds": round(idle, 1),
            "status": status,
            "runs": _by_name(runs, started),
        }


def _by_name(runs: Sequence[Mapping[str, Any]], launched: float) -> dict[str, Any]:
    """By table and sync: how many runs, when they started after the launch, and how long they took."""
    found: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for run in runs:
        tags = {tag["key"]: tag["value"] for tag in run["tags"]}
        found[tags["pipelines/backfill_of"]].append(run)
    return {
        name: {
            "runs": len(runs),
            "started_after": [round(run["startTime"] - launched, 1) for run in reversed(runs)],
            "took": [round(run["endTime"] - run["startTime"], 1) for run in reversed(runs)],
        }
        for name, runs in found.items()
    }


def _sizes() -> tuple[tuple[TableSpec, int], dict[str, int]]:
    """The table with its partitions per run, and the same of its syncs, by name."""
    _, tables, syncs = read_deployment(_PACKAGE)
    (table,) = [one for one in tables if one.name == _TABLE]
    assert isinstance(table, TableSpec)
    bounds = chunks(tables, syncs)
    return (table, bounds[_TABLE]), {sync.name: bounds[sync.name] for sync in syncs if sync.table == _TABLE}


def _cut(days: Sequence[str], size: int) -> list[Sequence[str]]:
    return [days[start : start + size] for start in range(0, len(days), size)]
