"""The engine's way out: every request is paced, counted, retried and watched by a circuit breaker here."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from pipelines.delivery.errors import (
    AccountStopped,
    AccountUnavailable,
    CredentialsRefused,
    MediaTypeRefused,
    PipelinesError,
)
from pipelines.delivery.messages import Answer, Exchange, Lost, NotSent, Port, Request
from pipelines.delivery.pace import Pace
from pipelines.delivery.quota import RateHeaders, rate_headers
from pipelines.delivery.report import Traffic
from pipelines.delivery.retry import RetryPolicy, retry_after_s, wait_before_retry

STOPS = (AccountStopped, AccountUnavailable)
"""What a call raises when nothing more may go out in this run."""

_partition: ContextVar[str | None] = ContextVar("partition", default=None)

_LONGEST_PAUSE_S = 3700.0
"""A little more than the longest window that an API documents, an hour."""
_READ, _SAID = 10_000, 200
MAYBE_LANDED = frozenset({500, 502, 504})
"""After these a write may have been carried out: it is only resent where that is noticed by nobody."""


@dataclass(frozen=True, slots=True)
class AccountRules:
    """What the caller has to know of an account.

    `when_refused` tells what to do if nothing listens there; `redact` takes the secrets out of what an API says.
    """

    name: str
    url: str
    transient: frozenset[int]
    when_refused: str = ""
    give_up_when_refused: bool = False
    redact: Callable[[str], str] = str


@contextmanager
def for_partition(partition: str) -> Iterator[None]:
    """Requests of this task are counted for the partition."""
    token = _partition.set(partition)
    try:
        yield
    finally:
        _partition.reset(token)


class Caller:
    """Implements `messages.Call` for one account during one run."""

    def __init__(
        self,
        account: AccountRules,
        port: Port,
        pace: Pace,
        traffic: Traffic,
        policy: RetryPolicy | None = None,
        *,
        breaker_after: int = 5,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`breaker_after`: so many requests in a row that fail for good stop the account for this run."""
        self._account = account
        self._port = port
        self._pace = pace
        self._traffic = traffic
        self._policy = policy or RetryPolicy()
        self._breaker_after = breaker_after
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._failures = 0
        self.stopped: PipelinesError | None = None

    async def __call__(self, request: Request) -> Exchange:
        """Send until the answer is final.

        Raises:
            AccountStopped: the API answered 401 or 415, now or earlier in this run.
            AccountUnavailable: nothing listens, or too many requests in a row failed for good.
        """
        attempt, waited = 0, 0.0
        while True:
            attempt += 1
            exchange = await self._once(request)
            wait = self._wait(request, exchange, attempt, waited)
            if wait is None:
                break
            self._traffic.retries += 1
            waited += wait
            await self._sleep(wait)
        self._watch(request, exchange)
        return exchange

    async def _once(self, request: Request) -> Exchange:
        if self.stopped is not None:
            raise self.stopped
        self._refuse_long_pause()
        self._traffic.waited_s += await self._pace.acquire()
        # Another request may have learned the worst while this one waited for its turn.
        if self.stopped is not None:
            raise self.stopped
        sent_at = self._clock()
        exchange = await self._port.send(request)
        answered = exchange if isinstance(exchange, Answer) else None
        self._traffic.note(_partition.get(), len(request.body or b""), answered.seconds if answered else None)
        self._pace.answered(sent_at)
        self._observe(answered.headers if answered else {})
        if answered is not None:
            self._heed(request, answered, sent_at)
        return exchange

    def _refuse_long_pause(self) -> None:
        """Waiting for the next hour's allowance is pacing; what the API forbids for longer is for a later run."""
        due_in = self._pace.due_in()
        if due_in > _LONGEST_PAUSE_S:
            self._stop(
                AccountUnavailable(
                    f"account {self._account.name}: the API allows no request for another {due_in / 60:.0f} minutes",
                    do="Nothing more was sent. Run the partitions again after that.",
                    account=self._account.name,
                )
            )

    def _observe(self, headers: Mapping[str, str]) -> None:
        """Let the pace heed the answer's rate headers, and know that a request is in flight no more."""
        told = rate_headers(headers) or RateHeaders()
        self._pace.observe(told.limit, told.remaining, told.reset_at, served_at=told.served_at)

    def _heed(self, request: Request, answer: Answer, sent_at: float) -> None:
        if answer.status == 429:
            self._pace.slow_down(retry_after_s(answer.headers, self._clock()), sent_at=sent_at)
        elif answer.ok:
            self._pace.speed_up()
        elif answer.status == 401:
            self._stop(
                CredentialsRefused(
                    f"account {self._account.name}: {request} was answered 401, the credentials are refused"
                    f"{self._words(answer)}",
                    do=f"Check the account's settings ({self._account.name.upper()}_...); nothing more was sent.",
                    account=self._account.name,
                    status=401,
                )
            )
        elif answer.status == 415:
            self._stop(
                MediaTypeRefused(
                    f"account {self._account.name}: {request} was answered 415, the media type is refused"
                    f"{self._words(answer)}",
                    do=f"Set {self._account.name.upper()}_MEDIA_TYPE to the version this tenant speaks.",
                    account=self._account.name,
                    status=415,
                )
            )

    def _wait(self, request: Request, exchange: Exchange, attempt: int, waited_s: float) -> float | None:
        if isinstance(exchange, NotSent) and exchange.refused and self._account.give_up_when_refused:
            return None
        risky = request.method != "GET" and not request.repeatable
        if risky and isinstance(exchange, Answer) and exchange.status in MAYBE_LANDED:
            return None
        return wait_before_retry(
            exchange,
            attempt,
            request=request,
            transient=self._account.transient,
            policy=self._policy,
            jitter=self._jitter(),
            now=self._clock(),
            waited_s=waited_s,
        )

    def _watch(self, request: Request, exchange: Exchange) -> None:
        """The circuit breaker: count what failed for good, in a row."""
        refused = isinstance(exchange, NotSent) and exchange.refused and self._account.give_up_when_refused
        if refused:
            self._stop(
                AccountUnavailable(
                    f"account {self._account.name}: nothing listens at {self._account.url}",
                    do=self._account.when_refused,
                    account=self._account.name,
                )
            )
        failed = isinstance(exchange, NotSent | Lost) or exchange.status == 429 or exchange.status >= 500
        self._failures = self._failures + 1 if failed else 0
        if self._failures >= self._breaker_after and self.stopped is None:
            said = (
                exchange.reason if isinstance(exchange, NotSent | Lost) else f"{exchange.status}{self._words(exchange)}"
            )
            self.stopped = AccountUnavailable(
                f"account {self._account.name}: {self._failures} requests in a row failed, the last {request}: {said}",
                do="Nothing more was sent. Run the partitions again when the API is well.",
                account=self._account.name,
            )

    def stop(self, error: AccountStopped | AccountUnavailable) -> None:
        """Let nothing more out in this run."""
        self.stopped = self.stopped or error

    def _stop(self, error: PipelinesError) -> None:
        self.stopped = self.stopped or error
        raise self.stopped

    def _words(self, answer: Answer) -> str:
        """What the API said; half a secret would not be found, so that it is shortened last."""
        text = self._account.redact(answer.text(_READ))
        return f" ({text if len(text) <= _SAID else f'{text[: _SAID - 1]}…'})" if text else ""
