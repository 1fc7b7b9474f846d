"""What is red, what is yellow, what is green, and what to do: over facts put together by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelines.components.operations.daemons import daemon_of, daemon_problem
from pipelines.components.operations.dagster_facts import Account, Partitions
from pipelines.components.operations.failing import Failure
from pipelines.components.operations.judging import arrived
from pipelines.components.operations.status import Colour
from pipelines.components.standing_looks import due_partition, due_since
from pipelines.delivery.ledger import Hold
from pipelines.delivery.ledger.summary import OpenGroup, Summary, Unanswered
from tests.components.deploying import BOARD, DAYS, TABLE, board, readings
from tests.components.operations.situations import AT_NINE, SCHEDULE, all_of, judged, kinds

MONDAY_SIX = datetime(2013, 1, 7, 11, 0, tzinfo=UTC)
"""Six in the morning of a Monday in New York."""
EVERY_DAY = {"at": "05:30"}
SNAPSHOT = {"grain": "snapshot", "start": None, "source": {"files": "now.csv"}, "columns": {}}


def test_all_delivered_is_green() -> None:
    """Nothing is told of a sync whose newest closed partition arrived and that has nothing open."""
    newest, problems = judged(mine=all_of(), table=all_of())
    assert (newest.partition, newest.state, problems) == (DAYS[-1], "delivered", [])


@pytest.mark.parametrize(
    ("minutes", "state", "told"),
    [
        (-1, "delivered", []),
        (0, "expected", []),
        (59, "expected", []),
        (60, "missing", [("missing", "red")]),
    ],
)
def test_a_partition_is_missing_an_hour_after_its_schedule(
    minutes: int, state: str, told: list[tuple[str, str]]
) -> None:
    """Before its time yesterday's partition is not asked for; then it has an hour; then its absence is red."""
    half_past_five = datetime(2013, 1, 5, 10, 30, tzinfo=UTC)
    known = all_of(DAYS[:-1])
    newest, problems = judged(half_past_five + timedelta(minutes=minutes), mine=known, table=known)
    assert (newest.state, kinds(problems)) == (state, told)
    assert newest.partition == (DAYS[-2] if minutes < 0 else DAYS[-1])


def test_a_missing_partition_says_which_job_mends_it() -> None:
    """What was extracted needs its delivery; what was not needs its table."""
    _, (stored,) = judged(mine=all_of(DAYS[:-1]), table=all_of())
    assert stored.next == f"run {BOARD}_deliver in Dagster for it"
    _, (absent,) = judged(mine=all_of(DAYS[:-1]), table=all_of(DAYS[:-1]))
    assert absent.next == f"run {TABLE}_extract in Dagster for it"
    assert DAYS[-1] in absent.what


@pytest.mark.parametrize("late_after", [0, 60, 240, 1440])
@pytest.mark.parametrize("grain", ["daily", "snapshot"])
def test_what_is_late_is_late_for_everybody(late_after: int, grain: str) -> None:
    """The table's `late_after` is the grace of the screen, its alerts and the check `freshness`, to the minute."""
    fields: dict[str, Any] = SNAPSHOT if grain == "snapshot" else {}
    spec = readings(schedule=EVERY_DAY, late_after=late_after, **fields)
    tick = datetime(2013, 1, 5, 10, 30, tzinfo=UTC)
    known = all_of(DAYS[:-1])
    if grain == "snapshot":
        known = Partitions(["snapshot"], at=tick - timedelta(hours=3))
    for minutes in (-1, late_after - 1, late_after, late_after + 1):
        now = tick + timedelta(minutes=minutes)
        missing = "missing" in {one.kind for one in judged(now, spec=spec, mine=known, table=known)[1]}
        assert missing == (minutes >= late_after)
        since = due_since(spec, now)
        stale = due_partition(spec, now) == DAYS[-1] if grain == "daily" else since is not None and since >= tick
        assert missing == stale


def test_what_is_missing_stays_so_while_the_next_one_is_on_its_way() -> None:
    """A daemon that is down for days tells of no recovery each morning, in the hour of the next partition."""
    in_its_hour = datetime(2013, 1, 5, 10, 45, tzinfo=UTC)
    newest, problems = judged(in_its_hour, mine=all_of(DAYS[:-2]), table=all_of(DAYS[:-2]))
    assert (newest.partition, kinds(problems)) == (DAYS[-2], [("missing", "red")])
    snapshot = readings(schedule=EVERY_DAY, **SNAPSHOT)
    old = Partitions(["snapshot"], at=in_its_hour - timedelta(days=2))
    assert kinds(judged(in_its_hour, spec=snapshot, mine=old, table=old)[1]) == [("missing", "red")]


