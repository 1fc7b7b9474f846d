"""A million readings, chunk by chunk: time by stage and peak memory with none, some and all of them changed."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pipelines.components import sync_run
from pipelines.components.policy import PARTITIONS_PER_SYNC_RUN, PARTITIONS_PER_TABLE_RUN
from pipelines.delivery import planning
from pipelines.delivery.ledger import Ledger, Record, Run
from pipelines.delivery.upsert import Outcome, Verdict
from pipelines.destinations.accounts import read_account
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables import extract as extracting
from pipelines.tables.names import valid_of
from pipelines.tables.store import PartitionStore
from tests.benchmarks.parts import floor, rows
from tests.benchmarks.parts.delivering import deliver
from tests.benchmarks.parts.machine import HighWater, Timed, apart, ratio, say
from tests.benchmarks.parts.server import Server

_BUDGETED = ("read", "contract", "join", "store", "load", "upserts", "keep upserts", "plan", "other")
"""The stages of the way to a plan; `deliver` is one more where nothing is sent."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes."""
    parser.add_argument("--rows", type=int, default=1_000_000, help="readings")
    parser.add_argument("--days", type=int, default=365, help="days, each a partition")
    parser.add_argument("--changed", type=float, nargs="+", default=[0.0, 1.0], help="percent of changed readings")
    parser.add_argument("--table-chunk", type=int, default=PARTITIONS_PER_TABLE_RUN, help="days per run of the table")
    parser.add_argument("--sync-chunk", type=int, default=PARTITIONS_PER_SYNC_RUN, help="days per run of the sync")
    parser.add_argument("--in-flight", type=int, default=64, help="requests in flight")
    parser.add_argument("--latency-ms", type=float, default=0, help="the server's answer time")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    with tempfile.TemporaryDirectory() as name, Server(arguments.latency_ms) as server:
        folder = Path(name)
        days = rows.days(min(arguments.days, arguments.rows))
        environ = rows.accounts(server.url, folder / "home", arguments.in_flight)
        apart(rows.write_readings, folder, arguments.rows, len(days))
        apart(_extract, folder, environ, days, arguments.table_chunk)
        apart(_accept, environ, days, arguments.sync_chunk)
        say("the ledger holds every reading as accepted")
        floors = apart(floor.measure, folder, Home.of(environ), rows.floor().name)
        say("floor", floors)
        cases = {}
        for changed in arguments.changed:
            apart(rows.change_readings, folder, changed / 100)
            server.reset()
            case = {
                "table": apart(_extract, folder, environ, days, arguments.table_chunk),
                "sync": apart(_deliver, environ, days, arguments.sync_chunk),
                "writes_at_server": server.counts()["writes"],
            }
            cases[f"{changed:g} %"] = _summed(case, floors)
            say(f"{changed:g} % changed", cases[f"{changed:g} %"])
    return {
        "rows": arguments.rows,
        "partitions": len(days),
        "table_chunk": arguments.table_chunk,
        "sync_chunk": arguments.sync_chunk,
        "in_flight": arguments.in_flight,
        "latency_ms": arguments.latency_ms,
        "floor": floors,
        "changed": cases,
    }


class Stopwatch:
    """Seconds by stage: what a watched function takes goes to its stage, and not to that of its caller.

    Wall time, and CPU time, which tells more where others use the machine.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.cpu_seconds: dict[str, float] = {}
        self._stages: list[str] = []
        self._since = time.perf_counter(), time.process_time()

    def enter(self, stage: str) -> None:
        """From now on it is this stage's time."""
        self._settle()
        self._stages.append(stage)

    def leave(self) -> None:
        """From now on it is the time of the stage before."""
        self._settle()
        self._stages.pop()

    def _settle(self) -> None:
        now = time.perf_counter(), time.process_time()
        if self._stages:
            stage = self._stages[-1]
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now[0] - self._since[0]
            self.cpu_seconds[stage] = self.cpu_seconds.get(stage, 0.0) + now[1] - self._since[1]
        self._since = now

    @contextmanager
    def watching(self, owner: Any, name: str, stage: str) -> Iterator[None]:
        """Count the function, which is no coroutine, to a stage until the block ends."""
        original = vars(owner)[name]
        setattr(owner, name, self._watched(original, stage))
        try:
            yield
        finally:
            setattr(owner, name, original)

    def _watched(self, original: Callable[..., Any], stage: str) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            self.enter(stage)
            try:
                return original(*arguments, **options)
            finally:
                self.leave()

        return watched

    def figures(self) -> dict[str, dict[str, float]]:
        """Seconds by stage, of wall time and of all threads' CPU, rounded."""
        return {
            name: {stage: round(spent, 3) for stage, spent in sorted(seconds.items())}
            for name, seconds in (("stages", self.seconds), ("cpu_stages", self.cpu_seconds))
        }


