"""The order of plan, turn, attempts, sends and ledger: what the promises rest on."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.delivery.deadline import Deadline
from pipelines.delivery.errors import AccountUnavailable, LedgerError
from pipelines.delivery.ledger import schema
from pipelines.delivery.messages import Exchange, Lost, Request
from pipelines.delivery.upsert import Built, Outcome, Upsert
from tests.delivery.fakes import Bench, FakeDestination, FakePort, answer, lost_before, refused, status, upsert


async def test_second_run_over_unchanged_data_makes_no_request(bench: Bench) -> None:
    """What the API accepted is not sent again, and not even looked at."""
    first = await bench.deliver(upsert("a", 1), upsert("b", 2))
    assert first.total(Outcome.ACCEPTED) == 2
    bench.port.requests.clear()
    second = await bench.deliver(upsert("a", 1), upsert("b", 2))
    assert bench.port.requests == []
    assert second.total(Outcome.UNCHANGED) == 2
    assert bench.destination.vetted == 1


async def test_only_what_changed_is_sent(bench: Bench) -> None:
    """Of many keys the changed one alone travels, and its history tells what stood there before."""
    await bench.deliver(upsert("a", 1), upsert("b", 2))
    bench.port.requests.clear()
    await bench.deliver(upsert("a", 1), upsert("b", 3))
    assert bench.port.writes == ["/b"]
    assert bench.rows("deliveries")[-1]["old"] == '{"value":2}'


async def test_older_reading_never_overwrites_a_newer_one(bench: Bench) -> None:
    """A backfill of the past leaves today's value alone and says so."""
    await bench.deliver(upsert("a", 9, "2013-02-01"))
    report = await bench.deliver(upsert("a", 1, "2013-01-01"))
    assert report.total(Outcome.SUPERSEDED) == 1
    assert bench.port.held == {"/a": {"value": 9}}


async def test_older_than_what_is_stored_is_not_sent(bench: Bench) -> None:
    """A newer reading that only the partition store knows supersedes as well."""
    report = await bench.deliver(upsert("a", 1, "2013-01-01"), newest={"a": "2013-03-01"})
    assert report.total(Outcome.SUPERSEDED) == 1
    assert bench.port.requests == []


async def test_unchanged_but_newer_value_protects_itself(bench: Bench) -> None:
    """The same value seen again later counts as newer: what lies between may not undo it."""
    await bench.deliver(upsert("a", 1, "2013-01-01"))
    await bench.deliver(upsert("a", 1, "2013-01-03"))
    await bench.deliver(upsert("a", 7, "2013-01-02"))
    assert bench.port.held == {"/a": {"value": 1}}
    assert len(bench.port.writes) == 1


async def test_corrected_value_of_the_same_time_is_sent(bench: Bench) -> None:
    """A correction has the same as_of and another payload: it goes out."""
    await bench.deliver(upsert("a", 1))
    await bench.deliver(upsert("a", 2))
    assert bench.port.held == {"/a": {"value": 2}}


async def test_rejected_upsert_blocks_nothing_but_itself(bench: Bench) -> None:
    """One bad row is rejected with the API's words and stays open; its neighbours are accepted."""
    report = await bench.deliver(upsert("a", 1), upsert("b", 2, bad=True), upsert("c", 3))
    assert report.total(Outcome.ACCEPTED) == 2
    assert report.total(Outcome.REJECTED) == 1
    (open_row,) = bench.rows("open_outcomes")
    assert (open_row["key"], open_row["status"]) == ("b", 400)
    assert "bad item" in str(open_row["reason"])


async def test_batch_refused_whole_is_split_until_the_bad_item_stands_alone(tmp_path: Path) -> None:
    """Seven good items of a batch of eight arrive though the API refuses the batch."""
    bench = Bench(tmp_path, FakeDestination(batch_size=8))
    upserts = [upsert(key, 1, **({"bad": True} if key == "e" else {})) for key in "abcdefgh"]
    report = await bench.deliver(*upserts)
    bench.close()
    assert report.total(Outcome.ACCEPTED) == 7
    assert report.total(Outcome.REJECTED) == 1
    assert sorted(bench.port.held) == [f"/{key}" for key in "abcdfgh"]


