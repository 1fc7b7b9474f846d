"""What keeps a plan from being sent: holds, first contacts, ceilings, and rejections that repeat themselves."""

from __future__ import annotations

import time
from typing import Any

import pytest

from pipelines.delivery.gates import Ceiling, Ceilings
from pipelines.delivery.ledger.people import hold, make_contact, release
from pipelines.delivery.report import Report
from pipelines.delivery.upsert import Outcome, Upsert
from tests.delivery.fakes import Bench, Left, status, upsert

MONTH = [upsert(f"k{n}", n) for n in range(20)]
OPEN: dict[str, Any] = {"gates": {}}
"""A delivery through gates that are as they come."""


def bounded(**ceilings: Ceiling | None) -> dict[str, Any]:
    """A delivery through these ceilings only."""
    return {"gates": {"ceilings": Ceilings(**{"removed": None, **ceilings})}}


def keep(bench: Bench, reason: str) -> None:
    with bench.ledger.engine.begin() as connection:
        hold(bench.ledger, connection, "board", reason, 0.0)


def reasons(report: Report) -> set[str]:
    """Why rows were not sent."""
    return {why for found in report.reasons.values() for outcome, why in found if outcome is Outcome.NOT_SENT}


def changed(*values: int) -> list[Upsert]:
    """The first keys of the month with other values, the rest as they were."""
    return [upsert(f"k{n}", -value) for n, value in enumerate(values, 1)] + MONTH[len(values) + 1 :]


async def test_held_sync_sends_nothing_and_says_who_holds_it(bench: Bench) -> None:
    """No upsert of a held sync is sent: report and ledger say who held it, since when, why, and what to do."""
    keep(bench, "the board is being moved")
    report = await bench.deliver(*MONTH, **OPEN)
    assert bench.port.requests == []
    assert report.total(Outcome.NOT_SENT) == len(MONTH)
    (reason,) = reasons(report)
    assert "held since 1970-01-01 00:00 UTC" in reason
    assert "the board is being moved" in reason
    assert "pipelines release board" in reason
    assert {(row["outcome"], row["reason"]) for row in bench.rows("open_outcomes")} == {("not_sent", reason)}
    assert len(bench.rows("open_outcomes")) == len(MONTH)
    assert report.stopped == reason


async def test_released_sync_sends_what_was_kept_back(bench: Bench) -> None:
    """A hold loses nothing: after the release all is sent, nothing stays open, and both decisions are on record."""
    keep(bench, "wait")
    await bench.deliver(*MONTH, **OPEN)
    with bench.ledger.engine.begin() as connection:
        assert release(connection, "board", 1.0)
        assert not release(connection, "board", 2.0)
    report = await bench.deliver(*MONTH, **OPEN)
    assert report.total(Outcome.ACCEPTED) == len(MONTH)
    assert bench.rows("open_outcomes") == []
    assert [row["what"] for row in bench.rows("decisions")] == ["hold", "release"]


async def test_hold_keeps_only_its_own_sync(bench: Bench) -> None:
    """Another sync of the same account goes on."""
    keep(bench, "wait")
    report = await bench.deliver(upsert("a", 1), sync="floor", **OPEN)
    assert report.total(Outcome.ACCEPTED) == 1


async def test_held_sync_with_nothing_to_send_is_well(bench: Bench) -> None:
    """Unchanged is unchanged, held or not: nothing is kept back, so nothing is open or stopped."""
    await bench.deliver(*MONTH, **OPEN)
    keep(bench, "wait")
    report = await bench.deliver(*MONTH, **OPEN)
    assert report.total(Outcome.UNCHANGED) == len(MONTH)
    assert report.stopped == ""
    assert bench.rows("open_outcomes") == []


