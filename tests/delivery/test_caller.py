"""The caller with a scripted port and a clock of its own: breaker, deadline, strikes, and what a stop leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pipelines.delivery.breaker import BreakerPolicy
from pipelines.delivery.caller import STOPS, AccountRules, Caller, Patience, serving
from pipelines.delivery.deadline import Deadline
from pipelines.delivery.destination import Window
from pipelines.delivery.errors import AccountUnavailable, CredentialsRefused, PlanRefused
from pipelines.delivery.messages import Answer, Exchange, Lost, NotSent, Request
from pipelines.delivery.pace import Pace
from pipelines.delivery.redact import redact
from pipelines.delivery.report import Traffic
from pipelines.delivery.retry import RetryPolicy
from tests.delivery.clock import START
from tests.delivery.fakes import answer

READ = Request("GET", "/x", repeatable=True)
SAFE = Request("PUT", "/x", body=b"1", repeatable=True)
RISKY = Request("POST", "/x", body=b"1")
ONCE = Patience(RetryPolicy(attempts=1), BreakerPolicy(failures=3))


class Line:
    """A port that answers as `say` does, and a clock that passes by sleeping; what is due first wakes first."""

    def __init__(self, say: Callable[[Request], Exchange] = lambda _: answer(200)) -> None:
        self.say = say
        self.now = START
        self.left: list[float] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.traffic = Traffic()
        self._alarms: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        due = self.now + seconds
        self._alarms.append(due)
        try:
            while self.now < due:
                for _ in range(20):
                    await asyncio.sleep(0)
                self.now = max(self.now, min(self._alarms))
        finally:
            self._alarms.remove(due)

    async def send(self, request: Request) -> Exchange:
        self.left.append(self.now - START)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await self.sleep(0.1)
        self.in_flight -= 1
        return self.say(request)

    async def aclose(self) -> None:
        """Nothing to close."""

    def caller(
        self, patience: Patience = ONCE, *windows: Window, rules: Any = (), minutes: float | None = None
    ) -> Caller:
        return Caller(
            AccountRules("acc", "http://127.0.0.1:9", frozenset(), **dict(rules)),
            self,
            Pace(windows, clock=self.clock, sleep=self.sleep),
            self.traffic,
            patience,
            deadline=None if minutes is None else Deadline(START + minutes * 60, minutes),
            clock=self.clock,
            sleep=self.sleep,
            jitter=lambda: 0.5,
        )


async def ended(caller: Caller, request: Request = SAFE) -> Exchange | str:
    """What the call came to: the exchange, or the words with which the account was stopped."""
    try:
        return await caller(request)
    except STOPS as stop:
        return str(stop)


@pytest.mark.parametrize(
    ("setting", "do"),
    [
        ("VS_MEDIA_TYPE", "Set VS_MEDIA_TYPE to the version this tenant speaks; nothing more was sent."),
        ("", "Check that http://127.0.0.1:9 is the API's own address; nothing more was sent."),
    ],
)
async def test_a_refused_media_type_names_only_a_setting_that_there_is(setting: str, do: str) -> None:
    """415 ends the run with advice that can be followed: not every account can choose its media type."""
    caller = Line(lambda _: answer(415)).caller(rules={"media_type_setting": setting})
    assert str(await ended(caller, READ)).endswith(f"415, the media type is refused. {do}")


SICK = [
    pytest.param(answer(500), id="500"),
    pytest.param(answer(503), id="503"),
    pytest.param(answer(429), id="429 for good"),
    pytest.param(Lost("cut"), id="lost"),
    pytest.param(NotSent("no such host"), id="not sent"),
]


@pytest.mark.parametrize("exchange", SICK)
async def test_a_sick_api_gets_one_request_after_each_pause(exchange: Exchange) -> None:
    """Three failures, then one probe after 15, 30 and 60 s each, and no request more for all the others that wait."""
    line = Line(lambda _: exchange)
    caller = line.caller()
    for _ in range(3):
        await caller(SAFE)
    opened = line.now - START
    results = await asyncio.gather(*(ended(caller) for _ in range(20)))
    probes = line.left[3:]
    assert len(probes) == 3
    pauses = [after - before - 0.1 for before, after in zip([opened - 0.1, *probes], probes, strict=False)]
    assert pauses == pytest.approx([15.0, 30.0, 60.0], abs=1.1)
    assert results.count(exchange) == 3
    stops = [one for one in results if isinstance(one, str)]
    assert len(stops) == 17
    assert "account acc: the API is not well: 6 requests in a row failed, 3 of them after pauses" in stops[0]
    assert stops[0].endswith("Run the partitions again when the API is well.")


async def test_others_wait_until_the_probe_is_answered_and_then_all_go_on() -> None:
    """While a probe is out nothing else leaves; when it fared well, everything does."""
    line = Line(lambda _: answer(503))
    caller = line.caller()
    for _ in range(3):
        await caller(SAFE)
    line.say = lambda _: answer(200)
    line.most_in_flight = 0
    results = await asyncio.gather(*(ended(caller) for _ in range(20)))
    assert {one.status for one in results if isinstance(one, Answer)} == {200}
    assert len(results) == 20
    probe, *others = line.left[3:]
    assert min(others) - probe == pytest.approx(0.1)
    assert line.most_in_flight == 19
    assert not caller.resting


SAFELY = Patience(RetryPolicy(attempts=4), BreakerPolicy(failures=1))


async def test_a_probe_that_failed_goes_once_more_after_the_next_pause() -> None:
    """Neither at once, nor for ever: one request that always fails does not speak for all the others."""
    line = Line(lambda _: answer(503))
    caller = line.caller(SAFELY)
    assert await caller(SAFE) == answer(503)
    assert len(line.left) == 4
    assert await caller(SAFE) == answer(503)
    assert len(line.left) == 6
    assert line.left[5] - line.left[4] == pytest.approx(30.1)


async def test_a_probe_that_failed_is_delivered_when_the_api_is_well_again() -> None:
    """An outage that outlasts the first pause costs the row that found it out nothing."""
    line = Line(lambda _: answer(503))
    caller = line.caller(SAFELY)
    await caller(SAFE)
    line.say = lambda _: answer(503 if len(line.left) == 5 else 200)
    results = await asyncio.gather(*(ended(caller) for _ in range(3)))
    assert [one.status for one in results if isinstance(one, Answer)] == [200, 200, 200]
    assert not caller.resting


@pytest.mark.parametrize(
    ("exchange", "told"), [(answer(503), None), (NotSent("no host"), None), (Lost("cut"), Lost("cut"))]
)
async def test_the_last_probe_is_not_sent_where_the_api_certainly_did_nothing(
    exchange: Exchange, told: Exchange | None
) -> None:
    """With it the run gives up: what was not acted on is left for the next run, what may have been is told."""
    line = Line(lambda _: exchange)
    caller = line.caller(Patience(RetryPolicy(attempts=2), BreakerPolicy(failures=1, probes=1)))
    await caller(SAFE)
    last = await ended(caller)
    assert len(line.left) == 3
    assert last == told if told is not None else "the API is not well" in str(last)


async def test_a_probe_that_may_have_been_acted_on_is_not_sent_again_unseen() -> None:
    """A write that somebody would notice twice leaves once as a probe, too."""
    line = Line(lambda _: Lost("cut"))
    caller = line.caller(SAFELY)
    for sent in (1, 2):
        assert await caller(RISKY) == Lost("cut")
        assert len(line.left) == sent


async def test_a_request_that_waits_for_its_next_try_waits_for_the_cool_down_too() -> None:
    """A retry that falls into the pause leaves after it."""
    line = Line(lambda _: answer(503))
    caller = line.caller(Patience(RetryPolicy(attempts=2, base_s=4.0), BreakerPolicy(failures=1)))

    async def later() -> None:
        await line.sleep(2.0)
        await ended(caller)

    await asyncio.gather(ended(caller), later())
    assert line.left == pytest.approx([0.0, 2.0, 3.1, 18.2], abs=0.01)


async def test_a_cancelled_probe_makes_room_for_the_next() -> None:
    """A probe whose task ends unanswered keeps nobody waiting for ever."""
    line = Line(lambda _: answer(503))
    caller = line.caller()
    for _ in range(3):
        await caller(SAFE)
    line.say = lambda _: answer(200)
    first, second = asyncio.create_task(ended(caller)), asyncio.create_task(ended(caller))
    while line.in_flight == 0:
        await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert isinstance(await second, Answer)


async def test_a_probe_that_meets_a_401_ends_the_waiting_of_all() -> None:
    """Whoever waits for the probe learns at once that the credentials are refused."""
    line = Line(lambda _: answer(503))
    caller = line.caller()
    for _ in range(3):
        await caller(SAFE)
    line.say = lambda _: answer(401)
    results = await asyncio.gather(*(ended(caller) for _ in range(5)))
    assert len(line.left) == 4
    assert all("401" in str(one) for one in results)


async def test_the_next_run_finds_out_with_one_request() -> None:
    """A run that takes over from one that gave up sends a single request, where 16 workers would each send one."""
    line = Line(lambda _: answer(503))
    first = line.caller()
    for _ in range(6):
        await first(SAFE)
    state, sent = first.state(), len(line.left)
    second = line.caller()
    second.restore(state)
    waiting = [asyncio.create_task(ended(second)) for _ in range(16)]
    for _ in range(50):
        await asyncio.sleep(0)
    assert len(line.left) == sent + 1
    line.say = lambda _: answer(200)
    assert all(isinstance(one, Answer) for one in await asyncio.gather(*waiting))


# The deadline


async def test_nothing_leaves_after_the_deadline() -> None:
    """The first request that would leave later ends the run with words that name the minutes and what to do."""
    line = Line()
    caller = line.caller(minutes=2.0)
    assert isinstance(await caller(SAFE), Answer)
    line.now = START + 120.0
    with pytest.raises(AccountUnavailable, match=r"2 minutes that the run was given \(max_minutes\)") as caught:
        await caller(SAFE)
    assert "larger max_minutes" in caught.value.do
    assert len(line.left) == 1


@pytest.mark.parametrize(
    ("windows", "say", "sent"),
    [
        pytest.param([Window(2, 600.0)], answer(200), 2, id="pace"),
        pytest.param([], answer(429, **{"retry-after": "200"}), 1, id="pause"),
        pytest.param([], answer(503), 5, id="cool-down"),
    ],
)
async def test_what_may_leave_only_after_the_deadline_is_not_waited_for(
    windows: list[Window], say: Exchange, sent: int
) -> None:
    """A wait of the pace, of a Retry-After or of the breaker that would outlast the run ends it at once."""
    line = Line(lambda _: say)
    caller = line.caller(ONCE, *windows, minutes=1.2)
    results = [await ended(caller) for _ in range(9)]
    assert len(line.left) == sent
    assert all("within the 1.2 minutes" in str(one) for one in results[sent:])
    assert line.now < START + 72.0


async def test_workers_that_queue_at_the_pace_learn_of_the_end_at_once() -> None:
    """Ten that wait for a slow pace are all told when the first one finds that the time is over."""
    line = Line()
    caller = line.caller(ONCE, Window(1, 50.0), minutes=2.0)
    results = await asyncio.gather(*(ended(caller) for _ in range(10)))
    assert len(line.left) == 3
    assert sum(isinstance(one, str) for one in results) == 7
    assert line.now < START + 120.0


async def test_a_retry_behind_the_deadline_is_not_made() -> None:
    """The request ends with the answer that it has."""
    line = Line(lambda _: answer(503, **{"retry-after": "90"}))
    caller = line.caller(Patience(), minutes=1.0)
    assert await caller(SAFE) == answer(503, **{"retry-after": "90"})
    assert len(line.left) == 1
    assert line.now < START + 1.0


# What a stop leaves behind


@pytest.mark.parametrize(
    ("first", "left"),
    [(Lost("cut"), Lost("cut")), (answer(502), answer(502)), (answer(503), None), (NotSent("no host"), None)],
    ids=["lost", "502", "503", "not sent"],
)
async def test_a_write_that_may_have_arrived_is_never_called_not_sent(first: Exchange, left: Exchange | None) -> None:
    """A stop between two tries of a write keeps its first answer where that leaves open what became of it."""
    line = Line(lambda _: first)
    caller = line.caller(Patience())

    sent = asyncio.create_task(caller(SAFE))
    await line.sleep(0.2)
    caller.stop(AccountUnavailable("enough"))
    if left is None:
        with pytest.raises(AccountUnavailable, match="enough"):
            await sent
    else:
        assert await sent == left
    assert len(line.left) == 1


async def test_a_stop_ends_the_wait_for_a_retry() -> None:
    """A request that a server asked to come back in minutes keeps no run alive whose account was stopped meanwhile."""
    line = Line(lambda _: answer(503, **{"retry-after": "250"}))
    caller = line.caller(Patience())
    sent = asyncio.create_task(ended(caller))
    await line.sleep(5.0)
    caller.stop(AccountUnavailable("enough"))
    assert "enough" in str(await sent)
    assert line.now < START + 7.0


async def test_secrets_in_an_answer_are_in_no_sentence() -> None:
    """An API that repeats the key in its refusal does not get it into our words, nor half of it."""
    line = Line(lambda _: Answer(401, {}, b"x" * 195 + b"hush-hush is no key", 0.1))
    caller = line.caller(rules={"redact": lambda text: redact(text, ("hush-hush",))})
    with pytest.raises(CredentialsRefused) as caught:
        await caller(READ)
    assert "hush" not in str(caught.value)


# Strikes


@pytest.mark.parametrize("status", [402, 403])
async def test_three_refused_requests_in_a_row_stop_the_account(status: int) -> None:
    """The third request that an upsert's delivery is refused for is the last one; its own answer is still told."""
    line = Line(lambda _: answer(status, {"message": "not in your plan"}))
    caller = line.caller()
    with serving(["2013-01-01"], delivering=True):
        for _ in range(3):
            assert (await caller(SAFE)).status == status  # pyright: ignore[reportAttributeAccessIssue] - an answer
        with pytest.raises(PlanRefused, match=f"3 requests in a row .* the last with {status} .*not in your plan"):
            await caller(SAFE)
    assert len(line.left) == 3


