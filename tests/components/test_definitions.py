"""What Dagster loads: the sample deployment frozen by a snapshot, and the policy that holds for every asset."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import dagster as dg
import pytest
from syrupy.assertion import SnapshotAssertion

import pipelines
from pipelines.components.deployment import load_deployment, read_deployment
from pipelines.components.partition_checks import partitioned_check, targets_of
from pipelines.destinations.base import SyncSpec
from tests.components.deploying import PACKAGE, READS_YAML

pytestmark = READS_YAML

_GIVEN_BY_DAGSTER = ("dagster/code_references", "dagster/component_origin")


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    """The deployment that ships with the package."""
    return load_deployment(PACKAGE)


@pytest.fixture(scope="module")
def syncs() -> list[SyncSpec]:
    """Its syncs."""
    return read_deployment(PACKAGE)[2]


def executable(defs: dg.Definitions) -> list[dg.AssetsDefinition]:
    """The assets that an op of ours makes."""
    found = [one for one in defs.resolve_asset_graph().assets_defs if one.is_executable]
    assert found
    return found


def asset(spec: dg.AssetSpec) -> dict[str, str]:
    """What of an asset must not change unseen."""
    own_tags = {name: value for name, value in spec.tags.items() if not name.startswith("dagster/")}
    return {
        "deps": ", ".join(sorted(dep.asset_key.to_user_string() for dep in spec.deps)),
        "group": f"{spec.group_name}; kinds: {', '.join(sorted(spec.kinds))}; owners: {', '.join(spec.owners)}",
        "partitions": str(spec.partitions_def or ""),
        "tags": str(own_tags),
        "metadata": ", ".join(sorted(name for name in spec.metadata if name not in _GIVEN_BY_DAGSTER)),
        "description": spec.description or "",
    }


def named(things: Iterable[Any]) -> list[Any]:
    """In order of their names."""
    return sorted(things, key=lambda one: one.name)


def test_the_sample_deployment_is_as_it_was(defs: dg.Definitions, snapshot: SnapshotAssertion) -> None:
    """Keys, dependencies, groups, owners, partitions, checks, jobs, schedules and sensors change only on purpose."""
    assert {
        "assets": {
            spec.key.to_user_string(): asset(spec)
            for spec in sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key)
        },
        "checks": sorted(
            f"{key.asset_key.to_user_string()}: {key.name}" for key in defs.resolve_asset_graph().asset_check_keys
        ),
        "jobs": {job.name: job.description for job in named(defs.resolve_all_job_defs()) if "__" not in job.name},
        "schedules": {
            one.name: (one.cron_schedule, one.execution_timezone, one.job_name, one.default_status.value)
            for one in named(defs.schedules or ())
        },
        "sensors": {one.name: one.default_status.value for one in named(defs.sensors or ())},
    } == snapshot


def test_the_sample_deployment_can_be_loaded(defs: dg.Definitions) -> None:
    """Everything resolves: jobs, partitions, checks."""
    dg.Definitions.validate_loadable(defs)


def test_every_partitioned_asset_bounds_the_partitions_of_a_run(defs: dg.Definitions) -> None:
    """An asset without a backfill policy would cost a run per partition, one without a bound all memory and retries."""
    partitioned = [one for one in executable(defs) if one.partitions_def]
    assert partitioned
    for one in partitioned:
        assert one.backfill_policy is not None, one.keys
        assert one.backfill_policy.max_partitions_per_run is not None, one.keys


def test_no_two_ops_share_a_backfill_policy_bound(defs: dg.Definitions, syncs: list[SyncSpec]) -> None:
    """Equal policies would put a table and its syncs into one run, where a slow account holds up the others."""
    bounds: dict[str, list[int]] = {"sync": [], "table": []}
    for one in executable(defs):
        if one.backfill_policy is not None:
            kind = "sync" if one.op.name in {sync.name for sync in syncs} else "table"
            bounds[kind].append(one.backfill_policy.max_partitions_per_run or 0)
    assert len(bounds["sync"]) > 1
    assert len(bounds["sync"]) == len(set(bounds["sync"]))
    assert not set(bounds["sync"]) & set(bounds["table"])


def test_every_asset_says_what_it_is_and_who_answers_for_it(defs: dg.Definitions) -> None:
    """Description, kinds and group everywhere; an owner on all that is ours."""
    ours = {key for one in executable(defs) for key in one.keys}
    for spec in defs.resolve_all_asset_specs():
        assert spec.description, spec.key
        assert spec.kinds, spec.key
        assert spec.group_name not in (None, "default"), spec.key
        assert spec.owners or spec.key not in ours, spec.key


def test_the_mode_of_a_sync_is_seen_wherever_one_looks(defs: dg.Definitions, syncs: list[SyncSpec]) -> None:
    """Asset page, catalog and the list of runs: each says whether a sync is in the sandbox, dry or live."""
    specs = {spec.key: spec for spec in defs.resolve_all_asset_specs()}
    for sync in syncs:
        spec = specs[dg.AssetKey(sync.name)]
        assert f"mode: {sync.mode}" in (spec.description or "")
        assert spec.metadata["mode"] == sync.mode
        assert spec.tags["pipelines/mode"] == sync.mode
        job = defs.resolve_job_def(f"{sync.name}_deliver")
        assert job.tags["pipelines/mode"] == sync.mode
        assert f"mode: {sync.mode}" in (job.description or "")


def test_every_sync_waits_in_the_pool_of_its_account(defs: dg.Definitions, syncs: list[SyncSpec]) -> None:
    """Steps of one account share a pool, so that a deployment can bound them."""
    pools = {one.op.name: one.op.pools for one in executable(defs)}
    for sync in syncs:
        assert pools[sync.name] == {f"account_{sync.account}"}


def test_runs_of_several_ops_stay_in_one_process(defs: dg.Definitions) -> None:
    """A process per step would cost seconds, and `dagster dev` would start dozens of them."""
    for job in defs.resolve_all_job_defs():
        assert job.executor_def.name == dg.in_process_executor.name


def test_what_is_private_in_dagster_is_still_there() -> None:
    """Verdicts per partition rest on one private class and a preview: both are found where we look for them."""
    day = dg.DailyPartitionsDefinition("2013-01-01")
    check = partitioned_check("contract", dg.AssetKey("readings"), day, "It is kept.")
    assert check.partitions_def == day
    key = dg.AssetKey("readings")
    with dg.DagsterInstance.ephemeral() as instance:
        for made in ("2013-01-01", "2013-01-01", "2013-01-03"):
            instance.report_runless_asset_event(dg.AssetMaterialization(key, partition=made))
        last, before, _ = instance.fetch_materializations(key, limit=3).records
        targets = targets_of(instance, key, {"2013-01-01", "2013-01-02", "2013-01-03"})
        assert targets_of(instance, key, set()) == targets_of(instance, dg.AssetKey("other"), {"2013-01-01"}) == {}
    told = {day: (one.run_id, one.storage_id) for day, one in targets.items()}
    assert told == {
        "2013-01-01": (before.run_id, before.storage_id),
        "2013-01-03": (last.run_id, last.storage_id),
    }


@pytest.mark.parametrize("module", ["pipelines", "pipelines.cli"])
def test_importing_the_package_costs_no_dagster(module: str) -> None:
    """`import pipelines`, and the command line up to its first command, load neither Dagster nor pandas."""
    code = f"import {module}, sys; print(sorted({{'dagster', 'pandas', 'fastapi'}} & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"


def test_every_component_can_be_named_in_yaml() -> None:
    """`type: pipelines.KpiTable`: each exported name is a component with a schema, whose fields are described."""
    assert set(pipelines.__all__) <= set(dir(pipelines))
    for name in pipelines.__all__:
        component = getattr(pipelines, name)
        model = component.get_model_cls()
        schema = model.model_json_schema()
        assert schema["properties"]
        assert all("description" in field for field in schema["properties"].values()), name
