from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.breaker import Breaker, BreakerPolicy, Kind
from tests.delivery.clock import START, Clock

POLICY = BreakerPolicy(failures=3, cooldowns_s=(10.0, 20.0, 40.0), probes=3, memory_s=100.0)


def breaker(clock: Clock, policy: BreakerPolicy = POLICY) -> Breaker:
    return Breaker(policy, clock=clock)


def fail(breaker: Breaker, times: int = 3, kind: Kind = "write") -> None:
    for _ in range(times):
        breaker.note(kind, well=False, probe=False)


def probe(breaker: Breaker, clock: Clock, *, well: bool, kind: Kind = "write") -> float:
    """Wait for the cool-down, probe, and return how long the wait was."""
    waited = breaker.due_in()
    clock.real += waited
    assert breaker.take_probe()
    breaker.note(kind, well=well, probe=True)
    return waited


def passed_on(breaker: Breaker, clock: Clock) -> Breaker:
    """The breaker of the next holder, which reads the state from the ledger."""
    other = Breaker(POLICY, clock=clock)
    other.restore(orjson.loads(orjson.dumps(breaker.state())))
    return other


def test_failures_in_a_row_open_it() -> None:
    """Fewer than so many, or with one that fared well between, leave it closed."""
    one = breaker(Clock())
    fail(one, 2)
    one.note("write", well=True, probe=False)
    fail(one, 2)
    assert one.closed
    fail(one, 1)
    assert not one.closed
    assert one.due_in() == 10.0


def test_each_failed_probe_lengthens_the_pause_until_the_run_gives_up() -> None:
    """10, 20 and 40 seconds pass before the probes; after the third the run gives up and waits no more."""
    clock = Clock()
    one = breaker(clock)
    fail(one)
    assert [probe(one, clock, well=False) for _ in range(2)] == [10.0, 20.0]
    assert not one.worn_out
    assert probe(one, clock, well=False) == 40.0
    assert one.worn_out
    assert one.due_in() == 0.0


def test_a_probe_that_fares_well_closes_it() -> None:
    """After it everybody goes on, and a later sickness starts with the shortest pause again."""
    clock = Clock()
    one = breaker(clock)
    fail(one)
    probe(one, clock, well=False)
    probe(one, clock, well=True)
    assert one.closed
    assert not one.take_probe()
    fail(one)
    assert one.due_in() == 10.0


def test_one_probe_at_a_time() -> None:
    """None before the cool-down is over, none while one is out; one that told nothing makes room for the next."""
    clock = Clock()
    one = breaker(clock)
    fail(one)
    clock.real += 9.0
    assert not one.take_probe()
    clock.real += 1.0
    assert one.take_probe()
    assert one.probing
    assert not one.take_probe()
    one.drop_probe()
    assert one.take_probe()


def test_answers_to_what_left_before_count_no_more() -> None:
    """Requests that were in flight when it opened neither close it nor lengthen its pause."""
    clock = Clock()
    one = breaker(clock)
    fail(one)
    fail(one, 9)
    one.note("write", well=True, probe=False)
    assert not one.closed
    assert one.due_in() == 10.0


def test_reads_that_fare_well_do_not_hide_that_all_writes_fail() -> None:
    """An API whose look-ups work and whose writes all fail is sick; only a write proves that it is well again."""
    clock = Clock()
    one = breaker(clock)
    for _ in range(3):
        one.note("read", well=True, probe=False)
        one.note("write", well=False, probe=False)
    assert not one.closed
    probe(one, clock, well=True, kind="read")
    assert not one.closed
    assert one.due_in() == 0.0
    probe(one, clock, well=True, kind="write")
    assert one.closed


def test_a_write_that_fares_well_proves_that_reads_may_go_too() -> None:
    """Where only reads failed, either kind closes it, so that nobody waits for a read that may never come."""
    clock = Clock()
    one = breaker(clock)
    fail(one, kind="read")
    probe(one, clock, well=True, kind="write")
    assert one.closed


def test_the_next_run_begins_half_open() -> None:
    """A run that starts soon after another gave up may send one probe at once, and has probes of its own."""
    clock = Clock()
    one = breaker(clock)
    fail(one)
    for _ in range(3):
        probe(one, clock, well=False)
    clock.real += 5.0
    other = passed_on(one, clock)
    assert not other.closed
    assert not other.worn_out
    assert [probe(other, clock, well=False) for _ in range(3)] == [0.0, 20.0, 40.0]
    assert other.worn_out


def test_the_next_holder_waits_for_the_rest_of_the_pause() -> None:
    """A turn that changes hands does not shorten a cool-down, and a row of failures goes on."""
    clock = Clock()
    one = breaker(clock)
    fail(one)
    clock.real += 4.0
    assert passed_on(one, clock).due_in() == 6.0
    one = breaker(clock)
    fail(one, 2)
    other = passed_on(one, clock)
    fail(other, 1)
    assert not other.closed


def test_what_is_long_past_is_forgotten() -> None:
    """After a quarter of an hour (here: 100 s) a run starts as if nothing had been."""
    clock = Clock()
    one = breaker(clock)
    fail(one)
    clock.real += 101.0
    other = passed_on(one, clock)
    assert other.closed
    fail(other, 2)
    assert other.closed


def test_a_clock_that_is_set_back_lengthens_no_pause() -> None:
    """Neither in the run that sees it nor in the one that takes over."""
    clock = Clock()
    one = breaker(clock)
    fail(one)
    state = one.state()
    clock.off = -3600.0
    assert one.due_in() == 10.0
    other = breaker(clock)
    other.restore(state)
    assert other.due_in() <= 40.0


def test_nothing_to_tell_is_told_as_nothing() -> None:
    """While all is well the breaker takes no room in the ledger, and nothing restores to closed."""
    one = breaker(Clock())
    one.note("write", well=True, probe=False)
    assert one.state() == {}
    fail(one)
    one.restore({})
    assert one.closed


steps = st.lists(
    st.tuples(st.sampled_from(["ask", "pass on"]), st.sampled_from(["read", "write"]), st.booleans(), st.floats(0, 50)),
    max_size=60,
)


@given(steps)
def test_while_open_only_one_request_leaves_per_pause(given_steps: list[tuple[str, Kind, bool, float]]) -> None:
    """Whatever happens: from the third failure in a row to the next success, each failed probe costs a pause."""
    clock = Clock()
    one = breaker(clock)
    failed_at = float("-inf")
    for what, kind, well, seconds in given_steps:
        clock.real += seconds
        if what == "pass on":
            one = passed_on(one, clock)
            continue
        was_closed = one.closed
        if not was_closed and not one.take_probe():
            continue
        if not was_closed:
            assert clock.real - failed_at >= 10.0 or one.worn_out
        one.note(kind, well=well, probe=not was_closed)
        if not well:
            failed_at = clock.real
        if one.worn_out:
            return


@pytest.mark.parametrize("closed", [True, False])
def test_the_default_waits_under_two_minutes_in_all(closed: bool) -> None:
    """What the product ships: 5 failures, then probes after 15, 30 and 60 seconds."""
    clock = Clock()
    one = Breaker(clock=clock)
    fail(one, 4 if closed else 5)
    assert one.closed is closed
    if not closed:
        assert [probe(one, clock, well=False) for _ in range(3)] == [15.0, 30.0, 60.0]
        assert one.worn_out
        assert clock.real - START == 105.0
