"""The asset `delivery_status`: the screen in Dagster's UI, its figures as plots, and the message of the morning."""

import os
import time
from collections.abc import Callable
from datetime import datetime

import dagster as dg

from pipelines.components.operations.alerts import alert_sensor
from pipelines.components.operations.channels import Message, open_channel
from pipelines.components.operations.messages import morning
from pipelines.components.operations.rendering import markdown
from pipelines.components.operations.screen import Watched, read_screen, utc_now
from pipelines.components.operations.spec import MorningSpec, OperationsSpec
from pipelines.components.operations.status import Colour, Screen
from pipelines.components.policy import OWNER
from pipelines.delivery.errors import AccountUnavailable, PipelinesError
from pipelines.home import Home

STATUS = "delivery_status"
_WAITS_S = (5.0, 30.0)
"""Between the tries to tell the message: one that nobody takes is not worth a red run."""


class StatusConfig(dg.Config):
    """What a single run may ask for."""

    tell: bool = False
    """Also send the screen as a message; the morning's schedule does."""


def operations(
    watched: Watched,
    spec: OperationsSpec | None,
    *,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
) -> dg.Definitions:
    """The asset, which every deployment has; with `spec`, what it says of a schedule and of alerts."""
    chosen = spec or OperationsSpec()
    job = dg.define_asset_job(
        f"{STATUS}_job",
        selection=dg.AssetSelection.assets(STATUS),
        description="Takes the screen of the deployment; its config `tell: true` also sends it as a message.",
    )
    return dg.Definitions(
        assets=[_asset(watched, chosen, clock, sleep)],
        jobs=[job],
        schedules=[_schedule(chosen.morning)] if chosen.morning else [],
        sensors=[alert_sensor(watched, chosen, clock)] if chosen.alerts else [],
    )


def _asset(
    watched: Watched, spec: OperationsSpec, clock: Callable[[], datetime], sleep: Callable[[float], None]
) -> dg.AssetsDefinition:
    @dg.asset(
        name=STATUS,
        group_name="operations",
        kinds={"report"},
        owners=[spec.owner or OWNER],
        description="How every sync does, red, yellow or green, and what to do next: `pipelines status` as an asset. "
        "Its newest materialization shows the screen, its plots the counts from day to day.",
    )
    def _take(context: dg.AssetExecutionContext, config: StatusConfig) -> dg.MaterializeResult:
        screen = read_screen(watched, Home.of().ledger_url, context.instance, clock())
        metadata = {"screen": dg.MetadataValue.md(markdown(screen)), "colour": str(screen.colour), **figures(screen)}
        if config.tell:
            metadata["message"] = _tell(context, spec, morning(screen), sleep)
        return dg.MaterializeResult(metadata=metadata)

    return _take


def figures(screen: Screen) -> dict[str, int]:
    """The screen's numbers, which the UI plots from one materialization to the next."""
    problems = [problem for status in screen.syncs for problem in status.problems]
    return {
        **{f"syncs_{colour}": screen.count(colour) for colour in Colour},
        "rows_delivered": sum(status.newest.delivered or 0 for status in screen.syncs),
        "rows_expected": sum(status.newest.expected or 0 for status in screen.syncs),
        "failed_partitions": sum(status.history.failed for status in screen.syncs),
        **{
            kind.replace(" ", "_"): sum(one.count for one in problems if one.kind == kind)
            for kind in ("rejected", "parked", "quarantined", "invalid", "not sent", "unknown")
        },
    }


def _tell(
    context: dg.AssetExecutionContext, spec: OperationsSpec, message: Message, sleep: Callable[[float], None]
) -> str:
    """Send it through every channel; what came of that, in words."""
    told = []
    for name in spec.channels:
        try:
            _persist(lambda name=name: open_channel(name, spec, os.environ).send(message), sleep)
        except PipelinesError as error:
            context.log.warning("the message could not be sent by %s: %s", name, error)
            told.append(f"{name}: not sent: {error}")
        else:
            told.append(f"{name}: sent")
    return "; ".join(told) or "nobody to tell: Operations has neither webhook_env nor mail_to"


def _persist(send: Callable[[], None], sleep: Callable[[float], None]) -> None:
    """Try again where the receiver is away for a moment."""
    for wait in _WAITS_S:
        try:
            send()
        except AccountUnavailable:
            sleep(wait)
        else:
            return
    send()


def _schedule(spec: MorningSpec) -> dg.ScheduleDefinition:
    hour, minute = spec.at.split(":")
    return dg.ScheduleDefinition(
        name=f"{STATUS}_schedule",
        job_name=f"{STATUS}_job",
        cron_schedule=f"{int(minute)} {int(hour)} * * *",
        execution_timezone=spec.timezone,
        run_config=dg.RunConfig(ops={STATUS: StatusConfig(tell=True)}),
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Takes the screen of the morning, and tells it where Operations names somebody to tell.",
    )
