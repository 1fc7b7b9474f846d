"""The sensor that tells of changes. It asks for the screen every minute, so that it also sees what never ran.

What was told is kept in the sensor's cursor, in Dagster's own database: it outlives restarts and is the same wherever
the daemon runs. A receiver that is down is told at a later tick, and until then the tick says why it was not.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import dagster as dg

from pipelines.components.operations.channels import Channel, open_channel
from pipelines.components.operations.messages import alert
from pipelines.components.operations.news import Told, news, read_told, write_told
from pipelines.components.operations.screen import Watched, read_screen, utc_now
from pipelines.components.operations.spec import OperationsSpec
from pipelines.components.operations.status import Screen
from pipelines.delivery.errors import PipelinesError
from pipelines.home import Home

EVERY_S = 60
Open = Callable[[str, OperationsSpec], Channel]


def alert_sensor(
    watched: Watched, spec: OperationsSpec, clock: Callable[[], datetime] = utc_now
) -> dg.SensorDefinition:
    """The sensor. It runs as soon as the deployment is loaded: `alerts: true` is what switches it on."""

    @dg.sensor(
        name="delivery_alerts",
        minimum_interval_seconds=EVERY_S,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Tells through {' and '.join(spec.channels)} when a sync's state changes, and when it recovers.",
    )
    def _tick(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        screen = read_screen(watched, Home.of().ledger_url, context.instance, clock())
        cursor, said = tell_changes(context.cursor, screen, spec, open_channel)
        if cursor != context.cursor:
            context.update_cursor(cursor)
        return dg.SkipReason(said)

    return _tick


def tell_changes(cursor: str | None, screen: Screen, spec: OperationsSpec, opened: Open) -> tuple[str, str]:
    """Tell each channel what it was not told yet; returns what they know then, and a sentence for the tick."""
    before = read_told(cursor)
    after: dict[str, Told] = {}
    said: list[str] = []
    for name in spec.channels:
        changes, states = news(before.get(name, {}), screen)
        after[name] = states
        if not changes:
            continue
        try:
            opened(name, spec).send(alert(screen, changes, spec.owner or ""))
        except PipelinesError as error:
            after[name] = before.get(name, {})
            said.append(f"{name} could not be told, and will be at the next tick: {error}")
        else:
            said.append(f"{name} was told of {', '.join(f'{one.about} ({one.colour})' for one in changes)}")
    return write_told(after), "; ".join(said) or "nothing has changed since it was last told"
