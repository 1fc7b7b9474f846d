"""The screen over real runs, and what Dagster makes of it: asset, schedule, sensor."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from pipelines.components.deployment import build_deployment
from pipelines.components.operations.assets import STATUS, operations
from pipelines.components.operations.dagster_facts import DagsterFacts, Partitions
from pipelines.components.operations.failing import Made
from pipelines.components.operations.rendering import cells, markdown
from pipelines.components.operations.screen import Watched, expected_end, read_screen
from pipelines.components.operations.spec import MorningSpec, OperationsSpec
from pipelines.components.operations.status import Colour, Screen
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.people import hold
from pipelines.home import Home
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
    board,
    floor,
    higher,
    move_sandbox,
    readings,
)
from tests.components.operations.conftest import Hook
from tests.components.operations.situations import (
    AT_NINE,
    SCHEDULE,
    beat,
    begin_backfill,
    begin_job_backfill,
    kinds,
    switch_on,
)

TABLES = [readings(schedule=SCHEDULE)]
WATCHED = Watched(TABLES, [board(), floor()], {BOARD: ["team:boards"]}, "https://dagster.example.com")


@pytest.fixture
def deployment(deploy: Deploy) -> Deployment:
    """Four days of readings, whose table's schedule is on."""
    made = deploy(TABLES)
    switch_on(made.instance, f"{TABLE}_schedule")
    for day in DAYS:
        made.export(day)
    return made


def seen(deployment: Deployment, now: datetime = AT_NINE, watched: Watched = WATCHED) -> Screen:
    """The screen as it is at nine."""
    return read_screen(watched, deployment.home.ledger_url, deployment.instance, now)


def deliver_all(deployment: Deployment, first: str = DAYS[0], last: str = DAYS[-1]) -> None:
    """Extract and deliver the days."""
    deployment.extract(first, last)
    deployment.both(first, last)


def test_a_deployment_that_was_never_run_has_a_screen(empty_home: Home) -> None:
    """No ledger, no instance, no store: it says what is missing, makes none of them, and ends well."""
    screen = read_screen(WATCHED, empty_home.ledger_url, None, AT_NINE)
    assert [one.newest.state for one in screen.syncs] == ["missing", "missing"]
    assert [kinds(one.problems) for one in screen.syncs] == [[("schedule off", "yellow")]] * 2
    assert not empty_home.path.exists()


def test_a_deployment_without_syncs_has_a_screen(empty_home: Home) -> None:
    """Nothing to tell is told."""
    screen = read_screen(Watched([], []), empty_home.ledger_url, None, AT_NINE)
    assert screen.colour is Colour.GREEN
    assert "no syncs" in markdown(screen)


def test_a_morning_on_which_all_arrived_is_green(deployment: Deployment) -> None:
    """Newest partition, delivered of expected, history, owner; nothing to do."""
    deliver_all(deployment)
    screen = seen(deployment)
    assert screen.colour is Colour.GREEN
    first = screen.syncs[0]
    assert cells(first) == (
        f"{BOARD} (sandbox)",
        f"{DAYS[-1]} delivered",
        f"{len(ROWS)} of {len(ROWS)}",
        "4 of 4 delivered",
        "-",
    )
    assert first.owners == ("team:boards",)
    assert deployment.instance.get_run_by_id(first.newest.run) is not None


def test_a_day_that_failed_is_red_with_its_reason(deployment: Deployment) -> None:
    """The table's file was broken: its syncs name the table, the day and what to do; after a retry they are green."""
    path = deployment.export(DAYS[-1])
    path.write_text("reading_date\n")
    deployment.extract(DAYS[0], DAYS[-1])
    deployment.both(DAYS[0], DAYS[-2])
    (problem,) = seen(deployment).syncs[0].problems
    assert (problem.kind, problem.colour, problem.partitions) == ("table failed", Colour.RED, [DAYS[-1]])
    assert "team" in problem.what
    deployment.export(DAYS[-1])
    deliver_all(deployment, DAYS[-1], DAYS[-1])
    assert seen(deployment).colour is Colour.GREEN


