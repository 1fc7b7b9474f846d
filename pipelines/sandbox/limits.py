"""Limits of requests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

_SHORTEST_WAIT_S = 1e-6
"""A refusal always names a wait, also where rounding leaves none."""


class Limit(BaseModel):
    """At most `requests` in a span of `seconds`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: int = Field(ge=1)
    seconds: float = Field(gt=0)
    window: Literal["sliding", "fixed"] = Field(
        default="sliding",
        description="Any span of that length, or spans that open with the first request after the last one ended.",
    )
    enforce: bool = Field(default=True, description="Answer 429 above the limit; otherwise only count `over_limit`.")
    retry_after: Literal["none", "seconds", "date"] = Field(
        default="none", description="The Retry-After header of the 429, and its form."
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a request stands: seconds until one may pass (0: this one may), requests left, seconds until a new span."""

    wait: float
    remaining: int
    reset_in: float


class Meter:
    """Counts requests against a limit; one that is refused takes no place.

    `over` and `busiest` are about every span of the limit's length, whatever its window: `over` counts the requests
    that came when such a span was full, `busiest` is the largest number in one.
    """

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self.busiest = 0
        self.over = 0
        self._times: deque[float] = deque()
        self._opened = float("-inf")
        self._used = 0

    def admit(self, now: float) -> Standing:
        """Count a request that came at a time of the monotonic clock."""
        limit, times = self.limit, self._times
        while times and times[0] <= now - limit.seconds:
            times.popleft()
        if now >= self._opened + limit.seconds:
            self._opened, self._used = now, 0
        if len(times) >= limit.requests:
            self.over += 1
        wait = self._wait(now)
        if wait and limit.enforce:
            return Standing(wait, 0, wait)
        times.append(now)
        self._used += 1
        self.busiest = max(self.busiest, len(times))
        fixed = limit.window == "fixed"
        used, since = (self._used, self._opened) if fixed else (len(times), times[0])
        return Standing(0.0, max(limit.requests - used, 0), since + limit.seconds - now)

    def _wait(self, now: float) -> float:
        limit, times = self.limit, self._times
        if limit.window == "fixed":
            full, opens = self._used >= limit.requests, self._opened
        else:
            full = len(times) >= limit.requests
            opens = times[-limit.requests] if full else now
        return max(opens + limit.seconds - now, _SHORTEST_WAIT_S) if full else 0.0
