"""`pipelines demo`: January 2013 of the sample through the real Dagster assets to the sandbox, twice."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

import pipelines
from pipelines.commands.homes import DEMO_START, demo_home
from pipelines.commands.quiet import quiet_dagster
from pipelines.delivery.upsert import OPEN, Outcome
from pipelines.home import Home
from pipelines.instance import environment, prepare_instance, surrounded_by
from pipelines.sandbox.server import SandboxServer
from pipelines.tables.spec import AnyTable, TableSpec

_RANGE = ("2013-01-01", "2013-01-31")
_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
_SAMPLE = ("flight_kpis", "areas")
"""The tables that ship with the package: the demo leaves a user's own tables and live accounts alone."""
_ORDER = ("valuestreamer", "stativate", "dnsimple", "feedback_house")
_POLL_S = 0.25
_FIGURES = (
    "partitions", "extracted", "not_selected", "quarantined", "invalid", "created", "updated", "accepted", "unchanged",
    "superseded", "rejected", "failed", "unknown", "not_sent", "requests", "seconds",
)  # fmt: skip


@dataclass(slots=True)
class Pass:
    """The figures of one delivery to one destination."""

    destination: str
    number: int
    partitions: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    seconds: float = 0.0
    succeeded: bool = False

    def as_json(self) -> dict[str, Any]:
        """The figures under the names that `--json` promises."""
        return {
            "destination": self.destination,
            "pass": self.number,
            "partitions": self.partitions,
            "extracted": self.rows["extracted"],
            **{str(outcome): self.rows[outcome] for outcome in Outcome},
            "requests": self.requests,
            "seconds": round(self.seconds, 2),
        }

    @property
    def lost(self) -> str:
        """What is wrong with this delivery, in a few words; empty if nothing is."""
        gap = self.rows["extracted"] - sum(self.rows[outcome] for outcome in Outcome)
        if gap:
            return f"{gap} rows are not accounted for"
        undelivered = sum(self.rows[outcome] for outcome in OPEN)
        if undelivered:
            return f"{undelivered} rows were not delivered"
        if not self.succeeded:
            return "its run failed"
        if self.number > 1 and self.requests:
            return f"nothing had changed, and {self.requests} requests were made"
        return ""


def run_demo(*, as_json: bool, port: int) -> int:
    """Run the demo; returns the exit status: 0 only if every row arrived and the second pass made no request."""
    console = Console(stderr=True)
    home = demo_home()
    shutil.rmtree(home.path, ignore_errors=True)
    prepare_instance(home, {})  # whatever database the deployment's own runs go to
    # Whatever accounts and stores the user's environment names, they are not touched.
    own = {name: value for name, value in os.environ.items() if not _is_ours(name)}
    with surrounded_by(environment(home, own)), SandboxServer.start(home, port=port) as sandbox:
        console.print(f"sandbox at {sandbox.url}, home {home.path}", highlight=False)
        passes = list(_deliver_twice(home, sandbox, console))
    if as_json:
        sys.stdout.write(orjson.dumps({"passes": [one.as_json() for one in passes]}).decode() + "\n")
    else:
        _print_tables(Console(), passes)
    wrong = [f"{one.destination}, pass {one.number}: {one.lost}" for one in passes if one.lost]
    for line in wrong:
        console.print(f"[red]{line}[/red]")
    if not wrong:
        console.print("[green]Every row is accounted for, and the second pass made no request.[/green]")
        console.print(f"See it in Dagster's UI and on the boards: [bold]{DEMO_START}[/bold]", highlight=False)
    return 1 if wrong else 0


