"""What happened to each partition, told to Dagster: materializations, check results, failures.

Where every partition went well the metadata is attached per partition and one result is returned per asset, which
Dagster can store in batches. Where some failed, each good partition is reported by itself and the step then fails: the
good days are green, the failed ones red, and a retry takes up those alone. A failed partition has no materialization
whose metadata would say why: it is observed instead, which is shown on its page and turns nothing green.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from pipelines.components.failures import failed, failed_partitions
from pipelines.components.partition_checks import last_verdict, targets_of
from pipelines.delivery.errors import PipelinesError
from pipelines.tables.grains import SNAPSHOT

Metadata = Mapping[str, Any]
SAID_IN = "said_in_run"
"""On a verdict that is said again: the run that found it."""
Event = (
    dg.MaterializeResult | dg.AssetMaterialization | dg.AssetObservation | dg.AssetCheckResult | dg.AssetCheckEvaluation
)


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """The verdict of a check on one partition."""

    passed: bool
    metadata: dict[str, Any] = field(default_factory=dict)
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    @property
    def why(self) -> str | None:
        """Its reason in a sentence, which Dagster's pages show above the metadata, and those by their names."""
        why = self.metadata.get("why")
        return why.text if isinstance(why, dg.TextMetadataValue) else why

    @classmethod
    def red(cls, why: str, **more: Any) -> CheckOutcome:
        """A partition that failed, for this reason."""
        return cls(passed=False, metadata={"why": why, **more})


@dataclass(frozen=True, slots=True)
class Story:
    """What a run did: per asset and partition its metadata, per check and partition its verdict, and what failed.

    `observed`: what is to be seen on the pages of failed partitions. `passing`: those of them whose reason may pass by
    itself.
    """

    title: str
    assets: Mapping[dg.AssetKey, Mapping[str, Metadata]]
    checks: Mapping[dg.AssetCheckKey, Mapping[str, CheckOutcome]]
    failed: Mapping[str, str] = field(default_factory=dict)
    observed: Mapping[dg.AssetKey, Mapping[str, Metadata]] = field(default_factory=dict)
    passing: Collection[str] = ()
    do: str = ""


def tell(context: dg.AssetExecutionContext, story: Story) -> Iterator[Event]:
    """Yield the events of a story, for the assets that were selected.

    Raises:
        Failure: some partitions failed; raised after everything else was told.
    """
    selected = context.selected_asset_keys
    for key, partitions in story.assets.items():
        if key in selected:
            yield from _materializations(context, key, partitions, whole=not story.failed)
    yield from _seen_and_judged(context, story.observed, story.checks)
    if story.failed:
        raise failed_partitions(story.title, story.failed, story.do, story.passing)


def tell_stop(
    context: dg.AssetExecutionContext,
    error: PipelinesError,
    check: dg.AssetCheckKey,
    partitions: Collection[str],
    seen_at: dg.AssetKey | None = None,
    *,
    passing: bool = False,
) -> Iterator[Event]:
    """Yield the same reason for all partitions of a run that could do nothing.

    `seen_at`: the asset whose page says so, by default that of the check. `passing`: it may pass by itself.

    Raises:
        Failure: always; raised after everything was told.
    """
    red = {partition: CheckOutcome.red(str(error)) for partition in partitions}
    observed = {partition: outcome.metadata for partition, outcome in red.items()}
    yield from _seen_and_judged(context, {seen_at or check.asset_key: observed}, {check: red})
    raise failed(error, partitions, passing=passing) from error


def observations(key: dg.AssetKey, partitions: Mapping[str, Metadata]) -> Iterator[dg.AssetObservation]:
    """What is to be seen of partitions that are not materialized by it."""
    for partition, metadata in partitions.items():
        named = None if partition == SNAPSHOT else partition
        yield dg.AssetObservation(key, partition=named, metadata=dict(metadata))


def verdicts_again(
    context: dg.AssetExecutionContext, check: dg.AssetCheckKey, partitions: Collection[str]
) -> Iterator[dg.AssetCheckEvaluation]:
    """What stands about partitions that a run leaves as they are: a check that says nothing is shown as skipped."""
    if check not in context.selected_asset_check_keys:
        return
    for partition in partitions:
        last = last_verdict(context.instance, check, None if partition == SNAPSHOT else partition)
        if last is not None:
            yield dg.AssetCheckEvaluation(
                asset_key=check.asset_key,
                check_name=check.name,
                passed=last.said.passed,
                severity=last.said.severity,
                description=last.said.description,
                metadata={SAID_IN: last.run, **last.said.metadata},
                partition=last.said.partition,
                target_materialization_data=last.said.target_materialization_data,
            )


def _seen_and_judged(
    context: dg.AssetExecutionContext,
    observed: Mapping[dg.AssetKey, Mapping[str, Metadata]],
    checks: Mapping[dg.AssetCheckKey, Mapping[str, CheckOutcome]],
) -> Iterator[Event]:
    for key, partitions in observed.items():
        if key in context.selected_asset_keys:
            yield from observations(key, partitions)
    for check, outcomes in checks.items():
        if check in context.selected_asset_check_keys:
            yield from _evaluations(context, check, outcomes)


def _materializations(
    context: dg.AssetExecutionContext, key: dg.AssetKey, partitions: Mapping[str, Metadata], *, whole: bool
) -> Iterator[Event]:
    if list(partitions) == [SNAPSHOT]:
        yield dg.MaterializeResult(asset_key=key, metadata=dict(partitions[SNAPSHOT]))
        return
    if whole:
        for partition, metadata in partitions.items():
            context.add_asset_metadata(metadata, asset_key=key, partition_key=partition)
        yield dg.MaterializeResult(asset_key=key)
        return
    for partition, metadata in partitions.items():
        yield dg.AssetMaterialization(asset_key=key, partition=partition, metadata=dict(metadata))


def _evaluations(
    context: dg.AssetExecutionContext, check: dg.AssetCheckKey, outcomes: Mapping[str, CheckOutcome]
) -> Iterator[Event]:
    if list(outcomes) == [SNAPSHOT]:
        (outcome,) = outcomes.values()
        yield dg.AssetCheckResult(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=outcome.passed,
            severity=outcome.severity,
            description=outcome.why,
            metadata=dict(outcome.metadata),
        )
        return
    targets = targets_of(context.instance, check.asset_key, outcomes)
    for partition, outcome in outcomes.items():
        yield dg.AssetCheckEvaluation(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=outcome.passed,
            severity=outcome.severity,
            description=outcome.why,
            metadata={
                name: dg.MetadataValue.json(v) if isinstance(v, dict | list) else v
                for name, v in outcome.metadata.items()
            },
            partition=partition,
            target_materialization_data=targets.get(partition),
        )
