"""A red day in the UI: what its check shows, what its page says, and that nothing of it turns green."""

from __future__ import annotations

import pytest

from pipelines.components.events import SAID_IN
from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, DAYS, FLOOR, ROWS, TABLE, Deployment, board, deployed, floor, readings

THREE = DAYS[:3]
BAD = THREE[1]
VALID = f"{TABLE}_valid"
WIRE = {"requests", "retries", "waited_for_limit_s", "sent_bytes", "received_bytes", "answer_p50_s", "answer_p95_s"}


@pytest.fixture
def green(deploy: Deploy) -> Deployment:
    """Three days that were delivered without a flaw; the shop floor tolerates no refused row."""
    deployment = deploy(syncs=[floor(fail_above={"count": 0})])
    for day in THREE:
        deployment.export(day)
    deployment.extract(THREE[0], THREE[-1])
    assert deployment.deliver(FLOOR, THREE[0], THREE[-1]).success
    assert deployment.verdicts(FLOOR) == dict.fromkeys(THREE, {"SUCCEEDED"})
    return deployment


def spoil(deployment: Deployment) -> None:
    """Another value for one row of a day, which the API refuses."""
    deployment.export(BAD, [("EWR-AA", "departures", 11), *ROWS[1:]])
    assert deployment.extract(BAD).success
    fault = {"api": "valuestreamer", "kind": "status", "path_contains": BAD, "times": None, "params": {"code": 400}}
    deployment.control.add_faults(fault)


@pytest.mark.parametrize(("first", "last"), [(BAD, ""), (THREE[0], THREE[-1])])
def test_a_day_that_was_green_and_is_refused_now_shows_so(green: Deployment, first: str, last: str) -> None:
    """The check of that day is red, be it run alone or in a range, and green again once it is mended."""
    spoil(green)
    told = green.deliver(FLOOR, first, last)
    assert not told.success
    assert green.statuses(FLOOR) == {**dict.fromkeys(THREE, "MATERIALIZED"), BAD: "FAILED"}
    assert green.verdicts(FLOOR) == {**dict.fromkeys(THREE, {"SUCCEEDED"}), BAD: {"FAILED"}}

    green.control.clear_faults()
    assert green.deliver(FLOOR, BAD).success
    assert green.verdicts(FLOOR) == dict.fromkeys(THREE, {"SUCCEEDED"})


def test_a_red_day_tells_all_that_a_green_one_does(green: Deployment) -> None:
    """Its verdict, and the page of the day, have every outcome, the requests, the reasons and why it is red."""
    spoil(green)
    green.control.reset_counts()
    told = green.deliver(FLOOR, THREE[0], THREE[-1])
    assert green.requests(FLOOR) == 4
    red, well = told.facts(FLOOR)[BAD], told.materialized(FLOOR)[THREE[0]]
    assert told.observed(FLOOR) == {BAD: red}
    assert well.keys() - {"answer_p50_s", "answer_p95_s"} <= red.keys()
    assert red.items() >= {"extracted": 4, "rejected": 1, "unchanged": 3, "failed": 0, "requests": 4}.items()
    assert red.keys() >= WIRE
    assert red["why"] == "fail_above: 1 rejected of 4 rows, more than {count: 0} allows"
    assert "| 1 | rejected | " in red["reasons"]
    assert f"`pipelines why {FLOOR} '" in red["reasons"]


def test_a_dry_run_leaves_each_verdict_as_it_was(green: Deployment) -> None:
    """Green days and red ones show what stands about them, with the same reasons, and not that a check was skipped."""
    spoil(green)
    told = green.deliver(FLOOR, THREE[0], THREE[-1])
    said = {day: {**facts, SAID_IN: told.result.run_id} for day, facts in told.facts(FLOOR).items()}
    dry = green.deliver(FLOOR, THREE[0], THREE[-1], dry_run=True)
    assert dry.success
    assert green.verdicts(FLOOR) == {**dict.fromkeys(THREE, {"SUCCEEDED"}), BAD: {"FAILED"}}
    assert dry.facts(FLOOR) == said


