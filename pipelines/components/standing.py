"""`type: pipelines.StandingChecks`."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pipelines.components.spec_component import SpecComponent
from pipelines.components.standing_spec import StandingSpec


class StandingChecks(StandingSpec, SpecComponent):
    """When the standing checks of all tables and syncs look."""

    def assets(self, context: dg.ComponentLoadContext) -> list[Any]:
        """None of its own: the checks stand at the assets of tables and syncs."""
        del context
        return []
