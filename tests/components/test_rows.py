"""What becomes of rows that cannot be delivered: quarantined, invalid or left out, each with its reason."""

from __future__ import annotations

import csv

import dagster as dg
import pyarrow.parquet as pq

from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, FLOOR, ROWS, TABLE, Deployment, board, readings

DAY = "2013-01-01"
VALID, QUARANTINE = f"{TABLE}_valid", f"{TABLE}_quarantine"


def without_team(deployment: Deployment, code: str) -> dict[str, list[object]]:
    """ValueStreamer's catalogue without a team."""
    held = deployment.control.state("valuestreamer")
    return {
        "kpis": list(held["kpis"].values()),
        "teams": [team for team in held["teams"].values() if team["short_name"] != code],
    }


def test_broken_rows_are_quarantined_with_every_reason(deploy: Deploy) -> None:
    """A row that breaks the contract stands in the quarantine with its reasons; the check is yellow, the day green."""
    deployment = deploy()
    deployment.export(
        DAY, [*ROWS, ("", "departures", "many"), ("JFK-DL", "departures", 7), ("JFK-DL", "departures", 8)]
    )
    told = deployment.extract(DAY)
    assert told.success
    (check,) = told.checks(VALID).values()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    facts = told.facts(VALID)[DAY]
    assert (facts["extracted"], facts["quarantined"]) == (7, 3)
    assert "| 2 | date, team, kpi | key:duplicate |" in facts["rules"]
    assert facts["quarantined_rows"].splitlines() == [
        "| row | reading_date | team_code | kpi_code | value | reasons |",
        "| --- | --- | --- | --- | --- | --- |",
        "| 4 | 2013-01-01 |  | departures | many | actual: is not a number ('many'); team: is missing |",
        *(
            f"| {row} | 2013-01-01 | JFK-DL | departures | {value} | date, team, kpi: stands in several rows "
            "('2013-01-01, JFK-DL, departures') |"
            for row, value in ((5, 7), (6, 8))
        ),
    ]
    assert pq.read_table(facts["quarantine_file"]).num_rows == 3
    held = deployment.store.read(QUARANTINE, [DAY])
    (both,) = held.loc[held["value"] == "many", "reasons"]
    assert "team" in both
    assert "actual: is not a number ('many')" in both

    delivered = deployment.deliver(FLOOR, DAY)
    assert delivered.success
    assert delivered.counts(FLOOR) == {DAY: {"extracted": 7, "quarantined": 3, "accepted": 4}}
    (verdict,) = delivered.checks(FLOOR).values()
    assert (verdict.passed, verdict.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert deployment.statuses(FLOOR) == {DAY: "MATERIALIZED"}


def test_an_id_that_is_not_known_is_reported_once_per_id(deploy: Deploy) -> None:
    """Rows of a team without an id, and of one that ValueStreamer does not know, are invalid: one reason per id."""
    deployment = deploy()
    foreign = [("XXX-1", kpi, 5) for kpi in ("departures", "cancelled", "on_time_pct")]
    deployment.export(DAY, [*ROWS, ("EWR-AA", "cancelled", 0), *foreign])
    deployment.control.put_valuestreamer_meta(**without_team(deployment, "JFK-B6"), replace=True)
    deployment.extract(DAY)
    told = deployment.deliver(FLOOR, DAY)
    assert told.success
    assert told.counts(FLOOR) == {DAY: {"extracted": 8, "invalid": 5, "accepted": 3}}
    lines = [line for line in told.facts(FLOOR)[DAY]["reasons"].splitlines() if "| invalid |" in line]
    assert len(lines) == 2
    assert lines[0].startswith("| 3 | invalid | valuestreamer_team_id is empty for team 'XXX-1'")
    assert lines[1].startswith("| 2 | invalid | ValueStreamer knows no team ")


def test_rows_that_a_sync_leaves_out_are_counted(deploy: Deploy) -> None:
    """`where` and `on_null: skip` leave rows out as not selected, which is no fault: the check stays green."""
    deployment = deploy(syncs=[board(where="kpi = 'departures'", on_null="skip")])
    deployment.export(DAY, [*ROWS, ("JFK-DL", "departures", "")])
    deployment.extract(DAY)
    told = deployment.deliver(BOARD, DAY)
    assert told.counts(BOARD) == {DAY: {"extracted": 5, "not_selected": 3, "accepted": 2}}
    assert told.checks(BOARD)[DAY].passed
    assert told.materialized(BOARD)[DAY]["dagster/partition_row_count"] == 2


def test_rows_without_a_date_turn_the_newest_day_of_the_run_yellow(deploy: Deploy) -> None:
    """Rows of a source that belong to no partition are counted and shown where an operator looks; the day is green."""
    table = readings(source={"files": "exports/kpi_2013-01-01.csv"})
    deployment = deploy([table])
    later = [("2013-01-02", *ROWS[0]), ("31.12.2012", *ROWS[1]), ("", *ROWS[2])]
    with deployment.export(DAY).open("a", newline="") as file:
        csv.writer(file).writerows(later)
    told = deployment.extract(DAY, "2013-01-02")
    assert told.success
    checks = told.checks(VALID)
    assert {day: check.passed for day, check in checks.items()} == {DAY: True, "2013-01-02": False}
    assert checks["2013-01-02"].severity == dg.AssetCheckSeverity.WARN
    facts = told.facts(VALID)
    assert "undated" not in facts[DAY]
    assert facts["2013-01-02"]["undated"] == 2
    assert facts["2013-01-02"]["undated_rows"].splitlines() == [
        "| reading_date | team_code | kpi_code | value |",
        "| --- | --- | --- | --- |",
        "| 31.12.2012 | EWR-AA | on_time_pct | 81.5 |",
        "|  | JFK-B6 | departures | 40 |",
    ]