@pytest.mark.parametrize("fields", [{}, SNAPSHOT])
def test_a_table_that_still_works_is_late_and_not_missing(fields: dict[str, Any]) -> None:
    """Its run is queued or works an hour after its time: yellow, and nobody is told to start a second one."""
    spec = readings(schedule=EVERY_DAY, **fields)
    known: dict[str, Any] = {"mine": all_of(DAYS[:-1]), "table": Partitions(DAYS[:-1], in_progress=DAYS[-1:])}
    if fields:
        old = AT_NINE - timedelta(days=1)
        known = {"mine": Partitions(["snapshot"], at=old), "table": Partitions(in_progress=["snapshot"], at=old)}
    newest, problems = judged(spec=spec, **known)
    assert (newest.state, kinds(problems)) == ("in progress", [("late", "yellow")])
    assert problems[0].what.endswith(f"the run of table {TABLE} has not ended")
    assert "_extract" not in problems[0].next


def test_what_was_just_extracted_is_about_to_be_delivered() -> None:
    """The sensor needs some seconds: only after minutes its delivery is missed."""
    known: dict[str, Any] = {"mine": all_of(DAYS[:-1]), "table": all_of()}
    newest, problems = judged(extracted=AT_NINE - timedelta(minutes=1), **known)
    assert (newest.state, kinds(problems)) == ("in progress", [("late", "yellow")])
    assert problems[0].what.endswith("its delivery is about to start")
    assert kinds(judged(extracted=AT_NINE - timedelta(minutes=6), **known)[1]) == [("missing", "red")]


def test_a_run_that_takes_longer_than_the_hour_is_late() -> None:
    """What is under way is not missing: yellow, and only when its hour of grace is over."""
    known: dict[str, Any] = {"mine": Partitions(DAYS[:-1], in_progress=DAYS[-1:]), "table": all_of()}
    newest, problems = judged(**known)
    assert (newest.state, kinds(problems)) == ("in progress", [("late", "yellow")])
    assert judged(datetime(2013, 1, 5, 11, 0, tzinfo=UTC), **known)[1] == []


def test_a_schedule_that_is_off_is_yellow_and_says_so() -> None:
    """The most silent of all faults is seen as soon as a partition is absent, and not before."""
    _, problems = judged(on=False, mine=all_of(DAYS[:-1]), table=all_of(DAYS[:-1]))
    assert kinds(problems) == [("schedule off", "yellow")]
    assert f"switch {TABLE}_schedule on" in problems[0].next
    assert judged(on=False, mine=all_of(), table=all_of())[1] == []


def test_a_table_without_a_schedule_is_judged_by_what_was_extracted() -> None:
    """Nobody expects what nobody scheduled; what was extracted by hand must have been delivered all the same."""
    newest, problems = judged(spec=readings())
    assert (newest.state, problems) == ("not yet", [])
    newest, problems = judged(spec=readings(), mine=all_of(DAYS[:2]), table=all_of(DAYS[:2]))
    assert (newest.partition, newest.state, problems) == (DAYS[1], "delivered", [])
    newest, problems = judged(spec=readings(), mine=all_of(DAYS[:2]), table=all_of(DAYS[:3]))
    assert (newest.partition, kinds(problems)) == (DAYS[2], [("not delivered", "yellow")])


def test_a_table_that_has_no_closed_partition_is_well() -> None:
    """On its first day nothing can be expected of a table."""
    newest, problems = judged(datetime(2013, 1, 1, 12, 0, tzinfo=UTC))
    assert (newest.partition, newest.state, problems) == ("", "none", [])


def test_a_table_that_has_ended_expects_its_last_partition_only() -> None:
    """After a table's end no further partition is missed."""
    ended = readings(schedule=SCHEDULE, end=DAYS[1])
    newest, problems = judged(spec=ended, mine=all_of(DAYS[:2]), table=all_of(DAYS[:2]))
    assert (newest.partition, problems) == (DAYS[1], [])


@pytest.mark.parametrize(
    ("grain", "start", "before", "after"),
    [("weekly", "2012-12-24", "2012-12-24", "2012-12-31"), ("monthly", "2012-11-01", "2012-12-01", "2012-12-01")],
)
def test_weeks_and_months_are_due_when_their_schedule_ticks(grain: str, start: str, before: str, after: str) -> None:
    """A week is due on the Monday after it, a month on the 1st after it, at the schedule's time."""
    spec = readings(schedule={"at": "05:30"}, grain=grain, start=start)
    known: dict[str, Any] = {"spec": spec, "mine": all_of([before]), "table": all_of([before])}
    assert judged(MONDAY_SIX - timedelta(hours=1), **known)[0].partition == before
    assert judged(MONDAY_SIX, **known)[0].partition == after


