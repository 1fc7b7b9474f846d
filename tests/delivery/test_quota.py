from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.destination import Window
from pipelines.delivery.pace import Pace
from pipelines.delivery.quota import RateHeaders, rate_headers
from tests.delivery.clock import HOURLY, START, TINY, Clock, above, pace_of, send


def sent_now(sends: Sequence[float]) -> int:
    return sum(time == sends[0] for time in sends)


def test_no_more_leaves_than_headers_leave() -> None:
    """After an answer that leaves n, n requests leave, and the next one a second after the reset, which is rounded."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 1)
    pace.observe(30, 5, clock() + 100.0)
    sends = send(pace, clock, 6)
    assert sent_now(sends) == 5
    assert sends[5] == pytest.approx(START + 101.0)


def test_what_is_in_flight_is_taken_off() -> None:
    """Requests without an answer yet will drain what an answer to another one leaves."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 4)
    pace.observe(30, 5, clock() + 100.0)
    assert sent_now(send(pace, clock, 4)) == 2


def test_a_late_answer_gives_nothing_back() -> None:
    """Of answers that overtook each other the smaller remainder counts, and an earlier reset is old news."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 3)
    pace.observe(30, 2, clock() + 100.0)
    pace.observe(30, 9, clock() + 100.0)
    pace.observe(30, 29, clock() - 3500.0)
    assert sent_now(send(pace, clock, 3)) == 2


def test_a_new_reset_opens_a_new_allowance() -> None:
    """An answer with a later reset replaces what was left until the earlier one."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 1)
    pace.observe(30, 1, clock() + 10.0)
    send(pace, clock, 1)
    pace.observe(30, 29, clock() + 3610.0)
    assert sent_now(send(pace, clock, 30)) == 29


def test_a_request_that_is_never_answered_is_taken_for_counted() -> None:
    """A lost request drains the allowance: the API may have counted it."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 2)
    pace.observe(30, 5, clock() + 1000.0)
    clock.real += 500.0
    sends = send(pace, clock, 5)
    assert sent_now(sends) == 4


def test_an_answer_without_headers_is_taken_for_counted() -> None:
    """A lost answer, or one that says nothing of the quota, gives its request's place to no other."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 3)
    pace.observe(30, 5, clock() + 1000.0)
    pace.observe(None, None, None)
    pace.observe(30, None, None)
    assert sent_now(send(pace, clock, 4)) == 3


def test_a_share_of_what_is_left_is_used() -> None:
    """A sync that may use half of a quota sends half of what was left when it came, not half of each remainder."""
    clock = Clock()
    pace = pace_of(clock, share=0.5)
    send(pace, clock, 1)
    sends = []
    for left in range(20, -1, -1):
        pace.observe(30, left, START + 100.0)
        sends += send(pace, clock, 1)
        if sends[-1] > START:
            break
    assert len(sends) == 11
    assert sends[-1] >= START + 100.0


def test_what_is_in_flight_is_taken_off_the_share() -> None:
    """Requests that left before the quota was known count for this sync's share."""
    clock = Clock()
    pace = pace_of(clock, share=0.5)
    send(pace, clock, 4)
    pace.observe(30, 20, clock() + 100.0)
    for _ in range(3):
        pace.observe(30, 19, clock() + 100.0)
    assert sent_now(send(pace, clock, 8)) == 7


def test_news_are_heeded_while_waiting() -> None:
    """A request that waits for a reset leaves soon after an answer that tells of a new one."""
    clock = Clock()

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        if clock.real > START + 3.0:
            pace.observe(30, 20, START + 3600.0)

    pace = Pace([], clock=clock, sleep=sleep)
    send(pace, clock, 2)
    pace.observe(30, 0, START + 1000.0)
    (waited,) = send(pace, clock, 1)
    assert waited < START + 6.0


def test_a_clock_that_is_set_back_makes_no_reset_later() -> None:
    """What headers left is waited for as long as they said, though the clock is set back meanwhile."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 1)
    pace.observe(30, 0, clock() + 50.0)
    assert pace.due_in() == pytest.approx(51.0)
    clock.off = -7200.0
    assert pace.due_in() == pytest.approx(51.0)


def test_the_servers_clock_is_its_own() -> None:
    """With the answer's Date a reset is right though the two clocks differ by hours."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 1)
    pace.observe(30, 0, clock() - 7200.0 + 50.0, served_at=clock() - 7200.0)
    (first,) = send(pace, clock, 1)
    assert START + 50.0 <= first <= START + 52.0


