"""APIs that refuse, fail or are not there: what the runs say, what stays open, and that others are left in peace."""

from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.events import RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run

from pipelines.components.sync_run import Order, SyncRunner
from pipelines.delivery.breaker import BreakerPolicy
from pipelines.delivery.caller import Patience
from pipelines.delivery.upsert import Outcome
from pipelines.home import Home
from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, DAYS, FLOOR, PACKAGE, ROWS, Deployment, board, floor, move_sandbox

DAY = DAYS[0]
KEY = "departures-EWR-AA"


@pytest.fixture
def extracted(deploy: Deploy) -> Deployment:
    """One day in the store."""
    deployment = deploy()
    deployment.export(DAY)
    assert deployment.extract(DAY).success
    return deployment


def spoil(deployment: Deployment, kind: str = "status", times: int | None = None, **rule: Any) -> None:
    """Let the sandbox spoil answers, all of them unless said otherwise."""
    deployment.control.add_faults({"kind": kind, "times": times, **rule})


def refuse_one_key(deployment: Deployment) -> None:
    """Stativate answers 400 to one status."""
    message = {"message": "the moon is in the wrong house", "errorCode": "MOON"}
    spoil(deployment, api="stativate", path_contains=KEY, params={"code": 400, "body": message})


def test_a_refused_row_blocks_nothing_but_itself(extracted: Deployment) -> None:
    """400 for one key: the others arrive, the check is yellow with the API's words, the day is green."""
    refuse_one_key(extracted)
    on_board, on_floor = extracted.both(DAY)
    assert on_board.success
    assert on_board.counts(BOARD) == {DAY: {"extracted": 4, "rejected": 1, "accepted": 3}}
    (check,) = on_board.checks(BOARD).values()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    reasons = on_board.facts(BOARD)[DAY]["reasons"]
    assert "the moon is in the wrong house" in reasons
    assert KEY in reasons
    assert extracted.statuses(BOARD) == {DAY: "MATERIALIZED"}
    assert KEY not in extracted.board()
    assert on_floor.counts(FLOOR) == {DAY: {"extracted": 4, "accepted": 4}}
    assert on_floor.checks(FLOOR)[DAY].passed

    extracted.control.clear_faults()
    again = extracted.deliver(BOARD, DAY)
    assert again.counts(BOARD) == {DAY: {"extracted": 4, "unchanged": 3, "accepted": 1}}
    assert again.checks(BOARD)[DAY].passed


def test_more_refused_rows_than_allowed_turn_the_day_red(deploy: Deploy) -> None:
    """Above `fail_above` the day fails: red check, red partition, and a sentence that counts and names the field."""
    deployment = deploy(syncs=[board(fail_above={"count": 0}), floor()])
    deployment.export(DAY)
    deployment.extract(DAY)
    refuse_one_key(deployment)
    told = deployment.deliver(BOARD, DAY)
    assert not told.success
    assert f"{DAY}: fail_above: 1 rejected of 4 rows, more than {{count: 0}} allows" in told.failure
    (check,) = told.checks(BOARD).values()
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert deployment.statuses(BOARD) == {DAY: "FAILED"}
    assert deployment.statuses(f"{BOARD}_upserts") == {DAY: "MATERIALIZED"}


def test_each_kind_of_wrong_row_has_a_bound_of_its_own(deploy: Deploy) -> None:
    """Quarantined rows are tolerated, a refused one is not: the day turns red, and says which bound was crossed."""
    bounds = {"rejected": {"count": 0}, "quarantined": {"percent": 50}}
    warning = {"count": 5, "quarantined": {"count": 0}}
    deployment = deploy(syncs=[board(fail_above=bounds, warn_above=warning)])
    deployment.export(DAY, [*ROWS, ("JFK-DL", "departures", "many")])
    deployment.extract(DAY)
    told = deployment.deliver(BOARD, DAY)
    assert told.success
    assert told.checks(BOARD)[DAY].severity is dg.AssetCheckSeverity.WARN
    why = told.facts(BOARD)[DAY]["why"]
    assert why == "warn_above: 1 quarantined of 5 rows, more than {quarantined: {count: 0}} allows"

    deployment.export(DAY, [("EWR-AA", "departures", 11), *ROWS[1:], ("JFK-DL", "departures", "many")])
    deployment.extract(DAY)
    refuse_one_key(deployment)
    told = deployment.deliver(BOARD, DAY)
    assert not told.success
    assert told.checks(BOARD)[DAY].severity is dg.AssetCheckSeverity.ERROR
    why = told.facts(BOARD)[DAY]["why"]
    assert why == "fail_above: 1 rejected of 5 rows, more than {rejected: {count: 0}} allows"
    assert why in told.failure
    assert deployment.statuses(BOARD) == {DAY: "FAILED"}