def test_a_snapshot_is_due_anew_each_day() -> None:
    """What was delivered before the last tick is old: it has an hour, then it is missing; a new one is well."""
    spec = readings(schedule={"at": "05:30"}, **SNAPSHOT)
    tick = datetime(2013, 1, 5, 10, 30, tzinfo=UTC)
    known: dict[str, Any] = {"spec": spec, "table": Partitions(["snapshot"])}
    old = {**known, "mine": Partitions(["snapshot"], at=tick - timedelta(hours=3))}
    new = {**known, "mine": Partitions(["snapshot"], at=tick + timedelta(minutes=9))}
    assert judged(tick - timedelta(minutes=1), **old)[0].state == "delivered"
    assert judged(tick + timedelta(minutes=59), **old)[0].state == "expected"
    newest, problems = judged(tick + timedelta(minutes=61), **old)
    assert (newest.state, kinds(problems)) == ("missing", [("missing", "red")])
    assert judged(tick + timedelta(minutes=61), **new)[1] == []
    assert judged(tick + timedelta(minutes=61), **old, on=False)[0].state == "delivered"


def test_a_failed_partition_is_red_wherever_it_lies() -> None:
    """Also one of the past, with its reason and what to run; and where the table failed, that is what is named."""
    failed = Partitions(DAYS[1:], failed=DAYS[:1])
    why = Failure(DAYS[:1], "3 failed. The API is down", "run-1", others=1)
    newest, (problem,) = judged(mine=failed, table=all_of(), failures=[why])
    assert newest.state == "delivered"
    assert (problem.kind, problem.colour, problem.count, problem.run) == ("failed", Colour.RED, 1, "run-1")
    assert problem.what == f"the delivery of {DAYS[0]} failed: 3 failed. The API is down (and 1 other reason)"
    broken = Failure(DAYS[-1:], "no column team", "run-2")
    table = Partitions(DAYS[:-1], failed=DAYS[-1:])
    _, (problem,) = judged(mine=all_of(DAYS[:-1]), table=table, table_failures=[broken])
    assert (problem.kind, problem.colour, problem.run) == ("table failed", Colour.RED, "run-2")
    assert problem.what == f"table {TABLE} failed for {DAYS[-1]}: no column team"


def test_keys_tell_the_reason_of_their_own_partitions_only() -> None:
    """Keys that were not sent on one day say nothing about why another day failed."""
    group = OpenGroup("not_sent", 2, AT_NINE.timestamp(), (DAYS[0],), "the API is down", "k")
    told = [Failure(DAYS[:1], "2 not_sent", "run-1"), Failure(DAYS[1:2], "too many rejected", "run-2")]
    failed = Partitions(DAYS[2:], failed=DAYS[:2])
    _, problems = judged(mine=failed, table=all_of(), failures=told, ledger=Summary(open=(group,)))
    assert [(one.what, one.run) for one in problems] == [
        (f"the delivery of {DAYS[0]} failed", "run-1"),
        (f"the delivery of {DAYS[1]} failed: too many rejected", "run-2"),
        ("2 keys were not sent: the API is down", "run-1"),
    ]


def test_rejections_that_the_sync_allows_for_are_no_trouble() -> None:
    """What the check of its partitions passes is not yellow here; where it fails in one of them, it is."""
    group = OpenGroup("rejected", 2, 0.0, DAYS[:2], "no", "k")
    known: dict[str, Any] = {"mine": all_of(), "table": all_of(), "ledger": Summary(open=(group,))}
    assert judged(passed=DAYS, **known)[1] == []
    assert kinds(judged(passed=DAYS[1:], **known)[1]) == [("rejected", "yellow")]
    failed = Summary(open=(replace(group, outcome="failed"),))
    assert kinds(judged(passed=DAYS, **{**known, "ledger": failed})[1]) == [("failed", "red")]


def test_a_hold_and_a_missing_first_contact_are_red_with_their_command() -> None:
    """Whoever keeps a sync from sending is named, and what lets it send again."""
    held = Hold(AT_NINE.timestamp() - 7200, "ada", "the plant is closed")
    _, (problem,) = judged(mine=all_of(), table=all_of(), ledger=Summary(hold=held))
    assert (problem.what, problem.next) == ("held by ada: the plant is closed", f"pipelines release {BOARD}")
    assert problem.since == AT_NINE - timedelta(hours=2)
    _, (problem,) = judged(mine=all_of(), table=all_of(), ledger=Summary(contact=False))
    assert (problem.colour, problem.next) == (Colour.RED, f"pipelines adopt {BOARD}")


