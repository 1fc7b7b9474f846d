"""What a delivery did, counted in source rows per partition, and why."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipelines.delivery.upsert import UNDELIVERED, Dropped, Outcome, Upsert

_EXAMPLES = 3
_LATENCY_SAMPLE = 10_000


@dataclass(slots=True)
class Reason:
    """Why rows ended with an outcome: how many, and a few keys to look at."""

    rows: int = 0
    keys: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Wire:
    """What went over the wire. `waited_s`: how long requests waited for the API's limit; `seconds`: answer times."""

    requests: int = 0
    retries: int = 0
    waited_s: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0
    seconds: list[float] = field(default_factory=list)

    def percentile(self, percent: int) -> float | None:
        """The answer time that so many percent of requests stayed within, in seconds; None: nothing was answered."""
        if not self.seconds:
            return None
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


@dataclass(slots=True)
class Traffic(Wire):
    """A run's traffic, and the part of it that served one partition each."""

    partitions: defaultdict[str, Wire] = field(default_factory=lambda: defaultdict(Wire))

    def note(self, partition: str | None, sent_bytes: int, received_bytes: int, seconds: float | None) -> None:
        """Count one request; `partition` where it served only one, `seconds` None where no answer came."""
        for wire in self._of(partition):
            wire.requests += 1
            wire.sent_bytes += sent_bytes
            wire.received_bytes += received_bytes
            if seconds is not None and len(wire.seconds) < _LATENCY_SAMPLE:
                wire.seconds.append(seconds)

    def note_wait(self, partition: str | None, seconds: float) -> None:
        """A request waited for the API's limit."""
        for wire in self._of(partition):
            wire.waited_s += seconds

    def note_retry(self, partition: str | None) -> None:
        """A request is sent again."""
        for wire in self._of(partition):
            wire.retries += 1

    def _of(self, partition: str | None) -> tuple[Wire, ...]:
        return (self,) if partition is None else (self, self.partitions[partition])


@dataclass(slots=True)
class Report:
    """The account of a delivery: `counts[partition][outcome]` in source rows, the reasons, the traffic.

    `removed`, `removal_failed` and `removal_left` (nobody tried) count keys that the source no longer has, by the
    partition that delivered them: no source row stands behind them. `stopped` says why nothing more was sent, `passing`
    whether that may pass by itself.
    """

    counts: defaultdict[str, Counter[Outcome]] = field(default_factory=lambda: defaultdict(Counter))
    reasons: defaultdict[str, defaultdict[tuple[Outcome, str], Reason]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(Reason))
    )
    traffic: Traffic = field(default_factory=Traffic)
    stopped: str = ""
    passing: bool = False
    notes: list[str] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)
    removal_failed: Counter[str] = field(default_factory=Counter)
    removal_left: Counter[str] = field(default_factory=Counter)

    def count(self, upsert: Upsert, outcome: Outcome, reason: str = "") -> None:
        """Account for an upsert's rows."""
        self._add(upsert.partition, outcome, len(upsert.rows), reason, upsert.key)

    def drop(self, dropped: Iterable[Dropped]) -> None:
        """Account for rows that never became an upsert."""
        for record in dropped:
            self._add(record.partition, record.outcome, len(record.rows), record.reason, record.key)

    def note_removal(self, partition: str, key: str, failure: str | None) -> None:
        """Account for a vanished key: taken away, or not, and then why."""
        if failure is not None:
            self.removal_failed[partition] += 1
            if self.removal_failed.total() <= _EXAMPLES:
                self.notes.append(f"{key} could not be taken away: {failure}")
        else:
            self.removed[partition] += 1

    @property
    def unsettled(self) -> set[str]:
        """The partitions of which something failed, is unknown, was not sent or not taken away."""
        rows = {partition for partition, counts in self.counts.items() if any(counts[one] for one in UNDELIVERED)}
        return rows | set(+self.removal_failed) | set(+self.removal_left)

    def total(self, outcome: Outcome) -> int:
        """Rows with this outcome, over all partitions."""
        return sum(counter[outcome] for counter in self.counts.values())

    def _add(self, partition: str, outcome: Outcome, rows: int, reason: str, key: str | None) -> None:
        self.counts[partition][outcome] += rows
        if reason:
            entry = self.reasons[partition][outcome, reason]
            entry.rows += rows
            if key is not None and len(entry.keys) < _EXAMPLES:
                entry.keys.append(key)


def conservation_gap(counts: Counter[Outcome], extracted: int) -> int:
    """Rows that are not accounted for: 0 wherever the product keeps its first promise."""
    return extracted - sum(counts.values())
