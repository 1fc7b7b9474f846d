"""Runs of the standing checks, and what they said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dagster as dg

from tests.components.deploying import Deployment


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
