"""A few keys of a sync, sent by hand: which ones, why others are not, and what became of them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

from pipelines.components.chosen_partitions import chosen_partitions
from pipelines.components.said import what_is_said
from pipelines.components.story import tell
from pipelines.components.sync_run import Order, SyncRunner
from pipelines.components.watching import Show, watched
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.upsert import ACCEPTED, Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.names import valid_of
from pipelines.tables.spec import AnyTable
from pipelines.tables.store import PartitionStore

_SETTLED = ACCEPTED | {Outcome.UNCHANGED, Outcome.SUPERSEDED}
_WORDS = {
    Outcome.UNCHANGED: "unchanged: the account has accepted exactly this already",
    Outcome.SUPERSEDED: "superseded: a newer reading of it was delivered, or is stored",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be sent. `unsent`: keys that were asked for and would not be sent, and why.

    `more`: how many other keys a run over these partitions would send; None: nobody has counted them.
    """

    partitions: Sequence[str] = ()
    keys: Sequence[str] = ()
    unsent: Mapping[str, str] = field(default_factory=dict)
    more: int | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of each chosen key, and why, in the run of that id. `stopped`: why the rest was not sent."""

    run: str
    outcomes: Mapping[str, tuple[Outcome, str]] = field(default_factory=dict)
    stopped: str = ""
    notes: Sequence[str] = ()

    @property
    def well(self) -> bool:
        """Whether the account holds all of it."""
        return all(outcome in _SETTLED for outcome, _ in self.outcomes.values())


@dataclass(frozen=True, slots=True)
class ByHand:
    """Sends a few keys through the same engine as a run."""

    sync: SyncSpec
    table: AnyTable
    home: Home
    folder: Path

    def choose(self, limit: int | None, keys: Sequence[str], partitions: str | None) -> Choice:
        """The first `limit` keys that a run would send, or these keys as far as it would.

        Raises:
            ConfigurationError: the sync is in mode dry; neither or both of limit and keys; no such partition is stored.
        """
        if self.sync.mode == "dry":
            raise ConfigurationError(
                f"sync {self.sync.name} is in mode dry, which reaches no account: nothing is sent",
                do="See `pipelines plan`, or say mode: sandbox or mode: live in the sync.",
            )
        if (limit is None) is (not keys):
            raise ConfigurationError("which keys are to be sent?", do="Say either --limit N or --key KEY.")
        store = PartitionStore(self.home.store_url)
        if limit is not None:
            return self._first(limit, chosen_partitions(self.sync, self.table, store, partitions))
        if partitions is not None:
            return self._these(keys, chosen_partitions(self.sync, self.table, store, partitions))
        found = {one.partition for key in keys for one in what_is_said(self.sync, store, key).newest}
        return self._these(keys, sorted(found) or chosen_partitions(self.sync, self.table, store, None))

    def send(self, choice: Choice, show: Show) -> Sent:
        """Deliver the chosen keys, and show each request as it is answered.

        Raises:
            ConfigurationError, AccountUnavailable, LedgerError, TableError: as `SyncRunner.run`.
        """
        run = f"send-{uuid.uuid4()}"
        if not choice.keys:
            return Sent(run)
        order = Order(run, choice.partitions, keys=frozenset(choice.keys))
        runner = self._runner
        report = replace(runner, open_port=watched(show, runner.open_port)).run(order).report
        outcomes = report.keys or {}
        return Sent(run, {key: outcomes[key] for key in choice.keys}, report.stopped, report.notes)

    @property
    def _runner(self) -> SyncRunner:
        return SyncRunner(self.sync, self.home, self.table, self.folder)

    def _first(self, limit: int, partitions: Sequence[str]) -> Choice:
        plan = self._runner.run(Order("plan", partitions, dry=True, sample=0)).preview
        sending = [upsert.key for upsert in plan.sending] if plan else []
        return Choice(partitions, sending[:limit], more=len(sending[limit:]))

    def _these(self, keys: Sequence[str], partitions: Sequence[str]) -> Choice:
        result = self._runner.run(Order("plan", partitions, dry=True, sample=0, keys=frozenset(keys)))
        sending = [upsert.key for upsert in result.preview.sending] if result.preview else []
        outcomes = result.report.keys or {}
        unsent = {key: self._why_not(key, outcomes.get(key), partitions) for key in keys if key not in sending}
        return Choice(partitions, sending, unsent)

    def _why_not(self, key: str, planned: tuple[Outcome, str] | None, partitions: Sequence[str]) -> str:
        if planned is not None:
            outcome, reason = planned
            return _WORDS.get(outcome) or f"{outcome}: {reason}"
        story = tell(self.sync, key, self.home, offline=True)
        if story.said.newest:
            place = story.said.newest[0].partition
            return f"its newest row stands in {place}: leave --partitions out, or say --partitions {place}"
        if story.said.quarantined:
            return f"its row in {story.said.quarantined[0][0]} is in quarantine"
        if story.said.dropped:
            return f"{story.said.dropped[0].outcome}: {story.said.dropped[0].reason}"
        if story.known:
            return "the source has no valid row of it any more; `pipelines send` takes nothing away"
        near = self._near(key, partitions, story.similar)
        return f"nothing is known of this key: no stored row makes it.{near}"

    def _near(self, key: str, partitions: Sequence[str], similar: Sequence[str]) -> str:
        store = PartitionStore(self.home.store_url)
        asset = valid_of(self.sync.table)
        newest = [one for one in store.partitions(asset) if one in partitions][-1:]
        keys = {upsert.key for upsert in self.sync.build(store.read(asset, newest)).upserts} if newest else set()
        close = get_close_matches(key, sorted({*keys, *similar}), n=3, cutoff=0.5)
        return f" Did you mean {' or '.join(close)}?" if close else ""
