from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.delivery.destination import Window
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.pace import Leave, Pace
from tests.delivery.clock import HOURLY, START, TEN, TINY, Clock, above, finish, gaps, pace_of, send, windows
from tests.examples import examples


def sends_within(pace: Pace, clock: Clock, seconds: float) -> int:
    """How many requests leave in so many seconds while there is always one more to send."""
    end, count = clock.real + seconds, 0
    while clock.real < end:
        finish(pace.acquire())
        count += clock.real < end
    return count


def leave_of(pace: Pace) -> Leave:
    """The pace's leave for a request."""
    leave = finish(pace.acquire())
    assert leave is not None
    return leave


def departed(pace: Pace) -> Leave:
    """A request that has just left."""
    leave = leave_of(pace)
    pace.departs(leave)
    return leave


def ended(pace: Pace, leave: Leave, clock: Clock, after: float) -> None:
    """Let the answer come after so many seconds."""
    clock.real += after
    pace.ended(leave)


# Never above, and not much below


@given(windows, st.lists(st.tuples(gaps, st.sampled_from(["", "", "", "429", "429 after 3", "ok"])), max_size=80))
def test_no_window_is_ever_exceeded(limits: list[Window], steps: list[tuple[float, str]]) -> None:
    """Whatever windows, arrivals and refusals: no span of a window's length holds more sends than it allows."""
    clock = Clock()
    pace = pace_of(clock, *limits, guard=0.0)
    sends = []
    for gap, event in steps:
        clock.real += gap
        sends += send(pace, clock, 1)
        if event.startswith("429"):
            pace.slow_down(3.0 if "after" in event else None)
        elif event:
            pace.speed_up()
    assert all(above(sends, window) <= TINY for window in limits)


@given(st.integers(1, 40), st.sampled_from([0.2, 1.0, 60.0, 3600.0]))
def test_the_guard_keeps_arrivals_apart(requests: int, seconds: float) -> None:
    """Requests that are delayed by up to the guard still arrive within the window's limit."""
    clock = Clock()
    sends = send(pace_of(clock, Window(requests, seconds)), clock, 3 * requests)
    guard = min(0.03 * seconds, 1.0)
    late_first = sorted(time + (guard if index < requests else 0.0) for index, time in enumerate(sends))
    assert above(late_first, Window(requests, seconds)) <= TINY


@given(windows)
@settings(max_examples=examples(30), deadline=None)
def test_the_allowance_is_used_while_work_is_pending(limits: list[Window]) -> None:
    """With work pending at least 95 % of what all windows together allow is sent, but for one just behind the end."""
    clock = Clock()
    end = START + 3.5 * max(window.seconds for window in limits)
    allowed: list[float] = []
    while (
        time := max([START, *(allowed[-w.requests] + w.seconds for w in limits if len(allowed) >= w.requests)])
    ) < end:
        allowed.append(time)
    assert sends_within(pace_of(clock, *limits), clock, end - START) >= 0.95 * len(allowed) - 1


def test_documented_limits_are_used_to_95_percent() -> None:
    """10 requests/s and 2,400/h are used to 95 % and more over any long run."""
    for window, seconds in ((TEN, 100.0), (HOURLY, 5 * 3600.0)):
        clock = Clock()
        allowance = window.requests * seconds / window.seconds
        assert sends_within(pace_of(clock, window), clock, seconds) >= 0.95 * allowance


def test_a_share_is_a_share_of_every_window() -> None:
    """A sync that may use a third takes a third of each window, rounded down, but can always send."""
    clock = Clock()
    sends = send(pace_of(clock, TEN, Window(2, 60.0), share=0.35), clock, 4)
    assert above(sends, Window(1, 60.0)) <= TINY
    clock = Clock()
    assert sends_within(pace_of(clock, Window(100, 60.0), share=0.29), clock, 60.0) == 29


@pytest.mark.parametrize("share", [0.0, -1.0, 1.01, float("nan")])
def test_a_senseless_share_is_refused(share: float) -> None:
    """A share that is none is a configuration error."""
    with pytest.raises(ConfigurationError):
        Pace([TEN], share=share)


def test_without_a_window_nothing_waits() -> None:
    """An account without known limits is not held up."""
    clock = Clock()
    assert send(pace_of(clock), clock, 1000) == [START] * 1000


