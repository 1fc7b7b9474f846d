"""What a run of a sync did, partition by partition, as Dagster is told it: metadata, verdicts, a picture."""

from collections.abc import Collection
from typing import Any

import dagster as dg

from pipelines.components.events import CheckOutcome, Story
from pipelines.components.heatmap import Day, Shade, calendar
from pipelines.components.partition_result import PartitionResult
from pipelines.components.plan_page import plan_of_partition, plan_of_run
from pipelines.components.sync_figures import counts, partition_figures, reasons_of, run_figures, upsert_figures
from pipelines.components.sync_run import SyncResult, upserts_of
from pipelines.delivery.upsert import ACCEPTED, Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.thresholds import Tolerance


def foreseen(sync: SyncSpec, result: SyncResult) -> dict[str, dict[str, Any]]:
    """What a dry run says of each partition. It leaves them as they are: nothing is delivered, so nothing turns green.

    What it says of the run as a whole stands with the newest partition.
    """
    told: dict[str, dict[str, Any]] = {}
    for partition, account in result.results.items():
        planned = plan_of_partition(result.preview, partition) if result.preview else {}
        told[partition] = {"dry": True, **planned, **partition_figures(sync, partition, account, result)}
    if result.preview is not None:
        told[max(told)] |= plan_of_run(result.preview)
    return told


def story(sync: SyncSpec, result: SyncResult, check: dg.AssetCheckKey, grain: str) -> Story:
    """The good partitions with their figures, every partition's verdict, and the red ones with their reasons.

    `check` is that of the delivered asset; `grain` that of its partitions.
    """
    red = {partition: why for partition, account in result.results.items() if (why := _why_red(sync, account, result))}
    failed = {**result.missing, **red}
    figures = {p: partition_figures(sync, p, account, result) for p, account in result.results.items()}
    verdicts = {p: _verdict(sync, p, account, result) for p, account in result.results.items() if p not in red}
    verdicts |= {p: CheckOutcome.red(why, **figures.get(p, {})) for p, why in failed.items()}
    told = {partition: facts for partition, facts in figures.items() if partition not in red}
    if result.results:
        # Once per run, with its newest partition; where that is red, with the verdict on it.
        newest = max(result.results)
        shown = told[newest] if newest in told else verdicts[newest].metadata
        shown |= run_figures(result)
        if len(result.results) + len(result.missing) > 1:
            shown["days"] = dg.MetadataValue.md(_picture(sync, result, red, grain))
    return Story(
        title=f"sync {sync.name} (mode {sync.mode}, account {sync.account})",
        assets={
            dg.AssetKey(upserts_of(sync.name)): {p: upsert_figures(account) for p, account in result.results.items()},
            check.asset_key: told,
        },
        checks={check: verdicts},
        failed=failed,
        observed={check.asset_key: {partition: verdicts[partition].metadata for partition in failed}},
        passing=[partition for partition, account in result.results.items() if _passes(account, result)],
        do="Retry the failed partitions when the cause is mended: only what was not delivered is sent. "
        f"A retry delivers the stored rows; for fresh source data select {sync.table} as well.",
    )


def _picture(sync: SyncSpec, result: SyncResult, red: Collection[str], grain: str) -> str:
    days = {partition: _day(sync, account, red=partition in red) for partition, account in result.results.items()}
    days |= dict.fromkeys(result.missing, Day(Shade.MISSING))
    return calendar(days, f"What this run of {sync.name} did, by partition", grain)


def _day(sync: SyncSpec, account: PartitionResult, *, red: bool) -> Day:
    sent = sum(account.counts[outcome] for outcome in ACCEPTED)
    if red:
        undone = account.undelivered + account.removal_failed + account.removal_left + abs(account.gap)
        return Day(Shade.RED, undone or account.wrong, sent)
    if _why_yellow(sync, account):
        return Day(Shade.YELLOW, account.wrong, sent)
    if sent:
        return Day(Shade.GREEN, sent, sent)
    return Day(Shade.GREY, account.counts[Outcome.UNCHANGED] + account.counts[Outcome.SUPERSEDED])


def _why_red(sync: SyncSpec, account: PartitionResult, result: SyncResult) -> str:
    """Why a partition may not be green; empty if it may."""
    undone = account.red and ". ".join(filter(None, (account.red, result.report.stopped)))
    return "; ".join(filter(None, (undone, _crossed("fail_above", sync.fail_above, account))))


def _passes(account: PartitionResult, result: SyncResult) -> bool:
    """Whether a later try may deliver what is missing, without anybody having mended anything."""
    undone = account.undelivered or account.removal_failed or account.removal_left
    return bool(undone) and not account.gap and (result.report.passing or not result.report.stopped)


def _why_yellow(sync: SyncSpec, account: PartitionResult) -> str:
    """Why a partition that did not fail is not quite well; empty if it is."""
    return _crossed("warn_above", sync.warn_above, account)


def _crossed(field: str, bounds: Tolerance | None, account: PartitionResult) -> str:
    """Which bounds were crossed by what, in words; empty: none."""
    if bounds is None:
        return ""
    return "; ".join(f"{field}: {one}" for one in bounds.crossed(account.counts, account.extracted))


def _verdict(sync: SyncSpec, partition: str, account: PartitionResult, result: SyncResult) -> CheckOutcome:
    """Of a partition that did not fail: green, or yellow where too much of it was refused."""
    yellow = _why_yellow(sync, account)
    return CheckOutcome(
        passed=not yellow,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "why": yellow or "all is well",
            **counts(account),
            "reasons": dg.MetadataValue.md(reasons_of(sync, partition, account, result)),
        },
    )
