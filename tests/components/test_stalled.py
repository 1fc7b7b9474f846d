"""A delivering process that is stopped for a while: others wait for it, and nothing goes wrong when it goes on."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from sqlalchemy import text

from pipelines.components.sync_run import Order
from pipelines.delivery.ledger import Ledger
from pipelines.home import Home
from pipelines.sandbox.server import SandboxServer
from pipelines.tables.store import PartitionStore
from tests.benchmarks.kill_hunt import steps_back
from tests.benchmarks.kill_source import SYNCS, Source, keys_of, shown
from tests.components.dying_process import Fate, deliver_and_die, noted, witnessed_runner
from tests.components.forking import forking

API = "stativate"
SYNC = SYNCS[API]
LIMIT = 40


@dataclass(slots=True)
class Stall:
    """An account, a source with some days, and a process that stopped while it delivered them."""

    environ: Mapping[str, str]
    server: SandboxServer
    source: Source
    days: list[str]
    ledger: Ledger
    notes: Mapping[str, Path]
    process: ForkServerProcess | None = None

    def stop_one(self, at: str, count: int) -> None:
        """Let a process deliver until it stops itself, or is stopped where it waits since its allowance is used up."""
        fate = Fate(at, count, signal.SIGSTOP)
        order = Order("stopped-run", self.days)
        arguments = (SYNC, self.environ, order, self.notes["stopped"], fate)
        self.process = forking().Process(target=deliver_and_die, args=arguments)
        self.process.start()
        if at == "pause":
            while len(self.writes("stopped")) < LIMIT:
                assert self.process.is_alive()
                time.sleep(0.01)
            time.sleep(0.15)
            os.kill(self.process.pid or 0, signal.SIGSTOP)
        while Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            assert self.process.is_alive()
            time.sleep(0.01)

    def deliver(self) -> None:
        """Deliver the same days and a newer one in this process, to the end."""
        result = witnessed_runner(SYNC, self.environ, self.notes["other"]).run(Order("other-run", self.days))
        assert all(not account.gap and not account.undelivered for account in result.results.values())

    def go_on(self) -> int:
        """Let the stopped process go on to its end; its exit code."""
        assert self.process is not None
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGCONT)
        self.process.join(60)
        assert self.process.exitcode is not None
        return self.process.exitcode

    def writes(self, who: str) -> list[str]:
        """The keys that a process wrote."""
        return [key for write in noted(self.notes[who])[0] for key in keys_of(API, write)]

    def check(self) -> None:
        """The API shows the newest readings; no process wrote a key twice, and together they kept the limit."""
        held = shown(API, self.server.control.state(API))
        assert held == {key: value for key, (_, value) in self.source.wanted().items()}
        assert steps_back(self.ledger, SYNC.name) == []
        assert set(Counter(self.writes("stopped")).values()) <= {1}
        assert set(Counter(self.writes("other")).values()) <= {1}
        counts = self.server.control.counts(API)
        assert counts["over_limit"] == 0
        assert counts["statuses"].keys() <= {"200", "201", "404"}


@pytest.fixture(params=["sqlite", "postgresql"])
def stall(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stall]:
    environ = {"PIPELINES_HOME": str(tmp_path), "STATIVATE_RATE": f"{LIMIT}/s", "STATIVATE_IN_FLIGHT": "2"}
    if request.param == "postgresql":
        fresh: Callable[[], str] = request.getfixturevalue("postgres")
        environ["PIPELINES_LEDGER_URL"] = fresh()
    home = Home.of(environ)
    source = Source(API, PartitionStore(home.store_url), random.Random(7))
    notes = {who: tmp_path / f"{who}.notes" for who in ("stopped", "other")}
    with SandboxServer.start(home, port=0) as server:
        server.control.configure(stativate={"latency_s": 0.02, "limit": {"requests": LIMIT, "seconds": 1.0}})
        stall = Stall(environ, server, source, source.change(), Ledger(home.ledger_url), notes)
        yield stall
        if stall.process is not None:
            stall.process.kill()
            stall.process.join()
        stall.ledger.close()


@pytest.mark.parametrize("at", ["send", "answer", "commit"])
def test_stopped_holder_is_waited_for(stall: Stall, at: str) -> None:
    """Stopped anywhere, in a transaction too: nobody else sends until it goes on, and both end well."""
    stall.stop_one(at, 6 if at == "commit" else 10)
    stall.days += stall.source.change()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stall.deliver)
        time.sleep(1.5)
        assert not waiting.done()
        assert stall.writes("other") == []
        assert stall.go_on() == 0
        waiting.result(60)
    stall.check()


@pytest.mark.parametrize("stall", ["postgresql"], indirect=True)
def test_stopped_holder_whose_connection_was_ended_sends_nothing_more(stall: Stall) -> None:
    """It finds out before its next request: others have delivered newer readings, and those stay."""
    stall.stop_one("pause", 0)
    with stall.ledger.reading() as connection:
        ended = connection.scalar(
            text("select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory'")
        )
    assert ended == 1
    stall.days += stall.source.change()
    stall.deliver()
    before = stall.writes("stopped")
    assert stall.go_on() == 1
    assert stall.writes("stopped") == before
    stall.check()
