"""Backfills in order: what lets `dagster.yaml` bound the runs of each table and sync by itself.

The runs of a backfill carry no tag of what they work on, so that a limit on them would put all syncs into one row. This
coordinator, which the shipped `dagster.yaml` names, tags each of them when it is queued; how many may run at a time is
the file's business (`tag_concurrency_limits`).
"""

from __future__ import annotations

from dagster import DagsterRun, QueuedRunCoordinator
from dagster._core.run_coordinator.base import SubmitRunContext

ROW_TAG = "pipelines/backfill_of"
"""On a run of a backfill: the table or sync that it works on. Runs with the same value go one after another."""
_BACKFILL_TAG = "dagster/backfill"


class BackfillsInOrder(QueuedRunCoordinator):
    """Dagster's queue, in which the runs of a backfill say what they belong to."""

    def submit_run(self, context: SubmitRunContext) -> DagsterRun:
        """Tag the run if it belongs to a backfill, then queue it."""
        run = context.dagster_run
        if _BACKFILL_TAG in run.tags and run.asset_selection:
            # The shortest name is that of the table or sync; its other assets have that name and an ending.
            name = min((key.to_user_string() for key in run.asset_selection), key=lambda one: (len(one), one))
            self._instance.add_run_tags(run.run_id, {ROW_TAG: name})
        return super().submit_run(context)