async def test_lost_answer_of_a_write_that_arrived_is_not_sent_again(bench: Bench) -> None:
    """A dropped connection after the write is settled by reading back, not by telling people twice."""

    def drop_after(request: Request) -> Exchange:
        bench.port.act(request)
        return Lost("connection dropped")

    bench.port.faults = [drop_after]
    report = await bench.deliver(upsert("a", 1))
    assert report.total(Outcome.ACCEPTED) == 1
    assert bench.port.writes == ["/a"]


async def test_lost_answer_of_a_write_that_did_not_arrive_is_sent_again(bench: Bench) -> None:
    """The read-back finds nothing, so the upsert goes out once more."""
    bench.port.faults = [lost_before]
    report = await bench.deliver(upsert("a", 1))
    assert report.total(Outcome.ACCEPTED) == 1
    assert bench.port.writes == ["/a", "/a"]


async def test_bad_gateway_is_not_taken_for_a_no(bench: Bench) -> None:
    """A 502 may hide a write that was carried out: it is looked up before anything is resent."""

    def gateway(request: Request) -> Exchange:
        bench.port.act(request)
        return answer(502)

    bench.port.faults = [gateway]
    report = await bench.deliver(upsert("a", 1))
    assert report.total(Outcome.ACCEPTED) == 1
    assert bench.port.writes == ["/a"]


async def test_unreadable_unknown_stays_unknown_and_is_never_resent_blindly(tmp_path: Path) -> None:
    """Where nothing can be read back and a resend would be noticed, the upsert stays unknown, run after run."""
    bench = Bench(tmp_path, FakeDestination(readable=False))
    bench.port.faults = [lost_before]
    assert (await bench.deliver(upsert("a", 1))).total(Outcome.UNKNOWN) == 1
    assert (await bench.deliver(upsert("a", 1))).total(Outcome.UNKNOWN) == 1
    assert bench.port.writes == ["/a"]
    bench.close()


async def test_credentials_refused_stop_the_account_at_once(bench: Bench) -> None:
    """After a 401 nothing more leaves; all the rest is not sent, and says why."""
    bench.port.always = status(401)
    report = await bench.deliver(*(upsert(f"k{n}", n) for n in range(600)))
    assert report.total(Outcome.NOT_SENT) == 600
    assert len(bench.port.requests) <= 4
    assert "401" in report.stopped
    assert len(bench.rows("open_outcomes")) == 600


async def test_plan_refused_three_times_in_a_row_stops_the_account(bench: Bench) -> None:
    """402 is that upsert's own matter, until it looks like everybody's."""
    bench.port.always = status(402)
    report = await bench.deliver(*(upsert(f"k{n}", n) for n in range(50)))
    assert 3 <= report.total(Outcome.REJECTED) <= 3 + 4
    assert report.total(Outcome.NOT_SENT) == 50 - report.total(Outcome.REJECTED)


@pytest.mark.parametrize("code", [402, 403])
async def test_refused_batches_stop_the_account_as_single_upserts_do(tmp_path: Path, code: int) -> None:
    """A batch of 100 that is refused is not split into 199 requests: the third refused request is the last."""
    bench = Bench(tmp_path, FakeDestination(batch_size=100))
    bench.port.always = status(code)
    report = await bench.deliver(*(upsert(f"k{n}", n) for n in range(100)))
    bench.close()
    assert len(bench.port.requests) == 3
    assert report.total(Outcome.NOT_SENT) == 100
    assert "3 requests in a row were refused" in report.stopped


async def test_sick_api_is_left_alone(bench: Bench) -> None:
    """Repeated 503 open the circuit breaker: a handful of requests, not one per row and retry."""
    bench.port.always = status(503)
    report = await bench.deliver(*(upsert(f"k{n}", n) for n in range(500)))
    assert len(bench.port.requests) < 30
    assert report.total(Outcome.FAILED) + report.total(Outcome.NOT_SENT) == 500
    assert report.total(Outcome.FAILED) < 15
    assert "in a row" in report.stopped


async def test_a_run_soon_after_finds_a_sick_api_with_one_request(bench: Bench) -> None:
    """What one run learned passes with the ledger: the next one probes, and sends all the rest when that fares well."""
    bench.port.always = status(503)
    upserts = [upsert(f"k{n}", n) for n in range(40)]
    await bench.deliver(*upserts)
    bench.port.requests.clear()
    bench.port.most_in_flight = 0
    await bench.deliver(*upserts)
    assert len(bench.port.requests) == 3
    assert bench.port.most_in_flight == 1
    bench.port.always = None
    report = await bench.deliver(*upserts)
    assert report.total(Outcome.ACCEPTED) == 40
    assert bench.port.most_in_flight > 1


