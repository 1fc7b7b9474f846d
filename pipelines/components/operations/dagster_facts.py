"""What Dagster's instance knows of a deployment, in a bounded number of queries however many partitions there are.

The instance's own methods where it has them. Check results per partition, backfills and the state of schedules have no
public way in 1.13.27: all that is private stands here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus, PartitionBackfill
from dagster._core.scheduler.instigation import InstigatorStatus, InstigatorType
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.dagster_run import FINISHED_STATUSES, NOT_FINISHED_STATUSES
from dagster._core.storage.event_log.base import AssetRecord

from pipelines.components.events import SAID_IN
from pipelines.components.partitions import partitions_of_run
from pipelines.tables.grains import SNAPSHOT

_MOST_RUNS = 500
_MOST_BACKFILLS = 50
_VERDICTS = {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
_WORKING = [BulkActionStatus.REQUESTED, BulkActionStatus.CANCELING, BulkActionStatus.FAILING]
_BACKFILL_TAG = "dagster/backfill"
_QUEUED = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)


@dataclass(frozen=True, slots=True)
class Partitions:
    """The closed partitions of an asset by what became of them; those that are in none were never tried.

    `at`: when the newest materialization happened, `run`: the run that tried last.
    """

    delivered: Collection[str] = ()
    failed: Collection[str] = ()
    in_progress: Collection[str] = ()
    at: datetime | None = None
    run: str = ""

    @property
    def tried(self) -> set[str]:
        """Those of which anything is known."""
        return {*self.delivered, *self.failed, *self.in_progress}


@dataclass(frozen=True, slots=True)
class Account:
    """The newest verdict of a check on one partition: `numbers` are its figures, by name."""

    partition: str
    passed: bool
    run: str
    at: datetime
    numbers: Mapping[str, int] = field(default_factory=dict)
    why: str = ""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """A run that has not ended. `assets`: those that it was started for; empty: all of its job's."""

    id: str
    job: str
    assets: Collection[str]
    since: datetime
    queued: bool
    backfill: str


@dataclass(frozen=True, slots=True)
class BackfillFacts:
    """A backfill that has not ended. `partitions`: per asset how many are done, well or not, and how many it is about.

    `job`: of a backfill of a job, which knows no assets; then `partitions` has its figures under that name.
    """

    id: str
    since: datetime
    partitions: Mapping[str, tuple[int, int]]
    job: str = ""


