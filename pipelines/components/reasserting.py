"""The sensor that sends again what the check `read_back` found changed, where a sync wants its own value back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import dagster as dg
import orjson

from pipelines.components.partition_checks import Verdict, last_verdict
from pipelines.components.partitions import partitions_of, spans
from pipelines.components.reading_back import MARKED_IN, READ_BACK
from pipelines.components.run_queue import PRIORITY_TAG
from pipelines.components.standing_checks import FOUND_AS
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.people import all_holds
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.spec import AnyTable

if TYPE_CHECKING:
    from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

NAME = "send_again_after_read_back"
MOST_RUNS = 20
"""So many are started after a look, those of the newest partitions; what is left is found by the next look."""


@dataclass(frozen=True, slots=True)
class Reasserting:
    """A sync that may want its own value back, its table and its job."""

    sync: SyncSpec
    table: AnyTable
    job: UnresolvedAssetJobDefinition


def reassert_sensor(syncs: Sequence[Reasserting]) -> dg.SensorDefinition | None:
    """One sensor for all syncs with `read_back: {then: reassert}`; None if there are none."""
    chosen = [one for one in syncs if one.sync.read_back is not None and one.sync.read_back.then == "reassert"]
    if not chosen:
        return None

    @dg.sensor(
        name=NAME,
        jobs=[one.job for one in chosen],
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=60,
        description="Where read_back found that somebody changed what a sync with `then: reassert` has delivered, "
        "delivers those partitions again: what stands there as it was accepted is not sent.",
    )
    def _send_again(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest]:
        told: dict[str, int] = orjson.loads(context.cursor or "{}")
        news = [(one, verdict) for one in chosen if (verdict := _news(context.instance, one.sync, told)) is not None]
        held = _held() if news else set()
        for one, verdict in news:
            # A held sync sends nothing: its days would turn red. It is its turn when the hold has ended.
            if one.sync.name not in held:
                told[one.sync.name] = _number(verdict)
                yield from _requests(one, verdict)
        context.update_cursor(orjson.dumps(told).decode())

    return _send_again


def _news(instance: dg.DagsterInstance, sync: SyncSpec, told: dict[str, int]) -> Verdict | None:
    """What the sync's check has found since the sensor looked last, if anything is to be sent."""
    verdict = last_verdict(instance, dg.AssetCheckKey(dg.AssetKey(sync.name), READ_BACK))
    if verdict is None or _number(verdict) == told.get(sync.name):
        return None
    return verdict if MARKED_IN in verdict.said.metadata else None


def _number(verdict: Verdict) -> int:
    """That of the look itself: a run that materializes says again what was found."""
    said = verdict.said.metadata.get(FOUND_AS)
    return cast("int", said.value) if said is not None else verdict.number


def _requests(one: Reasserting, verdict: Verdict) -> Iterator[dg.RunRequest]:
    """A run per stretch of partitions, with the claim of a backfill: it is history, which delays nothing of today."""
    partitions = partitions_of(one.table)
    marked = cast("list[str]", verdict.said.metadata[MARKED_IN].value)
    known = [key for key in marked if partitions is None or partitions.has_partition_key(key)]
    for span in spans(one.table, known)[-MOST_RUNS:]:
        yield dg.RunRequest(
            run_key="/".join([one.sync.name, str(_number(verdict)), *span.values()]),
            job_name=one.job.name,
            tags={**span, PRIORITY_TAG: "backfill"},
        )


def _held() -> set[str]:
    with closing(Ledger(Home.of().ledger_url)) as ledger, ledger.reading() as connection:
        return {*all_holds(connection)}
