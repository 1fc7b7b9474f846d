"""The account of one partition of a run of a sync: what its rows became, and what happened to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipelines.delivery.report import conservation_gap
from pipelines.delivery.upsert import UNDELIVERED, Built, Outcome
from pipelines.destinations.thresholds import WRONG


@dataclass(slots=True)
class Made:
    """What a partition's valid rows became, before anything was planned: upserts, of so many rows, or none and why."""

    upserts: int = 0
    rows: int = 0
    dropped: Counter[Outcome] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class PartitionResult:
    """The account of one partition: rows extracted, and how many of them ended with which outcome.

    `removed`, `removal_failed` and `removal_left` (nobody tried) count keys that the source no longer has. `made`: the
    upserts that there were to begin with.
    """

    extracted: int
    counts: Counter[Outcome]
    removed: int = 0
    removal_failed: int = 0
    removal_left: int = 0
    made: Made = field(default_factory=Made)

    @property
    def gap(self) -> int:
        """Rows that are not accounted for; anything but 0 is a defect."""
        return conservation_gap(self.counts, self.extracted)

    @property
    def wrong(self) -> int:
        """Rows that were rejected, invalid or quarantined."""
        return sum(self.counts[outcome] for outcome in WRONG)

    @property
    def undelivered(self) -> int:
        """Rows that failed, are unknown or were not sent."""
        return sum(self.counts[outcome] for outcome in UNDELIVERED)

    @property
    def red(self) -> str:
        """Why the partition may not be green, beside thresholds; empty: it may."""
        if self.gap:
            return f"{self.gap} of {self.extracted} rows are not accounted for: this is a defect, please report it"
        said = [f"{self.counts[one]} {one}" for one in UNDELIVERED if self.counts[one]]
        if self.removal_failed:
            said.append(f"{self.removal_failed} vanished keys could not be taken away")
        if self.removal_left:
            said.append(f"{self.removal_left} vanished keys were left as they are")
        return ", ".join(said)


def made_of(built: Built, partitions: Iterable[str]) -> dict[str, Made]:
    """What became of each partition's rows."""
    made = {partition: Made() for partition in partitions}
    for upsert in built.upserts:
        made[upsert.partition].upserts += 1
        made[upsert.partition].rows += len(upsert.rows)
    for dropped in built.dropped:
        made[dropped.partition].dropped[dropped.outcome] += len(dropped.rows)
    return made
