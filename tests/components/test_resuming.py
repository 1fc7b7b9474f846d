"""What stopped for a reason that may pass by itself is taken up, where it stopped, and until the table's time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines.components.automation import sync_job, table_job
from pipelines.components.deployment import build_deployment
from pipelines.components.resuming import NAME, PAUSE, TAKES_UP_TAG, Resumable, in_words, next_time, next_try
from pipelines.components.stops import ROOT_TAG, stops_of
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.people import hold
from pipelines.home import SandboxCard
from tests.components.conftest import Deploy
from tests.components.deploying import (
    API,
    BOARD,
    DAYS,
    FLOOR,
    RANGE,
    ROWS,
    TABLE,
    Deployment,
    Told,
    floor,
    higher,
    move_sandbox,
    readings,
)

START, END = RANGE
FLOOR_SPEC = floor()
TABLE_SPEC = readings(retry_until="09:00")
RESUMABLE = Resumable(FLOOR, FLOOR, TABLE_SPEC, sync_job(FLOOR_SPEC))


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


@pytest.mark.parametrize("tags", [{START: DAYS[0], END: DAYS[2]}, {"dagster/partition": DAYS[0]}, {}])
@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_no_try_beside_a_run_of_the_same_days(
    deployment: Deployment, status: dg.DagsterRunStatus, tags: dict[str, str]
) -> None:
    """While a run is queued for them, or works on them, whatever launched it, nothing is asked for."""
    take_down(deployment)
    deployment.deliver(FLOOR, DAYS[0])
    assert isinstance(ask(deployment), dg.RunRequest)
    job = deployment.defs.resolve_job_def(f"{FLOOR}_deliver")
    deployment.instance.create_run_for_job(job, status=status, tags=tags)
    assert ask(deployment).skip_message == f"{FLOOR}: a run of what stopped is under way"


def test_a_try_that_died_without_a_word_is_no_reason_to_hurry(deployment: Deployment) -> None:
    """The pause counts from its end as well, or a process that is killed each time would be started every minute."""
    take_down(deployment)
    stopped = deployment.deliver(FLOOR, DAYS[0]).result.run_id
    job = deployment.defs.resolve_job_def(f"{FLOOR}_deliver")
    tags = {START: DAYS[0], END: DAYS[0], TAKES_UP_TAG: stopped}
    died = deployment.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    deployment.instance.report_run_failed(died, "killed")
    (stop,) = stops_of(deployment.instance, FLOOR, datetime.now(UTC) - timedelta(hours=1))
    (tried,) = deployment.instance.get_run_records(dg.RunsFilter(run_ids=[died.run_id]))
    assert tried.end_time is not None
    assert tried.end_time > stop.ended.timestamp()
    early: Any = next_try(deployment.instance, RESUMABLE, stop.ended + PAUSE)
    assert early.skip_message.startswith(f"{FLOOR}: stopped lately")
    assert isinstance(ask(deployment), dg.RunRequest)


def test_a_backfill_of_other_days_holds_nothing_back(deployment: Deployment) -> None:
    """Today's stop is taken up while history is delivered for hours; of what both are about, the rest."""
    take_down(deployment)
    deployment.deliver(FLOOR, DAYS[0], DAYS[2], tags={"pipelines/priority": "scheduled"})
    job = deployment.defs.resolve_job_def(f"{FLOOR}_deliver")
    backfill = {START: DAYS[0], END: DAYS[1], "dagster/backfill": "some-id"}
    deployment.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=backfill)
    asked = ask(deployment)
    assert (asked.tags[START], asked.tags[END]) == (DAYS[2], DAYS[2])


