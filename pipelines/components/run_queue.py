"""Who goes first, and history in order: what lets `dagster.yaml` bound the runs of each table and sync by themselves.

The runs of a backfill carry no tag of what they work on, and those that follow them belong to no backfill. This
coordinator, which the shipped `dagster.yaml` names, tags each of them when it is queued, whoever started it; how many
may run at a time is the file's business (`tag_concurrency_limits`).
"""

from __future__ import annotations

from collections.abc import Mapping

from dagster import DagsterRun, QueuedRunCoordinator
from dagster._core.run_coordinator.base import SubmitRunContext

from pipelines.delivery.ledger import Priority

ROW_TAG = "pipelines/backfill_of"
"""On a run of history: the table or sync that it works on. Runs with the same value go one after another."""
PRIORITY_TAG = "pipelines/priority"
"""On a run: what it claims of its account, where that does not follow from what started it."""
TABLE_TAG = "pipelines/table"
SYNC_TAG = "pipelines/sync"
"""On the runs of a table's or a sync's job: its name."""
_BACKFILL_TAG = "dagster/backfill"
_QUEUE_TAG = "dagster/priority"
_BEHIND = "-1"
"""Dagster's queue starts what has a higher number first; a run without one counts as 0."""


def priority_of(tags: Mapping[str, str]) -> Priority:
    """Who goes first, by a run's tags: what its table's run handed on, else whether it belongs to a backfill."""
    named = tags.get(PRIORITY_TAG, "").upper()
    if named in Priority.__members__:
        return Priority[named]
    return Priority.BACKFILL if _BACKFILL_TAG in tags else Priority.MANUAL


class BackfillsInOrder(QueuedRunCoordinator):
    """Dagster's queue, in which the runs of history say what they work on and stand behind all others."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Tag the run if it is one of a backfill, or follows one, then queue it."""
        run = context.dagster_run
        row = _row_of(run)
        if row and priority_of(run.tags) is Priority.BACKFILL:
            place = run.tags.get(_QUEUE_TAG, _BEHIND)
            self._instance.add_run_tags(run.run_id, {ROW_TAG: row, _QUEUE_TAG: place})
        return super().submit_run(context)


def _row_of(run: DagsterRun) -> str | None:
    """The table or sync that a run works on: by the job, or by the assets; None: the job is nobody's here."""
    if run.asset_selection:
        # The shortest name is that of the table or sync; its other assets have that name and an ending.
        return min((key.to_user_string() for key in run.asset_selection), key=lambda one: (len(one), one))
    return run.tags.get(TABLE_TAG) or run.tags.get(SYNC_TAG)
