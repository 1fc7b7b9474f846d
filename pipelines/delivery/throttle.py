"""The rate that adapts to an API's refusals: halved by a 429, raised again step by step while answers are accepted."""

from __future__ import annotations

from typing import Any

CUT = 0.5
"""What a 429 leaves of the rate."""
CLIMB_S = 40.0
"""The rate climbs by its former self in so many seconds: the half that a cut took is back after twenty."""
PAUSE_S = 1.0
"""How long nothing is sent after a 429 that does not say how long to wait."""
_BIGGEST_STEP = 0.1
_LEAST_RATE = 1 / 60
_SLACK_S = 0.05
"""A send that comes late by up to this (timers are never exact) does not lower the rate."""


class Throttle:
    """Requests per second at most, spaced evenly; without a 429, no bound at all. Times are epoch seconds."""

    def __init__(self, cap: float | None) -> None:
        """`cap`: the rate from which the known windows alone are enough; None where none is known."""
        self._cap = cap
        self._rate: float | None = None
        self._peak = 0.0
        self._cut_at = float("-inf")
        self._slot = float("-inf")
        self._not_before = float("-inf")

    @property
    def bounded(self) -> bool:
        """Whether there is a rate to cut without knowing what was sent of late."""
        return self._rate is not None or self._cap is not None

    @property
    def resumed_at(self) -> float:
        """When the last pause ended or will end."""
        return self._not_before

    def ready_at(self) -> float:
        """From when on the next request may leave."""
        if self._rate is None:
            return self._not_before
        return max(self._not_before, self._slot + 1 / self._rate)

    def sent(self, now: float) -> None:
        """A request leaves."""
        if self._rate is not None:
            self._slot = max(self._slot + 1 / self._rate, now - _SLACK_S)

    def cut(self, now: float, pause_s: float, *, observed: float | None, sent_at: float) -> None:
        """A 429: pause, and halve the rate unless the refused request left before the last cut.

        `observed`: requests per second of late; what is halved is the least of it, the rate and the cap.
        """
        self._not_before = max(self._not_before, now + pause_s)
        if sent_at <= self._cut_at:
            return
        current = min(rate for rate in (observed, self._rate, self._cap) if rate is not None)
        self._peak = self._cap or max(self._peak, current)
        self._rate = max(current * CUT, _LEAST_RATE)
        self._cut_at = self._slot = now

    def climb(self, now: float) -> None:
        """An accepted answer: one step up. Answers that come during the pause were asked for before it."""
        if self._rate is None or now < self._not_before:
            return
        rate = self._rate + min(self._peak / (CLIMB_S * self._rate), self._peak * _BIGGEST_STEP)
        self._rate = None if self._cap is not None and rate >= self._cap else rate

    def shift(self, seconds: float) -> None:
        """The clock was set back by so many seconds."""
        self._cut_at -= seconds
        self._slot -= seconds
        self._not_before -= seconds

    def state(self, now: float) -> dict[str, Any]:
        """As JSON, what still matters."""
        state: dict[str, Any] = {}
        if self._not_before > now:
            state["not_before"] = self._not_before
        if self._rate is not None:
            state |= {"rate": self._rate, "peak": self._peak, "cut_at": self._cut_at, "slot": self._slot}
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where the state ends."""
        none = float("-inf")
        self._not_before = state.get("not_before", none)
        self._rate = state.get("rate")
        self._peak = state.get("peak", 0.0)
        self._cut_at = state.get("cut_at", none)
        self._slot = state.get("slot", none)
