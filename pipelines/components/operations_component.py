"""`type: pipelines.Operations`."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pipelines.components.operations.spec import OperationsSpec
from pipelines.components.spec_component import SpecComponent


class Operations(OperationsSpec, SpecComponent):
    """A message each morning, and alerts when a sync's state changes; at most one in a deployment, off without it."""

    def assets(self, context: dg.ComponentLoadContext) -> list[Any]:  # noqa: ARG002 - the same for every component
        """None of its own: the asset `delivery_status` is part of every deployment."""
        return []
