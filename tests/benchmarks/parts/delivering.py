"""A sync's run, as its op in Dagster makes it, with what it cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.components.sync_run import Order, SyncRunner
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from tests.benchmarks.parts.machine import HighWater, Timed


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run cost: seconds of wall time and CPU, MB at its peak; and what it did."""

    wall: float
    cpu: float
    peak_mb: int
    requests: int
    outcomes: Mapping[str, int]

    def figures(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "seconds": self.wall,
            "cpu_seconds": self.cpu,
            "peak_mb": self.peak_mb,
            "requests": self.requests,
            "outcomes": dict(self.outcomes),
        }


def deliver(sync: SyncSpec, environ: Mapping[str, str], partitions: Sequence[str], run: str) -> Cost:
    """Deliver stored partitions; imports are not part of it.

    Raises:
        RuntimeError: the run was stopped, or did not account for every row.
    """
    memory = HighWater()
    memory.reset()
    with Timed() as timed:
        result = SyncRunner(sync, Home.of(environ), environ=environ).run(Order(run, partitions))
    gap = sum(one.gap for one in result.results.values())
    if result.report.stopped or result.missing or gap:
        msg = f"the run tells nothing: {result.report.stopped or result.missing or f'{gap} rows unaccounted for'}"
        raise RuntimeError(msg)
    outcomes: Counter[str] = Counter()
    for one in result.results.values():
        outcomes.update({str(outcome): rows for outcome, rows in one.counts.items() if rows})
    return Cost(timed.wall, timed.cpu, memory.read(), result.report.traffic.requests, outcomes)