async def test_an_api_that_recovers_is_delivered_to_in_the_same_run(bench: Bench) -> None:
    """A sickness of less than two minutes costs the upserts that met it, not the run."""
    bench.port.faults = [status(503)] * 25
    report = await bench.deliver(*(upsert(f"k{n}", n) for n in range(100)))
    assert report.stopped == ""
    assert report.total(Outcome.NOT_SENT) == 0
    assert report.total(Outcome.FAILED) < 15
    assert report.total(Outcome.ACCEPTED) == 100 - report.total(Outcome.FAILED)


async def test_a_pause_finds_the_ledger_up_to_date(bench: Bench) -> None:
    """While a sick API is waited for, every answer that came stands in the ledger already."""
    bench.port.always = status(503)
    seen: list[int] = []

    async def look(seconds: float) -> None:
        if seconds >= 1.0:
            seen.append(len(bench.rows("open_outcomes")))
        await Bench.sleep(bench, seconds)

    delivery = bench.delivery(sleep=look)
    await delivery.deliver(Built([upsert(f"k{n}", n) for n in range(20)]))
    assert seen[0] >= 5


async def test_the_end_of_a_runs_time_leaves_the_rest_not_sent(bench: Bench) -> None:
    """A run that was given two minutes ends in time; what it did is kept, the rest is open and says why."""

    def slow(_: Request) -> Exchange | None:
        bench.now += 10.0
        return None

    bench.port.always = slow
    deadline = Deadline(bench.now + 120, 2.0)
    report = await bench.deliver(*(upsert(f"k{n}", n) for n in range(50)), deadline=deadline)
    accepted = report.total(Outcome.ACCEPTED)
    assert accepted == len(bench.port.held) == len(bench.port.writes) > 0
    assert report.total(Outcome.NOT_SENT) == 50 - accepted
    assert "2 minutes that the run was given" in report.stopped
    assert bench.rows("attempts") == []


async def test_a_turn_that_does_not_come_in_time_ends_the_run(bench: Bench) -> None:
    """A run whose account others hold ends at its deadline without a request; all is open and says why."""
    holder = bench.delivery().turn
    async with holder.hold():
        report = await bench.deliver(upsert("a", 1), deadline=Deadline(time.time() + 0.3, 0.005))
    assert bench.port.requests == []
    assert report.total(Outcome.NOT_SENT) == 1
    assert "other runs of the account" in report.stopped
    assert len(bench.rows("open_outcomes")) == 1


async def test_transient_refusals_are_retried(bench: Bench) -> None:
    """A 429 and a 503 cost a wait, not the upsert."""
    bench.port.faults = [status(429, **{"retry-after": "1"}), status(503)]
    report = await bench.deliver(upsert("a", 1))
    assert report.total(Outcome.ACCEPTED) == 1
    assert report.traffic.retries == 2


async def test_api_that_wants_hours_of_rest_is_left_to_a_later_run(bench: Bench) -> None:
    """A Retry-After beyond an hour ends the run: what is left is not sent, and the run says how long it would take."""
    bench.port.always = status(429, **{"retry-after": "20000"})
    report = await bench.deliver(*(upsert(f"k{n}", n) for n in range(20)))
    assert len(bench.port.requests) <= 4
    assert report.total(Outcome.FAILED) + report.total(Outcome.NOT_SENT) == 20
    assert "minutes" in report.stopped


async def test_open_outcome_is_closed_by_a_later_run(bench: Bench) -> None:
    """What was not sent is sent by the next run, and then nothing is open any more."""
    bench.port.always = refused
    await bench.deliver(upsert("a", 1))
    assert len(bench.rows("open_outcomes")) == 1
    bench.port.always = None
    await bench.deliver(upsert("a", 1))
    assert bench.rows("open_outcomes") == []
    assert bench.rows("attempts") == []


