"""Two processes at random: schedules, backfills, corrections and kills on one account end with the newest readings."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from signal import SIGKILL

import pytest
from sqlalchemy import select

from pipelines.components.sync_run import Order
from pipelines.delivery.ledger import Ledger, Priority, schema
from pipelines.home import Home
from pipelines.sandbox.server import SandboxServer
from pipelines.tables.store import PartitionStore
from tests.benchmarks.kill_hunt import steps_back
from tests.benchmarks.kill_source import SYNCS, Source, shown
from tests.components.dying_process import Fate, deliver_and_die, witnessed_runner
from tests.components.forking import forking

ROUNDS = 4
HISTORY_DAYS = 5
LONGEST_S = 0.6
"""About half as long as a run takes, so that whatever comes after it comes in the middle."""
FATES = [Fate(), Fate(), Fate("send", 7), Fate("answer", 5), Fate("commit", 6)]
"""Every second process lives to its end."""


@dataclass(slots=True)
class World:
    """An account, a source that keeps changing, and whoever delivers it."""

    api: str
    environ: Mapping[str, str]
    server: SandboxServer
    source: Source
    chance: random.Random
    ledger: Ledger
    runs: int = 0
    changed_at: dict[str, float] = field(default_factory=dict)

    def change(self) -> list[str]:
        """Let the source change; the days that did."""
        days = self.source.change()
        self.changed_at |= dict.fromkeys(days, self.ledger.clock())
        return days

    def start(self, days: list[str], priority: Priority) -> ForkServerProcess:
        """Let a process deliver these days, as the source says them when it reads them."""
        self.runs += 1
        order = Order(f"run-{self.runs}", days, priority)
        fate = self.chance.choice(FATES)
        arguments = (SYNCS[self.api], self.environ, order, self._notes, fate)
        process = forking().Process(target=deliver_and_die, args=arguments)
        process.start()
        return process

    def wait(self) -> None:
        """A while, of any length up to the longest."""
        time.sleep(self.chance.uniform(0, LONGEST_S))

    def round(self) -> None:
        """A backfill of some history, and beside it the newest days; the source changes before, between and after."""
        backfill = self.start(sorted(self.chance.sample(sorted(self.source.days), 3)), Priority.BACKFILL)
        self.wait()
        scheduled = self.start(self.change(), Priority.SCHEDULED)
        self.wait()
        self.change()
        for process in (backfill, scheduled):
            process.join(120)
            assert process.exitcode in {0, -SIGKILL}

    def unsettled(self) -> list[str]:
        """The days that changed since a run has read them, or of which a run has left something."""
        table = schema.reads
        done = select(table.c.partition, table.c.read_at).where(table.c.sync == SYNCS[self.api].name, table.c.done)
        with self.ledger.reading() as connection:
            settled = dict(map(tuple, connection.execute(done)))
        return sorted(day for day, at in self.changed_at.items() if settled.get(day, 0.0) < at)

    def complete(self, days: Iterable[str]) -> int:
        """Deliver these days to the end; returns the number of requests."""
        self.runs += 1
        order = Order(f"run-{self.runs}", sorted(days))
        result = witnessed_runner(SYNCS[self.api], self.environ, self._notes).run(order)
        assert all(not account.gap and not account.undelivered for account in result.results.values())
        return result.report.traffic.requests

    def shown(self) -> dict[str, int]:
        return shown(self.api, self.server.control.state(self.api))

    def wanted(self) -> dict[str, int]:
        return {key: value for key, (_, value) in self.source.wanted().items()}

    @property
    def _notes(self) -> Path:
        return Path(self.environ["PIPELINES_HOME"]) / "notes"


@pytest.fixture(params=["stativate, sqlite", "stativate, postgresql", "valuestreamer, sqlite"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    api, ledger = request.param.split(", ")
    environ = {"PIPELINES_HOME": str(tmp_path), f"{api}_IN_FLIGHT".upper(): "2", f"{api}_RATE".upper(): "200/s"}
    if ledger == "postgresql":
        fresh: Callable[[], str] = request.getfixturevalue("postgres")
        environ["PIPELINES_LEDGER_URL"] = fresh()
    home, seed = Home.of(environ), random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    source = Source(api, PartitionStore(home.store_url), chance)
    with SandboxServer.start(home, port=0) as server, closing(Ledger(home.ledger_url)) as ledger:
        server.control.configure(**{api: {"latency_s": 0.01}})
        world = World(api, environ, server, source, chance, ledger)
        while len(source.days) < HISTORY_DAYS:
            world.change()
        yield world


@pytest.mark.timeout(600)
def test_two_processes_at_random_end_with_the_newest_readings(world: World) -> None:
    """Read before a correction and sent after it, overtaken or killed: what is green is right and stays so.

    Only what no run has settled is delivered in the end; then the API shows the newest readings, no older one was sent
    after a newer one, and nothing is left to do.
    """
    for _ in range(ROUNDS):
        world.round()
    world.complete(world.unsettled())
    assert world.unsettled() == []
    assert world.shown() == world.wanted()
    world.complete(world.source.days)
    assert world.complete(world.source.days) == 0
    assert world.shown() == world.wanted()
    assert steps_back(world.ledger, SYNCS[world.api].name) == []
