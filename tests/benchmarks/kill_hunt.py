"""One API's deliveries, killed one after another, and each run's doings compared with what was needed.

A process is killed after some time, after some requests that the server has seen, or where it is about to send, to
write an answer down, to commit. Then runs deliver to the end.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerContext, ForkServerProcess
from signal import SIGKILL

from sqlalchemy import select

from pipelines.components.sync_run import Order
from pipelines.delivery.ledger import Ledger, Priority, schema
from pipelines.home import Home
from pipelines.sandbox.remote import Control
from pipelines.tables.store import PartitionStore
from tests.benchmarks.kill_source import SYNCS, Reading, Source, keys_of, shown
from tests.components.dying_process import Fate, deliver_and_die, noted, witnessed_runner
from tests.components.forking import is_alive, start, wait_for_end

_LONGEST_S = 1.2
"""About as long as a delivery takes: kills after a time come anywhere in it."""
_MOST_REQUESTS = 60
_POLL_S = 0.01


@dataclass(slots=True)
class Tally:
    """What came of one API's kills."""

    kills: int = 0
    runs: int = 0
    points: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    resent: list[str] = field(default_factory=list)
    unsettled: list[str] = field(default_factory=list)
    settled: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Before:
    """How things stood before a run: what the API showed, open attempts, writes as noted and as the server saw them."""

    shown: Mapping[str, int]
    attempts: frozenset[str]
    notes_end: int
    writes: int