def test_the_waiting_time_is_told() -> None:
    """`acquire` returns the seconds it waited, `due_in` those that a send would wait now."""
    clock = Clock()
    pace = pace_of(clock, Window(1, 10.0), guard=0.0)
    assert leave_of(pace).waited == 0.0
    assert pace.due_in() == pytest.approx(10.0)
    clock.real += 4.0
    assert leave_of(pace).waited == pytest.approx(6.0)


# Those who wait


async def test_those_who_wait_go_in_order() -> None:
    """Workers send in the order in which they asked; one that is cancelled takes nobody's turn and no send."""
    clock = Clock()

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0)
        clock.real += seconds

    pace = Pace([Window(1, 5.0)], guard=0.0, clock=clock, sleep=sleep)
    left: list[tuple[int, float]] = []

    async def worker(number: int) -> None:
        await pace.acquire()
        left.append((number, clock.real - START))

    workers = [asyncio.create_task(worker(number)) for number in range(6)]
    while not left:
        await asyncio.sleep(0)
    workers[1].cancel()
    workers[3].cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert [number for number, _ in left] == [0, 2, 4, 5]
    assert [time for _, time in left] == pytest.approx([0.0, 5.0, 10.0, 15.0])


# The clock


@given(windows, st.lists(st.tuples(gaps, st.sampled_from([0.0, 0.0, 0.0, 1e-7, 0.4, 5.0, 7200.0])), max_size=60))
def test_a_clock_that_is_set_back_breaks_nothing(limits: list[Window], steps: list[tuple[float, float]]) -> None:
    """However often the machine's clock is set back, real spans stay within the windows and waits stay short."""
    clock = Clock()
    pace = pace_of(clock, *limits, guard=0.0)
    sends = []
    for gap, back in steps:
        clock.real += gap
        sends += send(pace, clock, 1)
        if back == 5.0:
            pace.slow_down(2.0)
        clock.off -= back
        assert pace.due_in() <= max(window.seconds for window in limits) + 60.0 + TINY
    assert all(above(sends, window) <= TINY for window in limits)


def test_a_server_that_notices_late_never_notices_too_many() -> None:
    """A request that the server may have seen long after it left counts from then on, once its answer tells so."""
    clock = Clock()
    pace = pace_of(clock, Window(2, 1.0), guard=0.0)
    for _ in range(5):
        ended(pace, departed(pace), clock, 0.01)
    clock.real += 10
    first = departed(pace)
    ended(pace, first, clock, 0.51)
    seen_at = first.departed + 0.5
    later = send(pace, clock, 2)
    assert later[1] >= seen_at + 1.0 - TINY


def test_a_request_without_an_answer_may_reach_the_server_now() -> None:
    """While answers are out, requests that may be noticed together with them wait; one that hangs delays little."""
    clock = Clock()
    pace = pace_of(clock, Window(2, 1.0), guard=0.0)
    for _ in range(5):
        ended(pace, departed(pace), clock, 0.01)
    clock.real += 10
    departed(pace)
    (second,) = send(pace, clock, 1)
    clock.real += 0.5
    assert pace.due_in() == pytest.approx(1.0 - 0.5)
    clock.real = second + 1.0
    assert pace.due_in() == pytest.approx(0.0)
    (third,) = send(pace, clock, 1)
    assert pace.due_in() == pytest.approx(1.0 - 0.01)
    (fourth,) = send(pace, clock, 1)
    assert fourth - third == pytest.approx(1.0 - 0.01, abs=0.02)
    clock.real += 30
    assert pace.due_in() == 0.0


def test_a_request_that_was_given_up_tells_nothing_of_the_way_back() -> None:
    """A cancelled request counts as of now, however soon it was cancelled, and the fastest answer stays what it was."""
    clock = Clock()
    pace = pace_of(clock, Window(2, 1.0), guard=0.0)
    for _ in range(5):
        ended(pace, departed(pace), clock, 0.2)
    clock.real += 10
    given_up = departed(pace)
    pace.ended(given_up, answered=False)
    first = departed(pace)
    ended(pace, first, clock, 0.2)
    assert first.counted == first.departed


def test_steady_answers_cost_no_allowance() -> None:
    """An API that takes its time, but always the same, is used as fully as a fast one."""
    clock = Clock()
    pace = pace_of(clock, TEN)
    start, count = clock.real, 0
    while clock.real < start + 100:
        ended(pace, departed(pace), clock, 0.05)
        count += 1
    assert count >= 0.95 * 1000
