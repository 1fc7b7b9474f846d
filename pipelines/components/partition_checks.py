"""Asset checks and their verdicts, per partition or of last time: what of it is preview or private in Dagster 1.13.27.

Everything of that kind stands here, and a test notices if it moves.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection
from dataclasses import dataclass

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.event_api import PartitionKeyFilter
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


def targets_of(
    instance: dg.DagsterInstance, asset: dg.AssetKey, partitions: Collection[str]
) -> dict[str, AssetCheckEvaluationTargetMaterializationData]:
    """Which materialization a verdict on each partition is about: the newest, of whatever run; where none is, none.

    A verdict that names another one counts as outdated, and the UI shows the check of that partition as missing: so a
    day that was well before and is red now names the materialization of the run before.
    """
    if not partitions:
        return {}
    kind = dg.DagsterEventType.ASSET_MATERIALIZATION
    ids = [*instance.get_latest_storage_id_by_partition(asset, kind, {*partitions}).values()]
    if not ids:
        return {}
    records = instance.fetch_materializations(dg.AssetRecordsFilter(asset, storage_ids=ids), limit=len(ids)).records
    return {
        str(record.partition_key): AssetCheckEvaluationTargetMaterializationData(
            run_id=record.run_id, storage_id=record.storage_id, timestamp=record.timestamp
        )
        for record in records
    }


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check has said, when, and in which run. `number`: unlike that of any other verdict."""

    number: int
    timestamp: float
    run: str
    said: dg.AssetCheckEvaluation


def last_verdict(instance: dg.DagsterInstance, check: dg.AssetCheckKey, partition: str | None = None) -> Verdict | None:
    """What a check has said last of a partition, or, of an asset without any, at all; None: nothing yet."""
    said = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
    records = instance.event_log_storage.get_asset_check_execution_history(
        check, limit=1, status=said, partition_filter=PartitionKeyFilter(key=partition)
    )
    if not records or records[0].event is None:
        return None
    event = records[0].event
    evaluation = event.get_dagster_event().asset_check_evaluation_data
    return Verdict(records[0].id, event.timestamp, records[0].run_id, evaluation)