async def test_an_accepted_write_ends_the_row_of_refusals_a_read_does_not() -> None:
    """Two refused, one accepted, two refused: no stop. With a look-up in place of the accepted write: stop."""
    replies = iter([403, 403, 200, 403, 403, 200, 403])
    line = Line(lambda _: answer(next(replies)))
    caller = line.caller()
    with serving(["2013-01-01"], delivering=True):
        for _ in range(5):
            await caller(SAFE)
        assert caller.stopped is None
        await caller(READ)
        await caller(SAFE)
    assert isinstance(caller.stopped, PlanRefused)


async def test_refused_look_ups_outside_of_a_delivery_are_no_strikes() -> None:
    """An account that may write but not read the API's catalogue is not stopped by the check before the first write."""
    line = Line(lambda _: answer(403))
    caller = line.caller()
    for _ in range(9):
        await caller(READ)
    with serving(["2013-01-01"]):
        for _ in range(9):
            await caller(READ)
    assert caller.stopped is None


async def test_a_request_is_counted_for_the_one_partition_that_it_serves() -> None:
    """One that serves several partitions, or none, is counted for the run alone; within a wait and a retry as well."""
    replies = iter([503, 200, 200, 200])
    line = Line(lambda _: answer(next(replies)))
    caller = line.caller(Patience())
    for served in (["2013-01-01"], ["2013-01-01", "2013-01-01"], ["2013-01-01", "2013-01-02"]):
        with serving(served):
            await caller(SAFE)
    of_day = line.traffic.partitions
    assert {day: (wire.requests, wire.retries) for day, wire in of_day.items()} == {"2013-01-01": (3, 1)}
    assert (line.traffic.requests, line.traffic.retries) == (4, 1)
