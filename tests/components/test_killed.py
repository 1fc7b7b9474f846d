"""Delivering processes are killed anywhere: the next run ends with the APIs equal to the source."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.kills import kill

NOTHING = {"lost": 0, "wrong": 0, "stale": 0, "resent": 0, "unsettled": 0}


def check(result: dict[str, Any], kills: int) -> None:
    """The kills hit deliveries in the middle, and nothing went wrong."""
    assert {name: result[name] for name in NOTHING} == NOTHING, result
    assert result["kills"] >= kills
    assert any(result["settled"].values()), "no kill left an attempt behind"


@pytest.mark.timeout(600)
def test_killed_deliveries_are_completed_and_nothing_is_sent_twice(tmp_path: Path) -> None:
    """After SIGKILLs anywhere in deliveries to all four APIs: nothing lost, wrong, older than it was, or repeated."""
    check(kill(tmp_path, 20, seed=random.randrange(10**6)), 20)


@pytest.mark.timeout(600)
def test_killed_deliveries_are_completed_with_a_ledger_on_postgresql(
    tmp_path: Path, postgres: Callable[[], str]
) -> None:
    """The same where the ledger is a server that outlives the killed process's transaction."""
    check(kill(tmp_path, 8, seed=random.randrange(10**6), ledger_url=postgres()), 8)
