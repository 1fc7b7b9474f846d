from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.destination import Window
from pipelines.delivery.pace import Pace
from tests.delivery.clock import HOURLY, START, TEN, TINY, Clock, above, gaps, pace_of, send, windows


def handed_over(pace: Pace, clock: Clock, *limits: Window, reserved: int = 0, **options: Any) -> Pace:
    """Another process' pace that goes on where this one's state ends."""
    successor = pace_of(clock, *limits, **options)
    successor.restore(orjson.loads(orjson.dumps(pace.state())), reserved)
    return successor


@given(windows, st.lists(st.tuples(gaps, st.integers(1, 6), st.sampled_from([0.0, 0.0, 0.3, 90.0])), max_size=30))
def test_holders_together_stay_within_every_window(limits: list[Window], turns: list[tuple[float, int, float]]) -> None:
    """Two that pass the state back and forth never exceed a window together, though the clock is set back between."""
    clock = Clock()
    mine, other = pace_of(clock, *limits, guard=0.0), pace_of(clock, *limits, guard=0.0)
    sends = []
    for gap, count, back in turns:
        clock.real += gap
        sends += send(mine, clock, count)
        state = orjson.dumps(mine.state())
        clock.off -= back
        mine, other = other, mine
        mine.restore(orjson.loads(state))
    assert all(above(sends, window) <= TINY for window in limits)


@pytest.mark.parametrize(("window", "seconds", "nap"), [(TEN, 60.0, 0.1), (Window(240, 360.0), 4 * 360.0, 3.0)])
def test_handing_over_costs_no_allowance(window: Window, seconds: float, nap: float) -> None:
    """Passing the state on again and again, at work and while waiting, leaves 95 % of the allowance usable."""
    clock = Clock()
    pace = pace_of(clock, window, Window(50, 1.0))
    end, count = clock.real + seconds, 0
    while clock.real < end:
        if wait := pace.due_in():
            clock.real += min(wait, nap)
        while not pace.due_in():
            count += len(send(pace, clock, 1))
        pace = handed_over(pace, clock, window, Window(50, 1.0))
    assert count >= 0.95 * window.requests * seconds / window.seconds


def test_handing_over_carries_nothing_into_a_shorter_window() -> None:
    """What only the hour still counts does not hold up this second's sends after a hand-over."""
    clock = Clock()
    pace = pace_of(clock, TEN, HOURLY)
    for _ in range(5):
        send(pace, clock, 10)
        clock.real += 1.5
        now = clock.real
        assert send(handed_over(pace, clock, TEN, HOURLY), clock, 10) == [now] * 10
        clock.real += 5.0


@pytest.mark.parametrize(("reserved", "free"), [(0, 7), (4, 3), (7, 0), (500, 0)])
def test_what_a_dead_holder_may_have_sent_is_counted(reserved: int, free: int) -> None:
    """Reserved sends count as made now; more of them than a window holds block one window, not several."""
    clock = Clock()
    pace = pace_of(clock, TEN)
    send(pace, clock, 3)
    clock.real += 0.5
    sends = send(handed_over(pace, clock, TEN, reserved=reserved), clock, 30)
    assert sum(time == START + 0.5 for time in sends) == free
    assert sends[free + 3] <= START + 0.5 + 1.04


def test_reserved_sends_are_taken_from_what_headers_left() -> None:
    """What a dead holder may have sent is missing from the API's own count as well."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 1)
    pace.observe(100, 10, clock() + 60.0)
    sends = send(handed_over(pace, clock, reserved=4), clock, 7)
    assert sum(time == START for time in sends) == 6


def test_a_state_is_small_and_forgets_what_no_window_counts() -> None:
    """An hour of 2,400 sends fits into a few kilobytes of JSON, and a quiet hour leaves nothing."""
    clock = Clock()
    pace = pace_of(clock, TEN, HOURLY)
    for _ in range(2400):
        clock.real += 1.5
        send(pace, clock, 1)
    assert len(orjson.dumps(pace.state())) < 6000
    assert sum(count for _, count in pace.state()["sent"]) == 2400
    clock.real += 3700
    assert pace.state()["sent"] == []


def test_a_pause_a_lowered_rate_and_what_headers_left_pass_on() -> None:
    """The next holder behaves as the last one would have: it waits, is slow, and stops at the same request."""
    clock, twin_clock = Clock(), Clock()
    pace = pace_of(clock, TEN)
    send(pace, clock, 10)
    for _ in range(10):
        pace.observe(None, 30, clock() + 100.0)
    pace.observe(5, 30, clock() + 1.0)
    pace.slow_down(7.0)
    twin_clock.real = clock.real
    twin = handed_over(pace, twin_clock, TEN)
    expected, found = send(pace, clock, 40), send(twin, twin_clock, 40)
    assert expected[0] == pytest.approx(START + 7.0)
    assert expected[30] - expected[29] > 20
    assert found == pytest.approx(expected, abs=0.1)


def test_a_rate_found_without_a_window_passes_on() -> None:
    """Where no limit is known the next holder starts from the rate that was found, and climbs on."""
    clock = Clock()
    pace = pace_of(clock)
    for _ in range(100):
        send(pace, clock, 1)
        clock.real += 0.1
    pace.slow_down()
    successor = handed_over(pace, clock)
    before = send(successor, clock, 10)
    for _ in range(300):
        successor.speed_up()
        send(successor, clock, 1)
    after = send(successor, clock, 10)
    assert before[9] - before[1] == pytest.approx(8 / 5, rel=0.1)
    assert after[9] - after[0] < 0.9 * (before[9] - before[0])


def test_a_clock_set_back_between_holders_makes_no_reset_later() -> None:
    """The next holder waits for a reset as long as the last one would have, though the clock was set back between."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 1)
    pace.observe(30, 0, clock() + 50.0)
    state = pace.state()
    clock.off = -7200.0
    successor = pace_of(clock)
    successor.restore(state)
    assert successor.due_in() == pytest.approx(51.0, abs=0.001)


def test_no_state_is_a_fresh_start() -> None:
    """A pace that nobody held before starts with an empty log, whatever it held itself."""
    clock = Clock()
    pace = pace_of(clock, TEN)
    send(pace, clock, 10)
    pace.restore({})
    assert pace.due_in() == 0.0
