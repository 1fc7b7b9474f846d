"""Standing checks as Dagster knows them: checks of an asset as a whole, their job and their schedule.

They look at what no single run can see, in runs of their own: one for all tables, and one per sync, so that a slow API
holds up nobody. A run that materializes one of the assets (a chunk of a backfill, the Materialize button) takes every
check of it along: Dagster 1.13.27 asks for all there are (`build_run_requests_with_backfill_policies`). There they look
at nothing and say again what they said last, since a check that says nothing is shown as skipped; and they wait for no
asset, since what waits is skipped where the asset failed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

from pipelines.components.events import CheckOutcome
from pipelines.components.partition_checks import last_verdict
from pipelines.components.reading_back import READ_BACK, read_back
from pipelines.components.standing_looks import AssetLook, open_rows
from pipelines.components.standing_spec import StandingSpec
from pipelines.components.standing_volume import volume
from pipelines.delivery.errors import PipelinesError
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.names import valid_of
from pipelines.tables.spec import AnyTable

JOB = "standing_checks"
LOOKED_AT = "last_looked"
"""On a verdict that is said again: when it was found."""
FOUND_AS = "last_number"
"""On a verdict that is said again: the number of the one that found it."""


@dataclass(frozen=True, slots=True)
class _Check:
    """A standing check: what it promises, and how it looks."""

    promise: str
    look: Callable[[dg.AssetCheckExecutionContext], CheckOutcome]


def table_checks(table: AnyTable) -> dg.AssetChecksDefinition:
    """The standing checks of a table, at its valid rows."""
    asset, wanted = dg.AssetKey(valid_of(table.name)), table.volume
    checks = _asset_checks(asset, table)
    if wanted is not None:
        checks["volume"] = _Check(
            f"The newest partition, which is the one that is due, has {wanted.at_least:g} to {wanted.at_most:g} % of "
            f"the median of rows of the {wanted.trailing} before it.",
            lambda context: volume(table, wanted, Home.of(), context.instance, datetime.now(UTC)),
        )
    return _definition(table.name, asset, checks)


def sync_checks(sync: SyncSpec, table: AnyTable) -> dg.AssetChecksDefinition:
    """The standing checks of a sync, at what it has delivered."""
    asset, wanted = dg.AssetKey(sync.name), sync.read_back
    checks = _asset_checks(asset, table)
    if sync.mode == "dry":
        checks["freshness"] = _Check(
            f"Nothing: in mode dry nothing is delivered. Whether its table is late, {valid_of(table.name)} says.",
            lambda _: CheckOutcome(True, {"why": "mode dry: nothing is delivered, so that nothing is late"}),
        )
    checks["open_rows"] = _Check(
        f"Nothing has been rejected, failed, unknown or unsent for more than {sync.open_days:g} days.",
        lambda _: open_rows(sync, Home.of(), datetime.now(UTC)),
    )
    if wanted is not None:
        some = "All keys" if wanted.keys == "all" else f"{wanted.keys} keys, drawn by lot,"
        then = "sent again" if wanted.then == "reassert" else "reported and kept"
        checks[READ_BACK] = _Check(
            f"{some} stand at the API as they were accepted. What somebody changed there is {then}.",
            lambda context: read_back(sync, wanted, Home.of(), context.run.run_id),
        )
    return _definition(sync.name, asset, checks)


def _asset_checks(asset: dg.AssetKey, table: AnyTable) -> dict[str, _Check]:
    return {
        "freshness": _Check(
            f"The newest partition is there {table.late_after} minutes after its schedule's time.",
            lambda context: AssetLook(asset, table, context.instance).freshness(datetime.now(UTC)),
        ),
        "failed_partitions": _Check(
            "No partition is failed, however old it is.",
            lambda context: AssetLook(asset, table, context.instance).failed_partitions(),
        ),
    }


def _definition(name: str, asset: dg.AssetKey, checks: Mapping[str, _Check]) -> dg.AssetChecksDefinition:
    specs = [dg.AssetCheckSpec(title, asset=asset, description=one.promise) for title, one in checks.items()]
    named = {spec.get_python_identifier(): spec for spec in specs}

    @dg.op(name=f"{name}_standing", out={output: dg.Out(dg.Nothing, is_required=False) for output in named})
    def _look(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        # Of its job, and of a check's button *Execute*; `context.run` says neither in a run within a process.
        of_its_own = not context.job_def.asset_layer.selected_asset_keys
        for key in sorted(context.selected_asset_check_keys, key=lambda key: key.name):
            if of_its_own:
                yield _told(key, _looked(checks[key.name], context))
            else:
                yield from _again(context.instance, key)

    return dg.AssetChecksDefinition.create(
        keys_by_input_name={}, node_def=_look, check_specs_by_output_name=named, can_subset=True
    )


def _looked(check: _Check, context: dg.AssetCheckExecutionContext) -> CheckOutcome:
    """The verdict; what keeps a check from looking is one too."""
    try:
        return check.look(context)
    except PipelinesError as error:
        metadata = {"why": f"it could not look: {error.what}", **({"what_to_do": error.do} if error.do else {})}
        return CheckOutcome(passed=False, severity=dg.AssetCheckSeverity.WARN, metadata=metadata)


def _told(key: dg.AssetCheckKey, outcome: CheckOutcome) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=outcome.passed,
        severity=outcome.severity,
        description=outcome.why,
        metadata=dict(outcome.metadata),
    )


def _again(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> Iterator[dg.AssetCheckResult]:
    last = last_verdict(instance, key)
    if last is not None:
        moment = f"{datetime.fromtimestamp(last.timestamp, UTC):%Y-%m-%d %H:%M} UTC"
        where = {LOOKED_AT: f"{moment}; not in this run, which materializes", FOUND_AS: last.number}
        where |= last.said.metadata
        yield _told(key, CheckOutcome(last.said.passed, where, last.said.severity))


def standing_automation(
    spec: StandingSpec, tables: Sequence[dg.AssetChecksDefinition], syncs: Mapping[str, dg.AssetChecksDefinition]
) -> dg.Definitions:
    """The standing checks of tables and, by name, of syncs, with their job and its schedule."""
    groups = {"tables": [key for one in tables for key in one.check_keys]}
    groups |= {name: list(one.check_keys) for name, one in syncs.items()}
    hour, minute = spec.at.split(":")
    job = dg.define_asset_job(
        JOB,
        selection=dg.AssetSelection.checks(*(key for keys in groups.values() for key in keys)),
        description="Looks at what no single run can see: volume, freshness, partitions that stay failed, rows that "
        "stay open, and what stands at the APIs.",
    )

    @dg.schedule(
        name=f"{JOB}_schedule",
        job=job,
        cron_schedule=f"{int(minute)} {int(hour)} * * *",
        execution_timezone=spec.timezone,
        default_status=dg.DefaultScheduleStatus.STOPPED,
        description="Starts the standing checks: a run for all tables, and one per sync.",
    )
    def _tick(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        moment = context.scheduled_execution_time.isoformat()
        for name, keys in groups.items():
            if keys:
                yield dg.RunRequest(run_key=f"{moment}/{name}", asset_check_keys=keys)

    return dg.Definitions(asset_checks=[*tables, *syncs.values()], jobs=[job], schedules=[_tick])