async def test_hold_forgets_no_attempt(bench: Bench) -> None:
    """1 was accepted, 2 landed in a run that was killed, then came a hold: after it the source's 1 is shown, not 2."""
    await bench.deliver(upsert("a", 1))
    delivery = bench.delivery()
    async with delivery.turn.hold():
        with delivery.turn.transaction() as connection:
            bench.ledger.begin(connection, delivery.scope, delivery.run, [upsert("a", 2)], 0.0)
    bench.port.held["/a"] = {"value": 2}
    keep(bench, "wait")
    for value in (3, 1):
        report = await bench.deliver(upsert("a", value), **OPEN)
        assert report.total(Outcome.NOT_SENT) == 1
    assert bench.port.writes == ["/a"]
    with bench.ledger.engine.begin() as connection:
        release(connection, "board", 1.0)
    await bench.deliver(upsert("a", 1), **OPEN)
    assert bench.port.held == {"/a": {"value": 1}}


async def test_live_sync_sends_nothing_before_first_contact(bench: Bench) -> None:
    """A real account that nobody has looked at gets nothing, and the reason names the command that looks."""
    report = await bench.deliver(upsert("a", 1), mode="live", **OPEN)
    assert bench.port.requests == []
    (reason,) = reasons(report)
    assert "pipelines adopt board" in reason
    delivery = bench.delivery(mode="live")
    with bench.ledger.engine.begin() as connection:
        found = {"same": 0, "differ": 0, "only_here": 1, "only_there": 0}
        make_contact(bench.ledger, connection, delivery.scope, "board", policy="take_over", found=found, now=1.0)
    report = await bench.deliver(upsert("a", 1), mode="live", **OPEN)
    assert report.total(Outcome.ACCEPTED) == 1


async def test_sandbox_needs_no_first_contact(bench: Bench) -> None:
    """The sandbox is ours: there is nothing to look at."""
    assert (await bench.deliver(upsert("a", 1), mode="sandbox", **OPEN)).total(Outcome.ACCEPTED) == 1


CEILINGS = {
    "created, one too many": (Ceiling(count=2), 3, False),
    "created, as many as allowed": (Ceiling(count=3), 3, True),
    "created, no key known, so that a percentage says nothing": (Ceiling(percent=1), 3, True),
    "created, no key known, but a count": (Ceiling(percent=1, count=2), 3, False),
}


@pytest.mark.parametrize(("ceiling", "keys", "sent"), CEILINGS.values(), ids=CEILINGS.keys())
async def test_ceiling_on_created_keys(bench: Bench, ceiling: Ceiling, keys: int, *, sent: bool) -> None:
    """A plan that would create more keys than allowed is not sent at all; as many as allowed is."""
    report = await bench.deliver(*MONTH[:keys], **bounded(created=ceiling))
    assert len(bench.port.writes) == (keys if sent else 0)
    assert report.total(Outcome.ACCEPTED if sent else Outcome.NOT_SENT) == keys
    assert bool(report.stopped) is not sent


CHANGES = {
    "10 % of 20, and two changed": (Ceiling(percent=10), (1, 2), True),
    "10 % of 20, and three changed": (Ceiling(percent=10), (1, 2, 3), False),
    "1 % of 20 is at least one": (Ceiling(percent=1), (1,), True),
    "1 % of 20 is not two": (Ceiling(percent=1), (1, 2), False),
    "the lower bound counts": (Ceiling(percent=50, count=1), (1, 2), False),
    "none at all": (Ceiling(count=0), (1,), False),
    "no bound": (None, tuple(range(1, 19)), True),
}


@pytest.mark.parametrize(("ceiling", "values", "sent"), CHANGES.values(), ids=CHANGES.keys())
async def test_ceiling_on_changed_keys(
    bench: Bench, ceiling: Ceiling | None, values: tuple[int, ...], *, sent: bool
) -> None:
    """The percentage is of all keys the sync has delivered, at least one; the lower of percentage and count binds."""
    await bench.deliver(*MONTH)
    bench.port.requests.clear()
    report = await bench.deliver(*changed(*values), **bounded(changed=ceiling))
    assert len(bench.port.writes) == (len(values) if sent else 0)
    assert report.total(Outcome.NOT_SENT) == (0 if sent else len(values))


