"""What a run of a sync did, partition by partition, as Dagster is told it: metadata, verdicts, a picture."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from pipelines.components.events import CheckOutcome, Story
from pipelines.components.heatmap import Day, calendar
from pipelines.components.reasons import reasons_table
from pipelines.components.sync_run import PartitionResult, SyncResult, upserts_of
from pipelines.delivery.upsert import ACCEPTED, Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.tables.grains import SNAPSHOT


def observations(key: dg.AssetKey, sync: SyncSpec, result: SyncResult) -> Iterator[Any]:
    """A dry run leaves partitions as they are: nothing was delivered, so nothing turns green."""
    for partition, account in result.results.items():
        yield dg.AssetObservation(
            key,
            partition=None if partition == SNAPSHOT else partition,
            metadata={"dry": True, **_metadata(sync, partition, account, result)},
        )


def story(sync: SyncSpec, result: SyncResult, check: dg.AssetCheckKey, grain: str) -> Story:
    """The good partitions with their figures, every partition's verdict, and the red ones with their reasons.

    `check` is that of the delivered asset; `grain` that of its partitions.
    """
    red = {partition: why for partition, account in result.results.items() if (why := _why_red(sync, account, result))}
    green = {partition: account for partition, account in result.results.items() if partition not in red}
    told = {partition: _metadata(sync, partition, account, result) for partition, account in green.items()}
    verdicts = {p: _verdict(sync, p, account, result) for p, account in result.results.items()}
    if result.results and grain != SNAPSHOT:
        # Once per run, where Dagster shows it first: at the newest day, or at its verdict where no day is green.
        shown = told[max(told)] if told else verdicts[max(verdicts)].metadata
        shown["days"] = dg.MetadataValue.md(_picture(sync, result, grain))
    return Story(
        title=f"sync {sync.name} (mode {sync.mode}, account {sync.account})",
        assets={
            dg.AssetKey(upserts_of(sync.name)): {
                partition: {"dagster/partition_row_count": _rows(account), "rows_in": account.extracted}
                for partition, account in result.results.items()
            },
            check.asset_key: told,
        },
        checks={check: verdicts},
        failed={**result.missing, **red},
        passing=[partition for partition, account in result.results.items() if _passes(account, result)],
        do="Retry the failed partitions when the cause is mended: only what was not delivered is sent. "
        f"A retry delivers the stored rows; for fresh source data select {sync.table} as well.",
    )


def _picture(sync: SyncSpec, result: SyncResult, grain: str) -> str:
    days = {partition: _day(account) for partition, account in result.results.items()}
    return calendar(days, f"Rows of this run of {sync.name}, by partition", grain)


def _day(account: PartitionResult) -> Day:
    left = account.counts[Outcome.UNCHANGED] + account.counts[Outcome.SUPERSEDED]
    return Day(sum(account.counts[outcome] for outcome in ACCEPTED), account.wrong, account.undelivered, left)


def _why_red(sync: SyncSpec, account: PartitionResult, result: SyncResult) -> str:
    """Why a partition may not be green; empty if it may."""
    if account.red:
        return f"{account.red}. {result.report.stopped}".rstrip()
    if sync.fail_above is not None and sync.fail_above.exceeded(account.wrong, account.extracted):
        return f"{account.wrong} of {account.extracted} rows were rejected, invalid or quarantined (fail_above)"
    return ""


def _passes(account: PartitionResult, result: SyncResult) -> bool:
    """Whether a later try may deliver what is missing, without anybody having mended anything."""
    undone = account.undelivered or account.removal_failed or account.removal_left
    return bool(undone) and not account.gap and (result.report.passing or not result.report.stopped)


def _verdict(sync: SyncSpec, partition: str, account: PartitionResult, result: SyncResult) -> CheckOutcome:
    red = _why_red(sync, account, result)
    yellow = sync.warn_above is not None and sync.warn_above.exceeded(account.wrong, account.extracted)
    return CheckOutcome(
        passed=not red and not yellow,
        severity=dg.AssetCheckSeverity.ERROR if red else dg.AssetCheckSeverity.WARN,
        metadata={
            **_counts(account),
            "why": red or (f"{account.wrong} rows were rejected, invalid or quarantined" if yellow else "all is well"),
            "reasons": dg.MetadataValue.md(reasons_table(result.report.reasons[partition], sync.name)),
        },
    )


def _rows(account: PartitionResult) -> int:
    """Rows that became upserts."""
    return account.extracted - sum(
        account.counts[outcome] for outcome in (Outcome.QUARANTINED, Outcome.NOT_SELECTED, Outcome.INVALID)
    )


def _counts(account: PartitionResult) -> dict[str, int]:
    counts = {"extracted": account.extracted, **{str(outcome): account.counts[outcome] for outcome in Outcome}}
    apart = {
        "removed": account.removed,
        "removal_failed": account.removal_failed,
        "removal_left": account.removal_left,
    }
    return counts | {name: count for name, count in apart.items() if count}


def _metadata(sync: SyncSpec, partition: str, account: PartitionResult, result: SyncResult) -> dict[str, Any]:
    wire = result.report.traffic.partitions[partition]
    metadata: dict[str, Any] = {
        "mode": sync.mode,
        **_counts(account),
        "dagster/partition_row_count": _rows(account) - account.counts[Outcome.REJECTED] - account.undelivered,
        "requests": wire.requests,
        "retries": wire.retries,
        "waited_for_limit_s": round(wire.waited_s, 3),
        "sent_bytes": wire.sent_bytes,
        "received_bytes": wire.received_bytes,
    }
    for percent in (50, 95):
        if (seconds := wire.percentile(percent)) is not None:
            metadata[f"answer_p{percent}_s"] = round(seconds, 4)
    if result.report.reasons[partition]:
        metadata["reasons"] = dg.MetadataValue.md(reasons_table(result.report.reasons[partition], sync.name))
    return metadata
