"""How many rows may go wrong."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.delivery.upsert import Outcome
from pipelines.destinations.thresholds import WRONG, Threshold, Tolerance

REJECTED, INVALID, QUARANTINED = WRONG


@pytest.mark.parametrize(
    ("threshold", "wrong", "expected"),
    [
        ({"count": 0}, 0, False), ({"count": 0}, 1, True), ({"count": 5}, 5, False), ({"count": 5}, 6, True),
        ({"percent": 10}, 10, False), ({"percent": 10}, 11, True), ({"percent": 50, "count": 3}, 4, True),
        ({"percent": 2, "count": 30}, 4, True), ({"percent": 50, "count": 30}, 4, False),
    ],
)  # fmt: skip
def test_a_threshold_is_exceeded_when_either_part_is(
    threshold: dict[str, float], wrong: int, *, expected: bool
) -> None:
    """percent is of all rows; exactly at the bound is not above it. So it is for one kind, and for all together."""
    assert Threshold.model_validate(threshold).exceeded(wrong, 100) is expected
    for bounds in (threshold, {"invalid": threshold}):
        assert bool(Tolerance.model_validate(bounds).crossed({INVALID: wrong}, 100)) is expected


def test_no_rows_exceed_no_threshold() -> None:
    """An empty partition is no alarm."""
    assert not Threshold(percent=0, count=0).exceeded(0, 0)
    assert not Tolerance(percent=0, count=0, rejected=Threshold(percent=0)).crossed({}, 0)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"percent": 5}, ["2 rejected, 4 quarantined of 100 rows, more than {percent: 5} allows"]),
        ({"count": 6}, []),
        ({"rejected": {"count": 0}}, ["2 rejected of 100 rows, more than {rejected: {count: 0}} allows"]),
        ({"rejected": {"count": 2}, "quarantined": {"percent": 4}, "invalid": {"count": 0}}, []),
        (
            {"count": 5, "rejected": {"percent": 1.5, "count": 9}, "quarantined": {"count": 3}},
            [
                "2 rejected, 4 quarantined of 100 rows, more than {count: 5} allows",
                "2 rejected of 100 rows, more than {rejected: {percent: 1.5}} allows",
                "4 quarantined of 100 rows, more than {quarantined: {count: 3}} allows",
            ],
        ),
    ],
)
def test_each_bound_that_is_crossed_is_named_with_what_crosses_it(bounds: dict[str, Any], said: list[str]) -> None:
    """Bounds on all wrong rows and on single kinds stand together; what may pass by itself is not their matter."""
    counts = {REJECTED: 2, QUARANTINED: 4, Outcome.FAILED: 50, Outcome.ACCEPTED: 44}
    assert Tolerance.model_validate(bounds).crossed(counts, 100) == said
