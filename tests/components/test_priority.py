"""A scheduled run and a backfill of the same account, in processes that share the ledger and nothing else."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pipelines.components.sync_run import Order
from pipelines.delivery.ledger import Ledger, Priority, schema
from pipelines.home import Home
from pipelines.sandbox.server import SandboxServer
from pipelines.tables.store import PartitionStore
from tests.benchmarks.kill_source import SYNCS, Source, keys_of, shown
from tests.components.dying_process import Fate, deliver_and_die, noted
from tests.components.forking import forking

API = "valuestreamer"
LIMIT = 60
"""Requests a second; what goes out in two seconds is a group, after which the turn may change hands."""
HISTORY_DAYS = 11


@dataclass(slots=True)
class Deliverer:
    """A deployment with a home and a store of its own, and the process that delivers some days of it."""

    environ: Mapping[str, str]
    source: Source
    process: ForkServerProcess | None = None

    def start(self, days: Sequence[str], priority: Priority) -> None:
        """Let a process deliver the days."""
        order = Order(priority.name.lower(), days, priority)
        arguments = (SYNCS[API], self.environ, order, self._notes(priority), Fate())
        self.process = forking().Process(target=deliver_and_die, args=arguments)
        self.process.start()

    def end(self) -> None:
        """Wait for its end, which is a good one."""
        assert self.process is not None
        self.process.join(120)
        assert self.process.exitcode == 0

    def writes(self, priority: Priority) -> list[str]:
        """The keys written so far, in order."""
        return [key for write in noted(self._notes(priority))[0] for key in keys_of(API, write)]

    def _notes(self, priority: Priority) -> Path:
        return Path(self.environ["PIPELINES_HOME"]) / f"{priority.name}.notes"


def deployment(home: Path, ledger_url: str) -> Deliverer:
    """A deployment with some days of history; all have the same."""
    environ = {"PIPELINES_HOME": str(home), "VALUESTREAMER_RATE": f"{LIMIT}/s"}
    environ |= {"PIPELINES_LEDGER_URL": ledger_url} if ledger_url else {}
    source = Source(API, PartitionStore(Home.of(environ).store_url), random.Random(5))
    while len(source.days) < HISTORY_DAYS:
        source.change()
    return Deliverer(environ, source)


def wait_for_a_waiter(ledger_url: str) -> None:
    """Wait until somebody waits for the turn."""
    with closing(Ledger(ledger_url)) as ledger, ledger.reading() as connection:
        while not connection.scalar(select(func.count()).select_from(schema.waiters)):
            time.sleep(0.02)


@pytest.mark.parametrize("apart", [False, True], ids=["one machine, sqlite", "two machines, postgresql"])
def test_scheduled_run_overtakes_a_backfill(request: pytest.FixtureRequest, tmp_path: Path, *, apart: bool) -> None:
    """It sends after what the backfill has begun, which then goes on where it was; together they keep the limit."""
    fresh: Callable[[], str] | None = request.getfixturevalue("postgres") if apart else None
    ledger_url = fresh() if fresh else ""
    backfill = deployment(tmp_path / "one", ledger_url)
    scheduled = deployment(tmp_path / "two", ledger_url) if apart else Deliverer(backfill.environ, backfill.source)
    *history, today = sorted(backfill.source.days)
    with SandboxServer.start(Home.of(backfill.environ), port=0) as server:
        card = Home.of(backfill.environ).read_card()
        assert card is not None
        Home.of(scheduled.environ).write_card(card)
        server.control.configure(valuestreamer={"limit": {"requests": LIMIT, "seconds": 1.0}})

        backfill.start(history, Priority.BACKFILL)
        while len(backfill.writes(Priority.BACKFILL)) < LIMIT:
            time.sleep(0.02)
        scheduled.start([today], Priority.SCHEDULED)
        wait_for_a_waiter(Home.of(scheduled.environ).ledger_url)
        asked = len(backfill.writes(Priority.BACKFILL))
        scheduled.end()
        overtaken = len(backfill.writes(Priority.BACKFILL))
        backfill.end()

        counts = server.control.counts(API)
        held = shown(API, server.control.state(API))
    wanted = backfill.source.wanted()
    total = len([key for key in wanted if not key.startswith(today)])
    # What was begun goes to its end: a group of two seconds, and the one that is ready behind it.
    assert overtaken - asked <= 2 * 2 * LIMIT
    assert overtaken < total
    first, then = backfill.writes(Priority.BACKFILL), scheduled.writes(Priority.SCHEDULED)
    assert len(first) == len(set(first)) == total
    assert sorted(then) == sorted(key for key in wanted if key.startswith(today))
    assert held == {key: value for key, (_, value) in wanted.items()}
    assert counts["over_limit"] == 0
    assert "429" not in counts["statuses"]