async def test_one_broken_ceiling_stops_the_whole_plan(bench: Bench) -> None:
    """Harmless creates stay back as well, nothing was sent before the ceiling was seen, and every number is told."""
    await bench.deliver(*MONTH)
    bench.port.requests.clear()
    report = await bench.deliver(*changed(1, 2, 3), upsert("new", 1), **bounded(changed=Ceiling(percent=10, count=50)))
    assert bench.port.requests == []
    assert report.total(Outcome.NOT_SENT) == 4
    assert report.total(Outcome.UNCHANGED) == 16
    (reason,) = reasons(report)
    assert "3 keys would be changed" in reason
    assert "50 keys and 10 % of the keys delivered so far (2 here)" in reason
    assert 'override_ceilings: "why"' in reason
    assert {row["reason"] for row in bench.rows("open_outcomes")} == {reason}
    assert len(bench.rows("open_outcomes")) == 4


async def test_keys_of_other_syncs_and_removed_ones_do_not_raise_a_ceiling(bench: Bench) -> None:
    """A percentage is of what this sync has delivered and still stands."""
    await bench.deliver(*(upsert(f"other{n}", n) for n in range(100)), sync="floor")
    await bench.deliver(*MONTH)
    await bench.deliver(*MONTH[:10], vanishing=Left(*(f"k{n}" for n in range(10))))
    report = await bench.deliver(upsert("k0", -1), upsert("k1", -1), **bounded(changed=Ceiling(percent=10)))
    assert "(1 here)" in report.stopped


async def test_removals_above_the_default_ceiling_stop_the_plan(bench: Bench) -> None:
    """Unless told otherwise a run takes away at most 10 % of a sync's keys, and nothing else is sent with it."""
    await bench.deliver(*MONTH)
    bench.port.requests.clear()
    left = Left(*(f"k{n}" for n in range(17)))
    report = await bench.deliver(*changed(1)[:17], vanishing=left, **OPEN)
    assert bench.port.requests == []
    assert "3 keys would be removed" in report.stopped
    assert report.total(Outcome.NOT_SENT) == 1
    assert report.removal_left.total() == 3
    assert "3 vanished keys were left as they are: stopped by a ceiling" in report.notes[0]


async def test_removals_of_more_than_a_hundred_keys_stop_the_plan(bench: Bench) -> None:
    """However many keys a sync has, no plan takes more than a hundred away by default."""
    everything = [upsert(f"k{n}", n) for n in range(1020)]
    await bench.deliver(*everything)
    left = [one.key for one in everything]
    for gone, stopped in ((101, True), (100, False)):
        report = await bench.deliver(*everything[gone:], vanishing=Left(*left[gone:]), **OPEN)
        assert bool(report.stopped) is stopped
    assert report.removed.total() == 100


async def test_source_that_is_empty_takes_nothing_away(bench: Bench) -> None:
    """A source without any row would empty the board: the ceiling stops it, and the run says so."""
    await bench.deliver(*MONTH)
    report = await bench.deliver(vanishing=Left(), **OPEN)
    assert len(bench.port.held) == len(MONTH)
    assert "20 keys would be removed" in report.stopped
    assert report.removal_left.total() == len(MONTH)


async def test_one_key_may_always_be_taken_away(bench: Bench) -> None:
    """10 % of three keys is one key, not none."""
    await bench.deliver(*MONTH[:3])
    report = await bench.deliver(*MONTH[:2], vanishing=Left("k0", "k1"), **OPEN)
    assert report.removed.total() == 1
    assert sorted(bench.port.held) == ["/k0", "/k1"]


async def test_override_lets_one_run_through_and_is_on_record(bench: Bench) -> None:
    """With a reason the run does what the ceiling forbids, once, and the reason stands in the ledger with its run."""
    await bench.deliver(*MONTH)
    few = {"ceilings": Ceilings(changed=Ceiling(count=1))}
    report = await bench.deliver(*changed(1, 2, 3), gates={**few, "override": "the unit changed"})
    assert report.total(Outcome.ACCEPTED) == 3
    (decision,) = bench.rows("decisions")
    assert (decision["what"], decision["sync"], decision["run"]) == ("override", "board", "run-2")
    assert "the unit changed (3 keys would be changed" in decision["reason"]
    report = await bench.deliver(*changed(4, 5, 6), gates=few)
    assert report.total(Outcome.NOT_SENT) == 3


