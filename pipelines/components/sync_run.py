"""One run of a sync, without Dagster: stored valid rows -> upserts -> delivery -> an account of every row.

Upserts are rebuilt from the stored rows each time, so that a retry of the failed days alone is right.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import orjson
import pyarrow as pa

from pipelines.components.partition_result import Made, PartitionResult, made_of
from pipelines.components.planning import Preview, preview
from pipelines.components.vanishing import NotListed, NotSeen, vanishing_of
from pipelines.components.way import Errand, OpenPort, http_port, open_way
from pipelines.delivery.caller import Patience
from pipelines.delivery.cycles import no_cycles
from pipelines.delivery.deliver import Delivery
from pipelines.delivery.gates import Gates
from pipelines.delivery.ledger import Ledger, Priority, Run
from pipelines.delivery.report import Report
from pipelines.delivery.upsert import Built, Dropped, Outcome, Upsert
from pipelines.destinations.accounts import Account, read_account
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.names import quarantine_of, valid_of
from pipelines.tables.spec import AnyTable
from pipelines.tables.store import PartitionStore

_NEWER_AT_A_TIME = 7
_NOT_CHOSEN = "it is not among the keys that were chosen: a later run sends it"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a run.

    `resend_before`: send also what is unchanged and was accepted before this Unix time. `override`: why this run may
    break the ceilings. `dry`: plan only, and show so many changes (`sample`) of each partition; None: all. `keys`:
    nothing but these is delivered, or planned; of their outcomes the report tells each, and no key is taken away.
    """

    run_id: str
    partitions: Sequence[str]
    priority: Priority = Priority.MANUAL
    resend_before: float | None = None
    dry: bool = False
    override: str = ""
    keys: Collection[str] | None = None
    sample: int | None = 20


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a run of a sync did. `missing`: partitions whose table was never stored, and what to do about it.

    `preview`: of a dry run, what it would do.
    """

    results: Mapping[str, PartitionResult]
    report: Report
    missing: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    preview: Preview | None = None


class _Wanted(NamedTuple):
    built: Built
    newest: Mapping[str, str]
    vanishing: NotSeen | NotListed | None


@dataclass(frozen=True, slots=True)
class SyncRunner:
    """Runs one sync over stored partitions of its table.

    `table`, and the `folder` that its `files` are relative to, are needed where vanished keys are taken away.
    """

    sync: SyncSpec
    home: Home
    table: AnyTable | None = None
    folder: Path = field(default_factory=Path)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    progress: Progress | None = None
    patience: Patience = field(default_factory=Patience)
    open_port: OpenPort = http_port

    def run(self, order: Order) -> SyncResult:
        """Deliver the partitions.

        Raises:
            ConfigurationError: the sync or its account's settings cannot be used; nothing was sent.
            AccountUnavailable: mode sandbox, and this home never had a sandbox.
            LedgerError: the ledger cannot be used.
            TableError: a stored partition cannot be read.
        """
        started = time.monotonic()
        store = PartitionStore(self.home.store_url)
        account = read_account(
            self.sync.account, self.sync.settings, self.sync.mode, home=self.home, environ=self.environ
        )
        stored = set(store.partitions(valid_of(self.sync.table)))
        present = [partition for partition in order.partitions if partition in stored]
        missing = {
            partition: f"the table {self.sync.table} was never extracted for it"
            for partition in order.partitions
            if partition not in stored
        }
        if not present:
            return SyncResult({}, Report(), missing, time.monotonic() - started)
        with closing(Ledger(self.home.ledger_url)) as ledger:
            run = Run(order.run_id, self.sync.name, config_hash(self.sync), ledger.clock(), present)
            wanted = self._read(store, order, present, stored)
            if order.keys is not None:
                run = replace(run, partitions=sorted({one.partition for one in wanted.built.upserts}))
            report, foreseen = asyncio.run(self._deliver(account, order, ledger, run, wanted))
        report.notes.extend(wanted.vanishing.notes if wanted.vanishing else ())
        made = made_of(wanted.built, present)
        results = {
            partition: self._account(store, partition, report, made[partition], last=max(present))
            for partition in present
        }
        return SyncResult(results, report, missing, time.monotonic() - started, foreseen)

    def _plans(self, order: Order) -> bool:
        """Whether nothing is sent or written down."""
        return order.dry or self.sync.mode == "dry"

    def _read(self, store: PartitionStore, order: Order, present: Sequence[str], stored: Collection[str]) -> _Wanted:
        built = self.sync.build(store.read(valid_of(self.sync.table), present))
        vanishing = vanishing_of(
            self.sync, self.table, built, present, store=store, folder=self.folder, environ=self.environ
        )
        if isinstance(vanishing, NotListed):
            built = vanishing.built
        if order.keys is not None:
            built, vanishing = _chosen(built, order.keys), None
        elif not self._plans(order):
            with no_cycles():
                self._store_upserts(store, present, built)
        newest = {} if self.sync.dated else self._newer_in_store(store, present, stored, built.upserts)
        return _Wanted(built, newest, vanishing)

    async def _deliver(
        self,
        account: Account,
        order: Order,
        ledger: Ledger,
        run: Run,
        wanted: _Wanted,
    ) -> tuple[Report, Preview | None]:
        report = Report(keys=None if order.keys is None else {})
        dry = self._plans(order)
        errand = Errand(
            order.priority,
            report.traffic,
            order.run_id,
            self.patience,
            self.open_port,
            self.sync.max_minutes,
            plans=dry,
        )
        async with open_way(self.sync, account, ledger, errand) as way:
            delivery = Delivery(
                run=run,
                ledger=way.ledger,
                scope=way.scope,
                turn=way.turn,
                destination=way.destination,
                caller=way.caller,
                limits=account.limits,
                gates=Gates(
                    way.ledger,
                    way.scope,
                    run,
                    self.sync.ceilings.ceilings(),
                    override=order.override,
                    park_after=self.sync.park_after,
                ),
                resend_before=order.resend_before,
                dry=dry,
                report=report,
                progress=self.progress,
            )
            await delivery.deliver(*wanted)
            if delivery.foreseen is None:
                return report, None
            notes = wanted.vanishing.notes if wanted.vanishing else ()
            plan = await preview(
                self.sync, way, delivery.foreseen, partitions=run.partitions, sample=order.sample, notes=notes
            )
            return report, plan

    def _newer_in_store(
        self, store: PartitionStore, present: Sequence[str], stored: Collection[str], upserts: Iterable[Upsert]
    ) -> dict[str, str]:
        """Newest stored `as_of` of these keys outside this run, looked for from the newest partition backwards."""
        others = sorted((p for p in stored if p > min(present) and p not in set(present)), reverse=True)
        wanted = {upsert.key for upsert in upserts}
        newest: dict[str, str] = {}
        for start in range(0, len(others), _NEWER_AT_A_TIME):
            frame = store.read(valid_of(self.sync.table), others[start : start + _NEWER_AT_A_TIME])
            for upsert in self.sync.build(frame).upserts:
                if upsert.key in wanted:
                    newest[upsert.key] = max(upsert.as_of, newest.get(upsert.key, ""))
            if wanted <= newest.keys():
                break
        return newest

    def _store_upserts(self, store: PartitionStore, partitions: Sequence[str], built: Built) -> None:
        """Keep what the run wants to be true, per partition, for people and for `pipelines why`."""
        found: dict[str, list[Upsert]] = {partition: [] for partition in partitions}
        for upsert in built.upserts:
            found[upsert.partition].append(upsert)
        store.write_all(upserts_of(self.sync.name), {partition: _table(some) for partition, some in found.items()})

    def _account(
        self, store: PartitionStore, partition: str, report: Report, made: Made, *, last: str
    ) -> PartitionResult:
        counts = Counter(report.counts[partition])
        counts[Outcome.QUARANTINED] = store.rows(quarantine_of(self.sync.table), partition)
        # A key that shows the latest of many partitions is taken away in the newest one of the run.
        removals = (
            counter[partition] if self.sync.dated else counter.total() if partition == last else 0
            for counter in (report.removed, report.removal_failed, report.removal_left)
        )
        return PartitionResult(store.rows(self.sync.table, partition), counts, *removals, made=made)


def _chosen(built: Built, keys: Collection[str]) -> Built:
    """The same with all upserts of other keys as not sent."""
    left = [
        Dropped(Outcome.NOT_SENT, one.partition, one.rows, _NOT_CHOSEN, one.key)
        for one in built.upserts
        if one.key not in keys
    ]
    return Built([one for one in built.upserts if one.key in keys], [*built.dropped, *left])


def _table(upserts: Sequence[Upsert]) -> pa.Table:
    """Upserts as they are stored."""
    return pa.table(
        {
            "key": pa.array([upsert.key for upsert in upserts], pa.string()),
            "as_of": pa.array([upsert.as_of for upsert in upserts], pa.string()),
            "payload": pa.array([orjson.dumps(upsert.payload) for upsert in upserts], pa.binary()).cast(pa.string()),
            "fingerprint": pa.array([upsert.fingerprint for upsert in upserts], pa.string()),
            "rows": pa.array([upsert.rows for upsert in upserts], pa.list_(pa.int64())),
        }
    )


def upserts_of(sync: str) -> str:
    """The name of the asset that holds a sync's upserts."""
    return f"{sync}_upserts"


def config_hash(sync: SyncSpec) -> str:
    """The hash of a sync's configuration, kept with every delivery."""
    return blake2b(sync.model_dump_json().encode(), digest_size=8).hexdigest()