def test_rows_in_quarantine_are_among_the_reasons(deploy: Deploy) -> None:
    """Whoever reads why a day of a sync is yellow or red learns where the quarantined rows are explained."""
    deployment = deploy(syncs=[floor(), board(fail_above={"count": 0})])
    deployment.export(BAD, [("EWR-AA", "departures", "many"), *ROWS[1:]])
    deployment.extract(BAD)
    assert deployment.extract(BAD).facts(VALID)[BAD]["why"] == "1 of 4 rows break the contract"
    on_board, on_floor = deployment.both(BAD)
    assert (on_board.success, on_floor.success) == (False, True)
    for told, sync in ((on_board, BOARD), (on_floor, FLOOR)):
        assert f"check `contract` of {VALID} names rows and rules" in told.facts(sync)[BAD]["reasons"]


def test_upserts_tell_what_went_in_and_what_came_out(deploy: Deploy) -> None:
    """Rows in are those in quarantine, left out or invalid, and those that became upserts; also on a red day."""
    deployment = deploy(syncs=[board(where="kpi <> 'on_time_pct' OR team <> 'EWR-AA'", fail_above={"count": 0})])
    deployment.export(BAD, [*ROWS, ("JFK-DL", "departures", ""), ("JFK-UA", "departures", "many")])
    deployment.extract(BAD)
    told = deployment.deliver(BOARD, BAD)
    assert not told.success
    assert told.materialized(f"{BOARD}_upserts") == {
        BAD: {
            "rows_in": 6,
            "quarantined": 1,
            "not_selected": 1,
            "invalid": 1,
            "rows_out": 3,
            "dagster/partition_row_count": 3,
        }
    }
    assert deployment.store.rows(f"{BOARD}_upserts", BAD) == 3


def test_a_day_whose_file_broke_since_is_red_in_its_contract_check(green: Deployment) -> None:
    """A table's day that was well before, alone or in a run that can do nothing: check and page say why."""
    path = green.export(BAD)
    path.write_bytes(b"\x00\x01 this is not the file you want \xff\xfe")
    told = green.extract(THREE[0], THREE[-1])
    assert green.verdicts(VALID, "contract") == {**dict.fromkeys(THREE, {"SUCCEEDED"}), BAD: {"FAILED"}}
    assert told.observed(TABLE) == {BAD: told.facts(VALID)[BAD]}
    assert path.name in told.facts(VALID)[BAD]["why"]

    parts = {"folder": green.folder, "instance": green.instance, "home": green.home, "control": green.control}
    nowhere = deployed([readings(catalogues={"kpi": "not_there.parquet"})], [floor()], **parts)
    told = nowhere.extract(THREE[0], THREE[-1])
    assert green.verdicts(VALID, "contract") == dict.fromkeys(THREE, {"FAILED"})
    assert all("not_there.parquet" in facts["why"] for facts in told.facts(VALID).values())
    assert set(told.observed(TABLE)) == set(THREE)


def test_a_run_that_could_not_begin_says_so_of_each_day(green: Deployment) -> None:
    """Settings that nobody can use: the days of that run are red in the check, with the reason; no dry run is."""
    parts = {"folder": green.folder, "instance": green.instance, "home": green.home, "control": green.control}
    nowhere = deployed([], [floor(mode="live", account="nowhere")], **parts)
    told = nowhere.deliver(FLOOR, THREE[0], BAD, dry_run=True)
    assert (told.success, told.checks(FLOOR), told.observed(FLOOR)) == (False, {}, {})
    told = nowhere.deliver(FLOOR, THREE[0], BAD)
    assert green.verdicts(FLOOR) == {THREE[0]: {"FAILED"}, BAD: {"FAILED"}, THREE[2]: {"SUCCEEDED"}}
    for facts in (told.facts(FLOOR), told.observed(FLOOR)):
        assert set(facts) == {THREE[0], BAD}
        assert all("NOWHERE_" in one["why"] for one in facts.values())