def test_a_failed_day_has_its_own_run_and_reason(deployment: Deployment) -> None:
    """Today was well; history failed later, for another reason: that run is linked, its reason told, not today's."""
    deliver_all(deployment, DAYS[3], DAYS[3])
    url = move_sandbox(deployment.home)
    deployment.extract(DAYS[0], DAYS[2])
    failing = deployment.deliver(FLOOR, DAYS[0], DAYS[2])
    screen = seen(deployment)
    today, (red, *_) = screen.syncs[1].newest, screen.syncs[1].problems
    assert (today.partition, today.state) == (DAYS[3], "delivered")
    assert (red.kind, red.partitions, red.run) == ("failed", list(DAYS[:3]), failing.result.run_id)
    assert today.run not in {"", red.run}
    assert any(url in one.what and one.run == red.run for one in screen.syncs[1].problems)
    assert f"/runs/{red.run})" in markdown(screen)


def test_a_day_whose_table_failed_has_the_run_and_the_reason_of_its_own_extract(deployment: Deployment) -> None:
    """Neither a good run afterwards nor the failure of another day takes a day's reason away, or lends it its own."""
    deployment.export(DAYS[3]).write_text("reading_date\n")
    monday = deployment.extract(DAYS[3])
    (deployment.folder / "exports" / f"kpi_{DAYS[1]}.csv").unlink()
    tuesday = deployment.extract(DAYS[0], DAYS[1])
    deployment.extract(DAYS[2])
    sync = seen(deployment).syncs[0]
    found = {one.partitions[0]: (one.run, one.what) for one in sync.problems if one.kind == "table failed"}
    assert {day: run for day, (run, _) in found.items()} == {
        DAYS[1]: tuesday.result.run_id,
        DAYS[3]: monday.result.run_id,
    }
    assert "there is no file" in found[DAYS[1]][1]
    assert "has no column 'team_code'" in found[DAYS[3]][1]
    assert (sync.newest.state, sync.newest.run) == ("missing", monday.result.run_id)


def test_a_delivered_day_stays_so_while_history_waits_for_it(deployment: Deployment) -> None:
    """A queued backfill that takes the newest day along makes it neither late nor missing."""
    deliver_all(deployment)
    before = seen(deployment).syncs[1]
    job = deployment.defs.resolve_job_def(f"{FLOOR}_deliver")
    tags = dict(zip(RANGE, (DAYS[0], DAYS[-1]), strict=True))
    deployment.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=tags)
    after = seen(deployment).syncs[1]
    assert (after.newest.state, after.colour) == (before.newest.state, before.colour) == ("delivered", Colour.GREEN)


def test_a_dry_run_takes_no_reason_away(deployment: Deployment) -> None:
    """A look at a failed day is its newest run; why it failed stays what the failing run said."""
    deployment.extract(DAYS[3])
    card = deployment.home.read_card()
    move_sandbox(deployment.home)
    failing = deployment.deliver(FLOOR, DAYS[3])
    assert card is not None
    deployment.home.write_card(card)
    before = seen(deployment).syncs[1].problems
    assert deployment.deliver(FLOOR, DAYS[3], dry_run=True).success
    assert seen(deployment).syncs[1].problems == before
    assert [(one.kind, one.partitions, one.run) for one in before if one.kind == "failed"] == [
        ("failed", [DAYS[3]], failing.result.run_id)
    ]


def test_the_newest_try_tells_the_reason(deployment: Deployment) -> None:
    """A run that could not even begin says why, though an older one had a verdict on the day."""
    deployment.export(DAYS[3])
    deployment.extract(DAYS[3])
    move_sandbox(deployment.home)
    deployment.deliver(FLOOR, DAYS[3])
    (deployment.home.path / "sandbox.json").unlink()
    last = deployment.deliver(FLOOR, DAYS[3])
    failures = DagsterFacts(deployment.instance)
    failures.load([FLOOR])
    failed = Partitions(failed=[DAYS[3]])
    (told,) = Made(FLOOR, FLOOR, "delivery").failures(failures, [DAYS[3]], failures.tries(FLOOR, failed))
    assert told.run == last.result.run_id
    assert told.why == last.failure


