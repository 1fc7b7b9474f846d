"""Schedules, backfills, corrections, removals, resends and kills in any order: the API ends equal to the source."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event

from pipelines.delivery.caller import AccountRules, Caller, Patience
from pipelines.delivery.deliver import Delivery
from pipelines.delivery.destination import Limits, Window
from pipelines.delivery.ledger import Ledger, Priority, Run, Turn
from pipelines.delivery.messages import Call, Exchange, Lost, Request
from pipelines.delivery.pace import Pace
from pipelines.delivery.report import Report
from pipelines.delivery.retry import RetryPolicy
from pipelines.delivery.upsert import ACCEPTED, Built, Upsert, Verdict
from tests.delivery.fakes import Died, FakeDestination, FakePort, Left, answer, upsert
from tests.examples import examples

DAYS = [f"2013-01-{day:02}" for day in range(1, 4)]
KEYS = ["a", "b"]
TWO_AT_A_TIME = Limits((Window(1, 1.0),), in_flight=2)
"""A group is two upserts, so that the turn can change hands within a day. The pace itself is not limited here."""

_alive: ContextVar[Life | None] = ContextVar("life", default=None)
_reading: ContextVar[Reading] = ContextVar("reading")
_accounts = itertools.count()


@dataclass(slots=True)
class Life:
    """Of one run, as of a process: once it is over, nothing more reaches the ledger."""

    over: bool = False


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """One ledger for all examples; each has an account of its own."""
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('interleavings') / 'ledger.db'}")

    @event.listens_for(ledger.engine, "connect")
    def _without_the_disk(connection: Any, _: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    ledger.engine.dispose()

    @event.listens_for(ledger.engine, "before_cursor_execute")
    def _only_the_living(*_: Any) -> None:
        life = _alive.get()
        if life is not None and life.over:
            raise Died

    yield ledger
    ledger.close()


@dataclass(frozen=True, slots=True)
class Change:
    """A row of the source gets another value, or is gone (None)."""

    day: int
    key: int
    value: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A run: its days, what happens to its requests one after another, and whether it resends everything.

    `blind`: it does not know what else is stored, so that only the ledger keeps it from showing an older reading.
    """

    days: tuple[int, ...]
    faults: tuple[str, ...] = ()
    resend: bool = False
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Round:
    """The source changes, and runs read it one after another, with changes between, before all of them deliver."""

    runs: tuple[tuple[tuple[Change, ...], Plan], ...]
    seed: int


class Watchful(FakeDestination):
    """Sends no key at an earlier time than was accepted, nor at an earlier one than the run knows of."""

    def __init__(self, *, resend_is_safe: bool, readable: bool) -> None:
        super().__init__(resend_is_safe=resend_is_safe, readable=readable)
        self.newest: dict[str, str] = {}

    async def send(self, batch: Sequence[Upsert], call: Call) -> Sequence[Verdict]:
        for one in batch:
            assert one.as_of >= self.newest.get(one.key, ""), "an older reading was sent after a newer one"
            assert one.as_of >= _reading.get().newest.get(one.key, ""), "an older reading was sent before a newer one"
        verdicts = await super().send(batch, call)
        accepted = [one for one, verdict in zip(batch, verdicts, strict=True) if verdict.outcome in ACCEPTED]
        self.newest |= {one.key: one.as_of for one in accepted}
        return verdicts


WELL = "well"
FAULTS = (
    "lost before",
    "lost after",
    "500 before",
    "500 after",
    "503",
    "429",
    "killed before",
    "killed after",
    "hung up",
)


