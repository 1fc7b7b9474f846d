"""ValueStreamer: shop-floor boards with one dataset per date, team and KPI."""

from pipelines.destinations.valuestreamer.api import ValueStreamer, ValueStreamerSettings
from pipelines.destinations.valuestreamer.mapping import ValueColumn, ValueStreamerSpec
from pipelines.destinations.valuestreamer.meta import KpiMeta
from pipelines.destinations.valuestreamer.windows import windows

__all__ = ["KpiMeta", "ValueColumn", "ValueStreamer", "ValueStreamerSettings", "ValueStreamerSpec", "windows"]
