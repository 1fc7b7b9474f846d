"""The circuit breaker: a sick API is left alone for a while, then asked with one request whether it is well again.

Closed, every request may leave. A number of failures in a row opens it: nothing leaves until a cool-down is over. Then
it is half-open: one request at a time goes out as a probe, and all others wait for what becomes of it. A probe that
fares well closes it, one that fails opens it for a longer cool-down, and after some of those the run gives up.

Reads and writes fail in rows of their own, since an API may answer every look-up while all its writes fail: a write
that fares well ends both rows, a read only that of the reads. All times are epoch seconds; what is known passes with
the pace from holder to holder and from run to run.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When it opens, and for how long: times in seconds.

    `failures` requests of a kind in a row, each failed for good, open it for the first of `cooldowns_s`. A failed probe
    opens it for the next one (the last is repeated), and after `probes` of them the run gives up. `memory_s`: what an
    earlier holder or run found counts for so long.
    """

    failures: int = 5
    cooldowns_s: tuple[float, ...] = (15.0, 30.0, 60.0)
    probes: int = 3
    memory_s: float = 900.0


class Breaker:
    """The state of one account's breaker. It decides and remembers; whoever sends waits and asks."""

    def __init__(self, policy: BreakerPolicy | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._policy = policy or BreakerPolicy()
        self._clock = clock
        self._seen = float("-inf")
        self._rows: Counter[str] = Counter()
        self._failing: str | None = None
        self._failed_at = float("-inf")
        self._until = float("-inf")
        self._probing = False
        self.failed_probes = 0

    @property
    def closed(self) -> bool:
        """Whether every request may leave."""
        return self._failing is None

    @property
    def probing(self) -> bool:
        """Whether a probe is out, for whose end all others wait."""
        return self._probing

    @property
    def worn_out(self) -> bool:
        """Whether so many probes failed that the run gives up."""
        return self.failed_probes >= self._policy.probes

    @property
    def row(self) -> int:
        """How many requests of the failing kind failed in a row, probes and those of earlier holders included."""
        return self._rows[self._failing] if self._failing else 0

    def due_in(self) -> float:
        """Seconds until a probe may leave; 0: at once, or it is closed."""
        now = self._now()
        return 0.0 if self.closed else max(0.0, self._until - now)

    def take_probe(self) -> bool:
        """Go out as the probe, if one may leave now; it ends by `note` or `drop_probe`."""
        if self.closed or self._probing or self.due_in() > 0:
            return False
        self._probing = True
        return True

    def drop_probe(self) -> None:
        """The probe told nothing: it never left, or was answered by what concerns no health, such as a 401."""
        self._probing = False

    def note(self, kind: Kind, *, well: bool, probe: bool) -> None:
        """What became of a request in the end. Where it is open, only the probe counts: others had left before."""
        if probe:
            self._probing = False
        elif not self.closed:
            return
        if well:
            self._fared_well(kind)
        else:
            self._failed(kind, probe=probe)

    def state(self) -> dict[str, Any]:
        """As JSON, what the next holder should know; empty where all is well."""
        self._now()
        rows = {kind: row for kind, row in self._rows.items() if row}
        if self.closed and not rows:
            return {}
        state: dict[str, Any] = {"failed_at": self._failed_at, "rows": rows}
        return state if self.closed else state | {"failing": self._failing, "until": self._until}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where another holder's state ends. An open one waits for the rest of its cool-down, then probes."""
        now = self._now()
        self._probing = False
        failed_at = min(state.get("failed_at", float("-inf")), now)
        if now - failed_at > self._policy.memory_s:
            state = {}
        self._failed_at = failed_at
        self._rows = Counter(state.get("rows", {}))
        self._failing = state.get("failing")
        if self.closed:
            self.failed_probes = 0
        # A clock that was set back must not lengthen a cool-down.
        self._until = min(state.get("until", now), now + max(self._policy.cooldowns_s))

    def _fared_well(self, kind: Kind) -> None:
        self._rows["read"] = 0
        if kind == "write":
            self._rows["write"] = 0
        if self._failing in (kind, "read"):
            self._failing = None
            self.failed_probes = 0

    def _failed(self, kind: Kind, *, probe: bool) -> None:
        now = self._failed_at = self._now()
        self._rows[kind] += 1
        self.failed_probes += probe
        if probe or self._rows[kind] >= self._policy.failures:
            self._failing = self._failing or kind
            cooldowns = self._policy.cooldowns_s
            # A run that gives up waits for nothing: the next one may probe at once.
            cooldown = 0.0 if self.worn_out else cooldowns[min(self.failed_probes, len(cooldowns) - 1)]
            self._until = now + cooldown

    def _now(self) -> float:
        now = self._clock()
        if now < self._seen:
            self._until -= self._seen - now
            self._failed_at -= self._seen - now
        self._seen = now
        return now