def test_many_runs_that_failed_are_told_in_a_few_lines(deployment: Deployment) -> None:
    """The newest with their reasons, those of one reason as one, and the rest by number: no question per run."""
    facts = DagsterFacts(deployment.instance)
    for day in DAYS:
        deployment.export(day).write_text("reading_date\n")
        deployment.extract(day)
    facts.load([f"{TABLE}_valid"])
    days = [f"2012-01-{day:02}" for day in range(1, 10)]
    failed = Partitions(failed=[*days, *DAYS])
    tries = {day: f"gone-{day}" for day in days} | facts.tries(f"{TABLE}_valid", failed)
    told = Made(f"{TABLE}_valid", TABLE, "contract").failures(facts, [*failed.failed], tries)
    assert len(told) == 6
    assert [len(one.partitions) for one in told] == [1, 1, 1, 1, 1, 8]
    assert sorted(day for one in told for day in one.partitions) == sorted(failed.failed)
    assert all("team_code" in one.why for one in told[:4])


def test_a_table_that_is_extracted_longer_than_its_hour_is_late(deployment: Deployment) -> None:
    """While its run for the newest day is queued or works nobody is told to start another one."""
    deliver_all(deployment, DAYS[0], DAYS[2])
    job = deployment.defs.resolve_job_def(f"{TABLE}_extract")
    span: dict[str, str] = dict.fromkeys(RANGE, DAYS[3])
    for status in (dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED):
        run = deployment.instance.create_run_for_job(job, tags=span, status=status)
        found = seen(deployment).syncs[0]
        assert (found.newest.state, kinds(found.problems)) == ("in progress", [("late", "yellow")]), status
        deployment.instance.delete_run(run.run_id)
    assert kinds(seen(deployment).syncs[0].problems) == [("missing", "red")]


def test_rejections_below_a_syncs_bound_are_green_as_its_check_is(deploy: Deploy) -> None:
    """`warn_above` decides for the screen and for the check of the partition alike."""
    refusal = {"kind": "status", "times": None, "params": {"code": 400, "body": {"message": "no"}}}
    for bound, colour in ((25, Colour.GREEN), (24, Colour.YELLOW)):
        sync, table = board(warn_above={"percent": bound}), readings(end=DAYS[0])
        deployment = deploy([table], [sync])
        deployment.control.add_faults({**refusal, "api": API[BOARD], "path_contains": "departures-EWR-AA"})
        deployment.export(DAYS[0])
        deployment.extract(DAYS[0])
        told = deployment.deliver(BOARD, DAYS[0])
        assert told.counts(BOARD)[DAYS[0]]["rejected"] == 1
        assert told.checks(BOARD)[DAYS[0]].passed == (colour is Colour.GREEN)
        assert seen(deployment, watched=Watched([table], [sync])).syncs[0].colour is colour


def test_a_held_sync_is_red_and_what_it_kept_back_is_counted(deployment: Deployment) -> None:
    """The hold, the failed days and the keys that wait, each with its next command; the other sync is well."""
    with closing(Ledger(deployment.home.ledger_url)) as ledger, ledger.engine.begin() as connection:
        hold(ledger, connection, BOARD, "repairs", time.time())
    deliver_all(deployment)
    held, other = seen(deployment).syncs
    assert kinds(held.problems) == [("held", "red"), ("failed", "red"), ("not sent", "red")]
    assert held.next == f"pipelines release {BOARD}"
    assert held.problems[2].count == len(ROWS)
    assert other.colour is Colour.GREEN


def test_rows_in_quarantine_are_yellow_with_their_number(deployment: Deployment) -> None:
    """The rest of the day arrived, and that is told as well."""
    deployment.export(DAYS[-1], [*ROWS[:3], ("JFK-B6", "on_time_pct", "many")])
    deliver_all(deployment)
    found = seen(deployment).syncs[0]
    assert [(one.kind, one.count, one.colour) for one in found.problems] == [("quarantined", 1, Colour.YELLOW)]
    assert (found.newest.delivered, found.newest.expected) == (3, 4)


def test_a_backfill_is_told_with_its_expected_end(deployment: Deployment) -> None:
    """Two of four days in an hour: two more hours' worth at the same pace; what was never begun has no end yet."""
    since = AT_NINE - timedelta(hours=1)
    begin_backfill(deployment.instance, deployment.defs, [BOARD], DAYS, done=2, at=since)
    screen = seen(deployment)
    (progress,) = screen.syncs[0].progress
    assert (progress.done, progress.total, progress.since) == (2, 4, since)
    assert progress.ends == AT_NINE + timedelta(hours=1)
    assert "2 of 4 partitions in 1 h, expected to end in 1 h (2013-01-05 15:00 UTC)" in markdown(screen)
    assert screen.syncs[0].busy
    assert not screen.syncs[1].progress
    assert expected_end(since, 0, 4, AT_NINE) is None