async def test_override_that_was_not_needed_is_no_decision(bench: Bench) -> None:
    """A run within its ceilings overrides nothing, whatever it was told."""
    await bench.deliver(upsert("a", 1), gates={"override": "just in case"})
    assert bench.rows("decisions") == []


async def test_override_opens_no_hold(bench: Bench) -> None:
    """A reason to break ceilings is none to send for a sync that somebody holds."""
    keep(bench, "wait")
    report = await bench.deliver(upsert("a", 1), gates={"override": "go on"})
    assert report.total(Outcome.NOT_SENT) == 1


async def test_dry_run_tells_what_a_real_one_would_be_stopped_by(bench: Bench) -> None:
    """The verdict of the gates is part of a dry run, which leaves the ledger as it is."""
    report = await bench.deliver(*MONTH, dry=True, **bounded(created=Ceiling(count=1)))
    assert any("a real run would send nothing: stopped by a ceiling" in note for note in report.notes)
    assert report.total(Outcome.NOT_SENT) == len(MONTH)
    assert bench.rows("open_outcomes") == []
    report = await bench.deliver(
        *MONTH, dry=True, gates={"ceilings": Ceilings(created=Ceiling(count=1)), "override": "y"}
    )
    assert not any("a real run would send nothing" in note for note in report.notes)
    assert bench.rows("decisions") == []
    keep(bench, "wait")
    report = await bench.deliver(*MONTH, dry=True, **OPEN)
    assert any("a real run would send nothing: held since" in note for note in report.notes)


async def test_resending_is_no_change(bench: Bench) -> None:
    """`resend: all` sends what the API already has: no ceiling on changed keys is about that."""
    await bench.deliver(*MONTH)
    bench.port.requests.clear()
    report = await bench.deliver(*MONTH, resend_before=time.time() + 1, **bounded(changed=Ceiling(count=0)))
    assert len(bench.port.writes) == len(MONTH)
    assert report.total(Outcome.ACCEPTED) == len(MONTH)


async def reject(bench: Bench, times: int, value: int = 1) -> Report:
    """Deliver a row that the API refuses, so many times; the last report."""
    report = Report()
    for _ in range(times):
        report = await bench.deliver(upsert("a", value, bad=True), upsert("b", 1), **OPEN)
    return report


async def test_payload_that_was_rejected_three_times_is_parked(bench: Bench) -> None:
    """The fourth run does not ask again: it reports the row as rejected, with the API's words and how to retry."""
    await reject(bench, 3)
    assert bench.port.writes.count("/a") == 3
    bench.port.requests.clear()
    report = await reject(bench, 1)
    assert bench.port.requests == []
    assert report.total(Outcome.REJECTED) == 1
    ((_, reason),) = [found for found in report.reasons["2013-01-01"] if found[0] is Outcome.REJECTED]
    assert reason.startswith("parked after 3 rejections")
    assert "bad item" in reason
    assert "pipelines ledger retry board" in reason
    assert [row["outcome"] for row in bench.rows("open_outcomes")] == ["rejected"]


async def test_parked_key_with_another_payload_is_sent(bench: Bench) -> None:
    """The source was mended: what changed goes out, and nothing is open any more."""
    await reject(bench, 4)
    report = await bench.deliver(upsert("a", 2), **OPEN)
    assert report.total(Outcome.ACCEPTED) == 1
    assert bench.rows("open_outcomes") == []


async def test_another_payload_starts_the_count_anew(bench: Bench) -> None:
    """Two rejections of one payload and two of the next are no four in a row."""
    await reject(bench, 2, value=1)
    await reject(bench, 2, value=2)
    assert bench.port.writes.count("/a") == 4
    await reject(bench, 2, value=2)
    assert bench.port.writes.count("/a") == 5


