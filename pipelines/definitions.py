"""What Dagster loads: the deployment in `defs/`, with the policy that holds for all of it."""

from __future__ import annotations

from pathlib import Path

import dagster as dg

from pipelines.components.deployment import load_deployment


@dg.definitions
def defs() -> dg.Definitions:
    """The deployment of this package."""
    return load_deployment(Path(__file__).parent)
