"""How fast an account is called: a log of send times, what the API's headers leave, and what its 429s taught.

Never above a limit, over any window: a send waits until the log shows fewer than n sends in the span that ends with it.
A bucket of tokens would let twice as many into one span. All times are epoch seconds, since the log passes from process
to process; a clock that is set back shifts them along.
"""

from __future__ import annotations

import asyncio
import math
import time
from bisect import insort
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from pipelines.delivery.destination import Window
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.quota import Quota
from pipelines.delivery.throttle import PAUSE_S, Throttle

_LONGEST_GUARD_S = 1.0
_RECENT_S = 5.0
_LEAST_SAMPLE_S = 1.0
_ANSWERS_TO_TRUST = 5
"""Before so many answers the fastest one may have been slow itself, for instance to connect."""
_LATEST_S = 1.0
"""So much later than it left may a request without an answer yet be counted: one that hangs holds up no others."""
_NAP_S = 1.0
"""Waiting is cut into naps, so that news (an answer's headers, a clock set back) are heeded soon."""
_GRID = 200
"""In a state, send times are rounded up to this fraction of the window that they matter for: few numbers suffice."""
_US = 1_000_000


class _Span:
    """A window with its guard: requests that left `seconds` apart may arrive closer to each other."""

    def __init__(self, window: Window, guard: float, share: float) -> None:
        self.documented = window.seconds
        self.seconds = window.seconds + min(window.seconds * guard, _LONGEST_GUARD_S)
        self.requests = self._allowed = _shared(window.requests, share)

    @property
    def lowered(self) -> bool:
        return self.requests < self._allowed

    def ready_at(self, log: deque[float]) -> float:
        return log[-self.requests] + self.seconds if len(log) >= self.requests else float("-inf")

    def heed(self, limit: int, reset_in: float) -> None:
        """Take over a limit from headers whose reset fits this window and is too far off for a much shorter one."""
        if self.documented / 2 < reset_in <= self.documented + _LONGEST_GUARD_S:
            self.requests = min(limit, self._allowed)


@dataclass(eq=False, slots=True)
class Leave:
    """That one request may leave: the seconds it `waited`, and the time as of which it counts."""

    waited: float
    counted: float
    departed: float = field(init=False)


