"""An API without a network: a port that keeps payloads, and the destination that speaks to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from pipelines.delivery.caller import AccountRules, Caller, Patience
from pipelines.delivery.deadline import Deadline
from pipelines.delivery.deliver import Delivery
from pipelines.delivery.destination import Effort, Found, Limits
from pipelines.delivery.errors import PipelinesError
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.gates import Gates
from pipelines.delivery.ledger import Known, Ledger, Priority, Run, Turn, schema
from pipelines.delivery.messages import Answer, Call, Exchange, Lost, NotSent, Request
from pipelines.delivery.pace import Pace
from pipelines.delivery.removal import Vanishing
from pipelines.delivery.report import Report
from pipelines.delivery.retry import RetryPolicy
from pipelines.delivery.upsert import Built, Outcome, Payload, Upsert, Verdict

Sleep = Callable[[float], Awaitable[None]]
Fault = Callable[[Request], Exchange | None]


class Died(BaseException):
    """The process ends here."""


class FakePort:
    """Keeps what was written; `faults` are asked first, in order, each for one request."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.always: Fault | None = None
        self.in_flight = 0
        self.most_in_flight = 0
        self.latency_s = 0.0
        self._levels: list[int] = []
        self.overlapping_levels = 0

    @property
    def writes(self) -> list[str]:
        return [request.path for request in self.requests if request.method == "PUT"]

    async def send(self, request: Request) -> Exchange:
        self.requests.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        level = request.path.partition("+")[0].count(".")
        self.overlapping_levels += any(other != level for other in self._levels)
        self._levels.append(level)
        await asyncio.sleep(self.latency_s)
        self._levels.remove(level)
        self.in_flight -= 1
        for fault in [self.always] if self.always else self.faults[:1]:
            self.faults = self.faults[1:]
            exchange = fault(request)
            if exchange is not None:
                return exchange
        return self.act(request)

    def act(self, request: Request) -> Answer:
        if request.method == "GET":
            if request.path not in self.held:
                return answer(404)
            return answer(200, self.held[request.path])
        if request.method == "DELETE":
            self.held.pop(request.path, None)
            return answer(204)
        items = orjson.loads(request.body or b"{}")
        if any(item.get("bad") for item in items.values()):
            return answer(400, {"message": "bad item"})
        self.held |= items
        return answer(200)

    async def aclose(self) -> None:
        """Nothing to close."""


def answer(status: int, body: Any = None, **headers: str) -> Answer:
    return Answer(status, headers, b"" if body is None else orjson.dumps(body), 0.01)


def status(code: int, **headers: str) -> Fault:
    """Answer with a status, without acting."""
    return lambda _: answer(code, **headers)


def lost_before(_: Request) -> Exchange:
    return Lost("connection dropped")


def refused(_: Request) -> Exchange:
    return NotSent("connection refused", refused=True)


class FakeDestination:
    """Payloads count as they are; several upserts may share a request."""

    def __init__(self, batch_size: int = 1, *, resend_is_safe: bool = False, readable: bool = True) -> None:
        self.account = "fake"
        self.batch_size = batch_size
        self.resend_is_safe = resend_is_safe
        self.transient = frozenset[int]()
        self.readable = readable
        self.unknown_ids: dict[str, str] = {}
        self.vetted = 0
        self.vet_fails: PipelinesError | None = None

    def normalise(self, payload: Payload) -> Payload:
        return payload

    async def vet(self, upserts: Sequence[Upsert], call: Call) -> Mapping[str, str]:
        self.vetted += 1
        if self.vet_fails is not None:
            raise self.vet_fails
        return {u.key: self.unknown_ids[u.key] for u in upserts if u.key in self.unknown_ids}

    async def send(self, batch: Sequence[Upsert], call: Call) -> Sequence[Verdict]:
        body = orjson.dumps({f"/{upsert.key}": upsert.payload for upsert in batch})
        path = "/" + "+".join(u.key for u in batch)
        exchange = await call(Request("PUT", path, body=body, repeatable=self.resend_is_safe))
        return [verdict_of(exchange)] * len(batch)

    async def read_back(self, upsert: Upsert, call: Call) -> Found | None:
        if not self.readable:
            return None
        exchange = await call(Request("GET", f"/{upsert.key}"))
        if not isinstance(exchange, Answer) or not (exchange.ok or exchange.status == 404):
            return None
        return Found(exchange.json() if exchange.ok else None)

    async def remove(self, key: str, payload: Payload, call: Call) -> Verdict:
        return verdict_of(await call(Request("DELETE", f"/{key}", repeatable=True)))

    def check(self) -> Request:
        return Request("GET", "/")

    def describe(self, upsert: Upsert) -> str:
        return f"PUT /{upsert.key}"

    def cost(self, upserts: Sequence[Upsert], *, removed: int, standing: int) -> Effort:
        return Effort(len(upserts) + removed, "one for each key")


