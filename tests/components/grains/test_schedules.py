"""A tick of each grain's schedule: which partitions it asks for, and that a run over them finds these."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from tests.components.deploying import RANGE
from tests.components.grains.company import BOARD, TABLE, ZONE, Company, board, table
from tests.components.grains.conftest import Found

BERLIN = ZoneInfo(ZONE)


def tick(company: Company, moment: datetime) -> dg.RunRequest | dg.SkipReason:
    """What the table's schedule says at a moment."""
    schedule = company.deployment.defs.resolve_schedule_def(f"{TABLE}_schedule")
    with dg.build_schedule_context(company.deployment.instance, scheduled_execution_time=moment) as context:
        result = schedule.evaluate_tick(context)
    if not result.run_requests:
        return dg.SkipReason(result.skip_message)
    (request,) = result.run_requests
    return request


@pytest.mark.parametrize(
    ("grain", "start", "cron", "moment", "expected"),
    [
        pytest.param(
            "daily",
            "2024-01-01",
            "30 0 * * *",
            # Half an hour into the 1st of April in Berlin, where the clocks have changed; in UTC it is still March.
            datetime(2024, 3, 31, 22, 30, tzinfo=UTC),
            ("2024-03-29", "2024-03-30", "2024-03-31"),
            id="daily-spring",
        ),
        pytest.param(
            "daily",
            "2024-01-01",
            "30 0 * * *",
            datetime(2024, 10, 28, 0, 30, tzinfo=BERLIN),
            ("2024-10-25", "2024-10-26", "2024-10-27"),
            id="daily-autumn",
        ),
        pytest.param(
            "weekly",
            "2024-01-01",
            "30 0 * * 1",
            datetime(2024, 4, 1, 0, 30, tzinfo=BERLIN),
            ("2024-03-11", "2024-03-18", "2024-03-25"),
            id="weekly",
        ),
        pytest.param(
            "monthly",
            "2023-01-01",
            "30 0 1 * *",
            datetime(2024, 1, 1, 0, 30, tzinfo=BERLIN),
            ("2023-10-01", "2023-11-01", "2023-12-01"),
            id="monthly",
        ),
    ],
)
def test_a_tick_runs_the_last_partitions_that_ended(
    found: Found, grain: str, start: str, cron: str, moment: datetime, expected: tuple[str, ...]
) -> None:
    """The newest three partitions that have ended in the table's zone, as one run, which extracts exactly these."""
    company = found(table(grain, start, schedule={"at": "00:30", "lookback": 3}))
    schedule = company.deployment.defs.resolve_schedule_def(f"{TABLE}_schedule")
    assert (schedule.cron_schedule, schedule.execution_timezone) == (cron, ZONE)

    request = tick(company, moment)
    assert isinstance(request, dg.RunRequest)
    assert tuple(request.tags[tag] for tag in RANGE) == (expected[0], expected[-1])
    assert request.tags["pipelines/priority"] == "scheduled"

    company.read(*((day, "press", "output", number) for number, day in enumerate(expected)))
    told = company.extract(tags=request.tags)
    assert told.success
    assert {day: facts["valid"] for day, facts in told.materialized(f"{TABLE}_valid").items()} == dict.fromkeys(
        expected, 1
    )


def test_a_tick_reaches_no_further_back_than_the_table(found: Found) -> None:
    """Soon after a table's start the range is shorter than `lookback`; before its first partition ended, no run."""
    company = found(table("weekly", "2024-03-25", schedule={"at": "00:30", "lookback": 3}))
    request = tick(company, datetime(2024, 4, 8, 0, 30, tzinfo=BERLIN))
    assert isinstance(request, dg.RunRequest)
    assert [request.tags[tag] for tag in RANGE] == ["2024-03-25", "2024-04-01"]
    early = tick(company, datetime(2024, 3, 25, 0, 30, tzinfo=BERLIN))
    assert isinstance(early, dg.SkipReason)
    assert TABLE in str(early.skip_message)


def test_a_tick_of_a_snapshot_has_no_partitions(found: Found) -> None:
    """A snapshot is taken every day, whole, and its run delivers without a partition."""
    snapshot = table("snapshot", None, columns={"actual": "value"}, schedule={"at": "00:30"})
    company = found(snapshot, board())
    request = tick(company, datetime(2024, 3, 31, 0, 30, tzinfo=BERLIN))
    assert isinstance(request, dg.RunRequest)
    assert not {*RANGE, "dagster/partition"} & request.tags.keys()

    company.read(("", "press", "output", 5))
    assert company.extract(tags=request.tags).success
    assert company.deliver(BOARD, tags={"pipelines/priority": "scheduled"}).counts(BOARD) == {
        None: {"extracted": 1, "accepted": 1}
    }
