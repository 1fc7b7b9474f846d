"""Which runs of a table or sync stopped before all was done, and in which partitions: written into runs, read there."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from pipelines.components.failures import FAILED, PASSING
from pipelines.components.partitions import partitions_of_run

ROOT_TAG = "pipelines/resumes"
"""On a run that takes up what others left: the run with which it all began."""
_STOPPED_TAG = "pipelines/stopped/"
"""On a run, with the name of the table or sync: its step failed, and whether that may pass by itself."""
_FOR_NOW, _FOR_GOOD = "for now", "for good"
_UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


@dataclass(frozen=True, slots=True)
class Stop:
    """A run that stopped at `ended`, and the partitions that a later try may mend and no later run has tried."""

    run: dg.DagsterRun
    ended: datetime
    partitions: frozenset[str]


def note_stop(context: dg.AssetExecutionContext, step: str, *, passing: bool) -> None:
    """Mark the run, so that it can be found among thousands."""
    context.instance.add_run_tags(context.run.run_id, {f"{_STOPPED_TAG}{step}": _FOR_NOW if passing else _FOR_GOOD})


def stops_of(instance: dg.DagsterInstance, step: str, since: datetime) -> Iterator[Stop]:
    """The stops of a table or sync, newest first; one with no partition left is among them, as what was tried last."""
    marked = dg.RunsFilter(tags={f"{_STOPPED_TAG}{step}": [_FOR_NOW, _FOR_GOOD]}, updated_after=since)
    ended = [(record.end_time or 0.0, record.dagster_run) for record in instance.get_run_records(marked)]
    tried_since: set[str] = set()
    for end, run in sorted(ended, key=lambda one: one[0], reverse=True):
        if not run.is_finished:
            continue
        failed, passing = _failure(instance, run, step)
        yield Stop(run, datetime.fromtimestamp(end, UTC), frozenset(passing - tried_since))
        tried_since |= failed


def under_way(instance: dg.DagsterInstance, asset: str, job: str, among: Collection[str]) -> set[str]:
    """Those of some partitions that a queued or running run of the asset is about."""
    key, some = dg.AssetKey(asset), sorted(among)
    runs = instance.get_runs(dg.RunsFilter(statuses=_UNDER_WAY)) if some else []
    mine = [run for run in runs if run.job_name == job or key in (run.asset_selection or ())]
    return {partition for run in mine for partition in partitions_of_run(run.tags, some)}


def _failure(instance: dg.DagsterInstance, run: dg.DagsterRun, step: str) -> tuple[set[str], set[str]]:
    """The partitions that failed in this step of the run, and those that failed for now."""
    for record in instance.get_records_for_run(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE).records:
        event = record.event_log_entry.get_dagster_event()
        said = event.step_failure_data.user_failure_data
        if event.step_key == step and said is not None and FAILED in said.metadata:
            failed, passing = ({*_listed(said.metadata[name])} for name in (FAILED, PASSING))
            return failed, passing
    return set(), set()


def _listed(value: Any) -> list[str]:
    """The partitions in a failure's metadata, which are the keys where reasons stand with them."""
    return [*value.value]