class Interleaved(FakePort):
    """Lets others run before and after each request is carried out; faults come in the order of the plan."""

    def __init__(self, world: World, plan: Plan, chance: random.Random, life: Life) -> None:
        super().__init__()
        self.world, self.chance, self.life = world, chance, life
        self.planned = list(plan.faults)
        self.held = world.held
        self.task: asyncio.Task[Any] | None = None

    async def send(self, request: Request) -> Exchange:
        self.requests.append(request)
        kind = self.planned.pop(0) if self.planned else WELL
        await self._others()
        if kind == "hung up" and self.task is not None:
            self.task.cancel()
            await asyncio.sleep(0)
        if kind == "killed before":
            self._die()
        if kind in {"503", "429"}:
            return answer(int(kind), **{"retry-after": "1"})
        done = None if kind in {"lost before", "500 before"} else self._carry_out(request)
        if kind == "killed after":
            self._die()
        await self._others()
        if kind.startswith("lost"):
            return Lost("dropped")
        return answer(500) if done is None or kind == "500 after" else done

    def _die(self) -> None:
        self.life.over = True
        raise Died

    async def _others(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(0)

    def _carry_out(self, request: Request) -> Exchange:
        self.world.note(request)
        return self.act(request)


@dataclass(slots=True)
class World:
    """A source with its versions, an API, and what the runs have said about each day."""

    ledger: Ledger
    dated: bool
    removing: bool
    destination: FakeDestination
    account: str = field(default_factory=lambda: f"account-{next(_accounts)}")
    source: dict[str, dict[str, int]] = field(default_factory=lambda: {day: {} for day in DAYS})
    version: Counter[str] = field(default_factory=Counter)
    settled: Counter[str] = field(default_factory=Counter)
    held: dict[str, Any] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    resending: bool = False
    runs: int = 0
    time: float = 1_000_000.0

    def clock(self) -> float:
        self.time += 0.001
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)

    def change(self, changes: Sequence[Change]) -> None:
        for one in changes:
            rows, key = self.source[DAYS[one.day]], KEYS[one.key]
            # A latest-only key without a row in one window has not vanished, so that nothing would be expected of it.
            value = one.value if one.value is not None or self.removing else 0
            if value is None:
                rows.pop(key, None)
            else:
                rows[key] = value
            self.version[DAYS[one.day]] += 1

    def note(self, request: Request) -> None:
        """Remember what is written though it stands there already and nobody asked for it."""
        if request.method == "PUT" and not self.resending:
            items: Mapping[str, Any] = orjson.loads(request.body or b"{}")
            self.repeated.extend(path for path, payload in items.items() if self.held.get(path) == payload)

    def key(self, day: str, key: str) -> str:
        return f"{day}-{key}" if self.dated else key

    def wanted(self) -> dict[str, Any]:
        """What the API is to hold: of each key the newest reading."""
        return {f"/{self.key(day, key)}": {"value": value} for day in DAYS for key, value in self.source[day].items()}

    def unsettled(self) -> list[str]:
        return [day for day in DAYS if self.settled[day] < self.version[day]]

    def read(self, plan: Plan, chance: random.Random) -> Reading:
        return Reading(self, plan, chance)


class Reading:
    """A run that has read its days and may deliver what it has read at any later time."""

    def __init__(self, world: World, plan: Plan, chance: random.Random) -> None:
        world.runs += 1
        self.world = world
        self.days = [DAYS[day] for day in plan.days]
        self.versions = {day: world.version[day] for day in self.days}
        self.life = Life()
        self.port = Interleaved(world, plan, chance, self.life)
        self.run = Run(f"run-{world.runs}", "board", "config", world.clock(), self.days)
        self.upserts = [
            upsert(world.key(day, key), value, day) for day in self.days for key, value in world.source[day].items()
        ]
        # What can neither be found in the ledger nor be read back, only the store can tell.
        blind = plan.blind and world.destination.readable
        self.newest = {} if world.dated or blind else self._newer(self.upserts)
        self.vanishing = self._vanishing() if world.removing else None
        self.resend_before = world.clock() if plan.resend else None

    def _newer(self, upserts: Sequence[Upsert]) -> dict[str, str]:
        others = [day for day in DAYS if day not in self.days]
        return {one.key: day for one in upserts for day in others if one.key in self.world.source[day]}

    def _vanishing(self) -> Left:
        return Left(*(one.key for one in self.upserts), partitions=self.days)

    async def deliver(self) -> None:
        """Deliver; where the run ends well, its days are settled as they were read."""
        _alive.set(self.life)
        _reading.set(self)
        self.port.task = asyncio.current_task()
        world, report = self.world, Report()
        pace = Pace((), clock=world.clock, sleep=world.sleep)
        rules = AccountRules(world.account, "http://127.0.0.1:9", world.destination.transient)
        delivery = Delivery(
            run=self.run,
            ledger=world.ledger,
            scope=world.ledger.scope(world.account, "sandbox", "address", "", 0.0),
            turn=Turn(world.ledger, world.account, Priority.MANUAL, pace, clock=world.clock, sleep=world.sleep),
            destination=world.destination,
            caller=Caller(
                rules,
                self.port,
                pace,
                report.traffic,
                Patience(RetryPolicy(attempts=2)),
                clock=world.clock,
                sleep=world.sleep,
            ),
            limits=TWO_AT_A_TIME,
            resend_before=self.resend_before,
            report=report,
            clock=world.clock,
        )
        await delivery.deliver(Built(list(self.upserts)), self.newest, self.vanishing)
        assert sum(counts.total() for counts in report.counts.values()) == len(self.upserts)
        for day in self.days:
            if day not in report.unsettled:
                world.settled[day] = max(world.settled[day], self.versions[day])


