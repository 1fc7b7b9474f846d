"""Dagster assets that keep boards, statuses and HR planning equal to KPI and area tables.

The names exported here are the components that `defs.yaml` files use: `type: pipelines.KpiTable`. They are imported
when they are asked for, so that the command line starts without Dagster.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.components.area_table import AreaTable
    from pipelines.components.dnsimple import DnsimpleSync
    from pipelines.components.feedback_house import FeedbackHouseSync
    from pipelines.components.kpi_table import KpiTable
    from pipelines.components.operations_component import Operations
    from pipelines.components.standing import StandingChecks
    from pipelines.components.stativate import StativateSync
    from pipelines.components.valuestreamer import ValueStreamerSync

_MODULES = {
    "AreaTable": "pipelines.components.area_table",
    "DnsimpleSync": "pipelines.components.dnsimple",
    "FeedbackHouseSync": "pipelines.components.feedback_house",
    "KpiTable": "pipelines.components.kpi_table",
    "Operations": "pipelines.components.operations_component",
    "StandingChecks": "pipelines.components.standing",
    "StativateSync": "pipelines.components.stativate",
    "ValueStreamerSync": "pipelines.components.valuestreamer",
}

__all__ = [
    "AreaTable",
    "DnsimpleSync",
    "FeedbackHouseSync",
    "KpiTable",
    "Operations",
    "StandingChecks",
    "StativateSync",
    "ValueStreamerSync",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