def verdict_of(exchange: Exchange) -> Verdict:
    match exchange:
        case Lost(reason):
            return Verdict(Outcome.UNKNOWN, reason)
        case NotSent(reason):
            return Verdict(Outcome.NOT_SENT, reason)
        case Answer(status=code) if 200 <= code < 300:
            return Verdict(Outcome.ACCEPTED, status=code)
        case Answer(status=code) if code == 429 or code >= 500:
            return Verdict(Outcome.FAILED, str(code), code)
        case Answer(status=code):
            return Verdict(Outcome.REJECTED, exchange.text(), code)


class Left:
    """A source that has these keys and no others. `partitions`: those that it speaks for; None: all."""

    def __init__(self, *keys: str, partitions: Sequence[str] | None = None) -> None:
        self.keys = frozenset(keys)
        self.partitions = partitions

    def vanished(self, known: Iterable[Known]) -> list[str]:
        return [one.key for one in known if one.key not in self.keys]


def upsert(key: str, value: Any, as_of: str = "2013-01-01", rows: tuple[int, ...] = (0,), **more: Any) -> Upsert:
    payload = {"value": value, **more}
    return Upsert(key, as_of, payload, fingerprint(payload), as_of, rows)


class Bench:
    """A ledger, a fake API and everything between them."""

    def __init__(self, folder: Path, destination: FakeDestination | None = None) -> None:
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
        self.port = FakePort()
        self.destination = destination or FakeDestination()
        self.runs = 0
        self.now = time.time()

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def delivery(
        self,
        sync: str = "board",
        *,
        deadline: Deadline | None = None,
        sleep: Sleep | None = None,
        mode: str = "sandbox",
        partitions: Sequence[str] = (),
        gates: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Delivery:
        """A run of the sync, which has read these partitions; `gates`: with gates of these fields."""
        self.runs += 1
        report = Report()
        run = Run(f"run-{self.runs}", sync, "config", float(self.runs), partitions)
        scope = self.ledger.scope("fake", mode, "address", "", 0.0)
        limits = Limits(in_flight=4)
        pace = Pace(limits.windows, clock=self.clock, sleep=self.sleep)
        rules = AccountRules("fake", "http://127.0.0.1:9", self.destination.transient, "start it", False)
        patience = Patience(RetryPolicy(attempts=3))
        caller = Caller(
            rules,
            self.port,
            pace,
            report.traffic,
            patience,
            deadline=deadline,
            clock=self.clock,
            sleep=sleep or self.sleep,
        )
        return Delivery(
            run=run,
            ledger=self.ledger,
            scope=scope,
            turn=Turn(self.ledger, "fake", Priority.MANUAL, caller, deadline=deadline),
            destination=self.destination,
            caller=caller,
            limits=limits,
            gates=None if gates is None else Gates(self.ledger, scope, run, **gates),
            report=report,
            **options,
        )

    async def deliver(
        self,
        *upserts: Upsert,
        newest: Mapping[str, str] | None = None,
        vanishing: Vanishing | None = None,
        **options: Any,
    ) -> Report:
        return await self.delivery(**options).deliver(Built(list(upserts)), newest, vanishing)

    def rows(self, table: str) -> list[dict[str, Any]]:
        """What a table of the ledger holds."""
        with self.ledger.reading() as connection:
            return [dict(row._mapping) for row in connection.execute(schema.metadata.tables[table].select())]

    def close(self) -> None:
        self.ledger.close()
