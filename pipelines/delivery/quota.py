"""What an API's own headers leave: so many requests until a reset."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.delivery.retry import served_at

FORGOTTEN_AFTER_S = 60.0
"""A request without an answer for so long is in flight no more; it is taken for one that the API has counted."""
_RESET_GRACE_S = 1.0
"""Resets are given in whole seconds."""
_SAME_RESET_S = 1.5
_NUMBER = re.compile(r"[0-9]{1,11}(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class RateHeaders:
    """The X-RateLimit headers of an answer; times in epoch seconds by the server's clock, None: not there."""

    limit: int | None = None
    remaining: int | None = None
    reset_at: float | None = None
    served_at: float | None = None


def rate_headers(headers: Mapping[str, str]) -> RateHeaders | None:
    """`X-RateLimit-Limit`, `-Remaining`, `-Reset` (Unix seconds) and `Date`; None where there is no such header.

    Source: https://developer.dnsimple.com/v2/ (the only one of the four APIs that documents such headers).
    """
    limit, remaining, reset = (_number(headers.get(f"x-ratelimit-{name}")) for name in ("limit", "remaining", "reset"))
    if limit is None and remaining is None and reset is None:
        return None
    return RateHeaders(
        None if limit is None else int(limit), None if remaining is None else int(remaining), reset, served_at(headers)
    )


class Quota:
    """Lets no more requests out than the newest headers leave, those in flight taken off, until their reset."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._reset_at = float("-inf")
        self._until = float("-inf")
        self._left = 0
        self._own: int | None = None
        self._unanswered: deque[float] = deque()

    def ready_at(self, now: float) -> float:
        """From when on the next request may leave; answers to come may make it sooner."""
        self._forget(now)
        if now >= self._until:
            return now
        free = self._left - len(self._unanswered)
        if self._own is not None:
            free = min(free, self._own)
        return now if free >= 1 else self._until

    def sent(self, now: float) -> None:
        """A request leaves."""
        self._unanswered.append(now)
        if self._own is not None:
            self._own -= 1

    def answered(self, *, told: bool) -> None:
        """One request less is in flight. What `told` nothing of the quota, or was lost, may have drained it."""
        if self._unanswered:
            self._unanswered.popleft()
            self._left -= not told

    def observe(self, now: float, remaining: int, reset_at: float, reset_in: float) -> None:
        """An answer's headers: `remaining` requests until `reset_at` by the server's clock, `reset_in` seconds hence.

        Answers overtake each other. Within one reset the smallest remainder is the newest, and what it has not
        counted is still unanswered; an earlier reset is old news.
        """
        if abs(reset_at - self._reset_at) <= _SAME_RESET_S:
            self._left = min(self._left, remaining)
            self._until = max(self._until, now + reset_in + _RESET_GRACE_S)
        elif reset_at > self._reset_at:
            self._reset_at = reset_at
            self._until = now + reset_in + _RESET_GRACE_S
            self._left = remaining
            mine = max(1, math.floor(remaining * self._share + 1e-9))
            self._own = None if self._share >= 1 else mine - len(self._unanswered)

    def _forget(self, now: float) -> None:
        while self._unanswered and self._unanswered[0] <= now - FORGOTTEN_AFTER_S:
            self._unanswered.popleft()
            self._left -= 1

    def shift(self, seconds: float) -> None:
        """The clock was set back by so many seconds."""
        self._until -= seconds
        self._unanswered = deque(time - seconds for time in self._unanswered)

    def state(self, now: float) -> dict[str, Any]:
        """As JSON, what still matters; what is in flight counts as used."""
        if now >= self._until:
            return {}
        left = self._left - len(self._unanswered)
        return {"reset_at": self._reset_at, "until": self._until, "left": left, "own": self._own}

    def restore(self, state: dict[str, Any], reserved: int) -> None:
        """Go on where the state ends; `reserved` requests more may have been made."""
        none = float("-inf")
        self._unanswered.clear()
        self._reset_at = state.get("reset_at", none)
        self._until = state.get("until", none)
        self._left = state.get("left", 0) - reserved
        own = state.get("own")
        self._own = None if own is None else own - reserved


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and _NUMBER.fullmatch(text.strip()) else None
