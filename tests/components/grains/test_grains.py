"""Weeks, months and snapshots on their way from a file to both boards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from tests.components.grains.company import BOARD, FLOOR, TABLE, TEAMS, Reading, board, floor, table
from tests.components.grains.conftest import Found

VALID, QUARANTINE = f"{TABLE}_valid", f"{TABLE}_quarantine"


@dataclass(frozen=True, slots=True)
class Grain:
    """A grain with four partitions that follow each other, its KPI, and a day that begins none of them."""

    name: str
    kpi: str
    partitions: tuple[str, ...]
    day_within: str
    rule: str
    refusal: str

    def readings(self) -> list[Reading]:
        """A reading per partition and team, each with a value of its own."""
        return [
            (partition, team, self.kpi, 10 * number + at)
            for number, partition in enumerate(self.partitions, start=1)
            for at, team in enumerate(TEAMS)
        ]

    def __str__(self) -> str:
        return self.name


WEEKLY = Grain(
    "weekly",
    "overtime",
    # Across a change of the clocks and the end of a month.
    ("2024-03-18", "2024-03-25", "2024-04-01", "2024-04-08"),
    "2024-03-27",
    "is not a Monday",
    "2024-03-27 is a Wednesday; the date of a weekly dataset is its Monday",
)
MONTHLY = Grain(
    "monthly",
    "scrap",
    # Across the end of a year and the day of a leap year.
    ("2023-12-01", "2024-01-01", "2024-02-01", "2024-03-01"),
    "2024-01-31",
    "is not the 1st of a month",
    "2024-01-31 is not the 1st; the date of a monthly dataset is the 1st of the month",
)


def every(partitions: Sequence[str], facts: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The same of each partition."""
    return {partition: {**facts} for partition in partitions}


def held(readings: list[Reading]) -> dict[tuple[str, str, str], float]:
    """What ValueStreamer holds of these."""
    return {(str(day), team, kpi): value for day, team, kpi, value in readings}


@pytest.mark.parametrize("grain", [WEEKLY, MONTHLY], ids=str)
def test_a_range_reaches_both_boards_once_and_a_correction_its_own_partition(found: Found, grain: Grain) -> None:
    """ValueStreamer gets each reading, Stativate the newest; again unasked; a corrected old week its dataset alone."""
    company = found(table(grain.name, grain.partitions[0]), board(), floor())
    readings = grain.readings()
    company.read(*readings)
    first, last = grain.partitions[0], grain.partitions[-1]

    extracted = company.extract(first, last)
    assert extracted.success
    well = {"why": "all is well", "extracted": 2, "quarantined": 0, "rules": "none"}
    assert extracted.facts(VALID) == every(grain.partitions, well)
    on_floor, on_board = company.deliver(FLOOR, first, last), company.deliver(BOARD, first, last)
    assert on_floor.counts(FLOOR) == every(grain.partitions, {"extracted": 2, "accepted": 2})
    assert on_board.counts(BOARD) == {
        **every(grain.partitions[:-1], {"extracted": 2, "superseded": 2}),
        last: {"extracted": 2, "accepted": 2},
    }
    assert company.held() == held(readings)
    assert company.shown() == {f"{grain.kpi}-press": "40", f"{grain.kpi}-paint": "41"}
    assert company.control.counts("valuestreamer")["statuses"].keys() == {"200"}

    company.control.reset_counts()
    assert company.extract(first, last).success
    assert company.deliver(FLOOR, first, last).counts(FLOOR) == every(
        grain.partitions, {"extracted": 2, "unchanged": 2}
    )
    assert company.deliver(BOARD, first, last).success
    assert company.requests() == 0

    second, corrected = grain.partitions[1], (*readings[2][:3], 999)
    readings[2] = corrected
    company.read(*readings)
    assert company.extract(second).success
    assert company.deliver(FLOOR, second).counts(FLOOR) == {second: {"extracted": 2, "accepted": 1, "unchanged": 1}}
    assert company.deliver(BOARD, second).counts(BOARD) == {second: {"extracted": 2, "superseded": 2}}
    assert company.held() == held(readings)
    assert company.control.counts("stativate")["requests"] == 0