def test_history_that_keeps_stopping_delays_nothing(deployment: Deployment) -> None:
    """The pause before today's next try begins with its own last stop, not with those of a backfill since."""
    take_down(deployment)
    deployment.deliver(FLOOR, DAYS[2], tags={"pipelines/priority": "scheduled"})
    deployment.deliver(FLOOR, DAYS[0], tags={"dagster/backfill": "some-id"})
    history, today = stops_of(deployment.instance, FLOOR, datetime.now(UTC) - timedelta(hours=1))
    assert history.ended > today.ended
    asked: Any = next_try(deployment.instance, RESUMABLE, today.ended + PAUSE)
    assert asked.tags[START] == DAYS[2]
    assert deployment.run(f"{FLOOR}_deliver", DAYS[2], DAYS[2], tags=asked.tags).success is False
    waits: Any = next_try(deployment.instance, RESUMABLE, history.ended + PAUSE)
    assert "stopped lately" in waits.skip_message


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
    resumable = Resumable(FLOOR, FLOOR, table, RESUMABLE.job)
    asked = ask(deployment, resumable=resumable)
    assert START not in asked.tags
    deployment.home.write_card(card)
    assert deployment.run(f"{FLOOR}_deliver", tags=asked.tags).success
    assert ask(deployment, resumable=resumable).skip_message == f"{FLOOR}: nothing to take up"


MART = {"database_env": "MART_URL", "table": "kpi"}
MART_TABLE = readings(source=MART, columns={**TABLE_SPEC.columns.mapped}, retry_until="09:00")
EXTRACT = Resumable(TABLE, f"{TABLE}_valid", MART_TABLE, table_job(MART_TABLE))


def test_a_source_that_was_away_is_taken_up(deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that refused connections: its days are extracted when it is back, and the tick says each try."""
    monkeypatch.setenv("MART_URL", "postgresql+psycopg://user:pass@127.0.0.1:1/name")
    deployment = deploy([MART_TABLE], [FLOOR_SPEC])
    scheduled = {"pipelines/priority": "scheduled"}
    stopped = deployment.run(f"{TABLE}_extract", DAYS[0], DAYS[1], tags=scheduled)
    assert not stopped.success
    first = ask(deployment, resumable=EXTRACT)
    assert (first.job_name, first.tags[START], first.tags[END]) == (f"{TABLE}_extract", DAYS[0], DAYS[1])
    assert first.tags["pipelines/priority"] == "scheduled"
    assert in_words(first).startswith(
        f"{TABLE}_extract takes up {DAYS[0]} to {DAYS[1]}, where run {stopped.result.run_id} stopped: try 1 after"
    )
    assert not deployment.run(f"{TABLE}_extract", DAYS[0], DAYS[1], tags=first.tags).success
    second = ask(deployment, resumable=EXTRACT)
    assert ": try 2 after the first stop; tries end at" in in_words(second)
    monkeypatch.setenv("MART_URL", f"sqlite:///{tmp_path / 'mart.db'}")
    with closing(sqlite3.connect(tmp_path / "mart.db")) as mart, mart:
        mart.execute("create table kpi (reading_date, team_code, kpi_code, value)")
        mart.executemany("insert into kpi values (?, ?, ?, ?)", [(day, *row) for day in DAYS[:2] for row in ROWS])
    assert deployment.run(f"{TABLE}_extract", DAYS[0], DAYS[1], tags=second.tags).success
    assert ask(deployment, resumable=EXTRACT).skip_message == f"{TABLE}: nothing to take up"


def test_a_source_that_somebody_must_mend_is_not_taken_up(
    deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that is not there, a file that is missing or broken: no try would change that."""
    monkeypatch.setenv("MART_URL", f"sqlite:///{tmp_path / 'mart.db'}")
    sqlite3.connect(tmp_path / "mart.db").close()
    assert not deploy([MART_TABLE], [FLOOR_SPEC]).extract(DAYS[0], DAYS[1]).success
    of_files = deploy([TABLE_SPEC], [FLOOR_SPEC])
    of_files.export(DAYS[2]).write_text("reading_date\n")
    assert not of_files.extract(DAYS[2], DAYS[3]).success
    assert ask(of_files, resumable=EXTRACT).skip_message == f"{TABLE}: nothing to take up"


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
    names = (TABLE, BOARD, FLOOR)
    assert said.skip_message == "; ".join(f"{name}: nothing to take up" for name in names)
