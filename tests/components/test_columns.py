"""What the catalog says of columns: their schema, and their lineage from the source to the API's field."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from pipelines.components.deployment import load_deployment
from pipelines.home import Home
from pipelines.tables.spec import TableSpec
from tests.components.conftest import Write
from tests.components.deploying import PACKAGE, READS_YAML, SAMPLE, board, deployed, readings

pytestmark = READS_YAML

WAREHOUSE = {
    "warehouse/flight_kpis": "kpi_readings",
    "warehouse/flight_kpis_kpi": "kpis",
    "warehouse/flight_kpis_team": "teams",
    "warehouse/areas": "areas",
}
READING, KPI, TEAM, AREAS = WAREHOUSE
FIELDS: Mapping[str, Mapping[str, set[tuple[str, str]]]] = {
    "status_board": {
        "statusKey": {(READING, "kpi_code"), (READING, "team_code")},
        "name": {(KPI, "kpi_name"), (READING, "team_code")},
        "type": set(),
        "value": {(READING, "value"), (KPI, "unit")},
        "accessType": set(),
        "colorNo": {(READING, "value"), (READING, "kpi_code")},
    },
    "shop_floor": {
        "date": {(READING, "reading_date")},
        "team-id": {(TEAM, "valuestreamer_team_id")},
        "kpi-id": {(KPI, "valuestreamer_kpi_id")},
        "values[0].kpiValueId": {(KPI, "valuestreamer_actual_id")},
        "values[0].value": {(READING, "value"), (KPI, "unit"), (KPI, "whole_number")},
        "values[1].kpiValueId": {(KPI, "valuestreamer_target_id")},
        "values[1].value": {(KPI, "target"), (KPI, "unit"), (KPI, "whole_number")},
    },
    "flight_statuses": {
        "resource": {(TEAM, "dnsimple_resource")},
        "context": set(),
        "state": {(READING, "value")},
        "title": {(TEAM, "team_name"), (READING, "value")},
        "message": {(KPI, "target")},
    },
    "org_units": {
        "correlationID": {(AREAS, "area_code")},
        "name": {(AREAS, "area_name")},
        "parent": {(AREAS, "parent_code")},
        "active": {(AREAS, "active")},
        "allowCandidatesApply": set(),
        "tags": {(AREAS, "tags")},
    },
}
Facts = Mapping[str, Mapping[str, Any]]


def defined(defs: dg.Definitions) -> Facts:
    """The metadata of each asset's definition."""
    return {spec.key.to_user_string(): spec.metadata for spec in defs.resolve_all_asset_specs()}


def schema(facts: Facts, asset: str) -> dict[str, dg.TableColumn]:
    """The columns of an asset by name."""
    found = facts[asset]["dagster/column_schema"]
    return {one.name: one for one in getattr(found, "value", found).columns}


def lineage(facts: Facts, asset: str) -> Mapping[str, list[tuple[str, str]]]:
    """Where each column of an asset comes from."""
    found = facts.get(asset, {}).get("dagster/column_lineage")
    deps = getattr(found, "value", found).deps_by_column if found is not None else {}
    return {
        column: [(dep.asset_key.to_user_string(), dep.column_name) for dep in some] for column, some in deps.items()
    }


def roots(facts: Facts, asset: str, column: str) -> set[tuple[str, str]]:
    """The columns of the sources from which a column is made in the end."""
    if asset in WAREHOUSE:
        return {(asset, column)}
    found = lineage(facts, asset).get(column, [])
    return {root for origin in found for root in roots(facts, *origin)}


@pytest.fixture(scope="module")
def defs() -> dg.Definitions:
    """The deployment that ships with the package."""
    return load_deployment(PACKAGE)