def _extract(folder: Path, environ: Mapping[str, str], days: Sequence[str], chunk: int) -> dict[str, Any]:
    """The table's runs: the source into the store."""
    watch = Stopwatch()
    with ExitStack() as stack:
        for owner, name, stage in (
            (extracting.sources, "read", "read"),
            (extracting, "validate", "contract"),
            (extracting.catalogues, "join_all", "join"),
            (PartitionStore, "write_all", "store"),
        ):
            stack.enter_context(watch.watching(owner, name, stage))
        return _by_chunk(watch, days, chunk, lambda some: rows.store(rows.readings(), folder, environ, some))


def _deliver(environ: Mapping[str, str], days: Sequence[str], chunk: int) -> dict[str, Any]:
    """The sync's runs: the store into the API."""
    watch = Stopwatch()
    outcomes: Counter[str] = Counter()

    def run_chunk(some: list[str]) -> None:
        outcomes.update(deliver(rows.floor(), environ, some, f"run from {some[0]}").outcomes)

    with ExitStack() as stack:
        for owner, name, stage in (
            (PartitionStore, "read", "load"),
            (SyncSpec, "build", "upserts"),
            (PartitionStore, "write_all", "keep upserts"),
            (sync_run.asyncio, "run", "deliver"),
            (Ledger, "states", "plan"),
            (planning, "make_plan", "plan"),
        ):
            stack.enter_context(watch.watching(owner, name, stage))
        return {**_by_chunk(watch, days, chunk, run_chunk), "outcomes": dict(outcomes)}


def _by_chunk(watch: Stopwatch, days: Sequence[str], chunk: int, work: Callable[[list[str]], object]) -> dict[str, Any]:
    """Work chunk after chunk: seconds by stage, and the memory that each chunk took."""
    memory = HighWater()
    peaks = []
    with Timed() as timed:
        for start in range(0, len(days), chunk):
            memory.reset()
            watch.enter("other")
            work(list(days[start : start + chunk]))
            watch.leave()
            peaks.append(memory.read())
    return {"seconds": timed.wall, "cpu_seconds": timed.cpu, **watch.figures(), "peak_mb": peaks}


def _accept(environ: Mapping[str, str], days: Sequence[str], chunk: int) -> None:
    """Write the stored readings down as accepted, without a million requests."""
    home, sync = Home.of(environ), rows.floor()
    store, ledger = PartitionStore(home.store_url), Ledger(home.ledger_url)
    account = read_account(sync.account, sync.settings, sync.mode, home=home, environ=environ)
    try:
        scope = ledger.scope(account.name, account.mode, account.address_hash, "", time.time())
        for start in range(0, len(days), chunk):
            frame = store.read(valid_of(sync.table), days[start : start + chunk])
            records = [Record(one, Verdict(Outcome.ACCEPTED, status=200)) for one in sync.build(frame).upserts]
            with ledger.engine.begin() as connection:
                ledger.record(connection, scope, Run("fill", sync.name, ""), records, time.time())
    finally:
        ledger.close()


def _summed(case: dict[str, Any], floors: Mapping[str, Any]) -> dict[str, Any]:
    """The case with the way to the plan as one figure, and its ratio to the floor."""
    budgeted = _BUDGETED if case["writes_at_server"] else (*_BUDGETED, "deliver")
    to_plan, cpu_to_plan = (
        sum(case[part][kind].get(stage, 0.0) for part in ("table", "sync") for stage in budgeted)
        for kind in ("stages", "cpu_stages")
    )
    return {
        **case,
        "to_plan_seconds": round(to_plan, 3),
        "to_plan_ratio": ratio(to_plan, floors["seconds"]),
        "to_plan_cpu_ratio": ratio(cpu_to_plan, floors["cpu_seconds"]),
        "peak_mb": max(*case["table"]["peak_mb"], *case["sync"]["peak_mb"]),
    }
