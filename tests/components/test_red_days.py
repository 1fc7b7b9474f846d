"""A red day in the UI: what its check shows, what its page says, and that nothing of it turns green."""

from __future__ import annotations

import pytest

from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, DAYS, FLOOR, ROWS, Deployment, floor

THREE = DAYS[:3]
BAD = THREE[1]


@pytest.fixture
def green(deploy: Deploy) -> Deployment:
    """Three days that were delivered without a flaw; the shop floor tolerates no refused row."""
    deployment = deploy(syncs=[floor(fail_above={"count": 0})])
    for day in THREE:
        deployment.export(day)
    deployment.extract(THREE[0], THREE[-1])
    assert deployment.deliver(FLOOR, THREE[0], THREE[-1]).success
    assert deployment.verdicts(FLOOR) == dict.fromkeys(THREE, {"SUCCEEDED"})
    return deployment


def spoil(deployment: Deployment) -> None:
    """Another value for one row of a day, which the API refuses."""
    deployment.export(BAD, [("EWR-AA", "departures", 11), *ROWS[1:]])
    assert deployment.extract(BAD).success
    fault = {"api": "valuestreamer", "kind": "status", "path_contains": BAD, "times": None, "params": {"code": 400}}
    deployment.control.add_faults(fault)


@pytest.mark.parametrize("span", [(BAD,), (THREE[0], THREE[-1])])
def test_a_day_that_was_green_and_is_refused_now_shows_so(green: Deployment, span: tuple[str, ...]) -> None:
    """The check of that day is red, be it run alone or in a range, and green again once it is mended."""
    spoil(green)
    told = green.deliver(FLOOR, *span)
    assert not told.success
    assert green.statuses(FLOOR) == {**dict.fromkeys(THREE, "MATERIALIZED"), BAD: "FAILED"}
    assert green.verdicts(FLOOR) == {**dict.fromkeys(THREE, {"SUCCEEDED"}), BAD: {"FAILED"}}

    green.control.clear_faults()
    assert green.deliver(FLOOR, BAD).success
    assert green.verdicts(FLOOR) == dict.fromkeys(THREE, {"SUCCEEDED"})
