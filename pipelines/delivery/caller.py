"""The engine's way out: every request is paced, counted, retried and watched by a circuit breaker here."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from pipelines.delivery.breaker import Breaker, BreakerPolicy
from pipelines.delivery.deadline import Deadline
from pipelines.delivery.errors import (
    AccountStopped,
    AccountUnavailable,
    CredentialsRefused,
    MediaTypeRefused,
    PipelinesError,
    PlanRefused,
)
from pipelines.delivery.gate import Gate
from pipelines.delivery.messages import Answer, Exchange, Lost, NotSent, Port, Request
from pipelines.delivery.pace import Leave, Pace
from pipelines.delivery.quota import RateHeaders, rate_headers
from pipelines.delivery.report import Traffic
from pipelines.delivery.retry import RetryPolicy, retry_after_s, wait_before_retry

STOPS = (AccountStopped, AccountUnavailable)
"""What a call raises when nothing more may go out in this run."""

_partition: ContextVar[str | None] = ContextVar("partition", default=None)
_delivering: ContextVar[bool] = ContextVar("delivering", default=False)
_log = logging.getLogger(__name__)

_STRIKES = 3
_PROBES = 2
"""So often a request goes out as the breaker's probe: not for ever, lest one that always fails speaks for all."""
_SAID, _READ = 200, 10_000
MAYBE_LANDED = frozenset({500, 502, 504})
"""After these a write may have been carried out: it is only resent where that is noticed by nobody."""


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What the caller has to know of an account.

    `when_refused` tells what to do if nothing listens there; `redact` takes the secrets out of what an API says.
    `media_type_setting` names the setting that chooses the media type, if the account has one.
    """

    name: str
    url: str
    transient: frozenset[int]
    when_refused: str = ""
    give_up_when_refused: bool = False
    redact: Callable[[str], str] = str
    media_type_setting: str = ""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a request is tried again, and how long a sick API is waited for."""

    retry: RetryPolicy = field(default_factory=RetryPolicy)
    breaker: BreakerPolicy = field(default_factory=BreakerPolicy)


@contextmanager
def serving(partitions: Iterable[str], *, delivering: bool = False) -> Iterator[None]:
    """Requests of this task serve upserts of these partitions: if it is only one, they are counted for it.

    `delivering`: they deliver the upserts, so that refusals are strikes.
    """
    served = {*partitions}
    tokens = _partition.set(served.pop() if len(served) == 1 else None), _delivering.set(delivering)
    try:
        yield
    finally:
        _partition.reset(tokens[0])
        _delivering.reset(tokens[1])


