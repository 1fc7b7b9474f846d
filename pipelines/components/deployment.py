"""A deployment: tables and syncs, their assets, jobs, schedules and sensors, and how runs are executed.

A deployment is a folder with `defs/`, read by `load_deployment`, or the same objects written in Python, given to
`build_deployment`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from pipelines.components.automation import sync_job, syncs_after_tables, table_job, table_schedule
from pipelines.components.defs_files import check_files
from pipelines.components.maintenance import maintenance
from pipelines.components.operations.assets import STATUS, operations
from pipelines.components.operations.screen import Watched
from pipelines.components.operations.spec import OperationsSpec
from pipelines.components.operations_component import Operations
from pipelines.components.partitions import partitions_of
from pipelines.components.policy import chunks
from pipelines.components.reading import readable
from pipelines.components.reasserting import Reasserting, reassert_sensor
from pipelines.components.resuming import Resumable, resume_sensor
from pipelines.components.spec_component import SpecComponent, located
from pipelines.components.standing import StandingChecks
from pipelines.components.standing_checks import standing_automation, sync_checks, table_checks
from pipelines.components.standing_spec import StandingSpec
from pipelines.components.sync import SyncComponent, table_of
from pipelines.components.sync_assets import sync_assets
from pipelines.components.sync_run import upserts_of
from pipelines.components.table import TableComponent
from pipelines.components.table_assets import table_assets
from pipelines.components.vanishing import check_removal
from pipelines.delivery.errors import ConfigurationError
from pipelines.destinations.base import SyncSpec
from pipelines.tables.names import quarantine_of, valid_of
from pipelines.tables.spec import AnyTable


def load_deployment(folder: Path) -> dg.Definitions:
    """Everything below `folder/defs`. `folder` lies in a project whose pyproject.toml has [tool.dg.project].

    Raises:
        ConfigurationError: a file cannot be used, or names in the deployment do not fit together.
    """
    tree, tables, syncs = read_deployment(folder)
    check_names(tables, syncs)
    standing = standing_in(tree)
    with readable():
        return _automated(tree.build_defs(), tables, syncs, standing, operations_in(tree))


def watched_at(folder: Path) -> Watched:
    """What `pipelines status` is about: the tables and syncs of a deployment, and who owns each.

    Raises:
        ConfigurationError: as `load_deployment`.
    """
    tree, tables, syncs = read_deployment(folder)
    check_names(tables, syncs)
    with readable():
        return _watched(tree.build_defs(), tables, syncs, operations_in(tree))


def read_deployment(folder: Path) -> tuple[dg.ComponentTree, list[AnyTable], list[SyncSpec]]:
    """The component tree of a deployment, its tables and its syncs.

    Raises:
        ConfigurationError: the folder is no project's, or a file cannot be used; it names the file.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}", do="Name the folder that holds `defs/`.")
    with readable():
        tree = dg.ComponentTree.for_project(folder)
        check_files(tree.defs_module_path, tree.project_root)
        return tree, tables_in(tree), syncs_in(tree)


def build_deployment(
    tables: Sequence[AnyTable],
    syncs: Sequence[SyncSpec] = (),
    *,
    folder: Path,
    standing: StandingSpec | None = None,
    told: OperationsSpec | None = None,
) -> dg.Definitions:
    """The same from Python objects; `folder` is what `files` are relative to.

    `standing` says when standing checks look, `told` what is told of the deployment, and to whom.

    Raises:
        ConfigurationError: names in the deployment do not fit together.
    """
    check_names(tables, syncs)
    bounds = chunks(tables, syncs)
    assets = [asset for table in tables for asset in table_assets(table, folder, chunk=bounds.get(table.name))]
    assets += [sync_assets(sync, table_of(sync, tables), folder, chunk=bounds.get(sync.name)) for sync in syncs]
    return _automated(dg.Definitions(assets=assets), tables, syncs, standing or StandingSpec(), told)


def tables_in(tree: dg.ComponentTree) -> list[AnyTable]:
    """The tables of a deployment."""
    return [one for one in tree.get_all_components(TableComponent) if isinstance(one, AnyTable)]


def syncs_in(tree: dg.ComponentTree) -> list[SyncSpec]:
    """The syncs of a deployment."""
    return [component for component in tree.get_all_components(SyncComponent) if isinstance(component, SyncSpec)]


def standing_in(tree: dg.ComponentTree) -> StandingSpec:
    """When the deployment's standing checks look.

    Raises:
        ConfigurationError: several files say so.
    """
    found = list(tree.get_all_components(StandingChecks))
    if len(found) > 1:
        raise ConfigurationError(
            f"{' and '.join(one.file for one in found)} both say when the standing checks look",
            do="Leave one pipelines.StandingChecks.",
        )
    return found[0] if found else StandingSpec()