def _deliver_twice(home: Home, sandbox: SandboxServer, console: Console) -> Iterator[Pass]:
    with _progress(console) as progress:
        with _task(progress, "loading Dagster and the deployment"):
            # Slow to import, and not wanted by other commands.
            from dagster import DagsterInstance

            from pipelines.components.deployment import load_deployment, read_deployment, table_of

            quiet_dagster()
            folder = Path(pipelines.__file__).parent
            definitions = load_deployment(folder)
            _, tables, syncs = read_deployment(folder)
            tables = [table for table in tables if table.name in _SAMPLE]
            syncs = [sync for sync in syncs if sync.table in _SAMPLE and sync.mode == "sandbox"]
        with DagsterInstance.from_config(str(home.dagster)) as instance:
            run = partial(_run, definitions, instance)
            for number in (1, 2):
                for table in tables:
                    with _task(progress, f"pass {number}: extracting {table.name}"):
                        extracted = run(f"{table.name}_extract", table)
                    if not extracted.success:
                        console.print(f"[red]pass {number}: the extract failed[/red] {escape(_failures(extracted))}")
                for sync in sorted(syncs, key=lambda sync: _ORDER.index(sync.settings.api)):
                    one = Pass(sync.settings.api, number)
                    with _counting(progress, sandbox, one):
                        result = run(f"{sync.name}_deliver", table_of(sync, tables))
                    one.succeeded = result.success
                    _read(one, result)
                    if not result.success:
                        console.print(
                            f"[red]pass {number}, {sync.name}: the run failed[/red] {escape(_failures(result))}"
                        )
                    yield one


def _run(definitions: Any, instance: Any, job: str, table: AnyTable) -> Any:
    """Run a job in this process, over January where its table has days."""
    return definitions.resolve_job_def(job).execute_in_process(
        instance=instance,
        tags=_range_tags() if isinstance(table, TableSpec) and table.grain == "daily" else {},
        run_config=_QUIET,
        raise_on_error=False,
    )


def _read(one: Pass, result: Any) -> None:
    """Take the figures from the run's own check results, which exist for red partitions as well."""
    for evaluation in result.get_asset_check_evaluations():
        one.partitions += 1
        for name in ("extracted", *map(str, Outcome)):
            one.rows[name] += int(evaluation.metadata[name].value)


def _failures(result: Any) -> str:
    failed = [event for event in result.all_node_events if event.is_step_failure]
    data = [event.step_failure_data for event in failed]
    return "; ".join(
        one.user_failure_data.description if one.user_failure_data else str(one.error and one.error.message)
        for one in data
    )


def _range_tags() -> dict[str, str]:
    return {"dagster/asset_partition_range_start": _RANGE[0], "dagster/asset_partition_range_end": _RANGE[1]}


def _say(progress: Progress, words: str) -> None:
    """Where nothing can be drawn, such as in a log, progress is a line per step."""
    if not progress.console.is_terminal:
        progress.console.print(words, highlight=False)


@contextmanager
def _task(progress: Progress, words: str) -> Iterator[None]:
    _say(progress, words)
    task = progress.add_task(words)
    try:
        yield
    finally:
        progress.remove_task(task)


@contextmanager
def _counting(progress: Progress, sandbox: SandboxServer, one: Pass) -> Iterator[None]:
    """Time a delivery and show, while it works, the requests that have reached the server."""
    before = sandbox.control.counts(one.destination)["requests"]
    task = progress.add_task("")
    _say(progress, f"pass {one.number}: delivering to {one.destination}")
    over = threading.Event()

    def show() -> None:
        while not over.wait(_POLL_S):
            requests = sandbox.control.counts(one.destination)["requests"] - before
            progress.update(
                task, description=f"pass {one.number}: delivering to {one.destination}, {requests:,} requests"
            )

    watcher = threading.Thread(target=show, daemon=True)
    watcher.start()
    started = time.monotonic()
    try:
        yield
    finally:
        one.seconds = time.monotonic() - started
        over.set()
        watcher.join()
        progress.remove_task(task)
        one.requests = sandbox.control.counts(one.destination)["requests"] - before


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console) as progress:
        yield progress


def _is_ours(name: str) -> bool:
    return name.startswith(("PIPELINES_", "DAGSTER_", "VALUESTREAMER_", "STATIVATE_", "DNSIMPLE_", "FEEDBACK_HOUSE_"))


def _print_tables(console: Console, passes: Sequence[Pass]) -> None:
    by_destination: dict[str, list[Mapping[str, Any]]] = {}
    for one in passes:
        by_destination.setdefault(one.destination, []).append(one.as_json())
    for destination, figures in by_destination.items():
        table = Table(title=destination, title_justify="left", title_style="bold")
        table.add_column("rows, unless said otherwise")
        for one in figures:
            table.add_column(f"pass {one['pass']}", justify="right")
        for name in _FIGURES:
            shown = [f"{one[name]:,.1f}" if name == "seconds" else f"{one[name]:,}" for one in figures]
            table.add_row(name, *shown, style="" if any(one[name] for one in figures) else "dim")
        console.print(table)