class Caller:
    """Implements `messages.Call` for one account during one run."""

    def __init__(
        self,
        account: AccountRules,
        port: Port,
        pace: Pace,
        traffic: Traffic,
        patience: Patience | None = None,
        *,
        deadline: Deadline | None = None,
        guard: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`deadline`: from then on nothing leaves. `guard`, asked before each request, raises where nothing may."""
        patience = patience or Patience()
        self._account = account
        self._port = port
        self._pace = pace
        self._traffic = traffic
        self._policy = patience.retry
        self._breaker = Breaker(patience.breaker, clock=clock)
        self._gate = Gate(account.name, pace, self._breaker, deadline, clock=clock, sleep=sleep)
        self._guard = guard
        self._clock = clock
        self._jitter = jitter
        self._strikes = 0

    async def __call__(self, request: Request) -> Exchange:
        """Send until the answer is final. What failed as a probe, and may be tried again, waits for another one.

        A write that was sent already and may have arrived ends with that answer, whatever stops its next try.

        Raises:
            AccountStopped: the API answered 401 or 415, or 402 and 403 too often, now or earlier in this run.
            AccountUnavailable: nothing listens, the circuit breaker gave up, or the run's time is over.
        """
        attempt, probes, waited, last = 0, 0, 0.0, None
        while True:
            attempt += 1
            try:
                exchange, probe = await self._once(request)
            except STOPS:
                if last is not None and _may_have_landed(request, last):
                    return last
                raise
            probes += probe
            wait = self._wait(request, exchange, attempt, waited) if probes < _PROBES else None
            if probe or wait is None:
                self._watch(request, exchange, probe=probe)
            if wait is None:
                return exchange
            last = exchange
            self._traffic.note_retry(_partition.get())
            if not probe:
                waited += wait
                await self._gate.nap(wait)

    def stop(self, error: PipelinesError) -> None:
        """Let nothing more out in this run."""
        self._gate.stop(error)

    @property
    def stopped(self) -> PipelinesError | None:
        """Why nothing more may leave in this run; None: it may."""
        return self._gate.stopped

    @property
    def resting(self) -> bool:
        """Whether the API is sick and left alone for now."""
        return not self._breaker.closed

    def state(self) -> dict[str, Any]:
        """As JSON, what the next holder of the turn needs: the pace's state and the breaker's."""
        return self._pace.state() | {"breaker": self._breaker.state()}

    def restore(self, state: dict[str, Any], reserved: int = 0) -> None:
        """Go on where another holder's state ends; `reserved` sends more may have been made."""
        self._pace.restore(state, reserved)
        self._breaker.restore(state.get("breaker", {}))

    # -- one sending

    async def _once(self, request: Request) -> tuple[Exchange, bool]:
        """Send once, when breaker and pace allow it: what came of it, and whether it went as the breaker's probe."""
        probe, leave = await self._gate.pass_through()
        self._traffic.note_wait(_partition.get(), leave.waited)
        try:
            self._guard()
            sent_at = self._clock()
            exchange = await self._sent(request, leave)
            answered = exchange if isinstance(exchange, Answer) else None
            self._note(request, answered)
            self._observe(answered.headers if answered else {})
            if answered is not None:
                self._heed(request, answered, sent_at)
        except BaseException:
            self._gate.drop_probe(probe=probe)
            raise
        return exchange, probe

    async def _sent(self, request: Request, leave: Leave) -> Exchange:
        self._pace.departs(leave)
        answered = False
        try:
            exchange = await self._port.send(request)
            answered = True
        finally:
            self._pace.ended(leave, answered=answered)
        return exchange

    # -- what came of it

    def _note(self, request: Request, answer: Answer | None) -> None:
        received, seconds = (len(answer.body), answer.seconds) if answer else (0, None)
        self._traffic.note(_partition.get(), len(request.body or b""), received, seconds)

    def _observe(self, headers: Mapping[str, str]) -> None:
        """Let the pace heed the answer's rate headers, and know that a request is in flight no more."""
        told = rate_headers(headers) or RateHeaders()
        self._pace.observe(told.limit, told.remaining, told.reset_at, served_at=told.served_at)

    def _heed(self, request: Request, answer: Answer, sent_at: float) -> None:
        if answer.status == 429:
            self._pace.slow_down(retry_after_s(answer.headers, self._clock()), sent_at=sent_at)
        elif answer.ok:
            self._pace.speed_up()
            if request.method != "GET":
                self._strikes = 0
        elif answer.status in (402, 403) and _delivering.get():
            self._strike(answer)
        elif answer.status == 401:
            self._gate.stop_now(
                CredentialsRefused(
                    f"account {self._account.name}: {request} was answered 401, the credentials are refused"
                    f"{self._words(answer)}",
                    do=f"Check the account's settings ({self._account.name.upper()}_...); nothing more was sent.",
                    account=self._account.name,
                    status=401,
                )
            )
        elif answer.status == 415:
            self._gate.stop_now(
                MediaTypeRefused(
                    f"account {self._account.name}: {request} was answered 415, the media type is refused"
                    f"{self._words(answer)}",
                    do=self._about_media_type(),
                    account=self._account.name,
                    status=415,
                )
            )

    def _about_media_type(self) -> str:
        setting = self._account.media_type_setting
        if setting:
            return f"Set {setting} to the version this tenant speaks; nothing more was sent."
        return f"Check that {self._account.url} is the API's own address; nothing more was sent."

    def _wait(self, request: Request, exchange: Exchange, attempt: int, waited_s: float) -> float | None:
        if isinstance(exchange, NotSent) and exchange.refused and self._account.give_up_when_refused:
            return None
        risky = request.method != "GET" and not request.repeatable
        if risky and isinstance(exchange, Answer) and exchange.status in MAYBE_LANDED:
            return None
        wait = wait_before_retry(
            exchange,
            attempt,
            request=request,
            transient=self._account.transient,
            policy=self._policy,
            jitter=self._jitter(),
            now=self._clock(),
            waited_s=waited_s,
        )
        return None if wait is None or self._gate.too_late(wait) else wait

    def _strike(self, answer: Answer) -> None:
        """402 and 403 are those upserts' own, until it looks as if everybody's were refused."""
        self._strikes += 1
        if self._strikes >= _STRIKES:
            self.stop(
                PlanRefused(
                    f"account {self._account.name}: {self._strikes} requests in a row were refused with 402 or 403, "
                    f"the last with {answer.status}{self._words(answer)}",
                    do="Check the account's plan and its rights; nothing more was sent.",
                    account=self._account.name,
                    status=answer.status,
                )
            )

    def _watch(self, request: Request, exchange: Exchange, *, probe: bool) -> None:
        """Tell the breaker what became of a request in the end."""
        if isinstance(exchange, NotSent) and exchange.refused and self._account.give_up_when_refused:
            self._gate.drop_probe(probe=probe)
            self._gate.stop_now(
                AccountUnavailable(
                    f"account {self._account.name}: nothing listens at {self._account.url}",
                    do=self._account.when_refused,
                    account=self._account.name,
                )
            )
        failed = isinstance(exchange, NotSent | Lost) or exchange.status == 429 or exchange.status >= 500
        was_closed = self._breaker.closed
        self._breaker.note("read" if request.method == "GET" else "write", well=not failed, probe=probe)
        self._gate.end_probe(probe=probe)
        if self._breaker.worn_out:
            self.stop(
                AccountUnavailable(
                    f"account {self._account.name}: the API is not well: {self._breaker.row} requests in a row failed, "
                    f"{self._breaker.failed_probes} of them after pauses, the last: {self._said(request, exchange)}",
                    do="Nothing more was sent. Run the partitions again when the API is well.",
                    account=self._account.name,
                )
            )
        elif failed and (probe or was_closed) and not self._breaker.closed:
            _log.warning(
                "account %s: the API is not well, nothing is sent for %.0f s; the last request: %s",
                *(self._account.name, self._breaker.due_in(), self._said(request, exchange)),
            )

    def _said(self, request: Request, exchange: Exchange) -> str:
        if isinstance(exchange, NotSent | Lost):
            return exchange.reason
        return f"{request}: {exchange.status}{self._words(exchange)}"

    def _words(self, answer: Answer) -> str:
        # Half a secret would not be found any more, so shortening comes last.
        text = self._account.redact(answer.text(_READ))
        text = text if len(text) <= _SAID else f"{text[: _SAID - 1]}…"
        return f" ({text})" if text else ""


def _may_have_landed(request: Request, exchange: Exchange) -> bool:
    if request.method == "GET":
        return False
    return isinstance(exchange, Lost) or (isinstance(exchange, Answer) and exchange.status in MAYBE_LANDED)
