"""What stopped for a reason that may pass by itself is taken up, where it stopped, and until the table's time."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from pipelines.components.automation import sync_job
from pipelines.components.deployment import build_deployment
from pipelines.components.resuming import NAME, PAUSE, TAKES_UP_TAG, Resumable, next_time, next_try
from pipelines.components.stops import ROOT_TAG
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.people import hold
from pipelines.home import SandboxCard
from tests.components.conftest import Deploy
from tests.components.deploying import API, DAYS, FLOOR, RANGE, Deployment, Told, floor, higher, move_sandbox, readings

START, END = RANGE
FLOOR_SPEC = floor()
TABLE_SPEC = readings(retry_until="09:00")
RESUMABLE = Resumable(FLOOR_SPEC, TABLE_SPEC, sync_job(FLOOR_SPEC))


@pytest.fixture
def deployment(deploy: Deploy) -> Deployment:
    """Three days in the store."""
    deployment = deploy([TABLE_SPEC], [FLOOR_SPEC])
    for number, day in enumerate(DAYS[:3]):
        deployment.export(day, higher(number))
    assert deployment.extract(DAYS[0], DAYS[2]).success
    return deployment


def take_down(deployment: Deployment) -> SandboxCard:
    """Let nothing listen where the APIs were; returns what brings them back: `home.write_card`."""
    card = deployment.home.read_card()
    assert card is not None
    move_sandbox(deployment.home)
    return card


def ask(deployment: Deployment, later: timedelta = PAUSE, resumable: Resumable = RESUMABLE) -> Any:
    """What the sensor asks for so long after now."""
    return next_try(deployment.instance, resumable, datetime.now(UTC) + later)


def run_asked(deployment: Deployment, asked: dg.RunRequest) -> Told:
    """Run what was asked for."""
    span = [asked.tags[START], asked.tags[END]]
    return deployment.run(f"{FLOOR}_deliver", *span, run_config=asked.run_config, tags=asked.tags)


def test_what_an_api_that_was_down_left_is_taken_up_in_one_run(deployment: Deployment) -> None:
    """Every day of it and no other, once the pause is over; delivered, there is nothing more to take up."""
    assert deployment.deliver(FLOOR, DAYS[0]).success
    card = take_down(deployment)
    stopped = deployment.deliver(FLOOR, DAYS[1], DAYS[2], tags={"pipelines/priority": "scheduled"})
    assert not stopped.success
    assert ask(deployment, timedelta()).skip_message.startswith(f"{FLOOR}: stopped lately")
    asked = ask(deployment)
    assert (asked.tags[START], asked.tags[END]) == (DAYS[1], DAYS[2])
    assert asked.tags["pipelines/priority"] == "scheduled"
    assert asked.tags[TAKES_UP_TAG] == asked.tags[ROOT_TAG] == stopped.result.run_id
    deployment.home.write_card(card)
    assert run_asked(deployment, asked).success
    assert ask(deployment).skip_message == f"{FLOOR}: nothing to take up"


def test_each_try_has_a_key_of_its_own_and_counts_from_the_first_stop(deployment: Deployment) -> None:
    """A try that fails is taken up in turn, until the time that the first stop set, and never twice for one stop."""
    take_down(deployment)
    deployment.deliver(FLOOR, DAYS[0])
    first = ask(deployment)
    assert ask(deployment).run_key == first.run_key
    assert not run_asked(deployment, first).success
    second = ask(deployment)
    assert second.run_key != first.run_key
    assert second.tags[ROOT_TAG] == first.tags[ROOT_TAG] != second.tags[TAKES_UP_TAG]
    assert second.tags["pipelines/resume_until"] == first.tags["pipelines/resume_until"]
    until = datetime.fromisoformat(first.tags["pipelines/resume_until"])
    late: Any = next_try(deployment.instance, RESUMABLE, until)
    assert late.skip_message == f"{FLOOR}: nothing to take up"


@pytest.mark.parametrize("how", ["credentials", "hold", "ceiling"])
def test_a_stop_that_a_person_must_end_is_not_taken_up(deployment: Deployment, deploy: Deploy, how: str) -> None:
    """Refused credentials, a hold, a ceiling: a further try would change nothing, or drain a quota of refusals."""
    if how == "credentials":
        deployment.control.add_faults({"kind": "expired_key", "api": API[FLOOR]})
    elif how == "hold":
        with closing(Ledger(deployment.home.ledger_url)) as ledger, ledger.engine.begin() as connection:
            hold(ledger, connection, FLOOR, "stock-taking", 1.0)
    else:
        strict = build_deployment([TABLE_SPEC], [floor(ceilings={"created": {"count": 0}})], folder=deployment.folder)
        deployment = replace(deployment, defs=strict)
    stopped = deployment.deliver(FLOOR, DAYS[0])
    assert stopped.counts(FLOOR) == {DAYS[0]: {"extracted": 4, "not_sent": 4}}
    assert ask(deployment).skip_message == f"{FLOOR}: nothing to take up"


def test_a_newer_failure_decides_over_an_older_one(deployment: Deployment) -> None:
    """A day whose last try was refused for good is not taken up because an earlier one was not."""
    card = take_down(deployment)
    deployment.deliver(FLOOR, DAYS[0])
    assert isinstance(ask(deployment), dg.RunRequest)
    deployment.home.write_card(card)
    deployment.control.add_faults({"kind": "expired_key", "api": API[FLOOR]})
    deployment.deliver(FLOOR, DAYS[0])
    assert ask(deployment).skip_message == f"{FLOOR}: nothing to take up"


def test_a_run_that_could_not_even_begin_decides_too(deployment: Deployment) -> None:
    """Where the last try failed as a whole, for what somebody must mend, there is no further one."""
    take_down(deployment)
    deployment.deliver(FLOOR, DAYS[0], DAYS[1])
    (deployment.home.path / "sandbox.json").unlink()
    assert not deployment.deliver(FLOOR, DAYS[0], DAYS[1]).success
    assert ask(deployment).skip_message == f"{FLOOR}: nothing to take up"


def test_no_try_beside_a_run_that_is_under_way(deployment: Deployment) -> None:
    """While a run of the sync is queued or works, whatever launched it, nothing is asked for."""
    take_down(deployment)
    deployment.deliver(FLOOR, DAYS[0])
    job = deployment.defs.resolve_job_def(f"{FLOOR}_deliver")
    running = deployment.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert ask(deployment).skip_message == f"{FLOOR}: a run of it is under way"
    deployment.instance.delete_run(running.run_id)
    assert isinstance(ask(deployment), dg.RunRequest)


def test_a_day_that_somebody_has_delivered_since_is_left_alone(deployment: Deployment) -> None:
    """A retry by hand comes first."""
    card = take_down(deployment)
    deployment.deliver(FLOOR, DAYS[0])
    deployment.home.write_card(card)
    assert deployment.deliver(FLOOR, DAYS[0]).success
    assert ask(deployment).skip_message == f"{FLOOR}: nothing to take up"


def test_scheduled_work_is_taken_up_before_history(deployment: Deployment) -> None:
    """Of several stops the one with the first claim to the account comes first, and one at a time."""
    take_down(deployment)
    deployment.deliver(FLOOR, DAYS[0], tags={"dagster/backfill": "some-id"})
    deployment.deliver(FLOOR, DAYS[2], tags={"pipelines/priority": "scheduled"})
    assert ask(deployment).tags[START] == DAYS[2]


def test_a_run_that_is_taken_up_keeps_what_was_asked_of_it(deployment: Deployment) -> None:
    """`resend: all` stays what it was, and does not send again what the stopped run had sent."""
    assert deployment.deliver(FLOOR, DAYS[0]).success
    card = take_down(deployment)
    deployment.deliver(FLOOR, DAYS[0], resend="all")
    asked = ask(deployment)
    assert asked.run_config == {"ops": {FLOOR: {"config": {"resend": "all"}}}}
    deployment.home.write_card(card)
    assert run_asked(deployment, asked).counts(FLOOR) == {DAYS[0]: {"extracted": 4, "accepted": 4}}
    assert run_asked(deployment, asked).counts(FLOOR) == {DAYS[0]: {"extracted": 4, "unchanged": 4}}


def test_a_snapshot_is_taken_up_too(deploy: Deploy) -> None:
    """A table without partitions: one run without a range, until it is delivered."""
    fields: dict[str, Any] = {"grain": "snapshot", "start": None, "source": {"files": "exports/kpi_now.csv"}}
    table = readings(**fields, columns={"team": "team_code", "kpi": "kpi_code", "actual": "value"}, retry_until="09:00")
    deployment = deploy([table], [FLOOR_SPEC])
    deployment.export("now")
    deployment.extract()
    card = take_down(deployment)
    assert not deployment.deliver(FLOOR).success
    resumable = Resumable(FLOOR_SPEC, table, RESUMABLE.job)
    asked = ask(deployment, resumable=resumable)
    assert START not in asked.tags
    deployment.home.write_card(card)
    assert deployment.run(f"{FLOOR}_deliver", tags=asked.tags).success
    assert ask(deployment, resumable=resumable).skip_message == f"{FLOOR}: nothing to take up"


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2013-02-10T08:59:59-05:00", "2013-02-10T09:00:00-05:00"),
        ("2013-02-10T09:00:00-05:00", "2013-02-11T09:00:00-05:00"),
        ("2013-03-09T23:00:00-05:00", "2013-03-10T09:00:00-04:00"),
        ("2013-11-02T12:00:00-04:00", "2013-11-03T09:00:00-05:00"),
    ],
)
def test_the_time_is_that_of_the_tables_own_clock(after: str, expected: str) -> None:
    """`retry_until` is the next time at which clocks there show it, on days of 23 and 25 hours too."""
    found = next_time("09:00", datetime.fromisoformat(after), "America/New_York")
    assert found == datetime.fromisoformat(expected)


def test_the_sensor_is_there_where_a_table_wants_it_and_off(deploy: Deploy) -> None:
    """No table with `retry_until`, no sensor; with one, it waits for somebody to switch it on."""
    assert NAME not in {one.name for one in deploy().defs.sensors or ()}
    (sensor,) = [one for one in deploy([TABLE_SPEC]).defs.sensors or () if one.name == NAME]
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    with dg.DagsterInstance.ephemeral() as instance:
        evaluated: Any = sensor(dg.build_sensor_context(instance))
        (said,) = list(evaluated)
    assert said.skip_message == "status_board: nothing to take up; shop_floor: nothing to take up"
