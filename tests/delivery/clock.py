"""Time that passes only by sleeping, and a way to run what waits for nothing else."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

from pipelines.delivery.destination import Window
from pipelines.delivery.pace import Pace

T = TypeVar("T")
START = 1_767_225_600.0
TEN = Window(10, 1.0)
HOURLY = Window(2400, 3600.0)
TINY = 2e-6
"""Seconds within which two epoch times are the same."""

windows = st.lists(
    st.builds(Window, st.integers(1, 12), st.sampled_from([0.2, 1.0, 7.5, 60.0, 900.0])), min_size=1, max_size=3
)
gaps = st.sampled_from([0.0, 0.0, 0.0, 0.001, 0.03, 0.4, 1.0, 8.0, 100.0])


class Clock:
    """`real` seconds pass by sleeping; what the machine shows can be set back or forth."""

    def __init__(self) -> None:
        self.real = START
        self.off = 0.0

    def __call__(self) -> float:
        return self.real + self.off

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.real += seconds


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that waits for nothing but this clock."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    coroutine.close()
    msg = "it waits for something else than the clock"
    raise AssertionError(msg)


def above(sends: Sequence[float], window: Window) -> float:
    """By how many seconds the closest n + 1 sends came too early for the window; 0 or less: never above it."""
    spans = zip(sends, sends[window.requests :], strict=False)
    return max((window.seconds - (later - first) for first, later in spans), default=float("-inf"))


def pace_of(clock: Clock, *limits: Window, **options: Any) -> Pace:
    return Pace(limits, clock=clock, sleep=clock.sleep, **options)


def send(pace: Pace, clock: Clock, count: int) -> list[float]:
    """The real times of so many sends, as fast as the pace allows."""
    times = []
    for _ in range(count):
        finish(pace.acquire())
        times.append(clock.real)
    return times