@pytest.fixture(scope="module")
def facts(defs: dg.Definitions, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """What the catalog shows of each asset after an extract: what was told last, else what is defined."""
    found: dict[str, Mapping[str, Any]] = dict(defined(defs))
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("PIPELINES_HOME", str(tmp_path_factory.mktemp("home")))
        for job, partition in (("flight_kpis_extract", "2013-01-05"), ("areas_extract", None)):
            run = defs.resolve_job_def(job).execute_in_process(instance=instance, partition_key=partition)
            for event in run.all_node_events:
                if event.is_step_materialization and event.asset_key is not None:
                    told = event.step_materialization_data.materialization.metadata
                    assert "dagster/column_lineage" in told
                    found[event.asset_key.to_user_string()] = told
    return found


@pytest.mark.parametrize("sync", FIELDS)
def test_each_field_of_an_api_is_traced_to_the_source(facts: Facts, sync: str) -> None:
    """From the API's field through upserts, valid and raw rows to the warehouse's columns, catalogues included."""
    assert {column: roots(facts, sync, column) for column in schema(facts, sync)} == FIELDS[sync]


def test_lineage_names_columns_that_there_are(facts: Facts) -> None:
    """Every column that another one comes from stands in its asset's schema, or in the source's file."""
    known = {asset: set(schema(facts, asset)) for asset in facts if "dagster/column_schema" in facts[asset]}
    known |= {asset: set(pq.read_schema(SAMPLE / f"{file}.parquet").names) for asset, file in WAREHOUSE.items()}
    for asset in facts:
        for column, origins in lineage(facts, asset).items():
            assert column in known[asset], asset
            assert all(column in known[upstream] for upstream, column in origins), (asset, column)


def test_the_schema_of_what_was_stored_is_that_of_its_files(facts: Facts, defs: dg.Definitions) -> None:
    """After an extract a table's schema has the stored columns; before it those that the contract looks at."""
    valid = schema(facts, "flight_kpis_valid")
    assert {"partition", "row", "as_of", "date", "team", "kpi", "actual", "kpi_name", "unit", "target"} <= set(valid)
    before = set(schema(defined(defs), "flight_kpis_valid"))
    assert before == {"partition", "row", "as_of", "date", "team", "kpi", "actual"}


def test_a_schema_says_what_the_contract_asks_for(defs: dg.Definitions) -> None:
    """Types, whether a value must be there, what else is quarantined, what is unique."""
    columns = schema(defined(defs), "flight_kpis_valid")
    assert {name: columns[name].type for name in ("date", "team", "actual")} == {
        "date": "date",
        "team": "text",
        "actual": "number",
    }
    assert [columns[name].constraints.nullable for name in ("team", "actual")] == [False, True]
    assert "quarantined if it is not finite" in columns["actual"].constraints.other
    assert columns["kpi"].description == "The KPI's code."
    table = defined(defs)["flight_kpis_valid"]["dagster/column_schema"].constraints
    assert table.other == ["unique within a partition: date, team, kpi"]
    assert schema(defined(defs), "areas_valid")["area_code"].constraints.unique


def test_rules_of_ones_own_are_told(tmp_path: Path) -> None:
    """A rule of the YAML stands beside its column, with the rows that it is about."""
    rules = [{"column": "actual", "min": 0, "required": True, "where": {"kpi": ["a", "b"]}}]
    table: TableSpec = readings(rules=rules)
    home = Home.of({"PIPELINES_HOME": str(tmp_path)})
    defs = deployed([table], [board()], folder=tmp_path, instance=None, home=home, control=None).defs
    said = schema(defined(defs), "flight_kpis_valid")["actual"].constraints.other
    assert list(said[1:]) == [
        "quarantined if it is below 0, where kpi is a or b",
        "quarantined if it is missing, where kpi is a or b",
    ]


def test_owners_are_who_the_files_name(tmp_path: Path) -> None:
    """A table's and a sync's owner stands at their assets; without one the deployment's own team does."""
    home = Home.of({"PIPELINES_HOME": str(tmp_path)})
    parts = {"folder": tmp_path, "instance": None, "home": home, "control": None}
    syncs = [board(owner="ada@example.com")]
    defs = deployed([readings(owner="team:sales")], syncs, **parts).defs
    owners = {spec.key.to_user_string(): list(spec.owners) for spec in defs.resolve_all_asset_specs()}
    assert owners["flight_kpis_valid"] == ["team:sales"]
    assert owners["status_board"] == owners["status_board_upserts"] == ["ada@example.com"]
    assert owners["warehouse/flight_kpis"] == []


@pytest.mark.parametrize("owner", ["sales", "team:", "ada@", "ada@example", "-a@example.com", "a b@example.com", ""])
def test_an_owner_that_the_catalog_would_refuse_is_refused_before(owner: str) -> None:
    """What is neither a team nor an e-mail address is an error of its field."""
    for make in (readings, board):
        with pytest.raises(ValueError, match="owner"):
            make(owner=owner)


def test_assets_lead_to_the_lines_that_define_them(write: Write) -> None:
    """Code references name the file, and the line of the document in it, of each of several tables in one file."""
    one = 'type: pipelines.KpiTable\nattributes: {{name: {0}, source: {{files: "{0}.csv"}}, grain: snapshot}}\n'
    folder = write({"tables": f"{one.format('first')}---\n{one.format('second')}"})
    found = defined(load_deployment(folder))
    file = folder / "defs" / "tables" / "defs.yaml"
    lines = file.read_text().splitlines()
    for name in ("first", "second"):
        for asset in (name, f"{name}_valid", f"warehouse/{name}"):
            (reference,) = found[asset]["dagster/code_references"].code_references
            assert Path(reference.file_path) == file
            assert f"name: {name}," in "\n".join(lines[reference.line_number - 1 : reference.line_number + 1])


def test_tables_have_the_names_under_which_people_know_them(defs: dg.Definitions) -> None:
    """A source's table or files, and the store's own names."""
    names = {asset: facts.get("dagster/table_name") for asset, facts in defined(defs).items()}
    assert names["warehouse/flight_kpis_kpi"] == "sample/kpis.parquet"
    assert names["flight_kpis_valid"] == "flight_kpis_valid"
    assert names["status_board_upserts"] == "status_board_upserts"
    assert names["status_board"] is None
