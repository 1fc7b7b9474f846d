"""How long requests take at an account's pace."""

from __future__ import annotations

import pytest

from pipelines.delivery.destination import Window
from pipelines.delivery.expected import expected_seconds
from pipelines.delivery.pace import Pace
from tests.delivery.clock import Clock

HOUR = Window(100, 3600.0)


@pytest.mark.parametrize(
    ("windows", "share", "least", "most"),
    [
        ((Window(1, 1.0),), 1.0, 144, 150),
        ((Window(5, 1.0), HOUR), 1.0, 3600, 3650),
        ((Window(10, 1.0),), 0.5, 28, 30),
        ((Window(1000, 1.0),), 1.0, 0, 0),
    ],
)
async def test_the_slowest_limit_decides(windows: tuple[Window, ...], share: float, least: float, most: float) -> None:
    """What a fresh window allows leaves at once, the rest at the rate of the sync's share."""
    seconds = await expected_seconds(145, windows, share=share)
    assert seconds is not None
    assert least <= seconds <= most


async def test_without_a_limit_nothing_can_be_said() -> None:
    """Where only the answers themselves take time, there is no number."""
    assert await expected_seconds(145, ()) is None


async def test_what_was_sent_of_late_counts() -> None:
    """A window that is used up makes the first request wait until it has passed."""
    clock = Clock()
    pace = Pace([HOUR], clock=clock, sleep=clock.sleep)
    for _ in range(100):
        await pace.acquire()
    clock.real += 600
    seconds = await expected_seconds(1, [HOUR], state=pace.state(), now=clock())
    assert seconds == pytest.approx(3001, abs=20)
    assert await expected_seconds(1, [HOUR], state={}, reserved=100, now=clock()) == pytest.approx(3601)


async def test_millions_of_requests_are_not_tried_one_by_one() -> None:
    """Far beyond what is tried, the rate alone counts; the sum is that of the whole."""
    seconds = await expected_seconds(3_600_000, [Window(10, 1.0)])
    assert seconds == pytest.approx(360_000, rel=0.01)
