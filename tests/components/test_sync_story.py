"""What a run of a sync is told as: colours of its days, what is said once, what stands with a red day."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections import Counter
from typing import Any

import dagster as dg
import pytest

from pipelines.components.events import Story
from pipelines.components.partition_result import PartitionResult
from pipelines.components.sync_run import SyncResult
from pipelines.components.sync_story import story
from pipelines.delivery.report import Report
from pipelines.delivery.upsert import Outcome
from tests.components.deploying import BOARD, DAYS, board

CHECK = dg.AssetCheckKey(dg.AssetKey(BOARD), "delivery")
RED, YELLOW, GREY = "#d64545", "#f6c244", "#e4e7eb"
GREENS = {"#d9f2e0", "#9fdcb2", "#5cbf7d", "#2a8f50"}


def account(removed: tuple[int, int, int] = (0, 0, 0), **counts: int) -> PartitionResult:
    """A partition whose rows ended so; `removed`, left and failed keys."""
    found = Counter({Outcome(name): number for name, number in counts.items()})
    done, failed, left = removed
    return PartitionResult(found.total(), found, removed=done, removal_failed=failed, removal_left=left)


def told(days: dict[str, PartitionResult], missing: tuple[str, ...] = (), **fields: Any) -> Story:
    """The story of a run that left its days so."""
    result = SyncResult(days, Report(), dict.fromkeys(missing, "the table was never extracted for it"))
    return story(board(**fields), result, CHECK, "daily")


def colours(picture: str) -> dict[str, tuple[str, str]]:
    """Day of the month -> its colour, and the number in its square."""
    found = re.search(r"base64,(.*)\)", picture)
    assert found is not None
    parts = list(ET.fromstring(base64.b64decode(found[1])))  # noqa: S314 (made here)
    squares = [at for at, part in enumerate(parts) if part.get("width") in {"41", "42"}]
    return {str(parts[at + 1].text): (str(parts[at].get("fill")), str(parts[at + 2].text)) for at in squares}


@pytest.mark.parametrize(
    ("day", "fields", "colour", "number"),
    [
        (account(accepted=5), {}, GREENS, "5"),
        (account(unchanged=4, superseded=3), {}, {GREY}, "7"),
        (account(accepted=5, rejected=2), {}, {YELLOW}, "2"),
        (account(accepted=5, quarantined=2), {"warn_above": {"count": 2}}, GREENS, "5"),
        (account(accepted=5, quarantined=2), {"warn_above": None}, GREENS, "5"),
        (account(unchanged=5, quarantined=2), {"warn_above": None, "fail_above": {"count": 1}}, {RED}, "2"),
        (account(accepted=5, failed=3), {}, {RED}, "3"),
        (account(accepted=5, rejected=1, not_sent=3), {}, {RED}, "3"),
        (account((0, 2, 0), unchanged=5), {}, {RED}, "2"),
        (account((0, 0, 4), accepted=5), {}, {RED}, "4"),
        (account((9, 0, 0), unchanged=5), {}, {GREY}, "5"),
    ],
)
def test_a_day_of_the_calendar_has_the_colour_of_its_verdict(
    day: PartitionResult, fields: dict[str, Any], colour: set[str], number: str
) -> None:
    """Red is what is red in the check, whatever made it so; yellow what the sync's own bounds call so."""
    said = told({DAYS[0]: day, DAYS[1]: account(accepted=5)}, **fields)
    fill, shown = colours(said.assets[CHECK.asset_key][DAYS[1]]["days"].value)["1"]
    assert (fill in colour, shown) == (True, number)
    verdict = said.checks[CHECK][DAYS[0]]
    assert ((not verdict.passed and verdict.severity is dg.AssetCheckSeverity.ERROR) is (colour == {RED})) is True
    assert verdict.passed is not bool(colour & {RED, YELLOW})
    assert (DAYS[0] in said.assets[CHECK.asset_key]) is (colour != {RED})


def test_a_day_that_could_not_be_reached_is_drawn_as_missing() -> None:
    """A hole in the calendar would say nothing; the day has a broken edge, and its verdict says why."""
    said = told({DAYS[0]: account(accepted=5), DAYS[2]: account(accepted=5)}, (DAYS[1],))
    picture = said.assets[CHECK.asset_key][DAYS[2]]["days"].value
    assert colours(picture)["2"] == ("#ffffff", "\u2013")
    assert said.observed == {CHECK.asset_key: {DAYS[1]: {"why": "the table was never extracted for it"}}}
    assert said.checks[CHECK][DAYS[1]].metadata == {"why": "the table was never extracted for it"}


def test_what_is_about_the_run_stands_with_its_newest_day_red_or_green() -> None:
    """The picture and the run's requests are told once; of a red newest day the verdict and the page have them."""
    well, bad = account(accepted=5), account(accepted=4, failed=1)
    of_run = {"run_requests", "run_retries", "run_waited_for_limit_s", "run_sent_bytes", "run_received_bytes", "days"}
    for newest in (well, bad):
        said = told({DAYS[0]: well, DAYS[1]: bad, DAYS[2]: newest})
        places = {
            **{("green", day): facts for day, facts in said.assets[CHECK.asset_key].items()},
            **{("seen", day): facts for day, facts in said.observed[CHECK.asset_key].items()},
            **{("judged", day): one.metadata for day, one in said.checks[CHECK].items()},
        }
        found = {place for place, facts in places.items() if of_run <= facts.keys()}
        other = {place for place, facts in places.items() if of_run & facts.keys()}
        assert found == other == ({("green", DAYS[2])} if newest is well else {("seen", DAYS[2]), ("judged", DAYS[2])})


def test_one_day_alone_is_no_calendar() -> None:
    """A picture of one square would say nothing; the figures of the run are told all the same."""
    (facts,) = told({DAYS[0]: account(accepted=5)}).assets[CHECK.asset_key].values()
    assert ("days" in facts, facts["run_requests"]) == (False, 0)


def test_a_day_that_is_red_twice_says_both() -> None:
    """Rows that did not arrive do not hide that a bound was crossed."""
    said = told({DAYS[0]: account(accepted=2, rejected=1, failed=1)}, fail_above={"rejected": {"count": 0}})
    assert said.failed == {
        DAYS[0]: "1 failed; fail_above: 1 rejected of 4 rows, more than {rejected: {count: 0}} allows"
    }
