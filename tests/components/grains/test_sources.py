"""Every kind of source and of partition store on the whole way, over days on which clocks change."""

from __future__ import annotations

import pytest

from pipelines.tables.store import PartitionStore
from tests.components.grains.company import BOARD, FLOOR, TABLE, Reading, board, floor, table
from tests.components.grains.conftest import Found, Place

VALID = f"{TABLE}_valid"
SPRING: tuple[Reading, ...] = (
    ("2024-03-30T22:59:59+00:00", "press", "output", 1),  # the last second of the 30th
    ("2024-03-30T23:00:00+00:00", "press", "output", 2),  # the day begins at +01:00 ...
    ("2024-03-31T21:59:59+00:00", "paint", "output", 3),  # ... and ends at +02:00, after 23 hours
    ("2024-03-31T22:00:00+00:00", "press", "output", 4),
)
AUTUMN: tuple[Reading, ...] = (
    ("2024-10-26T21:59:59+00:00", "press", "output", 1),
    ("2024-10-26T22:00:00+00:00", "press", "output", 2),  # the day begins at +02:00 ...
    ("2024-10-27T22:59:59+00:00", "paint", "output", 3),  # ... and ends at +01:00, after 25 hours
    ("2024-10-27T23:00:00+00:00", "press", "output", 4),
)


def test_moments_around_a_clock_change_lie_on_their_local_day(found: Found, place: Place) -> None:
    """In a range, a day of 23 hours holds its own moments alone, from each source; ValueStreamer gets its date."""
    before, changed, after = "2024-03-30", "2024-03-31", "2024-04-01"
    company = found(table("daily", before, source=place(SPRING)), floor())
    assert company.extract(before, after).success
    assert company.deliver(FLOOR, before, after).counts(FLOOR) == {
        day: {"extracted": rows, "accepted": rows} for day, rows in {before: 1, changed: 2, after: 1}.items()
    }
    assert company.held() == {
        (before, "press", "output"): 1,
        (changed, "press", "output"): 2,
        (changed, "paint", "output"): 3,
        (after, "press", "output"): 4,
    }


def test_a_day_of_a_clock_change_is_asked_for_by_its_own_instants(found: Found, place: Place) -> None:
    """A day of 25 hours by itself: from each source all of its moments and no others."""
    day = "2024-10-27"
    company = found(table("daily", day, source=place(AUTUMN)))
    assert company.extract(day).success
    valid = company.deployment.store.read(VALID, [day])
    assert dict(zip(valid["team"], valid["actual"], strict=True)) == {"press": 2, "paint": 3}


@pytest.mark.parametrize("scheme", ["memory", "file"])
def test_the_store_may_be_any_fsspec_address(
    found: Found, scheme: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """With PIPELINES_STORE_URL at an address the partitions stand there, and syncs read them from there."""
    address = f"{scheme}://{tmp_path_factory.mktemp('store')}/partitions"
    monkeypatch.setenv("PIPELINES_STORE_URL", address)
    company = found(table("monthly", "2024-01-01"), board())
    company.read(("2024-01-01", "press", "scrap", 1), ("2024-02-01", "press", "scrap", 2))
    assert company.extract("2024-01-01", "2024-02-01").success
    assert company.deliver(BOARD, "2024-01-01").counts(BOARD) == {"2024-01-01": {"extracted": 1, "superseded": 1}}
    assert company.deliver(BOARD, "2024-02-01").counts(BOARD) == {"2024-02-01": {"extracted": 1, "accepted": 1}}
    assert company.shown() == {"scrap-press": "2"}
    assert PartitionStore(address).partitions(f"{BOARD}_upserts") == ["2024-01-01", "2024-02-01"]
    assert not (company.deployment.home.path / "store").exists()


def test_a_database_without_its_variable_is_named(found: Found) -> None:
    """A run whose database has no address fails with the variable to set, and stores nothing."""
    company = found(table("monthly", "2024-01-01", source={"database_env": "MART_URL", "table": "kpi_mart"}))
    told = company.extract("2024-01-01")
    assert not told.success
    assert "MART_URL" in told.failure
    assert company.deployment.store.partitions(VALID) == []
