"""Every row is accounted for: random, partly bad data, counted against what the APIs hold in the end."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest

from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, FLOOR, SAMPLE, Deployment, Reading, board, floor

DAYS = ("2013-01-01", "2013-01-02", "2013-01-03")
KPIS = ("departures", "cancelled", "on_time_pct", "mean_departure_delay")
WHOLE = frozenset({"departures", "cancelled"})
TEAMS = tuple(pd.read_parquet(SAMPLE / "teams.parquet")["team_code"])[:6]
OUTCOMES = frozenset(
    ("quarantined", "not_selected", "invalid", "unchanged", "superseded", "created", "updated", "accepted", "rejected")
)
REFUSED = f"departures-{TEAMS[0]}"
LEFT_OUT = "cancelled"


def in_the_source(chance: random.Random, team: str, kpi: str, value: float) -> list[Reading]:
    """A row, or, of one in two, what may become of it in a source."""
    spoilt: list[list[Reading]] = [
        [(team, kpi, "n/a")],
        [("", kpi, value)],
        [(team, kpi, value), (team, kpi, value + 1)],
        [(team, kpi, "")],
        [("NO-WHERE", kpi, value)],
        [(team, kpi, value + 0.5)],
    ]
    return chance.choice(spoilt) if chance.random() < 0.5 else [(team, kpi, value)]


def day_of(chance: random.Random) -> list[Reading]:
    """A day's rows in any order."""
    rows = [
        row
        for team in TEAMS
        for kpi in KPIS
        if chance.random() < 0.9
        for row in in_the_source(chance, team, kpi, chance.randrange(100))
    ]
    chance.shuffle(rows)
    return rows


def keeping_the_contract(rows: list[Reading]) -> Iterator[Reading]:
    """The rows that no rule of the contract forbids: a team, a number or nothing, and a key of its own."""
    keys = Counter((team, kpi) for team, kpi, _ in rows if team)
    return (row for row in rows if row[0] and row[2] != "n/a" and keys[row[:2]] == 1)


def deliverable(rows: list[Reading], *, whole: bool) -> set[tuple[str, str]]:
    """Team and KPI of the rows that can be delivered; `whole`: to an API that knows its teams and whole numbers."""
    return {
        (team, kpi)
        for team, kpi, value in keeping_the_contract(rows)
        if value != ""
        and kpi != LEFT_OUT
        and (not whole or (team in TEAMS and not (kpi in WHOLE and float(str(value)) % 1)))
    }


def totals(facts: dict[str | None, dict[str, Any]]) -> Counter[str]:
    """The outcomes of all partitions together."""
    return sum((Counter({name: one[name] for name in OUTCOMES}) for one in facts.values()), Counter[str]())


@pytest.fixture
def deployment(deploy: Deploy) -> Deployment:
    """Both syncs leave one KPI out, and Stativate refuses one status."""
    deployment = deploy(syncs=[board(where=f"kpi <> '{LEFT_OUT}'"), floor(where=f"kpi <> '{LEFT_OUT}'")])
    refusal = {"kind": "status", "times": None, "api": "stativate", "path_contains": REFUSED, "params": {"code": 400}}
    deployment.control.add_faults(refusal)
    return deployment


@pytest.mark.parametrize("seed", [1, 2])
def test_every_row_is_accounted_for(deployment: Deployment, seed: int) -> None:
    """Per partition extracted is the sum of the outcomes, and the APIs hold what was said to be delivered, no more."""
    chance = random.Random(seed)
    source = {day: day_of(chance) for day in DAYS}
    for day, rows in source.items():
        deployment.export(day, rows)
    deployment.extract(DAYS[0], DAYS[-1])
    on_board, on_floor = (
        told.facts(sync) for told, sync in zip(deployment.both(DAYS[0], DAYS[-1]), (BOARD, FLOOR), strict=True)
    )

    for facts in (on_board, on_floor):
        for day, rows in source.items():
            assert facts[day]["extracted"] == len(rows)
            assert sum(facts[day][name] for name in OUTCOMES) == len(rows), facts[day]
            assert facts[day]["quarantined"] == len(rows) - len(list(keeping_the_contract(rows)))
    held = Counter(path.partition("/")[0] for path in deployment.floor())
    for day, rows in source.items():
        assert on_floor[day]["accepted"] == held[day] == len(deliverable(rows, whole=True))
    keys = {f"{kpi}-{team}" for rows in source.values() for team, kpi in deliverable(rows, whole=False)}
    assert set(deployment.board()) == keys - {REFUSED}
    assert totals(on_board)["accepted"] == len(deployment.board())
    assert totals(on_board)["rejected"] == len(keys & {REFUSED})

    again = deployment.deliver(FLOOR, DAYS[0], DAYS[-1]).facts(FLOOR)
    assert totals(again)["unchanged"] == len(deployment.floor())
