"""A sync's run as a process of its own, for tests that kill it or run two at once.

    python -m tests.components.delivering_process SYNC FIRST LAST

The home is that of the environment; the table is the sample's and must be stored already.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pipelines
from pipelines.components.sync_run import Order, SyncResult, SyncRunner
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.stativate import StativateSpec
from pipelines.destinations.valuestreamer import ValueStreamerSpec
from pipelines.home import Home
from pipelines.tables.grains import Calendar
from pipelines.tables.spec import TableSpec

PACKAGE = Path(pipelines.__file__).parent

TABLE = TableSpec.model_validate(
    {
        "name": "flight_kpis",
        "source": {"files": "sample/kpi_readings.parquet"},
        "catalogues": {"kpi": "sample/kpis.parquet", "team": "sample/teams.parquet"},
        "start": "2013-01-01",
        "timezone": "America/New_York",
        "columns": {"date": "reading_date", "team": "team_code", "kpi": "kpi_code", "actual": "value"},
    }
)
SYNCS: dict[str, SyncSpec] = {
    "stativate": StativateSpec.model_validate(
        {
            "name": "board",
            "table": TABLE.name,
            "account": "stativate",
            "mode": "sandbox",
            "key": "{kpi}-{team}",
            "label": "{kpi_name} {team}",
            "value": {"column": "actual", "format": "compact"},
        }
    ),
    "valuestreamer": ValueStreamerSpec.model_validate(
        {
            "name": "floor",
            "table": TABLE.name,
            "account": "valuestreamer",
            "mode": "sandbox",
            "team_id": "valuestreamer_team_id",
            "kpi_id": "valuestreamer_kpi_id",
            "actual": {"column": "actual", "id": "valuestreamer_actual_id"},
            "target": {"column": "target", "id": "valuestreamer_target_id"},
            "unit": "unit",
            "whole_number": "whole_number",
        }
    ),
}


def deliver(api: str, first: str, last: str, run_id: str) -> SyncResult:
    """Deliver the stored days of the sample."""
    order = Order(run_id, Calendar.of(TABLE).keys(first, last))
    return SyncRunner(SYNCS[api], Home.of()).run(order)


if __name__ == "__main__":
    result = deliver(*sys.argv[1:4], run_id="child")
    print(
        result.report.stopped
        or {
            str(k): v
            for k, v in sum(
                result.report.counts.values(), start=type(next(iter(result.report.counts.values())))()
            ).items()
        }
    )
