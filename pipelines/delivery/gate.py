"""The gate: when a request may leave. Not after a stop or the run's end, and only as breaker and pace allow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import NoReturn

from pipelines.delivery.breaker import Breaker
from pipelines.delivery.deadline import Deadline
from pipelines.delivery.errors import AccountUnavailable, PipelinesError
from pipelines.delivery.pace import Leave, Pace

_LONGEST_PAUSE_S = 3700.0
"""A little more than the longest window that an API documents, an hour."""
_NAP_S = 1.0
"""Waiting is cut into naps, so that a clock set back and a stop are heeded soon."""


class Gate:
    """For all requests of an account during one run: who waits here longest leaves first."""

    def __init__(
        self,
        account: str,
        pace: Pace,
        breaker: Breaker,
        deadline: Deadline | None,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._account = account
        self._pace = pace
        self._breaker = breaker
        self._deadline = deadline
        self._clock = clock
        self._sleep = sleep
        self._queue = asyncio.Lock()
        self._probe_ended = asyncio.Event()
        self.stopped: PipelinesError | None = None

    async def pass_through(self) -> tuple[bool, Leave]:
        """Wait until a request may leave: whether it does so as the breaker's probe, and the pace's leave.

        A probe must be told to the breaker, and then to `end_probe`.

        Raises:
            AccountStopped, AccountUnavailable: nothing may leave any more.
        """
        while True:
            probe = await self._past_breaker()
            try:
                # Another request may learn the worst while this one waits for its turn.
                leave = await self._pace.acquire(partial(self._goes_on, probe=probe))
            except BaseException:
                self.drop_probe(probe=probe)
                raise
            if leave is not None:
                return probe, leave

    def drop_probe(self, *, probe: bool) -> None:
        """A request that left as the probe, if it did, told nothing of the API's health."""
        if probe:
            self._breaker.drop_probe()
            self.end_probe(probe=True)

    def end_probe(self, *, probe: bool) -> None:
        """Wake those who wait for a probe."""
        if probe:
            self._probe_ended.set()

    def stop(self, error: PipelinesError) -> None:
        """Let nothing more out."""
        self.stopped = self.stopped or error

    def stop_now(self, error: PipelinesError) -> NoReturn:
        """Let nothing more out, and raise why."""
        self.stop(error)
        raise self.stopped or error

    def too_late(self, wait_s: float) -> bool:
        """Whether the run will have ended after so many seconds."""
        return self._deadline is not None and self._clock() + wait_s >= self._deadline.at

    async def nap(self, seconds: float) -> None:
        """Wait, at most until everything is stopped."""
        while seconds > 0 and self.stopped is None:
            await self._sleep(min(seconds, _NAP_S))
            seconds -= _NAP_S

    async def _past_breaker(self) -> bool:
        self._check(0.0)
        if self._breaker.closed:
            return False
        async with self._queue:
            while not self._breaker.closed:
                due_in = self._breaker.due_in()
                self._check(due_in)
                if self._breaker.probing:
                    await self._probe_ended.wait()
                elif self._breaker.take_probe():
                    self._probe_ended.clear()
                    return True
                else:
                    await self._sleep(min(due_in, _NAP_S))
        return False

    def _goes_on(self, wait_s: float, *, probe: bool) -> bool:
        self._check(wait_s)
        if wait_s > _LONGEST_PAUSE_S:
            # Waiting for the next hour's allowance is pacing; what the API forbids for longer is for a later run.
            self.stop_now(
                AccountUnavailable(
                    f"account {self._account}: the API allows no request for another {wait_s / 60:.0f} minutes",
                    do="Nothing more was sent. Run the partitions again after that.",
                    account=self._account,
                )
            )
        return probe or self._breaker.closed

    def _check(self, wait_s: float) -> None:
        """Raise what stopped the account, or stop it where the run is over before a request may leave."""
        if self.stopped is not None:
            raise self.stopped
        if self._deadline is not None and self.too_late(wait_s):
            self.stop_now(self._deadline.error(self._account, "not everything could be sent"))