async def test_killed_between_send_and_record_is_settled_by_the_next_run(bench: Bench) -> None:
    """An attempt without an answer that had arrived is recorded as accepted, and not sent again."""
    delivery = bench.delivery()
    async with delivery.turn.hold():
        with delivery.turn.transaction() as connection:
            bench.ledger.begin(connection, delivery.scope, delivery.run, [upsert("a", 1), upsert("b", 2)], 0.0)
        bench.port.held["/a"] = {"value": 1}
    report = await bench.deliver(upsert("a", 1), upsert("b", 2))
    assert bench.port.writes == ["/b"]
    assert report.total(Outcome.UNCHANGED) == 1
    assert report.total(Outcome.ACCEPTED) == 1
    assert "1 had arrived" in report.notes[0]


async def test_value_that_went_back_while_an_attempt_was_open_is_sent(bench: Bench) -> None:
    """1 was accepted, 2 attempted and landed unseen, 1 is true again: the ledger's 1 is not what stands there."""
    await bench.deliver(upsert("a", 1))
    delivery = bench.delivery()
    async with delivery.turn.hold():
        with delivery.turn.transaction() as connection:
            bench.ledger.begin(connection, delivery.scope, delivery.run, [upsert("a", 2)], 0.0)
    bench.port.held["/a"] = {"value": 2}
    await bench.deliver(upsert("a", 1))
    assert bench.port.held == {"/a": {"value": 1}}


@pytest.mark.parametrize("again", ["at once", "after another kill"])
async def test_value_that_went_back_after_an_attempt_that_cannot_be_read_back_is_sent(
    tmp_path: Path, again: str
) -> None:
    """As before, where nobody can tell what stands there; also by a run after the one that found that out."""
    bench = Bench(tmp_path, FakeDestination(resend_is_safe=True, readable=False))
    await bench.deliver(upsert("a", 1))
    delivery = bench.delivery()
    async with delivery.turn.hold():
        with delivery.turn.transaction() as connection:
            bench.ledger.begin(connection, delivery.scope, delivery.run, [upsert("a", 2)], 0.0)
    bench.port.held["/a"] = {"value": 2}
    if again == "after another kill":
        await bench.deliver(upsert("b", 1))
    await bench.deliver(upsert("a", 1))
    held, left = bench.port.held["/a"], bench.rows("open_outcomes")
    bench.close()
    assert held == {"value": 1}
    assert left == []


async def test_attempt_at_a_key_that_says_something_else_is_not_taken_for_the_ledgers_value(bench: Bench) -> None:
    """Neither the attempt nor what was last accepted stands there: what the source says is sent."""
    await bench.deliver(upsert("a", 1))
    delivery = bench.delivery()
    async with delivery.turn.hold():
        with delivery.turn.transaction() as connection:
            bench.ledger.begin(connection, delivery.scope, delivery.run, [upsert("a", 2)], 0.0)
    bench.port.held["/a"] = {"value": 3}
    await bench.deliver(upsert("a", 1))
    assert bench.port.held == {"/a": {"value": 1}}


async def test_upsert_sent_again_after_a_kill_and_rejected_stays_open(bench: Bench) -> None:
    """What the first plan took for unchanged is no longer, once it was sent and refused."""
    await bench.deliver(upsert("a", 1))
    delivery = bench.delivery()
    async with delivery.turn.hold():
        with delivery.turn.transaction() as connection:
            bench.ledger.begin(connection, delivery.scope, delivery.run, [upsert("a", 2)], 0.0)
    bench.port.held["/a"] = {"value": 2}
    bench.port.faults = [lambda _: None, status(400)]
    report = await bench.deliver(upsert("a", 1))
    assert report.total(Outcome.REJECTED) == 1
    assert [row["outcome"] for row in bench.rows("open_outcomes")] == ["rejected"]


async def test_check_that_cannot_be_made_stops_before_the_first_write(bench: Bench) -> None:
    """Where the API does not tell which ids it knows, because it is down, nothing is sent on good luck."""
    bench.destination.vet_fails = AccountUnavailable("the ids cannot be read")
    report = await bench.deliver(upsert("a", 1))
    assert bench.port.writes == []
    assert report.total(Outcome.NOT_SENT) == 1
    assert "ids cannot be read" in report.stopped


async def test_attempts_are_committed_before_the_request_leaves(bench: Bench) -> None:
    """Whoever looks into the ledger while a request is under way finds its upsert there."""
    seen: list[int] = []

    def look(_: Request) -> None:
        seen.append(len(bench.rows("attempts")))

    bench.port.faults = [look]
    await bench.deliver(upsert("a", 1))
    assert seen == [1]


