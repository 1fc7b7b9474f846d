"""Runs of the standing checks, and what they said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from pipelines.components.partition_checks import CONTRACT, DELIVERY
from tests.components.deploying import DAYS, Deployment


@dataclass(frozen=True, slots=True)
class Said:
    """A check's verdict."""

    passed: bool
    severity: dg.AssetCheckSeverity
    said: dict[str, Any]


def look(deployment: Deployment) -> dict[tuple[str, str], Said]:
    """Run all standing checks; their verdicts by asset and name."""
    told = deployment.run("standing_checks")
    assert told.success
    found = told.result.get_asset_check_evaluations()
    assert all(one.partition is None for one in found)
    return {
        (one.asset_key.to_user_string(), one.check_name): Said(
            one.passed, one.severity, {name: value.value for name, value in one.metadata.items()}
        )
        for one in found
    }


def materialized(deployment: Deployment, *assets: str, day: str = DAYS[0]) -> dict[str, dg.AssetCheckEvaluation]:
    """A run over assets, as a backfill or the Materialize button starts it; what the standing checks said in it."""
    job = deployment.defs.resolve_implicit_global_asset_job_def()
    keys = [dg.AssetKey(name) for name in assets]
    result = job.execute_in_process(
        instance=deployment.instance, asset_selection=keys, partition_key=day, raise_on_error=False
    )
    own = {CONTRACT, DELIVERY}
    return {one.check_name: one for one in result.get_asset_check_evaluations() if one.check_name not in own}
