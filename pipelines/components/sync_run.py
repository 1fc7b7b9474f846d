"""One run of a sync, without Dagster: stored valid rows -> upserts -> delivery -> an account of every row.

Upserts are rebuilt from the stored rows each time, so that a retry of the failed days alone is right.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import orjson
import pandas as pd

from pipelines.delivery.caller import AccountRules, Caller
from pipelines.delivery.deliver import Delivery
from pipelines.delivery.http import HttpPort
from pipelines.delivery.ledger import Ledger, Priority, Run, Turn
from pipelines.delivery.pace import Pace
from pipelines.delivery.report import Report, conservation_gap
from pipelines.delivery.upsert import OPEN, Built, Outcome, Upsert
from pipelines.destinations.accounts import Account, read_account
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.names import quarantine_of, valid_of
from pipelines.tables.store import PartitionStore

_NEWER_AT_A_TIME = 7
_WRONG = (Outcome.REJECTED, Outcome.INVALID, Outcome.QUARANTINED)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a run."""

    run_id: str
    partitions: Sequence[str]
    priority: Priority = Priority.MANUAL
    resend_all: bool = False
    dry: bool = False


@dataclass(frozen=True, slots=True)
class PartitionResult:
    """The account of one partition: rows extracted, and how many of them ended with which outcome."""

    extracted: int
    counts: Counter[Outcome]

    @property
    def gap(self) -> int:
        """Rows that are not accounted for; anything but 0 is a defect."""
        return conservation_gap(self.counts, self.extracted)

    @property
    def wrong(self) -> int:
        """Rows that were rejected, invalid or quarantined."""
        return sum(self.counts[outcome] for outcome in _WRONG)

    @property
    def undelivered(self) -> int:
        """Rows that failed, are unknown or were not sent."""
        return sum(self.counts[outcome] for outcome in OPEN if outcome is not Outcome.REJECTED)


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a run of a sync did. `missing`: partitions whose table was never stored, and what to do about it."""

    results: Mapping[str, PartitionResult]
    report: Report
    missing: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class SyncRunner:
    """Runs one sync over stored partitions of its table."""

    sync: SyncSpec
    home: Home
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    progress: Progress | None = None

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
        built = self.sync.build(store.read(valid_of(self.sync.table), present))
        self._store_upserts(store, present, built)
        newest = {} if self.sync.dated else self._newer_in_store(store, present, stored, built.upserts)
        report = asyncio.run(self._deliver(account, order, built, newest))
        results = {partition: self._account(store, partition, report) for partition in present}
        return SyncResult(results, report, missing, time.monotonic() - started)

    async def _deliver(self, account: Account, order: Order, built: Built, newest: Mapping[str, str]) -> Report:
        ledger = Ledger(self.home.ledger_url)
        report = Report()
        destination = self.sync.connect(account)
        pace = Pace(account.limits.windows, share=self.sync.share)
        sandbox = account.mode == "sandbox"
        rules = AccountRules(
            account.name,
            account.url,
            destination.transient,
            when_refused="Start the sandbox with `pipelines sandbox`, or everything with `pipelines dev`."
            if sandbox
            else "",
            give_up_when_refused=sandbox,
            redact=account.redact,
        )
        try:
            async with self._port(account) as port:
                delivery = Delivery(
                    run=Run(order.run_id, self.sync.name, config_hash(self.sync)),
                    ledger=ledger,
                    scope=ledger.scope(
                        account.name, account.mode, account.address_hash, account.sandbox_id or "", time.time()
                    ),
                    turn=Turn(ledger, f"{account.mode}.{self.sync.quota or account.name}", order.priority, pace),
                    destination=destination,
                    caller=Caller(rules, port, pace, report.traffic),
                    limits=account.limits,
                    resend_all=order.resend_all,
                    dry=order.dry or account.mode == "dry",
                    report=report,
                    progress=self.progress,
                )
                return await delivery.deliver(built, newest)
        finally:
            ledger.close()

    def _port(self, account: Account) -> HttpPort:
        return HttpPort(
            base_url=account.url or "http://127.0.0.1",
            headers=account.headers,
            secrets=account.secrets,
            timeout_s=account.timeout_s,
            max_connections=account.limits.in_flight,
        )

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
        rows: dict[str, list[tuple[str, str, str, str, list[int]]]] = {partition: [] for partition in partitions}
        for upsert in built.upserts:
            payload = orjson.dumps(upsert.payload).decode()
            rows[upsert.partition].append((upsert.key, upsert.as_of, payload, upsert.fingerprint, list(upsert.rows)))
        columns = ["key", "as_of", "payload", "fingerprint", "rows"]
        store.write_all(
            upserts_of(self.sync.name),
            {partition: pd.DataFrame(found, columns=columns) for partition, found in rows.items()},
        )

    def _account(self, store: PartitionStore, partition: str, report: Report) -> PartitionResult:
        counts = Counter(report.counts[partition])
        counts[Outcome.QUARANTINED] = store.rows(quarantine_of(self.sync.table), partition)
        return PartitionResult(store.rows(self.sync.table, partition), counts)


def upserts_of(sync: str) -> str:
    """The name of the asset that holds a sync's upserts."""
    return f"{sync}_upserts"


def config_hash(sync: SyncSpec) -> str:
    """The hash of a sync's configuration, kept with every delivery."""
    return blake2b(sync.model_dump_json().encode(), digest_size=8).hexdigest()
