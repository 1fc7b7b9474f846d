"""The deployment that a command is about: the package's own, or that of another folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pipelines
from pipelines.commands.quiet import quiet_dagster
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.columns import unknown
from pipelines.tables.spec import AnyTable


@dataclass(frozen=True, slots=True)
class Deployed:
    """Tables and syncs, and the folder that the tables' files are relative to."""

    tables: Sequence[AnyTable]
    syncs: Sequence[SyncSpec]
    folder: Path

    @classmethod
    def at(cls, folder: Path | None) -> Deployed:
        """Read the deployment.

        Raises:
            ConfigurationError: the folder is no project's, or a file cannot be used; it names the file.
        """
        quiet_dagster()
        from pipelines.components.deployment import read_deployment

        tree, tables, syncs = read_deployment(folder or Path(pipelines.__file__).parent)
        return cls(tables, syncs, tree.defs_module_path.parent)

    def table(self, name: str) -> AnyTable:
        """The table of a sync of this deployment."""
        return next(table for table in self.tables if table.name == name)

    def sync(self, name: str) -> SyncSpec:
        """The sync of that name.

        Raises:
            ConfigurationError: there is none; it names the closest.
        """
        named = {sync.name: sync for sync in self.syncs}
        if name not in named:
            raise unknown("this deployment", "sync", name, named)
        return named[name]