@pytest.mark.parametrize(
    ("outcome", "colour"),
    [
        ("failed", "red"),
        ("unknown", "red"),
        ("not_sent", "red"),
        ("removal_failed", "red"),
        ("rejected", "yellow"),
        ("parked", "yellow"),
    ],
)
def test_open_rows_have_their_colour_their_age_and_their_command(outcome: str, colour: str) -> None:
    """What nobody delivered is red, what the API will not have is yellow; one key is asked for its story."""
    since = AT_NINE - timedelta(days=3)
    group = OpenGroup(outcome, 12, since.timestamp(), (DAYS[0], DAYS[2]), "label too long", "k")
    _, (problem,) = judged(mine=all_of(), table=all_of(), ledger=Summary(open=(group,)))
    assert (problem.colour, problem.since, problem.count) == (colour, since, 12)
    assert problem.partitions == (DAYS[0], DAYS[2])
    assert problem.what.startswith("12 keys ")
    assert problem.what.endswith(": label too long")
    assert problem.next == f"pipelines ledger --sync {BOARD} --outcome {outcome}"
    _, (problem,) = judged(mine=all_of(), table=all_of(), ledger=Summary(open=(replace(group, keys=1),)))
    assert problem.next == f"pipelines why {BOARD} 'k'"


def test_what_a_dead_run_left_without_an_answer_is_red() -> None:
    """Sent and never answered is nothing while a run works, and red when none does."""
    ledger = Summary(unanswered=Unanswered(3, AT_NINE.timestamp()))
    assert kinds(judged(mine=all_of(), table=all_of(), ledger=ledger)[1]) == [("unanswered", "red")]
    assert judged(mine=all_of(), table=all_of(), ledger=ledger, moving=True)[1] == []


def test_quarantined_and_invalid_rows_are_yellow() -> None:
    """Rows that never became an upsert are counted over the partitions, each kind with where to look."""
    wrong = [
        Account(DAYS[0], False, "r", AT_NINE - timedelta(days=1), {"quarantined": 2}),
        Account(DAYS[1], False, "r", AT_NINE, {"quarantined": 1, "invalid": 4}),
    ]
    _, problems = judged(mine=all_of(), table=all_of(), wrong=wrong)
    assert [(one.kind, one.count, str(one.colour)) for one in problems] == [
        ("quarantined", 3, "yellow"),
        ("invalid", 4, "yellow"),
    ]
    assert problems[0].since == AT_NINE - timedelta(days=1)
    assert f"{TABLE}_valid" in problems[0].next


def test_the_worst_stands_first() -> None:
    """Whoever reads one line reads the worst."""
    ledger = Summary(open=(OpenGroup("rejected", 1, 0.0, (DAYS[0],), "no", "k"),), hold=Hold(0.0, "ada", ""))
    assert kinds(judged(mine=all_of(), table=all_of(), ledger=ledger)[1]) == [("held", "red"), ("rejected", "yellow")]


def test_a_dry_sync_is_judged_by_its_table() -> None:
    """It is meant to send nothing, so nothing of its own is missed; a table that is not there is."""
    dry = board(mode="dry")
    assert judged(sync=dry, table=all_of())[1] == []
    assert kinds(judged(sync=dry, table=all_of(DAYS[:-1]))[1]) == [("missing", "red")]


def test_rows_that_the_sync_leaves_out_are_not_expected() -> None:
    """Delivered of expected counts what the `where` selects; quarantined rows are expected and did not arrive."""
    numbers = {"extracted": 10, "not_selected": 2, "quarantined": 1, "unchanged": 4, "accepted": 2, "superseded": 1}
    assert arrived(Account(DAYS[0], True, "r", AT_NINE, numbers)) == (7, 8)


def test_a_daemon_that_is_gone_is_red_and_one_that_was_never_needed_is_not() -> None:
    """Never seen is a fault only where something waits for it; a sign of life of ten minutes ago always is one."""
    needed = ["SENSOR", "SCHEDULER"]
    never = daemon_of(needed, {}, AT_NINE)
    assert daemon_problem(never, AT_NINE, waits=False) is None
    assert daemon_problem(never, AT_NINE, waits=True) is not None
    gone = daemon_of(needed, dict.fromkeys(needed, AT_NINE - timedelta(minutes=10)), AT_NINE)
    problem = daemon_problem(gone, AT_NINE, waits=False)
    assert problem is not None
    assert (problem.colour, problem.since) == (Colour.RED, AT_NINE - timedelta(minutes=10))
    alive = daemon_of(needed, dict.fromkeys(needed, AT_NINE - timedelta(seconds=40)), AT_NINE)
    assert daemon_problem(alive, AT_NINE, waits=True) is None


def test_a_part_of_the_daemon_that_is_stuck_is_named() -> None:
    """A daemon that lives and no longer starts schedules is not well."""
    beats = {"SENSOR": AT_NINE, "SCHEDULER": AT_NINE - timedelta(hours=1)}
    problem = daemon_problem(daemon_of(["SENSOR", "SCHEDULER"], beats, AT_NINE), AT_NINE, waits=True)
    assert problem is not None
    assert "SCHEDULER" in problem.what
    assert "SENSOR" not in problem.what