def test_a_lower_limit_in_the_headers_lowers_its_window() -> None:
    """A smaller limit in the headers than documented for the hour holds for any hour; a larger one changes nothing."""
    for limit, most in ((100, 100), (9000, 2400)):
        clock = Clock()
        pace = pace_of(clock, HOURLY, Window(50, 1.0))
        send(pace, clock, 1)
        pace.observe(limit, limit - 1, clock() + 3000.0)
        clock.real += 3002.0
        sends = [START, *send(pace, clock, 3000)]
        assert above(sends, Window(most, 3600.0)) <= TINY
        assert sum(time < START + 3600 for time in sends) >= 0.95 * most


@pytest.mark.parametrize("seen", [(None, None, None), (30, None, None), (30, 0, None), (None, None, START + 99)])
def test_incomplete_headers_hold_nothing_up(seen: tuple[int | None, int | None, float | None]) -> None:
    """Without a remainder or without a reset there is nothing to wait for."""
    clock = Clock()
    pace = pace_of(clock)
    send(pace, clock, 1)
    pace.observe(*seen)
    assert pace.due_in() == 0.0


@dataclass
class FixedWindowServer:
    """Counts requests in spans of an hour and tells in headers what is left; `most` is what a span ever held."""

    limit: int
    clock: Clock
    counts: dict[int, int] = field(default_factory=dict)

    def take(self) -> tuple[int, int, float]:
        hour = int(self.clock.real // 3600)
        self.counts[hour] = self.counts.get(hour, 0) + 1
        return self.limit, max(0, self.limit - self.counts[hour]), (hour + 1) * 3600.0


@given(st.integers(1, 20), st.integers(1, 5), st.randoms(use_true_random=False))
def test_a_server_that_counts_is_never_overrun_and_well_used(limit: int, workers: int, chance: Random) -> None:
    """In whatever order requests arrive and answers return, the server's count is never exceeded and used up."""
    clock = Clock()
    server, pace = FixedWindowServer(limit, clock), pace_of(clock)
    travelling: list[None] = []
    returning: list[tuple[int, int, float]] = []
    # The first answer tells the limit: until then one request at a time.
    send(pace, clock, 1)
    pace.observe(*server.take())
    for _ in range(300):
        moves = ["arrive"] * len(travelling) + ["return"] * len(returning)
        if len(travelling) + len(returning) < workers and pace.due_in() == 0:
            moves.append("send")
        move = chance.choice(moves) if moves else "wait"
        if move == "send":
            send(pace, clock, 1)
            travelling.append(None)
        elif move == "arrive":
            travelling.pop()
            returning.append(server.take())
        elif move == "return":
            pace.observe(*returning.pop(chance.randrange(len(returning))))
        elif clock.real > START + 3600:
            break
        else:
            clock.real += pace.due_in()
            send(pace, clock, 1)
            pace.observe(*server.take())
    assert max(server.counts.values()) <= limit
    if len(server.counts) > 1:
        assert server.counts[min(server.counts)] == limit


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        ({}, None),
        ({"retry-after": "3"}, None),
        (
            {"x-ratelimit-limit": "2400", "x-ratelimit-remaining": " 2399 ", "x-ratelimit-reset": "1700000000"},
            RateHeaders(2400, 2399, 1_700_000_000.0, None),
        ),
        (
            {"x-ratelimit-remaining": "0", "date": "Thu, 01 Jan 1970 00:01:00 GMT"},
            RateHeaders(None, 0, None, 60.0),
        ),
        ({"x-ratelimit-limit": "many", "x-ratelimit-remaining": "-1", "x-ratelimit-reset": "2026-01-01"}, None),
        ({"x-ratelimit-limit": "5, 5", "x-ratelimit-reset": "1700000000000"}, None),
    ],
)
def test_rate_headers_are_read(headers: dict[str, str], read: RateHeaders | None) -> None:
    """The X-RateLimit headers are read as far as they are numbers; anything else is as good as absent."""
    assert rate_headers(headers) == read