class Pace:
    """Says when the next request may leave. One per account (or quota) and holder; used from one event loop."""

    def __init__(
        self,
        windows: Sequence[Window],
        *,
        share: float = 1.0,
        guard: float = 0.03,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`share` of every allowance is used, at least one request; `guard` lengthens windows, by a second at most.

        Raises:
            ConfigurationError: `share` is not above 0 and at most 1.
        """
        if not 0 < share <= 1:
            raise ConfigurationError(f"A share of {share:g} of an API's allowance", do="Choose one above 0, at most 1.")
        self._share = share
        self._spans = sorted((_Span(window, guard, share) for window in windows), key=lambda span: span.seconds)
        self._clock = clock
        self._sleep = sleep
        self._log: deque[float] = deque()
        self._flying: list[Leave] = []
        self._seen = float("-inf")
        self._answers = 0
        self._fastest = float("inf")
        self._turn = asyncio.Lock()
        self._throttle = Throttle(self._spans[0].requests / self._spans[0].seconds if self._spans else None)
        self._quota = Quota(share)

    async def acquire(self, go_on: Callable[[float], bool] = lambda _: True) -> Leave | None:
        """Wait until a request may leave, first come first served, and log it as sent.

        `go_on` is asked before each nap and before the request leaves, with the seconds still to wait: where it says
        no (None is returned) or raises, nothing is logged.
        """
        asked = self._now()
        async with self._turn:
            while True:
                wait = self.due_in()
                if not go_on(wait):
                    return None
                if wait <= 0:
                    break
                await self._sleep(min(wait, _NAP_S))
            now = self._seen
            self._note(now)
        return Leave(max(0.0, now - asked), now)

    def departs(self, leave: Leave) -> None:
        """The request leaves now. `ended` must follow.

        Until its answer it may reach the server at any time, less what the fastest answer took on its way back: as of
        that moment it counts, so that a server that is slow to notice requests never notices too many at once.
        """
        leave.departed = self._now()
        self._count_as_of(leave, leave.departed)
        self._flying.append(leave)

    def ended(self, leave: Leave, *, answered: bool = True) -> None:
        """The request was answered just now, or was given up."""
        now = self._now()
        self._flying.remove(leave)
        if answered:
            self._answers += 1
            self._fastest = min(self._fastest, now - leave.departed)
        self._count_as_of(leave, now - self._way_back)

    def due_in(self) -> float:
        """Seconds until a request may leave, as far as is known now; 0: at once."""
        now = self._now()
        for leave in self._flying:
            self._count_as_of(leave, min(now - self._way_back, leave.departed + _LATEST_S))
        ready = max(self._throttle.ready_at(), self._quota.ready_at(now), *(s.ready_at(self._log) for s in self._spans))
        return max(0.0, ready - now)

    def slow_down(self, retry_after_s: float | None = None, *, sent_at: float | None = None) -> None:
        """A 429 came: nothing leaves for `retry_after_s` (`PAUSE_S` where the answer named none), then half as much.

        `sent_at`: when the refused request left, by this pace's clock; taken for the newest where it is not given.
        Refusals of requests that left before the last cut do not cut again.
        """
        now = self._now()
        if sent_at is None:
            sent_at = self._log[-1] if self._log else now
        pause_s = PAUSE_S if retry_after_s is None else max(0.0, retry_after_s)
        self._throttle.cut(now, pause_s, observed=self._observed(now), sent_at=sent_at)

    def speed_up(self) -> None:
        """A request was accepted: a rate that was cut climbs a step."""
        self._throttle.climb(self._now())

    def observe(
        self, limit: int | None, remaining: int | None, reset_at: float | None, *, served_at: float | None = None
    ) -> None:
        """Heed an answer's rate headers: no more than `remaining` requests leave until `reset_at` (epoch seconds).

        Requests that have no answer yet are taken off. `served_at` is the answer's own Date: with it, the two clocks
        need not agree. `limit` lowers the window whose length fits the reset, where it is less than documented; it
        raises none, since a window may be the user's wish.
        """
        now = self._now()
        self._quota.answered(told=remaining is not None and reset_at is not None)
        if reset_at is None:
            return
        reset_in = reset_at - (now if served_at is None else served_at)
        if limit is not None:
            for span in self._spans:
                span.heed(_shared(limit, self._share), reset_in)
        if remaining is not None:
            self._quota.observe(now, remaining, reset_at, reset_in)

    def state(self) -> dict[str, Any]:
        """As JSON, all that the next holder needs to stay within every window together with this one."""
        now = self._now()
        return {
            "at": math.ceil(now * _US),
            "sent": self._packed(now),
            "limits": {f"{span.documented:g}": span.requests for span in self._spans if span.lowered},
            "throttle": self._throttle.state(now),
            "quota": self._quota.state(now),
        }

    def restore(self, state: dict[str, Any], reserved: int = 0) -> None:
        """Go on where another holder's state ends, in place of what this pace knew.

        `reserved` sends that a dead holder may have made unseen count as made now. Times after now, left behind by a
        clock that was set back, count as now.
        """
        now = self._now()
        ahead = max(0.0, state.get("at", 0) / _US - now)
        times = (time for time, count in state.get("sent", ()) for _ in range(count))
        self._log = deque(min(time / _US - ahead, now) for time in times)
        self._log.extend([now] * reserved)
        limits = state.get("limits", {})
        for span in self._spans:
            span.requests = min(span.requests, limits.get(f"{span.documented:g}", span.requests))
        self._throttle.restore(state.get("throttle", {}))
        self._quota.restore(state.get("quota", {}), reserved)
        self._throttle.shift(ahead)
        self._quota.shift(ahead)

    def _now(self) -> float:
        now = self._clock()
        if now < self._seen:
            back = self._seen - now
            self._log = deque(time - back for time in self._log)
            for leave in self._flying:
                leave.counted -= back
                leave.departed -= back
            self._throttle.shift(back)
            self._quota.shift(back)
        self._seen = now
        return now

    @property
    def _way_back(self) -> float:
        """The least that an answer takes to come back; 0 while too few are known."""
        return self._fastest if self._answers >= _ANSWERS_TO_TRUST else 0.0

    def _count_as_of(self, leave: Leave, moment: float) -> None:
        """Count a request as sent at a later moment than it was."""
        if not self._spans or moment <= leave.counted:
            return
        for back, noted in enumerate(reversed(self._log), start=1):
            if noted <= leave.counted:
                if noted == leave.counted:
                    del self._log[-back]
                break
        insort(self._log, moment)
        leave.counted = moment

    def _note(self, now: float) -> None:
        self._log.append(now)
        self._throttle.sent(now)
        self._quota.sent(now)
        kept_s = max(_RECENT_S, self._spans[-1].seconds) if self._spans else _RECENT_S
        while self._log[0] <= now - kept_s:
            self._log.popleft()

    def _observed(self, now: float) -> float | None:
        """Requests per second since the last pause, of the last seconds; None: too few to tell, and others know."""
        since = max(now - _RECENT_S, self._throttle.resumed_at)
        recent = list(takewhile(lambda time: time >= since, reversed(self._log)))
        seconds = now - recent[-1] if recent else 0.0
        if seconds < _LEAST_SAMPLE_S and self._throttle.bounded:
            return None
        return max(1, len(recent)) / max(_LEAST_SAMPLE_S, seconds)

    def _packed(self, now: float) -> list[list[int]]:
        """Pairs of time (in microseconds) and number of sends, a few hundred at most.

        Times are rounded up to a grid as fine as the shortest window demands that still counts them, and never into
        a shorter window. The grid is fixed, so that no number of hand-overs carries a time further.
        """
        counts: Counter[int] = Counter()
        spans = iter(self._spans)
        span = next(spans, None)
        newest = math.floor(now * _US)
        for time_s in reversed(self._log):
            while span is not None and now - time_s >= span.seconds:
                newest = math.floor((now - span.seconds) * _US)
                span = next(spans, None)
            if span is None:
                break
            grid = max(1, int(span.seconds * _US) // _GRID)
            # Half a microsecond off: times that were packed before must come out as they went in.
            exact = math.ceil(time_s * _US - 0.5)
            rounded = -(-exact // grid) * grid
            counts[max(exact, min(rounded, newest))] += 1
        return [[time_us, count] for time_us, count in sorted(counts.items())]


def _shared(requests: int, share: float) -> int:
    # A little more than the product: 0.29 * 100 is 28.999999999999996.
    return max(1, math.floor(requests * share + 1e-9))