async def test_two_syncs_may_not_write_one_key(bench: Bench) -> None:
    """The second sync's upsert is invalid and names the first."""
    await bench.deliver(upsert("a", 1), sync="first")
    report = await bench.deliver(upsert("a", 2), sync="second")
    assert report.total(Outcome.INVALID) == 1
    assert bench.port.held == {"/a": {"value": 1}}


async def test_ids_unknown_to_the_api_are_invalid_before_the_first_write(bench: Bench) -> None:
    """What the destination's own check refuses never travels."""
    bench.destination.unknown_ids = {"b": "team x is unknown"}
    report = await bench.deliver(upsert("a", 1), upsert("b", 2))
    assert bench.port.writes == ["/a"]
    assert report.total(Outcome.INVALID) == 1


async def test_resend_all_sends_unchanged_but_not_older(bench: Bench) -> None:
    """The opt-out of "only what changed" keeps the stale guard."""
    await bench.deliver(upsert("a", 1, "2013-02-01"), upsert("b", 1, "2013-02-01"))
    bench.port.requests.clear()
    report = await bench.deliver(upsert("a", 1, "2013-02-01"), upsert("b", 0, "2013-01-01"), resend_before=float("inf"))
    assert bench.port.writes == ["/a"]
    assert report.total(Outcome.SUPERSEDED) == 1


async def test_resend_all_sends_once_over_retries(bench: Bench) -> None:
    """A resend that was stopped halfway goes on in its retry with what is left, and a third try sends nothing."""
    everything = [upsert(f"k{n}", n) for n in range(20)]
    await bench.deliver(*everything)
    asked = time.time()
    bench.port.requests.clear()
    bench.port.faults = [lambda _: None] * 8 + [status(401)] * 20
    await bench.deliver(*everything, resend_before=asked)
    bench.port.faults = []
    await bench.deliver(*everything, resend_before=asked)
    arrived = Counter(path for path in bench.port.writes)
    assert set(arrived) == {f"/{one.key}" for one in everything}
    assert 20 <= arrived.total() <= 20 + 4
    bench.port.requests.clear()
    report = await bench.deliver(*everything, resend_before=asked)
    assert bench.port.requests == []
    assert report.total(Outcome.UNCHANGED) == 20


async def test_error_that_may_hide_a_write_leaves_the_key_in_doubt(tmp_path: Path) -> None:
    """2 was refused with 500 for good but stands there, and 1 is true again: 1 is sent, though it was accepted last."""
    bench = Bench(tmp_path, FakeDestination(resend_is_safe=True))
    await bench.deliver(upsert("a", 1))

    def act_and_fail(request: Request) -> Exchange:
        bench.port.act(request)
        return answer(500)

    bench.port.always = act_and_fail
    assert (await bench.deliver(upsert("a", 2))).total(Outcome.FAILED) == 1
    bench.port.always = None
    await bench.deliver(upsert("a", 1))
    held = bench.port.held
    bench.close()
    assert held == {"/a": {"value": 1}}


async def test_value_read_before_a_correction_does_not_undo_it(bench: Bench) -> None:
    """A backfill read a day and waits; the day is corrected and delivered; the backfill's turn changes nothing."""
    await bench.deliver(upsert("a", 1))
    backfill = bench.delivery()
    await bench.deliver(upsert("a", 2))
    report = await backfill.deliver(Built([upsert("a", 1), upsert("b", 1, "2013-01-02")]))
    assert bench.port.held == {"/a": {"value": 2}, "/b": {"value": 1}}
    assert (report.total(Outcome.SUPERSEDED), report.total(Outcome.ACCEPTED)) == (1, 1)


async def test_later_reader_that_is_not_done_leaves_the_earlier_one_red(bench: Bench) -> None:
    """The correction was read and not delivered: what was read before is not sent, and is not called settled."""
    await bench.deliver(upsert("a", 1))
    backfill = bench.delivery()
    bench.port.always = status(401)
    await bench.deliver(upsert("a", 3))
    bench.port.always = None
    report = await backfill.deliver(Built([upsert("a", 2)]))
    assert report.total(Outcome.NOT_SENT) == 1
    assert bench.port.held == {"/a": {"value": 1}}
    await bench.deliver(upsert("a", 3))
    assert bench.port.held == {"/a": {"value": 3}}
    assert bench.rows("open_outcomes") == []