async def carry_out(world: World, rounds: Sequence[Round], *, at_once: bool) -> None:
    """Every round, each followed by nothing: what failed stays as it is until somebody comes back to it."""
    for one in rounds:
        chance = random.Random(one.seed)
        readings = []
        for changes, plan in one.runs:
            world.change(changes)
            readings.append(world.read(plan, chance))
        world.resending = any(plan.resend for _, plan in one.runs)
        chance.shuffle(readings)
        if at_once:
            ends = await asyncio.gather(*(asyncio.create_task(_end(reading)) for reading in readings))
        else:
            ends = [await asyncio.create_task(_end(reading)) for reading in readings]
        for end in ends:
            assert end is None or isinstance(end, Died | asyncio.CancelledError), repr(end)
        world.resending = False


async def _end(reading: Reading) -> BaseException | None:
    """How a run ends, as whoever started it sees it."""
    outer = asyncio.create_task(reading.deliver())
    await asyncio.wait([outer])
    return asyncio.CancelledError() if outer.cancelled() else outer.exception()


async def settle(world: World, chance: random.Random) -> None:
    """Run what is not settled, day by day in any order, until everything is; nothing else."""
    for _ in range(3):
        days = world.unsettled()
        chance.shuffle(days)
        for day in days:
            await asyncio.create_task(world.read(Plan((DAYS.index(day),)), chance).deliver())
    assert world.unsettled() == []


changes = st.lists(
    st.builds(Change, st.integers(0, 2), st.integers(0, 1), st.sampled_from([1, 1, 2, None])), max_size=6
).map(tuple)
plans = st.builds(
    Plan,
    st.sets(st.integers(0, 2), min_size=1).map(tuple),
    st.lists(st.sampled_from([WELL, *FAULTS]), max_size=6).map(tuple),
    st.sampled_from([False, False, False, True]),
    st.booleans(),
)
rounds = st.lists(
    st.builds(Round, st.lists(st.tuples(changes, plans), min_size=1, max_size=3).map(tuple), st.integers(0, 10**6)),
    min_size=1,
    max_size=5,
)
kept = st.sampled_from(["latest only", "dated"])
kinds = kept | st.just("dated, and removing")
MANY = settings(
    max_examples=examples(25),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)


def world_of(ledger: Ledger, kind: str, *, resend_is_safe: bool = False, readable: bool = True) -> World:
    destination = Watchful(resend_is_safe=resend_is_safe, readable=readable)
    return World(ledger, dated=kind != "latest only", removing=kind.endswith("removing"), destination=destination)


async def check(world: World, rounds: Sequence[Round], *, at_once: bool) -> None:
    """Whatever happened, running what is red ends with the API equal to the source, and then nothing is to be done."""
    await carry_out(world, rounds, at_once=at_once)
    chance = random.Random(len(rounds))
    await settle(world, chance)
    assert world.held == world.wanted()
    everything = Plan(tuple(range(len(DAYS))))
    await asyncio.create_task(world.read(everything, chance).deliver())
    last = world.read(everything, chance)
    await asyncio.create_task(last.deliver())
    assert world.held == world.wanted()
    assert last.port.requests == []


@MANY
@given(kinds, rounds)
def test_one_run_after_another_ends_with_the_newest_and_repeats_nothing(
    ledger: Ledger, kind: str, rounds: list[Round]
) -> None:
    """Runs one at a time, with any faults and kills: what stands at the API is never sent to it again unasked."""
    world = world_of(ledger, kind)
    asyncio.run(check(world, rounds, at_once=False))
    assert world.repeated == [] or world.removing


@MANY
@given(kinds, rounds)
def test_runs_at_once_end_with_the_newest(ledger: Ledger, kind: str, rounds: list[Round]) -> None:
    """Runs that have read before and after corrections deliver in any order, step by step between each other."""
    asyncio.run(check(world_of(ledger, kind), rounds, at_once=True))


@MANY
@given(kept, rounds, st.booleans())
def test_api_that_takes_a_resend_for_nothing_ends_with_the_newest(
    ledger: Ledger, kind: str, rounds: list[Round], readable: bool
) -> None:
    """Where a resend is noticed by nobody, what nobody knows is sent again, whether it can be read back or not."""
    asyncio.run(check(world_of(ledger, kind, resend_is_safe=True, readable=readable), rounds, at_once=True))