def test_no_warning_where_none_is_wanted(deploy: Deploy) -> None:
    """`warn_above` lets so many wrong rows pass without turning the check yellow."""
    deployment = deploy(syncs=[board(warn_above={"count": 1})])
    deployment.export(DAY)
    deployment.extract(DAY)
    refuse_one_key(deployment)
    told = deployment.deliver(BOARD, DAY)
    assert told.counts(BOARD) == {DAY: {"extracted": 4, "rejected": 1, "accepted": 3}}
    assert told.checks(BOARD)[DAY].passed


def test_refused_credentials_stop_the_account_and_no_other(
    extracted: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """401: one request, nothing else is sent, the sentence names the settings; the other account goes on."""
    monkeypatch.setenv("STATIVATE_IN_FLIGHT", "1")
    spoil(extracted, "expired_key", api="stativate")
    on_board, on_floor = extracted.both(DAY)
    assert not on_board.success
    assert on_board.counts(BOARD) == {DAY: {"extracted": 4, "not_sent": 4}}
    assert extracted.requests(BOARD) == 1
    assert f"{DAY}: 4 not_sent. account stativate: " in on_board.failure
    assert "401" in on_board.failure
    assert "Check the account's settings (STATIVATE_...)" in on_board.failure
    assert on_board.checks(BOARD)[DAY].severity is dg.AssetCheckSeverity.ERROR
    assert extracted.statuses(BOARD) == {DAY: "FAILED"}
    assert on_floor.success
    assert len(extracted.floor()) == 4

    extracted.control.clear_faults()
    assert extracted.deliver(BOARD, DAY).counts(BOARD) == {DAY: {"extracted": 4, "accepted": 4}}


def test_a_failing_api_is_left_alone(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five requests in a row that failed for good the run pauses, or ends where its time would not suffice."""
    monkeypatch.setenv("VALUESTREAMER_IN_FLIGHT", "1")
    deployment = deploy(syncs=[floor(max_minutes=0.2)])
    deployment.export(
        DAY,
        [(team, "departures", 1) for team in ("EWR-AA", "EWR-B6", "EWR-DL", "JFK-AA", "JFK-B6", "JFK-DL", "LGA-AA")],
    )
    deployment.extract(DAY)
    spoil(deployment, api="valuestreamer", method="PUT", params={"code": 500, "html": "<h1>Oh no</h1>"})
    told = deployment.deliver(FLOOR, DAY)
    assert not told.success
    assert told.counts(FLOOR) == {DAY: {"extracted": 7, "failed": 5, "not_sent": 2}}
    assert f"{DAY}: 5 failed, 2 not_sent. account valuestreamer: not everything could be sent" in told.failure
    assert "the 0.2 minutes that the run was given (max_minutes)" in told.failure
    statuses = deployment.control.counts("valuestreamer")["statuses"]
    assert statuses["500"] == 5


def test_a_run_pauses_for_a_sick_api_and_gives_up_after_three_probes(
    extracted: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failure opens the breaker, three probes after pauses end the run; the next run delivers what is left."""
    monkeypatch.setenv("VALUESTREAMER_IN_FLIGHT", "1")
    extracted.export(DAY, [(team, "departures", 1) for team in ("EWR-AA", "EWR-B6", "JFK-AA", "JFK-B6", "LGA-AA")])
    extracted.extract(DAY)
    spoil(extracted, api="valuestreamer", method="PUT", params={"code": 500, "html": "<h1>Oh no</h1>"})
    breaker = BreakerPolicy(failures=1, cooldowns_s=(0.05, 0.1, 0.2))
    runner = SyncRunner(floor(), extracted.home, patience=Patience(breaker=breaker))
    sick = runner.run(Order("sick", [DAY]))
    assert +sick.results[DAY].counts == {Outcome.FAILED: 4, Outcome.NOT_SENT: 1}
    assert (
        "account valuestreamer: the API is not well: 4 requests in a row failed, 3 of them after" in sick.report.stopped
    )
    assert "Run the partitions again when the API is well." in sick.report.stopped
    assert extracted.control.counts("valuestreamer")["statuses"]["500"] == 4

    extracted.control.clear_faults()
    assert extracted.deliver(FLOOR, DAY).counts(FLOOR) == {DAY: {"extracted": 5, "accepted": 5}}
    assert extracted.statuses(FLOOR) == {DAY: "MATERIALIZED"}


def test_nothing_is_written_where_ids_cannot_be_checked(extracted: Deployment) -> None:
    """ValueStreamer's catalogue cannot be read: no dataset goes out unchecked, and the run says why."""
    spoil(extracted, api="valuestreamer", method="GET", path_contains="/exchange/kpi", params={"code": 500})
    told = extracted.deliver(FLOOR, DAY)
    assert not told.success
    assert told.counts(FLOOR) == {DAY: {"extracted": 4, "not_sent": 4}}
    assert "the catalogue (/exchange/kpi) cannot be read" in told.failure
    assert extracted.floor() == {}


def test_an_answer_that_is_lost_is_read_back(extracted: Deployment) -> None:
    """A connection that drops after the write: nothing is lost, nothing is sent twice, no person is told twice."""
    spoil(extracted, "drop_after", times=1, api="stativate", method="POST", path_contains=KEY)
    told = extracted.deliver(BOARD, DAY)
    assert told.success
    assert told.counts(BOARD) == {DAY: {"extracted": 4, "accepted": 4}}
    statuses = extracted.control.state("stativate")["statuses"]
    assert statuses[KEY]["notifications"] == 1


def test_a_sandbox_that_is_down_ends_with_one_sentence(extracted: Deployment, home: Home) -> None:
    """Nothing listens at the sandbox's address: the run ends at once and names `pipelines sandbox`."""
    url = move_sandbox(home)
    told = extracted.deliver(BOARD, DAY)
    assert not told.success
    assert told.counts(BOARD) == {DAY: {"extracted": 4, "not_sent": 4}}
    assert f"nothing listens at {url}/stativate/v1" in told.failure
    assert "Start the sandbox with `pipelines sandbox`" in told.failure


def test_a_sandbox_that_never_was_ends_with_one_sentence(extracted: Deployment, home: Home) -> None:
    """A home without a sandbox: nothing is tried, and the sentence names `pipelines sandbox`."""
    (home.path / "sandbox.json").unlink()
    told = extracted.deliver(BOARD, DAY)
    assert not told.success
    sentence = (
        "account stativate: the sandbox of this home was never started. Run `pipelines sandbox` or `pipelines dev`."
    )
    assert told.failure == sentence
    assert told.facts(BOARD) == {DAY: {"why": sentence}}


def test_a_new_sandbox_starts_without_a_state(extracted: Deployment, sandbox_home: Home, home: Home) -> None:
    """An emptied sandbox has another id: what was delivered to the old one counts for nothing, all is sent again."""
    extracted.both(DAY)
    extracted.control.reset()
    card = sandbox_home.read_card()
    assert card is not None
    home.write_card(card)
    on_board, on_floor = extracted.both(DAY)
    assert on_board.counts(BOARD) == on_floor.counts(FLOOR) == {DAY: {"extracted": 4, "accepted": 4}}


def test_retries_of_requests_steps_and_runs_never_multiply(extracted: Deployment) -> None:
    """Requests were retried where that is right: a policy that repeats steps, and the run retries shipped, add none."""
    spoil(extracted, api="valuestreamer", method="PUT", params={"code": 503})
    many = dg.RetryPolicy(max_retries=3)
    job = dg.define_asset_job("many_tries", [f"{FLOOR}_upserts", FLOOR], op_retry_policy=many)
    defs = dg.Definitions.merge(extracted.defs, dg.Definitions(jobs=[job]))
    shipped = yaml.safe_load((PACKAGE / "dagster.yaml").read_text(encoding="utf-8"))["run_retries"]
    assert shipped["enabled"]
    with dg.DagsterInstance.ephemeral(settings={"run_retries": shipped}) as instance:
        result = defs.resolve_job_def("many_tries").execute_in_process(
            instance=instance, partition_key=DAY, raise_on_error=False
        )
        run = instance.get_run_by_id(result.run_id)
        assert run is not None
        assert not auto_reexecution_should_retry_run(instance, run, RunFailureReason.STEP_FAILURE)
        assert auto_reexecution_should_retry_run(instance, run, RunFailureReason.RUN_EXCEPTION)
    assert not result.success
    assert [event for event in result.all_events if event.is_step_up_for_retry] == []
    tries = Patience().retry.attempts
    assert extracted.control.counts("valuestreamer")["statuses"]["503"] == tries * len(ROWS)
