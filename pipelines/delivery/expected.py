"""How long requests take at an account's pace: tried out on the pace itself, with a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.delivery.destination import Window
from pipelines.delivery.pace import Pace

_TRIED = 10_000
"""Beyond so many requests the slowest window alone decides."""


class _Hand:
    """A clock that stands until it is moved."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def move(self, seconds: float) -> bool:
        self.now += seconds
        return True


async def expected_seconds(
    requests: int,
    windows: Sequence[Window],
    *,
    share: float = 1.0,
    state: Mapping[str, Any] | None = None,
    reserved: int = 0,
    now: float = 0.0,
) -> float | None:
    """Seconds until so many requests have left, one after another without a refusal; None: nothing bounds them.

    Args:
        requests: How many.
        windows: The account's limits.
        share: Of every limit.
        state: The pace's, as the last holder of the turn left it: what was sent of late counts.
        reserved: Sends that the holder may have made since.
        now: The time by the clock of `state`.
    """
    clock = _Hand(now)
    pace = Pace(windows, share=share, clock=clock, sleep=_no_sleep)
    pace.restore(dict(state or {}), reserved)
    for _ in range(min(requests, _TRIED)):
        leave = await pace.acquire(clock.move)
        if leave is not None:  # the hand never holds it back
            pace.departs(leave)
            pace.ended(leave)
        pace.speed_up()
        pace.observe(None, None, None)
    seconds = clock.now - now
    if requests > _TRIED:
        seconds += (requests - _TRIED) * max((one.seconds / (one.requests * share) for one in windows), default=0.0)
    return seconds if windows or seconds else None


async def _no_sleep(seconds: float) -> None:
    """The clock was moved already."""
    del seconds