@pytest.mark.parametrize("grain", [WEEKLY, MONTHLY], ids=str)
def test_a_reading_off_the_first_day_stands_in_the_quarantine(found: Found, grain: Grain) -> None:
    """A weekly reading of a Wednesday, a monthly one of the 31st: quarantined with the rule, the others delivered."""
    company = found(table(grain.name, grain.partitions[0]), floor())
    second = grain.partitions[1]
    company.read((second, "press", grain.kpi, 20), (grain.day_within, "paint", grain.kpi, 21))

    (facts,) = company.extract(second).facts(VALID).values()
    assert (facts["extracted"], facts["quarantined"]) == (2, 1)
    assert f"| date | date:start | {grain.day_within} |" in facts["rules"]
    (reason,) = company.deployment.store.read(QUARANTINE, [second])["reasons"]
    assert reason == f"date: {grain.rule} ('{grain.day_within}')"
    told = company.deliver(FLOOR, second)
    assert told.success
    assert told.counts(FLOOR) == {second: {"extracted": 2, "quarantined": 1, "accepted": 1}}
    assert not told.checks(FLOOR)[second].passed
    assert company.held() == {(second, "press", grain.kpi): 20}


SNAPSHOT: dict[str, Any] = {"columns": {"date": None, "actual": "value", "as_of": "day"}}


@pytest.mark.parametrize("grain", [WEEKLY, MONTHLY], ids=str)
def test_a_snapshot_off_the_first_day_is_invalid_with_the_rule(found: Found, grain: Grain) -> None:
    """With `grain` a wrong date is turned down before anything is sent; without it, the API's refusal is told."""
    company = found(
        table("snapshot", None, **SNAPSHOT), floor(grain=grain.name), floor(name="unaware", where="team = 'paint'")
    )
    first = grain.partitions[0]
    company.read((first, "press", grain.kpi, 1), (grain.day_within, "paint", grain.kpi, 2))
    assert company.extract().success

    told = company.deliver(FLOOR)
    assert told.counts(FLOOR) == {None: {"extracted": 2, "invalid": 1, "accepted": 1}}
    assert grain.refusal in told.facts(FLOOR)[None]["reasons"]
    assert company.control.counts("valuestreamer")["statuses"].keys() == {"200"}

    unaware = company.deliver("unaware")
    assert unaware.counts("unaware") == {None: {"extracted": 2, "not_selected": 1, "rejected": 1}}
    assert grain.day_within in unaware.facts("unaware")[None]["reasons"]
    assert company.held() == {(first, "press", grain.kpi): 1}


def test_a_snapshot_with_as_of_is_never_overtaken_by_an_older_one(found: Found) -> None:
    """The `as_of` column dates a row: its local day at ValueStreamer, and at Stativate which value is the newer."""
    company = found(table("snapshot", None, **SNAPSHOT), board(), floor())
    noon, midnight, before = "2024-03-31T12:00:00+02:00", "2024-03-31T22:00:00Z", "2024-03-30T12:00:00+01:00"

    def told(moment: str, value: float) -> dict[str, dict[str | None, dict[str, int]]]:
        company.control.reset_counts()
        company.read((moment, "press", "output", value))
        assert company.extract().success
        return {sync: company.deliver(sync).counts(sync) for sync in (BOARD, FLOOR)}

    accepted, unchanged = {None: {"extracted": 1, "accepted": 1}}, {None: {"extracted": 1, "unchanged": 1}}
    assert told(noon, 5) == {BOARD: accepted, FLOOR: accepted}
    assert told(noon, 5) == {BOARD: unchanged, FLOOR: unchanged}
    assert company.requests() == 0
    assert told(midnight, 6) == {BOARD: accepted, FLOOR: accepted}
    assert told(before, 4) == {BOARD: {None: {"extracted": 1, "superseded": 1}}, FLOOR: accepted}
    assert company.shown() == {"output-press": "6"}
    assert company.held() == {
        ("2024-03-30", "press", "output"): 4,
        ("2024-03-31", "press", "output"): 5,
        ("2024-04-01", "press", "output"): 6,
    }


def test_a_snapshot_without_as_of_is_as_of_its_extract(found: Found) -> None:
    """Without a time of its own a row is true when it is read: the same value is not sent again, another one is."""
    company = found(table("snapshot", None, columns={"actual": "value"}), board())
    company.read(("", "press", "output", 5), ("", "paint", "output", 7))
    assert company.extract().success
    assert company.deliver(BOARD).counts(BOARD) == {None: {"extracted": 2, "accepted": 2}}

    company.control.reset_counts()
    assert company.extract().success
    assert company.deliver(BOARD).counts(BOARD) == {None: {"extracted": 2, "unchanged": 2}}
    assert company.requests() == 0

    company.read(("", "press", "output", 4), ("", "paint", "output", 7))
    company.extract()
    assert company.deliver(BOARD).counts(BOARD) == {None: {"extracted": 2, "accepted": 1, "unchanged": 1}}
    assert company.shown() == {"output-press": "4", "output-paint": "7"}
