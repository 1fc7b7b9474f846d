"""`type: pipelines.StativateSync`."""

from __future__ import annotations

from pipelines.components.sync import SyncComponent
from pipelines.destinations.stativate import StativateSpec


class StativateSync(StativateSpec, SyncComponent):
    """Each key one status on Stativate's boards, with its newest value."""
