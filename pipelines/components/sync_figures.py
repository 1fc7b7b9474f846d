"""The figures of a run of a sync: those of each partition, and those of the run as a whole."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pipelines.components.partition_result import PartitionResult
from pipelines.components.reasons import NO_ROWS, SHOWN, as_cell, reasons_table
from pipelines.components.sync_run import SyncResult
from pipelines.delivery.report import Reason, Wire
from pipelines.delivery.upsert import ACCEPTED, Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.tables.names import valid_of

_PERCENTILES = (50, 95)


def counts(account: PartitionResult) -> dict[str, int]:
    """Rows by outcome, also where there are none, so that they are plotted as 0; keys that were taken away."""
    counted = {"extracted": account.extracted, **{str(outcome): account.counts[outcome] for outcome in Outcome}}
    apart = {
        "removed": account.removed,
        "removal_failed": account.removal_failed,
        "removal_left": account.removal_left,
    }
    return counted | {name: count for name, count in apart.items() if count}


def partition_figures(sync: SyncSpec, partition: str, account: PartitionResult, result: SyncResult) -> dict[str, Any]:
    """All that is known of one partition: every outcome, the requests that served it alone, the reasons."""
    figures: dict[str, Any] = {
        "mode": sync.mode,
        **counts(account),
        "dagster/partition_row_count": _arrived(account),
        **_wire(result.report.traffic.partitions[partition]),
    }
    if (reasons := reasons_of(sync, partition, account, result)) != NO_ROWS:
        figures["reasons"] = dg.MetadataValue.md(reasons)
    return figures


def reasons_of(sync: SyncSpec, partition: str, account: PartitionResult, result: SyncResult) -> str:
    """Why rows of the partition did not simply arrive, as Markdown, with what mends it."""
    reasons = dict(result.report.reasons[partition])
    if kept := account.counts[Outcome.QUARANTINED]:
        where = f"check `contract` of {valid_of(sync.table)} names rows and rules"
        reasons[Outcome.QUARANTINED, f"they break the contract of {sync.table}: {where}"] = Reason(kept)
    return reasons_table(reasons, sync.name)


def run_figures(result: SyncResult) -> dict[str, Any]:
    """The traffic of the whole run, to be told once: with what served several partitions, or earlier runs' upserts.

    Also what there is to be said of it beside its figures.
    """
    figures = {f"run_{name}": figure for name, figure in _wire(result.report.traffic).items()}
    if notes := result.report.notes:
        shown = [f"- {as_cell(note)}" for note in notes[:SHOWN]]
        more = [f"- and {len(notes) - SHOWN} more, in the run's log"] if len(notes) > SHOWN else []
        figures["run_notes"] = dg.MetadataValue.md("\n".join([*shown, *more]))
    return figures


def run_line(result: SyncResult) -> str:
    """The same as a line for people."""
    traffic = result.report.traffic
    told = sum(traffic.partitions[partition].requests for partition in result.results)
    beside = f", {traffic.requests - told} of them for no single partition of it" if traffic.requests > told else ""
    waited = f"waited {traffic.waited_s:.1f} s for the API's limit"
    return f"{traffic.requests} requests in this run{beside}; {traffic.retries} retries; {waited}"


def upsert_figures(account: PartitionResult) -> dict[str, int]:
    """What went into `<sync>_upserts` and what came out: `rows_in` are `rows_out` and those that became no upsert."""
    made = account.made
    return {
        "rows_in": account.extracted,
        str(Outcome.QUARANTINED): account.counts[Outcome.QUARANTINED],
        str(Outcome.NOT_SELECTED): made.dropped[Outcome.NOT_SELECTED],
        str(Outcome.INVALID): made.dropped[Outcome.INVALID],
        "rows_out": made.rows,
        "dagster/partition_row_count": made.upserts,
    }


def _arrived(account: PartitionResult) -> int:
    """Rows that stand there as they should, whoever sent them."""
    return sum(account.counts[outcome] for outcome in (*ACCEPTED, Outcome.UNCHANGED, Outcome.SUPERSEDED))


def _wire(wire: Wire) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "requests": wire.requests,
        "retries": wire.retries,
        "waited_for_limit_s": round(wire.waited_s, 3),
        "sent_bytes": wire.sent_bytes,
        "received_bytes": wire.received_bytes,
    }
    for percent in _PERCENTILES:
        if (seconds := wire.percentile(percent)) is not None:
            figures[f"answer_p{percent}_s"] = round(seconds, 4)
    return figures
