"""What came in: every HTTP request to an API, by route and by what was answered."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pipelines.sandbox.limits import Meter
from pipelines.sandbox.settings import ApiSettings

UNANSWERED = "none"
"""Counted as status where a request got no whole answer: dropped, cut off, never answered, or the client left."""


@dataclass(slots=True)
class RouteCount:
    """Requests and statuses of one method and path pattern."""

    requests: int = 0
    statuses: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class ApiCounts:
    """Requests of one API since the last reset of the counts.

    A request is in flight from its head to its answer: without latency or a fault the sandbox answers each at once.
    """

    meters: dict[bool, Meter | None] = field(default_factory=dict)
    """By whether a request has the right credentials."""
    requests: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    routes: dict[str, RouteCount] = field(default_factory=dict)
    in_flight: int = 0
    in_flight_peak: int = 0

    def arrive(self, route: str) -> None:
        """A request has come in."""
        self.requests += 1
        self.in_flight += 1
        self.in_flight_peak = max(self.in_flight_peak, self.in_flight)
        self.routes.setdefault(route, RouteCount()).requests += 1

    def leave(self, route: str, status: int | None) -> None:
        """It was answered, or not."""
        label = UNANSWERED if status is None else str(status)
        self.in_flight -= 1
        self.statuses[label] += 1
        self.routes.setdefault(route, RouteCount()).statuses[label] += 1

    def limited_by(self, settings: ApiSettings) -> None:
        """Count against the limits of these settings from now on; what an unchanged limit has counted stays."""
        known = {meter.limit: meter for meter in self.meters.values() if meter}
        for authenticated in (True, False):
            limit = settings.limit_for(authenticated=authenticated)
            if limit is not None and limit not in known:
                known[limit] = Meter(limit)
            self.meters[authenticated] = known[limit] if limit else None

    def reset(self) -> None:
        """Start again at nothing; what is in flight stays so."""
        self.requests = 0
        self.statuses.clear()
        self.routes.clear()
        self.in_flight_peak = self.in_flight
        for meter in self._distinct_meters():
            meter.over = meter.busiest = 0

    def as_json(self) -> dict[str, Any]:
        """The counts for `/control/counts`."""
        return {
            "requests": self.requests,
            "statuses": dict(sorted(self.statuses.items())),
            "routes": {
                name: {"requests": route.requests, "statuses": dict(sorted(route.statuses.items()))}
                for name, route in sorted(self.routes.items())
            },
            "in_flight_peak": self.in_flight_peak,
            "over_limit": sum(meter.over for meter in self._distinct_meters()),
            "busiest_window": max((meter.busiest for meter in self._distinct_meters()), default=0),
        }

    def _distinct_meters(self) -> list[Meter]:
        return list({id(meter): meter for meter in self.meters.values() if meter}.values())
