"""Standing checks that ask no API: freshness, failed partitions, rows that stay open."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg

from pipelines.components.events import CheckOutcome
from pipelines.components.operations.due import due_of, grace, last_tick
from pipelines.components.partitions import partitions_of
from pipelines.components.reasons import SHOWN, bounded
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.scopes import current_scope
from pipelines.delivery.ledger.standing import long_open
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.grains import SNAPSHOT, Calendar
from pipelines.tables.spec import AnyTable, TableSpec

_WARN = dg.AssetCheckSeverity.WARN
_DAY_S = 86_400.0


def due_partition(table: TableSpec, now: datetime) -> str | None:
    """The newest partition that should have been extracted and delivered by now; None: none yet.

    It has ended, its schedule's time has come since, and `late_after` has passed.
    """
    if table.schedule is None:
        return None
    for key in reversed(Calendar.of(table).newest(now, 3)):
        late_at = due_of(table, key).late_at
        if late_at is not None and late_at <= now:
            newest = min(key, table.end or key)
            return newest if newest >= str(table.start) else None
    return None


def due_since(table: AnyTable, now: datetime) -> datetime | None:
    """Since when a snapshot should have been extracted and delivered anew; None: it has no schedule."""
    tick = last_tick(table, now - grace(table))
    return tick and tick.astimezone(ZoneInfo(table.timezone))


@dataclass(frozen=True, slots=True)
class AssetLook:
    """An asset of a table or of one of its syncs, and whoever knows what became of its partitions."""

    asset: dg.AssetKey
    table: AnyTable
    instance: dg.DagsterInstance

    def freshness(self, now: datetime) -> CheckOutcome:
        """Whether the newest partition that is due is there. A backfill of older ones changes nothing about that."""
        table, name = self.table, self.asset.to_user_string()
        if table.schedule is None:
            return CheckOutcome(True, {"why": f"table {table.name} has no schedule, so that nothing is ever late"})
        if not isinstance(table, TableSpec) or table.grain == SNAPSHOT:
            return self._snapshot_freshness(now)
        due = due_partition(table, now)
        if due is None:
            return CheckOutcome(True, {"why": "no partition is due yet"})
        status = self._statuses([due]).get(due)
        working = status == "IN_PROGRESS"
        if status == "MATERIALIZED" or (working and self._made(due)):
            return CheckOutcome(True, {"why": f"{due}, the newest partition that is due, is there", "partition": due})
        what = {"FAILED": "has failed", "IN_PROGRESS": "is still running"}.get(status or "", "is missing")
        return CheckOutcome(
            passed=False,
            severity=_WARN if working else dg.AssetCheckSeverity.ERROR,
            metadata={
                "why": f"{due}, the newest partition that is due, {what} in {name}",
                "partition": due,
                "what_to_do": f"Is the schedule {table.name}_schedule on, and the daemon running? Materialize {due} of "
                f"{name}; what it needs comes first: {table.name} before its syncs.",
            },
        )

    def _snapshot_freshness(self, now: datetime) -> CheckOutcome:
        name, since = self.asset.to_user_string(), due_since(self.table, now)
        made = self._materialized_at()
        if since is None or (made is not None and made >= since.timestamp()):
            return CheckOutcome(True, {"why": f"made since its schedule's time, {since:%Y-%m-%d %H:%M %Z}"})
        last = "never" if made is None else f"last {local_minute(made, self.table)}"
        return CheckOutcome(
            passed=False,
            metadata={
                "why": f"{name} was made {last}, and is due since {since:%Y-%m-%d %H:%M %Z}",
                "what_to_do": f"Is the schedule {self.table.name}_schedule on, and the daemon running? "
                f"Materialize {self.table.name}, then {name}.",
            },
        )

    def failed_partitions(self) -> CheckOutcome:
        """Whether partitions are failed now, however long ago that was."""
        partitions, name = partitions_of(self.table), self.asset.to_user_string()
        if partitions is None:
            failed = ["the newest run"] if self._last_run_failed() else []
            looked_at = 1
        else:
            keys = partitions.get_partition_keys()
            statuses = self._statuses(keys)
            failed, looked_at = [key for key in keys if statuses.get(key) == "FAILED"], len(keys)
        metadata = {"failed": len(failed), "looked_at": looked_at}
        if not failed:
            return CheckOutcome(True, {"why": "no partition is failed", **metadata})
        do = (
            f"Asset {name}, tab Partitions: choose the failed ones and see why their run failed. Mend that, then "
            "Materialize, failed and missing partitions only: what was delivered is not sent again."
        )
        page = f"/assets/{'/'.join(self.asset.path)}?view=partitions"
        rows = [(key, page if partitions is None else f"[what happened]({page}&partition={key})") for key in failed]
        table = bounded(("failed partition", "its page"), rows[::-1][:SHOWN], len(failed), "partitions")
        return CheckOutcome(
            passed=False,
            metadata={
                "why": f"{len(failed)} of {looked_at} partitions are failed: from {failed[0]} to {failed[-1]}",
                **metadata,
                "what_to_do": do,
                "newest": dg.MetadataValue.md(table),
            },
        )

    def _statuses(self, keys: Sequence[str]) -> dict[str, str]:
        partitions = partitions_of(self.table)
        found = self.instance.get_status_by_partition(self.asset, keys, partitions) if partitions else None
        return {key: status.value for key, status in (found or {}).items() if status is not None}

    def _made(self, partition: str) -> bool:
        """Whether the partition has been made, though a run may work on it anew."""
        wanted = dg.AssetRecordsFilter(self.asset, asset_partitions=[partition])
        return bool(self.instance.fetch_materializations(wanted, limit=1).records)

    def _materialized_at(self) -> float | None:
        records = self.instance.fetch_materializations(self.asset, limit=1).records
        return records[0].timestamp if records else None

    def _last_run_failed(self) -> bool:
        """Whether the newest run that was to make the asset failed without making it."""
        records = self.instance.get_asset_records([self.asset])
        last = records[0].asset_entry.last_run_id if records else None
        run = self.instance.get_run_by_id(last) if last else None
        made = records[0].asset_entry.last_materialization if records else None
        return run is not None and run.status is dg.DagsterRunStatus.FAILURE and (made is None or made.run_id != last)


def open_rows(sync: SyncSpec, home: Home, now: datetime) -> CheckOutcome:
    """Whether something has been rejected, failed, unknown or unsent for more than `open_days`.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    with closing(Ledger(home.ledger_url)) as ledger, ledger.reading() as connection:
        scope = current_scope(connection, sync.account, sync.mode)
        before = now.timestamp() - sync.open_days * _DAY_S
        found, total = long_open(connection, scope, sync.name, before, SHOWN) if scope else ([], 0)
    if not total:
        return CheckOutcome(True, {"why": f"nothing has been open for {sync.open_days:g} days", "open": 0})
    heads = ("key", "partition", "outcome", "why", "runs", "since", "what to do")
    rows = [
        (
            one.key,
            one.partition,
            one.outcome,
            one.reason,
            one.tries,
            f"{datetime.fromtimestamp(one.since, UTC):%Y-%m-%d}",
            f"`pipelines why {sync.name} '{one.key}'`",
        )
        for one in found
    ]
    return CheckOutcome(
        passed=False,
        severity=_WARN,
        metadata={
            "why": f"{total} keys have been open for more than {sync.open_days:g} days",
            "open": total,
            "what_to_do": f"`pipelines ledger --sync {sync.name}` lists them all; mend the cause, then run their "
            "partitions again.",
            "oldest": dg.MetadataValue.md(bounded(heads, rows, total, "keys")),
        },
    )


def local_minute(moment: float, table: AnyTable) -> str:
    """A time as the table's clocks show it."""
    return f"{datetime.fromtimestamp(moment, ZoneInfo(table.timezone)):%Y-%m-%d %H:%M}"
