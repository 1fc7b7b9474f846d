from __future__ import annotations

from collections.abc import Callable

import pytest
from pydantic import ValidationError

from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.base import SyncSpec
from tests.destinations.given import dataset, reasons, rows, stativate, valuestreamer


def test_by_default_any_wrong_row_warns_and_none_fails() -> None:
    """Rejected, invalid and quarantined rows turn a partition yellow unless the sync says otherwise."""
    spec = stativate()
    assert spec.warn_above is not None
    assert spec.warn_above.crossed({Outcome.QUARANTINED: 1}, 1_000_000)
    assert spec.fail_above is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"mode": "prod"}, "mode"),
        ({"name": "status-board"}, "name"),
        ({"account": "vs prod"}, "account"),
        ({"on_nul": "skip"}, "on_nul"),
        ({"where": "actual >"}, "where: the condition 'actual >' cannot be used"),
        ({"where": "true); drop table rows; select (true"}, "where"),
        ({"max_minutes": 0}, "0 is no time for a run: choose minutes above 0"),
        ({"max_minutes": -1}, "no time for a run"),
        ({"max_minutes": float("inf")}, "no time for a run"),
        ({"warn_above": {}}, "it needs percent or count, or one of rejected, invalid, quarantined"),
        ({"warn_above": {"rejected": None}}, "it needs percent or count, or one of rejected"),
        ({"warn_above": {"rejected": {}}}, "a threshold needs percent or count"),
        ({"fail_above": {"invalid": {"percent": 101}}}, "percent is from 0 to 100"),
        ({"fail_above": {"failed": {"count": 0}}}, "failed"),
        ({"warn_above": {"percent": 101}}, "percent is from 0 to 100"),
        ({"warn_above": {"count": -1}}, "count is 0 or more"),
        ({"send_when": ["colour"]}, "no field \"colour\". Did you mean color"),
        ({"send_when": []}, "names no field"),
        ({"send_when": ["color"]}, "send_when names color, which the sync does not send"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_when_the_yaml_is_read(fields: dict[str, object], said: str) -> None:
    """A wrong field, value or name never waits for the first run."""
    with pytest.raises(ValidationError, match=said.replace("?", r"\?")):
        stativate(**fields)


def test_by_default_a_run_ends_within_twelve_hours() -> None:
    """A run that never ends would hold the account up for ever; only who says so gets one."""
    assert stativate().max_minutes == 720
    assert stativate(max_minutes=None).max_minutes is None


def test_names_are_checked_against_the_columns_there_are() -> None:
    """The check at load names sync, field, column and what was probably meant."""
    spec = valuestreamer(kpi_id="valuestreamer_kpi")
    with pytest.raises(ConfigurationError) as caught:
        spec.check([*dataset(), "date"])
    assert "sync shop_floor, kpi_id" in str(caught.value)
    assert "Did you mean valuestreamer_kpi_id" in str(caught.value)
    valuestreamer().check([*dataset(), "date"])


@pytest.mark.parametrize("spec", [stativate, valuestreamer])
@pytest.mark.parametrize(
    ("on_null", "outcome", "reason"),
    [
        ("invalid", Outcome.INVALID, "actual is empty"),
        ("skip", Outcome.NOT_SELECTED, "actual is empty (on_null: skip)"),
    ],
)
def test_a_row_without_a_value_is_never_zero(
    spec: Callable[..., SyncSpec], on_null: str, outcome: Outcome, reason: str
) -> None:
    """A null is invalid, or skipped where the sync says so; other rows go their way."""
    built = spec(on_null=on_null).build(rows(dataset(actual=None), dataset(actual=4.0, team="B")))
    assert [upsert.rows for upsert in built.upserts] == [(1,)]
    assert [one.outcome for one in built.dropped] == [outcome]
    assert reasons(built) == [reason]