def operations_in(tree: dg.ComponentTree) -> OperationsSpec | None:
    """What a deployment tells of itself; None: nothing.

    Raises:
        ConfigurationError: several files say so; it names them.
    """
    found = tree.get_all_components(Operations)
    if len(found) > 1:
        files = " and ".join(sorted(one.file for one in found))
        raise ConfigurationError(f"a deployment has one Operations, this one has {len(found)}: {files}", do="Keep one.")
    return found[0] if found else None


def check_names(tables: Sequence[AnyTable], syncs: Sequence[SyncSpec]) -> None:
    """Every asset has one name, every sync a table, and every account one API.

    Raises:
        ConfigurationError: a name stands for two things, or for none; it names the files.
    """
    owners: dict[str, AnyTable | SyncSpec] = {}
    for spec in (*tables, *syncs):
        for name in _assets(spec):
            if name == STATUS:
                raise ConfigurationError(
                    f"{_where(spec)} makes the asset {name}, which every deployment has", do="Give it another name."
                )
            if name in owners:
                raise ConfigurationError(
                    f"{_where(owners[name])} and {_where(spec)} both make the asset {name}",
                    do="Names are assets: give each its own.",
                    field="name",
                )
            owners[name] = spec
    users: dict[str, SyncSpec] = {}
    for sync in syncs:
        first = users.setdefault(sync.account, sync)
        if first.settings is not sync.settings:
            raise ConfigurationError(
                f"{_where(first)} and {_where(sync)} name the same account {sync.account}, which is one of "
                f"{first.settings.api} there and of {sync.settings.api} here",
                do="An account is one set of credentials of one API: give each its own name.",
                field="account",
            )
        with located(sync):
            table = table_of(sync, tables)
            check_removal(sync, table)
            if sync.partitions_per_run is not None and partitions_of(table) is None:
                raise ConfigurationError(
                    f"sync {sync.name}, partitions_per_run: the table {table.name} has no partitions",
                    do="Leave it out.",
                    field="partitions_per_run",
                )


def _assets(spec: AnyTable | SyncSpec) -> tuple[str, ...]:
    if isinstance(spec, SyncSpec):
        return spec.name, upserts_of(spec.name)
    return spec.name, valid_of(spec.name), quarantine_of(spec.name)


def _where(spec: AnyTable | SyncSpec) -> str:
    file = spec.file if isinstance(spec, SpecComponent) else ""
    what = f"{'sync' if isinstance(spec, SyncSpec) else 'table'} {spec.name}"
    return f"{what} ({file})" if file else what


def _watched(
    assets: dg.Definitions, tables: Sequence[AnyTable], syncs: Sequence[SyncSpec], told: OperationsSpec | None
) -> Watched:
    owners = {spec.key.to_user_string(): list(spec.owners) for spec in assets.resolve_all_asset_specs()}
    return Watched(tables, syncs, owners, told.ui_url if told else "")


def _automated(
    assets: dg.Definitions,
    tables: Sequence[AnyTable],
    syncs: Sequence[SyncSpec],
    standing: StandingSpec,
    told: OperationsSpec | None,
) -> dg.Definitions:
    table_jobs = {table.name: (table, table_job(table)) for table in tables}
    extracted = [Resumable(table.name, valid_of(table.name), table, job) for table, job in table_jobs.values()]
    delivered = [Resumable(sync.name, sync.name, table_jobs[sync.table][0], sync_job(sync)) for sync in syncs]
    sync_jobs = {name: [one.job for one in delivered if one.table.name == name] for name in table_jobs}
    resuming = resume_sensor([*extracted, *delivered])
    reasserting = reassert_sensor(
        [Reasserting(sync, one.table, one.job) for sync, one in zip(syncs, delivered, strict=True)]
    )
    schedules = [table_schedule(table, job) for table, job in table_jobs.values()]
    maintaining, weekly = maintenance()
    automation = dg.Definitions(
        jobs=[maintaining, *(job for _, job in table_jobs.values()), *(one.job for one in delivered)],
        schedules=[weekly, *(schedule for schedule in schedules if schedule is not None)],
        sensors=[*syncs_after_tables(table_jobs, sync_jobs), *filter(None, [resuming, reasserting])],
        # A run is one op or few: a process for each would cost seconds.
        executor=dg.in_process_executor,
    )
    telling = operations(_watched(assets, tables, syncs, told), told)
    if not tables:
        return dg.Definitions.merge(assets, automation, telling)
    of_syncs = {sync.name: sync_checks(sync, table_of(sync, tables)) for sync in syncs}
    checks = standing_automation(standing, [table_checks(table) for table in tables], of_syncs)
    return dg.Definitions.merge(assets, automation, checks, telling)
