"""Asset checks and their verdicts, per partition or of last time: what of it is preview or private in Dagster 1.13.27.

Everything of that kind stands here, and a test notices if it moves.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

CONTRACT = "contract"
"""The check of a table's valid rows that its own op yields."""
DELIVERY = "delivery"
"""The same of a sync."""


def partitioned_check(
    name: str, asset: dg.AssetKey, partitions: dg.PartitionsDefinition | None, description: str
) -> dg.AssetCheckSpec:
    """A check that has a verdict for each partition of its asset."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(name, asset=asset, partitions_def=partitions, description=description)


def target_of(record: dg.EventLogRecord) -> AssetCheckEvaluationTargetMaterializationData:
    """Which materialization a verdict is about; without it the Partitions tab shows the check as missing."""
    return AssetCheckEvaluationTargetMaterializationData(
        run_id=record.run_id, storage_id=record.storage_id, timestamp=record.timestamp
    )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check has said, and when. `number`: unlike that of any other verdict."""

    number: int
    timestamp: float
    said: dg.AssetCheckEvaluation


def last_verdict(instance: dg.DagsterInstance, check: dg.AssetCheckKey) -> Verdict | None:
    """What an unpartitioned check has said last; None: nothing yet."""
    said = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    records = instance.event_log_storage.get_asset_check_execution_history(check, limit=1, status=said)
    if not records or records[0].event is None:
        return None
    event = records[0].event
    return Verdict(records[0].id, event.timestamp, event.get_dagster_event().asset_check_evaluation_data)
