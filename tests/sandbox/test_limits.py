"""The meter, by itself."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.sandbox.limits import Limit, Meter

gaps = st.lists(st.floats(0, 3, allow_nan=False), max_size=60)


@given(gaps, st.integers(1, 5))
def test_never_more_than_the_limit_in_any_span(gaps: list[float], requests: int) -> None:
    """Whatever comes, no span of the limit's length holds more admitted requests than the limit."""
    meter, now, admitted = Meter(Limit(requests=requests, seconds=1)), 0.0, []
    for gap in gaps:
        now += gap
        if meter.admit(now).wait == 0:
            admitted.append(now)
    for first, beyond in zip(admitted, admitted[requests:], strict=False):
        assert beyond >= first + 1


@given(gaps, st.integers(1, 5), st.sampled_from(["sliding", "fixed"]))
def test_the_wait_it_names_is_enough(gaps: list[float], requests: int, window: str) -> None:
    """Whoever waits as long as a refusal says is admitted, and a shade earlier is not."""
    meter, now = Meter(Limit.model_validate({"requests": requests, "seconds": 1, "window": window})), 0.0
    for gap in gaps:
        now += gap
        wait = meter.admit(now).wait
        if wait > 1e-3:
            assert meter.admit(now + wait / 2).wait > 0
            now += wait * (1 + 1e-9) + 1e-6
            assert meter.admit(now).wait == 0


@given(gaps, st.integers(1, 5), st.sampled_from(["sliding", "fixed"]))
def test_what_remains_can_be_used(gaps: list[float], requests: int, window: str) -> None:
    """As many requests as remain pass at once, and not one more."""
    meter, now = Meter(Limit.model_validate({"requests": requests, "seconds": 1, "window": window})), 0.0
    for gap in gaps:
        now += gap
        standing = meter.admit(now)
        for _ in range(standing.remaining):
            assert meter.admit(now).wait == 0
        assert meter.admit(now).wait > 0


def test_a_fixed_window_opens_again_as_a_whole() -> None:
    """A fixed window gives the whole quota back at once, and what that means for a sliding one is counted."""
    meter = Meter(Limit(requests=2, seconds=10, window="fixed"))
    assert [meter.admit(at).wait for at in (0, 9, 9.5)] == [0, 0, 0.5]
    assert [meter.admit(at).wait for at in (10, 10, 10)] == [0, 0, 10]
    assert (meter.over, meter.busiest) == (3, 3)