class Hunt:
    """The kills of one API, one after another."""

    def __init__(
        self,
        api: str,
        environ: Mapping[str, str],
        control: Control,
        context: ForkServerContext,
        chance: random.Random,
        kills: int,
    ) -> None:
        self.api = api
        self.tally = Tally()
        self._environ = environ
        self._home = Home.of(environ)
        self._control = control
        self._context = context
        self._chance = chance
        self._kills = kills
        self._source = Source(api, PartitionStore(self._home.store_url), chance)
        self._notes = self._home.path / f"{api}.notes"
        self._readable = True

    def run(self) -> None:
        """Kill and complete until there were enough kills; then look whether one more run has nothing to do."""
        self._ledger = Ledger(self._home.ledger_url)
        try:
            while self.tally.kills < self._kills:
                self._round()
            again = self._deliver(sorted(self._source.days))
            self.tally.resent += [f"{again} requests of a run that had nothing to do"] if again else []
            self.tally.stale += steps_back(self._ledger, SYNCS[self.api].name)
        finally:
            self._ledger.close()

    def _round(self) -> None:
        if self.api == "feedback_house":
            # Whether an area's key can be read is documented nowhere; where it cannot, attempts are sent again.
            self._readable = self._chance.random() < 0.5
            self._control.configure(feedback_house={"correlation_visible": self._readable})
        pending = set(self._source.change())
        self._attack(sorted(pending))
        while self._chance.random() < 0.3 and self.tally.kills < self._kills:
            pending |= set(self._source.change()) if self._chance.random() < 0.7 else set()
            self._attack(sorted(pending))
        if self._chance.random() < 0.4:
            pending |= set(self._source.change())
        newest = max(pending)
        if self._chance.random() < 0.3:
            self._deliver([newest])
        self._deliver(sorted(pending))
        self._compare()

    def _attack(self, days: Sequence[str]) -> None:
        """Let a process deliver and kill it, if it is not faster."""
        at = self._chance.choice(["time", "requests", "send", "answer", "commit"])
        count = self._chance.randint(1, 12 if at == "commit" else _MOST_REQUESTS)
        fate = Fate(at, count) if at in {"send", "answer", "commit"} else Fate()
        order = Order(f"killed-{self.tally.runs}", days, Priority.MANUAL)

        def process() -> None:
            arguments = (SYNCS[self.api], self._environ, order, self._notes, fate)
            victim = self._context.Process(target=deliver_and_die, args=arguments)
            start(victim)
            try:
                if not fate.at:
                    self._strike(victim, at, count)
                wait_for_end(victim, 60)
            finally:
                victim.kill()
                wait_for_end(victim, 60)
            if victim.exitcode not in {0, -SIGKILL}:
                msg = f"a delivery to {self.api} ended with {victim.exitcode} by itself"
                raise AssertionError(msg)
            killed = victim.exitcode == -SIGKILL
            self.tally.kills += killed
            self.tally.points[at] += killed
            victim.close()

        self._watched(process)

    def _strike(self, victim: ForkServerProcess, at: str, count: int) -> None:
        """Kill the process some time after its first write, or as soon as the server has seen so many requests."""
        begin = self._notes.stat().st_size if self._notes.exists() else 0
        seen = self._control.counts(self.api)["requests"]
        if at == "time":
            while is_alive(victim) and (not self._notes.exists() or self._notes.stat().st_size == begin):
                time.sleep(_POLL_S / 4)
            time.sleep(self._chance.uniform(0, _LONGEST_S))
        else:
            while is_alive(victim) and self._control.counts(self.api)["requests"] < seen + count:
                time.sleep(_POLL_S)
        victim.kill()

    def _deliver(self, days: Sequence[str]) -> int:
        """Deliver to the end; returns the number of requests."""
        requests = 0

        def complete() -> None:
            nonlocal requests
            runner = witnessed_runner(SYNCS[self.api], self._environ, self._notes)
            result = runner.run(Order(f"complete-{self.tally.runs}", days))
            requests = result.report.traffic.requests
            self.tally.lost += [
                f"{day}: {account.gap} rows unaccounted for, {account.undelivered} undelivered: {account.counts}"
                for day, account in result.results.items()
                if account.gap or account.undelivered
            ]

        self._watched(complete)
        return requests

    def _watched(self, process: Callable[[], None]) -> None:
        """Let it run, and look whether it wrote anything that was there already."""
        before = _Before(self._shown(), self._attempts(), noted(self._notes)[1], self._writes())
        wanted = self._source.wanted()
        process()
        self.tally.runs += 1
        self._wait_until_quiet()
        writes, _ = noted(self._notes, before.notes_end)
        if self._writes() - before.writes > len(writes):
            msg = f"a delivery to {self.api} has written what nobody noted: these notes witness nothing"
            raise AssertionError(msg)
        written = Counter(key for write in writes for key in keys_of(self.api, write))
        self.tally.resent += [f"{key}: {count} times in one run" for key, count in written.items() if count > 1]
        self.tally.resent += [
            f"{key}: {before.shown[key]} stood there already"
            for key in written
            if _stands(before.shown, wanted, key) and (self._readable or key not in before.attempts)
        ]
        after = self._attempts()
        for key in before.attempts:
            if key in written:
                self.tally.settled["sent again"] += 1
            elif key not in after:
                self.tally.settled["read back"] += 1

    def _wait_until_quiet(self) -> None:
        """Wait until the server has done with the requests of a process that is gone.

        A server may act on a request long after its sender died, and even after the next one has looked: no client can
        know of that.
        """
        while True:
            counts = self._control.counts(self.api)
            if counts["requests"] == sum(counts["statuses"].values()):
                return
            time.sleep(_POLL_S)

    def _compare(self) -> None:
        """After a complete run: the API shows what the source says, and nothing is open."""
        there = self._shown()
        for key, (as_of, value) in self._source.wanted().items():
            if key not in there:
                self.tally.lost.append(f"{key} of {as_of}")
            elif there[key] != value:
                words = f"{key} shows {there[key]}, not {value} of {as_of}"
                older = self._source.is_older(key, there[key])
                (self.tally.stale if older else self.tally.wrong).append(words)
        extra = there.keys() - self._source.wanted().keys()
        self.tally.wrong += [f"{key} is of no reading" for key in extra]
        self.tally.unsettled += sorted(self._attempts())

    def _writes(self) -> int:
        """How many writes the server has seen."""
        routes = self._control.counts(self.api)["routes"]
        return sum(route["requests"] for name, route in routes.items() if not name.startswith("GET"))

    def _shown(self) -> dict[str, int]:
        return shown(self.api, self._control.state(self.api))

    def _attempts(self) -> frozenset[str]:
        table = schema.attempts
        with self._ledger.reading() as connection:
            return frozenset(connection.scalars(select(table.c.key).where(table.c.sync == SYNCS[self.api].name)))


def _stands(there: Mapping[str, int], wanted: Mapping[str, Reading], key: str) -> bool:
    return key in wanted and there.get(key) == wanted[key][1]


def steps_back(ledger: Ledger, sync: str) -> list[str]:
    """The sync's deliveries of an earlier time than what had been delivered before at the same key."""
    table = schema.deliveries
    with ledger.reading() as connection:
        rows = connection.execute(
            select(table.c.key, table.c.as_of).where(table.c.sync == sync).order_by(table.c.id)
        ).all()
    newest: dict[str, str] = {}
    found = []
    for key, as_of in rows:
        if as_of < newest.get(key, ""):
            found.append(f"{key}: {as_of} was delivered after {newest[key]}")
        newest[key] = max(as_of, newest.get(key, ""))
    return found