def test_a_backfill_of_a_job_is_counted_in_partitions(deployment: Deployment) -> None:
    """Not in runs: a chunk of two days and one of a single day in an hour and a half leave half an hour's worth."""
    since = AT_NINE - timedelta(minutes=90)
    job = deployment.defs.resolve_job_def(f"{TABLE}_extract")
    begin_job_backfill(deployment.instance, job, DAYS, ended=[DAYS[:2], DAYS[2:3]], at=since)
    for sync in seen(deployment).syncs:
        progress = [one for one in sync.progress if one.kind == "backfill"]
        assert [(one.done, one.total, one.ends) for one in progress] == [(3, 4, AT_NINE + timedelta(minutes=30))]


def test_runs_that_wait_are_told(deployment: Deployment) -> None:
    """A run of the sync's job that nobody has started yet is under way, with its age."""
    job = deployment.defs.resolve_job_def(f"{BOARD}_deliver")
    tags: dict[str, str] = dict.fromkeys(RANGE, DAYS[0])
    run = deployment.instance.create_run_for_job(job, tags=tags)
    progress = seen(deployment, datetime.now(UTC)).syncs[0].progress
    assert [(one.kind, one.id, one.queued) for one in progress] == [("run", run.run_id, True)]


def test_a_ledger_that_cannot_be_read_is_red_once(deployment: Deployment) -> None:
    """The rest of the screen stands, and says that something is not known."""
    deliver_all(deployment)
    screen = read_screen(WATCHED, "postgresql://nobody@127.0.0.1:1/ledger", deployment.instance, AT_NINE)
    (problem,) = screen.problems
    assert (problem.kind, screen.colour) == ("ledger", Colour.RED)
    assert all(one.busy for one in screen.syncs)


