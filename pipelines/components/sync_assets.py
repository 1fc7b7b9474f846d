"""A sync as Dagster assets: one op that yields `<sync>_upserts` and `<sync>`, with the delivery check per partition."""

import time
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import dagster as dg

from pipelines.components.events import Event, observations, tell, tell_stop, verdicts_again
from pipelines.components.failures import failed
from pipelines.components.partition_checks import DELIVERY, partitioned_check
from pipelines.components.partitions import partitions_in, partitions_of
from pipelines.components.policy import owners_of
from pipelines.components.run_queue import priority_of
from pipelines.components.stops import ROOT_TAG, note_stop
from pipelines.components.sync_columns import delivered_metadata, upsert_metadata
from pipelines.components.sync_figures import run_line
from pipelines.components.sync_run import Order, SyncRunner, upserts_of
from pipelines.components.sync_story import foreseen, story
from pipelines.delivery.errors import PipelinesError
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.grains import Calendar
from pipelines.tables.names import valid_of
from pipelines.tables.spec import AnyTable

MODE_TAG = "pipelines/mode"
_PROGRESS_S = 5.0


class Resend(Enum):
    """What a run sends."""

    changed = "changed"
    all = "all"


class DeliverConfig(dg.Config):
    """What a single run may ask for."""

    resend: Resend = Resend.changed
    """`all` also sends what the API already accepted; older values stay superseded all the same."""
    dry_run: bool = False
    """Plan and report, send nothing."""
    override_ceilings: str = ""
    """Why this run may do more than the sync's ceilings allow; kept in the ledger."""


def sync_assets(sync: SyncSpec, table: AnyTable, folder: Path, *, chunk: int | None) -> dg.AssetsDefinition:
    """The op of a sync. `folder`: where the table's `files` lie; `chunk`: partitions per run of a
    backfill; None: it has no partitions.
    """
    partitions = partitions_of(table)
    valid, upserts, delivered = map(dg.AssetKey, (valid_of(sync.table), upserts_of(sync.name), sync.name))
    check = partitioned_check(
        DELIVERY,
        delivered,
        partitions,
        "Every extracted row is accounted for; nothing failed, is unknown or was left unsent.",
    )
    shared: dict[str, Any] = {
        "partitions_def": partitions,
        "group_name": sync.settings.api,
        "skippable": True,
        "owners": owners_of(sync),
        "tags": {MODE_TAG: sync.mode},
    }

    @dg.multi_asset(
        name=sync.name,
        specs=[
            dg.AssetSpec(
                upserts,
                deps=[valid],
                description=f"What `{sync.table}` says, as keyed upserts for account `{sync.account}`.",
                metadata={"dagster/table_name": upserts.to_user_string(), **upsert_metadata(sync, valid)},
                kinds={"parquet"},
                **shared,
            ),
            dg.AssetSpec(
                delivered,
                deps=[upserts],
                description=f"**mode: {sync.mode}** — upserts delivered to account `{sync.account}`: "
                f"only what changed, never older over newer. [The API's documentation]({sync.documentation})",
                metadata={"mode": sync.mode, "account": sync.account, **delivered_metadata(sync, upserts)},
                kinds={sync.settings.api.replace("_", "")},
                **shared,
            ),
        ],
        check_specs=[check],
        can_subset=True,
        backfill_policy=dg.BackfillPolicy.multi_run(chunk) if chunk else None,
        pool=f"account_{sync.account}",
        op_tags={MODE_TAG: sync.mode},
    )
    def _deliver(context: dg.AssetExecutionContext, config: DeliverConfig) -> Iterator[Event]:
        order = Order(
            run_id=context.run.run_id,
            partitions=partitions_in(context),
            priority=priority_of(context.run.tags),
            resend_before=_first_asked(context) if config.resend is Resend.all else None,
            dry=config.dry_run,
            override=config.override_ceilings.strip(),
        )
        _show_mode(context, sync.mode)
        context.log.info(
            "%s: mode %s, account %s, %d partition(s)", sync.name, sync.mode, sync.account, len(order.partitions)
        )
        try:
            result = SyncRunner(sync, Home.of(), table, folder, progress=_log_progress(context, sync.name)).run(order)
        except PipelinesError as error:
            note_stop(context, sync.name, passing=False)
            if order.dry or sync.mode == "dry":
                raise failed(error, order.partitions) from error
            yield from tell_stop(context, error, check.key, order.partitions)
            return
        for note in [*result.report.notes, run_line(result)]:
            context.log.info("%s: %s", sync.name, note)
        if order.dry or sync.mode == "dry":
            for partition, why in result.missing.items():
                context.log.warning("%s: %s: %s, so nothing is planned for it", sync.name, partition, why)
            yield from observations(delivered, foreseen(sync, result))
            yield from verdicts_again(context, check.key, order.partitions)
            return
        told = story(sync, result, check.key, Calendar.of(table).grain)
        if told.failed:
            note_stop(context, sync.name, passing=bool(told.passing))
        yield from tell(context, told)

    return _deliver


def _first_asked(context: dg.AssetExecutionContext) -> float:
    """When the run, or the one that it is a retry of, was asked for: what was sent since need not be sent again."""
    first = context.run.tags.get(ROOT_TAG) or context.run.root_run_id or context.run.run_id
    record = context.instance.get_run_record_by_id(first)
    return record.create_timestamp.timestamp() if record else time.time()


def _log_progress(context: dg.AssetExecutionContext, sync: str) -> Callable[[int, int], None]:
    """A line in the run's log every few seconds while a delivery works."""
    told_at = time.monotonic()

    def note(done: int, total: int) -> None:
        nonlocal told_at
        if time.monotonic() - told_at >= _PROGRESS_S:
            told_at = time.monotonic()
            context.log.info("%s: %d of %d upserts answered", sync, done, total)

    return note


def _show_mode(context: dg.AssetExecutionContext, mode: str) -> None:
    """Tag the run with its modes: a run over a selection of assets takes no tags from them."""
    run = context.instance.get_run_by_id(context.run.run_id) or context.run  # it has the tag of a sync before this one
    modes = {mode, *filter(None, run.tags.get(MODE_TAG, "").split(", "))}
    context.instance.add_run_tags(run.run_id, {MODE_TAG: ", ".join(sorted(modes))})