async def test_run_that_is_cancelled_writes_down_the_answers_that_came(bench: Bench) -> None:
    """Somebody stops it while the last answers are due: those that are there are accepted, the others attempted."""
    bench.port.always = None
    first = asyncio.Event()
    never = asyncio.Event()

    class Hanging(FakePort):
        async def send(self, request: Request) -> Exchange:
            if request.path == "/b":
                await never.wait()
            try:
                return await super().send(request)
            finally:
                first.set()

    bench.port = Hanging()
    running = asyncio.create_task(bench.deliver(upsert("a", 1), upsert("b", 1)))
    await first.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [row["key"] for row in bench.rows("state")] == ["a"]
    assert [row["key"] for row in bench.rows("attempts")] == ["b"]
    await asyncio.sleep(0.01)
    assert bench.port.writes == ["/a"]


async def test_defect_in_a_destination_surfaces_as_itself(bench: Bench) -> None:
    """An error that nobody foresaw ends the delivery at once, as what it is, and no further request leaves."""
    bench.port.latency_s = 0.01

    def defect(_: Request) -> Exchange:
        msg = "a defect"
        raise KeyError(msg)

    bench.port.faults = [lambda _: None, defect]
    with pytest.raises(KeyError, match="a defect"):
        await bench.deliver(*(upsert(f"k{n}", n) for n in range(4)))
    sent = len(bench.port.requests)
    await asyncio.sleep(0.05)
    assert len(bench.port.requests) == sent
    assert len(bench.rows("state")) + len(bench.rows("attempts")) == 4


async def test_dry_sends_nothing(bench: Bench) -> None:
    """A dry run plans and touches neither the API nor the ledger."""
    report = await bench.deliver(upsert("a", 1), dry=True)
    assert bench.port.requests == []
    assert report.total(Outcome.NOT_SENT) == 1
    assert bench.rows("attempts") == []


async def test_in_flight_stays_within_the_limit(bench: Bench) -> None:
    """A bounded number of requests is under way at any time, however many upserts wait."""
    await bench.deliver(*(upsert(f"k{n}", n) for n in range(300)))
    assert 1 < bench.port.most_in_flight <= 4


async def test_two_deliveries_at_once_end_with_the_newest(bench: Bench) -> None:
    """Two runs planned at the same time from the same state: the older one finds itself superseded in its turn."""
    old = bench.deliver(*(upsert(f"k{n}", 0, "2013-01-01") for n in range(300)))
    new = bench.deliver(*(upsert(f"k{n}", 1, "2013-01-02") for n in range(300)))
    reports = await asyncio.gather(new, old)
    assert set(map(str, bench.port.held.values())) == {"{'value': 1}"}
    assert sum(sum(counter.values()) for report in reports for counter in report.counts.values()) == 600


async def test_ledger_that_fails_stops_the_delivery(bench: Bench) -> None:
    """What cannot be written down is not sent: the error surfaces as what it is."""

    def break_ledger(_: Request) -> None:
        bench.ledger.engine.dispose()
        with bench.ledger.engine.begin() as connection:
            schema.state.drop(connection)

    bench.port.faults = [break_ledger]
    with pytest.raises(LedgerError, match="state"):
        await bench.deliver(upsert("a", 1))


class Tree(FakeDestination):
    """Keys are paths, and a path builds on the one above it."""

    def ranks(self, upserts: Sequence[Upsert]) -> dict[str, int]:
        return {upsert.key: upsert.key.count(".") for upsert in upserts}


async def test_what_others_build_on_is_answered_first(tmp_path: Path) -> None:
    """A child leaves only after its parent's answer has come, in batches of one level each."""
    bench = Bench(tmp_path, Tree(batch_size=3))
    keys = ["a", "b", "a.x", "a.y", "b.x", "b.y", "a.x.1", "b.y.1"]
    bench.port.latency_s = 0.01
    report = await bench.deliver(*(upsert(key, 1) for key in reversed(keys)))
    bench.close()
    assert report.total(Outcome.ACCEPTED) == len(keys)
    levels = [{key.count(".") for key in path[1:].split("+")} for path in bench.port.writes]
    assert all(len(level) == 1 for level in levels)
    assert [min(level) for level in levels] == sorted(min(level) for level in levels)
    assert bench.port.overlapping_levels == 0