async def test_other_outcomes_between_do_not_count_as_rejections(bench: Bench) -> None:
    """What failed for another reason was not refused as it is: only refusals park."""
    await reject(bench, 2)
    bench.port.always = status(503)
    await bench.deliver(upsert("a", 1, bad=True), **OPEN)
    bench.port.always = None
    await reject(bench, 1)
    assert [row["same"] for row in bench.rows("open_outcomes")] == [3]
    bench.port.requests.clear()
    await reject(bench, 1)
    assert bench.port.requests == []


async def test_hold_parks_and_unparks_nothing(bench: Bench) -> None:
    """A parked row stays parked while its sync is held and afterwards."""
    await reject(bench, 3)
    keep(bench, "wait")
    report = await bench.deliver(upsert("a", 1, bad=True), upsert("b", 2), **OPEN)
    assert (report.total(Outcome.REJECTED), report.total(Outcome.NOT_SENT)) == (1, 1)
    with bench.ledger.engine.begin() as connection:
        release(connection, "board", 1.0)
    bench.port.requests.clear()
    await reject(bench, 1)
    assert bench.port.requests == []


async def test_parked_rows_break_no_ceiling(bench: Bench) -> None:
    """What is not going to be sent is not counted as what a plan would do."""
    await bench.deliver(upsert("b", 1))
    await reject(bench, 3)
    report = await bench.deliver(upsert("a", 1, bad=True), upsert("b", 1), **bounded(created=Ceiling(count=0)))
    assert report.stopped == ""


async def test_range_that_holds_older_readings_parks_as_well(bench: Bench) -> None:
    """A run over many days plans the newest of a key: the superseded ones do not make its rejections forgotten."""
    days = [upsert("a", 0, "2013-01-01"), upsert("a", 1, "2013-01-02", bad=True)]
    for tries in (1, 2, 3, 3):
        report = await bench.deliver(*days, **OPEN)
        (row,) = bench.rows("open_outcomes")
        assert (row["as_of"], row["tries"], row["same"]) == ("2013-01-02", tries, tries)
        assert (report.total(Outcome.REJECTED), report.total(Outcome.SUPERSEDED)) == (1, 1)
    assert bench.port.writes == ["/a"] * 3


async def test_older_day_does_not_close_what_is_open_of_a_newer_one(bench: Bench) -> None:
    """The newest reading was rejected: a backfill of the days before changes nothing about that."""
    await bench.deliver(upsert("a", 0, "2013-01-01"))
    await bench.deliver(upsert("a", 1, "2013-01-02", bad=True))
    await bench.deliver(upsert("a", 0, "2013-01-01"), newest={"a": "2013-01-02"})
    await bench.deliver(upsert("a", 0, "2013-01-01"))
    assert [(row["outcome"], row["as_of"]) for row in bench.rows("open_outcomes")] == [("rejected", "2013-01-02")]


async def test_resend_all_sends_what_is_parked(bench: Bench) -> None:
    """Whoever asks for everything gets everything, and the count goes on."""
    await reject(bench, 3)
    await bench.deliver(upsert("a", 1, bad=True), resend_before=time.time() + 1, **OPEN)
    assert bench.port.writes.count("/a") == 4
    assert [row["same"] for row in bench.rows("open_outcomes")] == [4]


async def test_parking_can_be_turned_off(bench: Bench) -> None:
    """Without a number of rejections every run tries again."""
    for _ in range(5):
        await bench.deliver(upsert("a", 1, bad=True), gates={"park_after": None})
    assert bench.port.writes == ["/a"] * 5


async def test_rejections_of_another_sync_park_nothing(bench: Bench) -> None:
    """What one sync was refused says nothing about another one's key."""
    await reject(bench, 3)
    report = await bench.deliver(upsert("a", 1, bad=True), sync="floor", **OPEN)
    assert bench.port.writes.count("/a") == 4
    assert report.total(Outcome.REJECTED) == 1
