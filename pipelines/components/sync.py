"""What all sync components share; an API's component adds its spec and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagster as dg

from pipelines.components.policy import chunks_in
from pipelines.components.spec_component import SpecComponent, folder_of
from pipelines.components.sync_assets import sync_assets
from pipelines.components.table import TableComponent
from pipelines.delivery.errors import ConfigurationError
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.columns import unknown
from pipelines.tables.spec import AnyTable


class SyncComponent(SpecComponent):
    """Mixed into a `SyncSpec`, makes it a component."""

    def assets(self, context: dg.ComponentLoadContext) -> list[Any]:
        """The sync's op."""
        if not isinstance(self, SyncSpec):
            raise ConfigurationError(f"{type(self).__name__} is a sync component without the fields of a sync")
        tree = context.component_tree
        tables = [one for one in tree.get_all_components(TableComponent) if isinstance(one, AnyTable)]
        chunk = chunks_in(tree).get(self.name)
        return [sync_assets(self, table_of(self, tables), folder_of(context), chunk=chunk)]


def table_of(sync: SyncSpec, tables: Iterable[AnyTable]) -> AnyTable:
    """The table that a sync delivers.

    Raises:
        ConfigurationError: there is none of that name.
    """
    named = {table.name: table for table in tables}
    if sync.table not in named:
        raise unknown(f"sync {sync.name}, field table", "table", sync.table, named)
    return named[sync.table]
