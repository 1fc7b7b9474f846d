"""`type: pipelines.AreaTable`."""

from __future__ import annotations

from pipelines.components.table import TableComponent
from pipelines.tables.spec import AreaTableSpec


class AreaTable(AreaTableSpec, TableComponent):
    """A table of areas (org units): extracted, checked against its contract, stored as a snapshot."""
