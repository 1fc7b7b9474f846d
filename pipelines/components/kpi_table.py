"""`type: pipelines.KpiTable`."""

from __future__ import annotations

from pipelines.components.table import TableComponent
from pipelines.tables.spec import TableSpec


class KpiTable(TableSpec, TableComponent):
    """A table of KPI readings: extracted, checked against its contract, stored by partition."""
