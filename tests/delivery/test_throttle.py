from __future__ import annotations

from itertools import pairwise

import pytest

from pipelines.delivery.destination import Window
from pipelines.delivery.throttle import PAUSE_S
from tests.delivery.clock import START, TEN, Clock, pace_of, send


def rate(sends: list[float]) -> float:
    """Requests per second over the sends."""
    return (len(sends) - 1) / (sends[-1] - sends[0])


@pytest.mark.parametrize(("asked", "pause"), [(None, PAUSE_S), (0.0, 0.0), (7.5, 7.5), (-3.0, 0.0)])
def test_a_429_stops_all_sending_for_as_long_as_it_asks(asked: float | None, pause: float) -> None:
    """After a 429 nothing leaves before the Retry-After is over, or a pause of our own where there is none."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 50)
    clock.real += 0.5
    pace.slow_down(asked)
    (first,) = send(pace, clock, 1)
    assert first - START - 0.5 >= pause
    assert first - START - 0.5 <= pause + 0.1


def test_the_longest_pause_counts() -> None:
    """A 429 that asks for less does not shorten a pause that another one asked for."""
    clock = Clock()
    pace = pace_of(clock, TEN)
    send(pace, clock, 2)
    pace.slow_down(30.0)
    pace.slow_down(1.0)
    assert pace.due_in() == pytest.approx(30.0)


def test_a_429_halves_the_rate() -> None:
    """Under a known window the rate falls to half of the window's, evenly spaced."""
    clock = Clock()
    pace = pace_of(clock, TEN)
    send(pace, clock, 100)
    pace.slow_down()
    sends = send(pace, clock, 20)
    assert rate(sends) == pytest.approx(10 / 1.03 / 2, rel=0.05)
    assert min(later - first for first, later in pairwise(sends)) > 0.1


def test_what_is_halved_is_the_rate_that_was_refused() -> None:
    """Without a window, and below one, the rate of the last seconds is halved."""
    for limits in ((), (Window(1000, 1.0),)):
        clock = Clock()
        pace = pace_of(clock, *limits)
        for _ in range(200):
            send(pace, clock, 1)
            clock.real += 0.05
        pace.slow_down()
        assert rate(send(pace, clock, 50)) == pytest.approx(10.0, rel=0.02)


def test_a_burst_of_refusals_cuts_once() -> None:
    """Several 429s to requests that left before the first cut halve the rate once; one to a later request again."""
    clock = Clock()
    pace = pace_of(clock, TEN)
    send(pace, clock, 100)
    left = clock()
    for _ in range(5):
        pace.slow_down()
        clock.real += 0.1
    assert rate(send(pace, clock, 20)) == pytest.approx(10 / 1.03 / 2, rel=0.05)
    pace.slow_down(sent_at=left)
    clock.real += 1.0
    assert rate(send(pace, clock, 20)) == pytest.approx(10 / 1.03 / 2, rel=0.05)
    pace.slow_down()
    assert rate(send(pace, clock, 20)) == pytest.approx(10 / 1.03 / 4, rel=0.05)


def test_refusals_never_stop_an_account_for_good() -> None:
    """However many 429s, a request leaves every minute."""
    clock = Clock()
    pace = pace_of(clock, TEN)
    for _ in range(50):
        send(pace, clock, 1)
        pace.slow_down()
    assert pace.due_in() <= 60.0 + 1.0


def test_acceptance_brings_the_full_rate_back() -> None:
    """While answers are accepted the rate climbs by small steps, and within a minute it is the window's again."""
    clock = Clock()
    pace = pace_of(clock, TEN)
    send(pace, clock, 100)
    pace.slow_down()
    resumed = clock.real + PAUSE_S
    sends = []
    while clock.real < resumed + 60:
        sends += send(pace, clock, 1)
        pace.speed_up()
    counts = [sum(resumed + second <= time < resumed + second + 5 for time in sends) for second in range(0, 60, 5)]
    assert all(earlier <= later + 2 for earlier, later in pairwise(counts))
    assert counts[0] < 35
    assert counts[-1] >= 0.95 * 50


def test_without_a_window_the_rate_climbs_without_a_leap() -> None:
    """Where no limit is known the rate keeps growing after a 429, by a tenth at most from one answer to the next."""
    clock = Clock()
    pace = pace_of(clock)
    for _ in range(100):
        send(pace, clock, 1)
        clock.real += 0.1
    pace.slow_down()
    sends = send(pace, clock, 1)
    for _ in range(3000):
        pace.speed_up()
        sends += send(pace, clock, 1)
    spaces = [later - first for first, later in pairwise(sends)]
    assert spaces[1] == pytest.approx(0.2, rel=0.1)
    assert spaces[-1] < 0.05
    assert all(later > 0.9 * earlier for earlier, later in pairwise(spaces[1:]))


def test_answers_during_a_pause_raise_nothing() -> None:
    """Acceptances of what left before a 429 do not undo the cut."""
    clock = Clock()
    pace = pace_of(clock, TEN)
    send(pace, clock, 100)
    pace.slow_down()
    for _ in range(1000):
        pace.speed_up()
    assert rate(send(pace, clock, 20)) < 5.5


def test_a_429_after_the_clock_was_set_back_cuts() -> None:
    """Which cut came first is told by the order of events, not by a clock that was set back between them."""
    clock = Clock()
    pace = pace_of(clock, TEN)
    send(pace, clock, 100)
    pace.slow_down()
    clock.off = -3600.0
    send(pace, clock, 20)
    pace.slow_down()
    assert rate(send(pace, clock, 20)) == pytest.approx(10 / 1.03 / 4, rel=0.05)