def test_the_screen_asks_no_more_of_a_year_than_of_four_days(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The number of statements does not grow with the number of partitions."""

    def statements(until: datetime) -> int:
        asked: list[str] = []
        storage: Any = deployment.instance.event_log_storage
        index: Any = storage.index_connection
        with monkeypatch.context() as patched:
            patched.setattr(storage, "index_connection", lambda *given: asked.append("") or index(*given))
            seen(deployment, until)
        return len(asked)

    deliver_all(deployment)
    seen(deployment)
    few = statements(AT_NINE)
    assert few > 0
    assert statements(AT_NINE + timedelta(days=360)) <= few


def test_the_daemons_last_sign_of_life_is_read(stored: dg.DagsterInstance, empty_home: Home) -> None:
    """Of the parts that the instance needs; where a schedule is on and nobody starts it, the screen is red."""
    assert DagsterFacts(stored).heartbeats() == {}
    assert read_screen(WATCHED, empty_home.ledger_url, stored, AT_NINE).problems == []
    switch_on(stored, f"{TABLE}_schedule")
    screen = read_screen(WATCHED, empty_home.ledger_url, stored, AT_NINE)
    assert kinds(screen.problems) == [("daemon", "red")]
    beat(stored, AT_NINE)
    screen = read_screen(WATCHED, empty_home.ledger_url, stored, AT_NINE + timedelta(seconds=20))
    assert (screen.daemon.seen, screen.problems) == (AT_NINE, [])


def take(deployment: Deployment, spec: OperationsSpec | None, *, tell: bool) -> dict[str, Any]:
    """Materialize the asset at nine; returns its metadata."""
    waits: list[float] = []
    defs = operations(WATCHED, spec, clock=lambda: AT_NINE, sleep=waits.append)
    (asset,) = list(defs.assets or ())
    assert isinstance(asset, dg.AssetsDefinition)
    config = {"ops": {STATUS: {"config": {"tell": tell}}}}
    result = dg.materialize([asset], instance=deployment.instance, run_config=config)
    assert result.success
    (made,) = result.asset_materializations_for_node(STATUS)
    return {**{name: one.value for name, one in made.metadata.items()}, "waits": waits}


def test_the_asset_shows_the_screen_and_its_numbers(deployment: Deployment) -> None:
    """The screen as Markdown, and counts that plot; without anybody to tell, nobody is told."""
    deliver_all(deployment)
    told = take(deployment, None, tell=False)
    assert (
        f"[{BOARD} (sandbox)](https://dagster.example.com/assets/{BOARD}?view=partitions&partition={DAYS[-1]})"
        in (told["screen"])
    )
    assert (told["colour"], told["syncs_green"], told["syncs_red"], told["rows_delivered"]) == ("green", 2, 0, 8)
    assert "message" not in told


def test_the_morning_is_told_in_the_same_run(
    deployment: Deployment, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when all is green; a receiver that is down is tried three times, and is no failure of the run."""
    monkeypatch.setenv("HOOK", hook.url)
    deliver_all(deployment)
    spec = OperationsSpec(webhook_env="HOOK")
    assert take(deployment, spec, tell=True)["message"] == "webhook: sent"
    assert hook.texts[0].startswith("🟢 pipelines: 2 green")
    assert take(deployment, spec, tell=False)["waits"] == []
    assert len(hook.bodies) == 1
    hook.status = 503
    told = take(deployment, spec, tell=True)
    assert told["message"].startswith("webhook: not sent: ")
    assert len(told["waits"]) == 2


def test_the_sensor_remembers_in_its_cursor(
    deployment: Deployment, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a tick told, the next one does not tell again, in whatever process it runs."""
    monkeypatch.setenv("HOOK", hook.url)
    spec = OperationsSpec(webhook_env="HOOK", alerts=True)
    (sensor,) = operations(WATCHED, spec, clock=lambda: AT_NINE).sensors or [None]
    assert isinstance(sensor, dg.SensorDefinition)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    cursor, said = None, None
    for _ in range(2):
        with dg.build_sensor_context(instance=deployment.instance, cursor=cursor) as context:
            said = sensor(context)
            cursor = context.cursor
    assert len(hook.bodies) == 1
    assert isinstance(said, dg.SkipReason)
    assert said.skip_message == "nothing has changed since it was last told"
    assert "schedule off" not in hook.texts[0]
    assert f"{DAYS[-1]} is missing" in hook.texts[0]


def test_without_operations_nothing_runs_by_itself(deploy: Deploy) -> None:
    """The asset is there and waits for a click: no schedule, no sensor, no message."""
    defs = deploy([readings()], []).defs
    assert dg.AssetKey(STATUS) in defs.resolve_asset_graph().get_all_asset_keys()
    assert not [one.name for one in defs.schedules or () if STATUS in one.name]
    assert "delivery_alerts" not in {one.name for one in defs.sensors or ()}


def test_the_morning_has_a_schedule_of_its_own(deployment: Deployment) -> None:
    """At the hour and in the timezone that Operations names; it sends the message, which a click does not."""
    spec = OperationsSpec(morning=MorningSpec(at="07:15", timezone="Europe/Berlin"))
    defs = build_deployment(TABLES, [board()], folder=deployment.folder, told=spec)
    (schedule,) = [one for one in defs.schedules or () if one.name == f"{STATUS}_schedule"]
    assert isinstance(schedule, dg.ScheduleDefinition)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("15 7 * * *", "Europe/Berlin")
    context = dg.build_schedule_context(scheduled_execution_time=AT_NINE)
    (asked,) = list(schedule.evaluate_tick(context).run_requests or ())
    assert asked.run_config["ops"] == {STATUS: {"config": {"tell": True}}}
    defs.resolve_job_def(f"{STATUS}_job")


def test_its_name_is_taken(deploy: Deploy) -> None:
    """A sync or table of the same name is refused with its reason."""
    with pytest.raises(ConfigurationError, match="which every deployment has"):
        deploy([readings()], [board(name=STATUS)])


def test_a_failed_delivery_of_an_unreachable_api_is_told_once(deployment: Deployment) -> None:
    """Keys that were not sent carry the reason, and the failed days do not repeat it."""
    deliver_all(deployment, DAYS[0], DAYS[-2])
    deployment.export(DAYS[-1], higher(9))
    deployment.extract(DAYS[-1])
    url = move_sandbox(deployment.home)
    assert not deployment.deliver(BOARD, DAYS[-1]).success
    told = seen(deployment).syncs[0]
    assert told.colour is Colour.RED
    assert told.newest.state == "failed"
    assert sum(url in one.what for one in told.problems) == 1
