"""How much of an API's allowance is used, and that it is never exceeded: one process, and two on one account."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.parts import rows
from tests.benchmarks.parts.delivering import deliver
from tests.benchmarks.parts.machine import apart, at_once, say
from tests.benchmarks.parts.server import Server
from tests.benchmarks.parts.windows import allowance_used, busiest, longest_pause, over_limit, tightest
from tests.postgres import running

_UNITS = {1: "s", 60: "min", 3600: "h"}


@dataclass(frozen=True, slots=True)
class Limit:
    """`requests` in any `seconds` (1, 60 or 3600); `told` by the answers' headers too, or only configured."""

    requests: int
    seconds: int
    told: bool = False

    @classmethod
    def parse(cls, text: str) -> Limit:
        """`40/1`, or `120/60h`: the h means headers."""
        requests, seconds = text.removesuffix("h").split("/")
        return cls(int(requests), int(seconds), text.endswith("h"))

    @property
    def rate(self) -> str:
        """As an account's setting."""
        return f"{self.requests}/{_UNITS[self.seconds]}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Limits and durations."""
    parser.add_argument(
        "--limits",
        nargs="+",
        type=Limit.parse,
        default=[Limit(40, 1), Limit(10, 1), Limit(120, 60)],
        help="requests/seconds (1, 60 or 3600); 120/60h: the server's headers tell of it too, in fixed spans",
    )
    parser.add_argument("--spans", type=int, default=3, help="spans that each measurement lasts at least")
    parser.add_argument("--seconds", type=float, default=20, help="seconds that each measurement lasts at least")
    parser.add_argument("--latency-ms", type=float, default=20, help="the server's answer time")
    parser.add_argument("--in-flight", type=int, default=4, help="requests in flight")
    parser.add_argument(
        "--ledgers", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"], help="ledgers"
    )
    parser.add_argument("--processes", nargs="+", type=int, default=[1, 2], help="processes on the account")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    figures: list[dict[str, Any]] = []
    with ExitStack() as stack:
        fresh = stack.enter_context(running()) if "postgresql" in arguments.ledgers else None
        for limit in arguments.limits:
            for ledger in arguments.ledgers:
                for processes in arguments.processes:
                    with _ledger_url(ledger, fresh) as url:
                        figures.append(_measure(limit, ledger, url, processes, arguments))
                    say(figures[-1])
    used = [one["allowance_used"] for one in figures if one["allowance_used"] is not None]
    return {
        "measured": figures,
        "least_allowance_used": min(used, default=None),
        "over_limit": sum(one["over_limit"] for one in figures),
    }


@contextmanager
def _ledger_url(ledger: str, fresh: Callable[[], str] | None) -> Iterator[str | None]:
    """A PostgreSQL ledger's address; none for the home's own file."""
    yield fresh() if ledger == "postgresql" and fresh is not None else None


def _measure(
    limit: Limit, ledger: str, ledger_url: str | None, processes: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    spans = max(arguments.spans, arguments.seconds / limit.seconds)
    total = int(limit.requests * (spans + 0.5))
    quota = (limit.requests, limit.seconds) if limit.told else None
    with tempfile.TemporaryDirectory() as name, Server(arguments.latency_ms, quota) as server:
        folder = Path(name)
        environ = rows.accounts(server.url, folder / "home", arguments.in_flight, BOARD_RATE=limit.rate)
        if ledger_url is not None:
            environ["PIPELINES_LEDGER_URL"] = ledger_url
        day = rows.days(1)
        rows.write_readings(folder, -(-total // processes), 1)
        tables = [f"readings_{number}" for number in range(processes)]
        for table in tables:
            apart(rows.store, rows.readings(table), folder, environ, day)
        syncs = [rows.board(f"board_{table}", table) for table in tables]
        costs = at_once(deliver, [(sync, environ, day, f"run of {sync.name}") for sync in syncs])
        times = server.arrivals()
    return {
        "limit": f"{limit.requests} in {limit.seconds} s",
        "told_by_headers": limit.told,
        "ledger": ledger,
        "processes": processes,
        "requests": len(times),
        "seconds": round(times[-1] - times[0], 2),
        "allowance_used": allowance_used(times, limit.requests, limit.seconds),
        "over_limit": over_limit(times, limit.requests, limit.seconds),
        "busiest": busiest(times, limit.seconds),
        "tightest_seconds": tightest(times, limit.requests),
        "longest_pause": longest_pause(times),
        "outcomes": [dict(cost.outcomes) for cost in costs],
    }
