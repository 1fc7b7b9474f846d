"""`type: pipelines.ValueStreamerSync`."""

from __future__ import annotations

from pipelines.components.sync import SyncComponent
from pipelines.destinations.valuestreamer import ValueStreamerSpec


class ValueStreamerSync(ValueStreamerSpec, SyncComponent):
    """Each reading one dataset on ValueStreamer's boards."""
