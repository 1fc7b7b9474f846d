"""What all table components share; a kind of table adds its spec and nothing else."""

from __future__ import annotations

from typing import Any

import dagster as dg

from pipelines.components.policy import chunks_in
from pipelines.components.spec_component import SpecComponent, folder_of
from pipelines.components.table_assets import table_assets
from pipelines.delivery.errors import ConfigurationError
from pipelines.tables.spec import AnyTable


class TableComponent(SpecComponent):
    """Mixed into the spec of a table, makes it a component."""

    def assets(self, context: dg.ComponentLoadContext) -> list[Any]:
        """The table's op, and its sources as external assets."""
        if not isinstance(self, AnyTable):
            raise ConfigurationError(f"{type(self).__name__} is a table component without the fields of a table")
        chunk = chunks_in(context.component_tree).get(self.name)
        return table_assets(self, folder_of(context), chunk=chunk)
