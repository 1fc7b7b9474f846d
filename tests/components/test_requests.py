"""Requests are told where they belong: those of a day with it, all of a run once."""

from __future__ import annotations

from typing import Any

import pandas as pd

from pipelines.sandbox import Control
from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, DAYS, FLOOR, ROWS, SAMPLE, Deployment, Reading, board, floor, readings

FIRST, SECOND = DAYS[:2]
FREE: dict[str, Any] = {"vanished": "remove", "ceilings": {"removed": None}}


def many() -> list[Reading]:
    """A reading of three KPIs for each team: 105 rows."""
    teams = pd.read_parquet(SAMPLE / "teams.parquet")["team_code"]
    return [(team, kpi, 7) for team in teams for kpi in ("departures", "cancelled", "on_time_pct")]


def fill(deployment: Deployment, source: dict[str, list[Reading]]) -> None:
    """Export and extract days."""
    for day, rows in source.items():
        deployment.export(day, rows)
        assert deployment.extract(day).success


def asked(control: Control) -> int:
    """Requests that the stand-in of ValueStreamer has counted since it was asked last."""
    counted = control.counts("valuestreamer")["requests"]
    control.reset_counts()
    return counted


def test_taking_keys_away_is_no_free_ride(deploy: Deploy) -> None:
    """A day from which a hundred keys vanish tells the requests that it took, and so does its run."""
    deployment = deploy(syncs=[floor(**FREE)])
    rows = many()
    fill(deployment, {FIRST: rows})
    deployment.deliver(FLOOR, FIRST)
    fill(deployment, {FIRST: rows[:5]})
    asked(deployment.control)
    facts = deployment.deliver(FLOOR, FIRST).materialized(FLOOR)[FIRST]
    assert (facts["removed"], facts["unchanged"]) == (100, 5)
    assert facts["requests"] == facts["run_requests"] == asked(deployment.control) >= 100
    assert facts["answer_p95_s"] == facts["run_answer_p95_s"]


def test_removals_of_a_range_are_counted_for_the_days_that_lost_the_keys(deploy: Deploy) -> None:
    """Each day of a run over several has its own requests, and the run's figures are told once, at its newest day."""
    deployment = deploy(syncs=[floor(**FREE)])
    fill(deployment, {FIRST: [*ROWS], SECOND: [*ROWS]})
    deployment.deliver(FLOOR, FIRST, SECOND)
    fill(deployment, {FIRST: [*ROWS[3:]], SECOND: [*ROWS[1:]]})
    asked(deployment.control)
    told = deployment.deliver(FLOOR, FIRST, SECOND).materialized(FLOOR)
    assert [(told[day]["removed"], told[day]["requests"]) for day in (FIRST, SECOND)] == [(3, 3), (1, 1)]
    assert told[SECOND]["run_requests"] == asked(deployment.control) == 4
    assert not [name for name in told[FIRST] if name.startswith("run_")]


def test_keys_that_show_the_latest_are_taken_away_by_the_newest_day(deploy: Deploy) -> None:
    """Where removals are told with the newest day of the run, their requests are as well."""
    table = readings(catalogues={"kpi": str(SAMPLE / "kpis.parquet"), "team": "teams.parquet"})
    deployment = deploy([table], [board(keys_from="team", **FREE)])
    teams = pd.read_parquet(SAMPLE / "teams.parquet")
    teams.to_parquet(deployment.folder / "teams.parquet", index=False)
    fill(deployment, {FIRST: [*ROWS]})
    deployment.deliver(BOARD, FIRST)
    teams[teams["team_code"] == "JFK-B6"].to_parquet(deployment.folder / "teams.parquet", index=False)
    fill(deployment, {SECOND: [*ROWS[2:]]})
    deployment.control.reset_counts()
    told = deployment.deliver(BOARD, FIRST, SECOND).materialized(BOARD)
    assert [told[day].get("removed", 0) for day in (FIRST, SECOND)] == [0, 2]
    assert [told[day]["requests"] for day in (FIRST, SECOND)] == [0, deployment.requests(BOARD)]
    assert told[SECOND]["run_requests"] == deployment.requests(BOARD) >= 2


def test_what_serves_several_days_or_earlier_ones_is_the_runs(deploy: Deploy) -> None:
    """Asking what the API knows, and what became of an earlier run's upserts, are in the run's figures, and its log."""
    deployment = deploy(syncs=[floor()])
    fill(deployment, {day: [*ROWS] for day in DAYS})
    fault = {"api": "valuestreamer", "kind": "drop_after", "times": None, "method": "PUT"}
    deployment.control.add_faults(fault, {**fault, "method": "GET", "path_contains": FIRST, "kind": "drop_before"})
    told = deployment.deliver(FLOOR, FIRST)
    assert told.facts(FLOOR)[FIRST]["unknown"] == 4
    deployment.control.clear_faults()
    asked(deployment.control)

    result = deployment.deliver(FLOOR, SECOND, DAYS[-1])
    told = result.materialized(FLOOR)
    own = [told[day]["requests"] for day in DAYS[1:]]
    of_run = told[DAYS[-1]]["run_requests"]
    assert (own, of_run) == ([4, 4, 4], asked(deployment.control))
    settled, catalogue = 4, 4
    assert of_run == sum(own) + settled + catalogue
    assert "4 upserts of an earlier run had no answer: 4 had arrived" in told[DAYS[-1]]["run_notes"]
    lines = [event.message for event in deployment.instance.all_logs(result.result.run_id) if event.user_message]
    assert any(f"{of_run} requests in this run, 8 of them for no single partition of it" in line for line in lines)