@dataclass(slots=True)
class DagsterFacts:
    """Asks an instance; None: this home has none yet, so nothing was ever run."""

    instance: dg.DagsterInstance | None
    _records: dict[str, AssetRecord] = field(default_factory=dict)

    def load(self, assets: Sequence[str]) -> None:
        """Read the records of the assets that will be asked about, in one query."""
        if self.instance is not None:
            records = self.instance.get_asset_records([dg.AssetKey(name) for name in assets])
            self._records = {record.asset_entry.asset_key.to_user_string(): record for record in records}

    def partitions(
        self, asset: str, keys: Sequence[str], definition: dg.TimeWindowPartitionsDefinition | None
    ) -> Partitions:
        """What became of the partitions, out of Dagster's own cache of it; of a snapshot, out of its newest event."""
        record = self._records.get(asset)
        if self.instance is None or record is None:
            return Partitions()
        entry = record.asset_entry
        made = entry.last_materialization
        at = _moment(made.timestamp) if made else None
        run = entry.last_run_id or ""
        if definition is not None:
            by = self.instance.get_status_by_partition(dg.AssetKey(asset), keys, definition) or {}
            named = {key: status.value for key, status in by.items() if status is not None}
            delivered, failed, in_progress = (
                [key for key in keys if named.get(key) == one] for one in ("MATERIALIZED", "FAILED", "IN_PROGRESS")
            )
            return Partitions(delivered, failed, in_progress, at, run)
        status = self.run_status(run) if run and run != (made.run_id if made else "") else None
        if status in NOT_FINISHED_STATUSES:
            return Partitions(in_progress=[SNAPSHOT], at=at, run=run)
        if status is dg.DagsterRunStatus.FAILURE:
            return Partitions(failed=[SNAPSHOT], at=at, run=run)
        return Partitions(delivered=[SNAPSHOT] if made else [], at=at, run=run)

    def account(self, asset: str, check: str, partition: str) -> Account | None:
        """The newest verdict on a partition; None: there is none."""
        if self.instance is None or asset not in self._records:
            return None
        found = self.instance.event_log_storage.get_asset_check_execution_history(
            dg.AssetCheckKey(dg.AssetKey(asset), check),
            limit=1,
            status=_VERDICTS,
            partition_filter=PartitionKeyFilter(key=None if partition == SNAPSHOT else partition),
        )
        if not found or found[0].evaluation is None:
            return None
        (record,), metadata = found, found[0].evaluation.metadata
        run = str(metadata[SAID_IN].value) if SAID_IN in metadata else record.run_id
        return Account(
            partition,
            found[0].evaluation.passed,
            run,
            _moment(record.create_timestamp),
            {name: one.value for name, one in metadata.items() if isinstance(one, dg.IntMetadataValue) and one.value},
            str(metadata["why"].value) if "why" in metadata else "",
        )

    def verdicts(self, asset: str, check: str, partitions: Sequence[str]) -> dict[str, bool]:
        """Whether a check's newest verdict on each of the partitions is good; those without one are left out."""
        if self.instance is None or asset not in self._records or not partitions:
            return {}
        if list(partitions) == [SNAPSHOT]:
            found = self.account(asset, check, SNAPSHOT)
            return {} if found is None else {SNAPSHOT: found.passed}
        infos = self.instance.event_log_storage.get_asset_check_partition_info(
            [dg.AssetCheckKey(dg.AssetKey(asset), check)], partition_keys=list(partitions)
        )
        good = AssetCheckExecutionRecordStatus.SUCCEEDED
        return {
            str(info.partition_key): info.latest_execution_status is good
            for info in infos
            if info.latest_execution_status in _VERDICTS
        }

    def tries(self, asset: str, partitions: Partitions) -> dict[str, str]:
        """The runs that tried the asset's partitions last and did not make them, by partition, the newest run last."""
        if self.instance is None or asset not in self._records:
            return {}
        if SNAPSHOT in {*partitions.failed, *partitions.in_progress}:
            return {SNAPSHOT: partitions.run}
        storage = self.instance.event_log_storage
        found = storage.get_latest_asset_partition_materialization_attempts_without_materializations(dg.AssetKey(asset))
        return {partition: run for partition, (run, _) in sorted(found.items(), key=lambda one: one[1][1])}

    def events(self, run: str, kind: dg.DagsterEventType) -> list[dg.DagsterEvent]:
        """A run's events of a kind, oldest first."""
        found = self.instance.get_records_for_run(run, of_type=kind).records if self.instance is not None else []
        return [record.event_log_entry.get_dagster_event() for record in found]

    def extracted_at(self, asset: str, partition: str) -> datetime | None:
        """When a partition, which is no snapshot, was materialized last."""
        if self.instance is None or asset not in self._records:
            return None
        wanted = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition])
        found = self.instance.fetch_materializations(wanted, limit=1).records
        return _moment(found[0].timestamp) if found else None

    def schedules_on(self) -> set[str]:
        """The names of the schedules that are switched on."""
        if self.instance is None or self.instance.schedule_storage is None:
            return set()
        states = self.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
        return {one.instigator_name for one in states if one.status is not InstigatorStatus.STOPPED}

    def runs(self) -> list[RunFacts]:
        """What runs or waits to run, oldest first."""
        if self.instance is None:
            return []
        records = self.instance.get_run_records(
            dg.RunsFilter(statuses=NOT_FINISHED_STATUSES), limit=_MOST_RUNS, ascending=True
        )
        return [
            RunFacts(
                record.dagster_run.run_id,
                record.dagster_run.job_name,
                {key.to_user_string() for key in record.dagster_run.asset_selection or ()},
                _moment(record.start_time or record.create_timestamp.timestamp()),
                record.dagster_run.status in _QUEUED,
                record.dagster_run.tags.get(_BACKFILL_TAG, ""),
            )
            for record in records
        ]

    def backfills(self) -> list[BackfillFacts]:
        """The backfills that work."""
        if self.instance is None:
            return []
        found = self.instance.get_backfills(filters=BulkActionsFilter(statuses=_WORKING), limit=_MOST_BACKFILLS)
        return [self._backfill(one) for one in found]

    def heartbeats(self) -> dict[str, datetime]:
        """When each part of the daemon that this instance needs gave its last sign of life, as far as it ever did."""
        if self.instance is None:
            return {}
        beats = self.instance.get_daemon_heartbeats()
        return {name: _moment(beats[name].timestamp) for name in self.daemons() if name in beats}

    def daemons(self) -> Sequence[str]:
        """The parts of the daemon that this instance needs."""
        return self.instance.get_required_daemon_types() if self.instance is not None else ()

    def _backfill(self, backfill: PartitionBackfill) -> BackfillFacts:
        since = _moment(backfill.backfill_timestamp)
        if backfill.asset_backfill_data is None:
            return BackfillFacts(backfill.backfill_id, since, dict(self._of_job(backfill)), backfill.job_name or "")
        data = backfill.asset_backfill_data
        targets = data.target_subset.partitions_subsets_by_asset_key
        done = data.materialized_subset, data.failed_and_downstream_subset
        figures = {
            key.to_user_string(): (
                sum(len(one.partitions_subsets_by_asset_key.get(key, ())) for one in done),
                len(target),
            )
            for key, target in targets.items()
        }
        return BackfillFacts(backfill.backfill_id, since, figures)

    def _of_job(self, backfill: PartitionBackfill) -> Iterator[tuple[str, tuple[int, int]]]:
        """The partitions of all its runs that have ended, chunks of many as well as runs of one."""
        if self.instance is not None and backfill.partition_names and backfill.job_name:
            asked = list(backfill.partition_names)
            ended = dg.RunsFilter(statuses=FINISHED_STATUSES, tags={_BACKFILL_TAG: backfill.backfill_id})
            done = {one for run in self.instance.get_runs(ended) for one in partitions_of_run(run.tags, asked)}
            yield backfill.job_name, (len(done), len(asked))

    def run_status(self, run: str) -> dg.DagsterRunStatus | None:
        """How a run ended, or stands; None: it is not known, or deleted."""
        found = self.instance.get_run_by_id(run) if self.instance is not None else None
        return found.status if found else None


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
