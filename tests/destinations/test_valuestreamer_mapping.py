from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pytest
from pydantic import ValidationError

from pipelines.delivery.upsert import Built
from tests.destinations.given import ACTUAL, KEY, KPI, TARGET, TEAM, TILE, dataset, reasons, rows, sample, valuestreamer


def values(built: Built) -> list[list[Any]]:
    """The numbers of each upsert, in order."""
    return [[one["value"] for one in upsert.payload["values"]] for upsert in built.upserts]


def reason(built: Built) -> str:
    """The one reason of a frame of which nothing can be sent."""
    assert built.upserts == []
    (said,) = reasons(built)
    return said


def test_a_row_becomes_the_dataset_of_its_day_team_and_kpi() -> None:
    """The key is date/team/kpi, and the dataset goes with all of its values."""
    (upsert,) = valuestreamer().build(rows(dataset())).upserts
    assert upsert.key == KEY
    assert upsert.payload == {
        "values": [{"kpiValueId": ACTUAL, "value": 91.5}, {"kpiValueId": TARGET, "value": 80}],
    }


def test_the_sample_fits_on_the_shop_floor() -> None:
    """Every row of the sample becomes a dataset; KPIs without a target id have the actual alone."""
    built = valuestreamer(grain="daily").build(sample())
    assert built.dropped == []
    assert len({upsert.key for upsert in built.upserts}) == len(sample())
    counts = {len(upsert.payload["values"]) for upsert in built.upserts if f"/{KPI}" in upsert.key}
    assert counts == {2}
    assert {len(upsert.payload["values"]) for upsert in built.upserts} == {1, 2}


def test_ids_are_compared_in_small_letters() -> None:
    """The same id in capitals is the same dataset, so that it is not sent twice."""
    given = dataset(**{name: value.upper() for name, value in dataset().items() if str(name).endswith("_id")})
    (upsert,) = valuestreamer().build(rows(given, dataset())).upserts
    assert (upsert.key, upsert.rows) == (KEY, (0, 1))


def test_a_whole_number_is_sent_as_one() -> None:
    """12.0 of a float column is 12, for KPIs of every kind."""
    built = valuestreamer().build(rows(dataset(actual=12.0, whole_number=True)))
    assert [type(one) for one in values(built)[0]] == [int, int]


@pytest.mark.parametrize(
    ("unit", "whole", "actual", "sent"),
    [
        ("Time", True, 883.0, 883), ("Time", True, 0, 0), ("time", False, 1439, 1439), ("Time", True, "14:43", 883),
        ("Time", True, "08:00", 480), ("Time", True, "8:05", 485), ("Time", False, " 366 ", 366),
        ("min", False, 35.25, 35.25), ("min", False, -4.5, -4.5), ("flights", True, -3.0, -3), (None, None, 1.5, 1.5),
    ],
)  # fmt: skip
def test_values_go_in_the_unit_of_their_kpi(unit: str, *, whole: bool, actual: object, sent: float) -> None:
    """Time is minutes since midnight, also out of a text; other values are what they are."""
    spec = valuestreamer(target="none")
    assert values(spec.build(rows(dataset(actual=actual, unit=unit, whole_number=whole)))) == [[sent]]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"actual": None}, "actual is empty"),
        ({"actual": float("nan")}, "actual is empty"),
        ({"actual": float("inf")}, "actual: inf is no finite number"),
        ({"actual": 1e300}, "actual: 1e+300 is no finite number"),
        ({"actual": "12"}, "actual: '12' is no finite number"),
        ({"actual": True}, "actual: True is no finite number"),
        ({"actual": 12.5, "whole_number": True}, "actual: 12.5 is no whole number, and this KPI takes only those"),
        ({"actual": 80.0, "target": 80.5, "whole_number": True}, "target: 80.5 is no whole number"),
        ({"actual": 1440.0, "unit": "Time"}, "actual: 1440.0 is no time of day"),
        ({"actual": -1.0, "unit": "Time"}, "actual: -1.0 is no time of day"),
        ({"actual": 366.5, "unit": "Time"}, "actual: 366.5 is no time of day"),
        ({"actual": "24:00", "unit": "Time"}, "actual: '24:00' is no time of day"),
        ({"actual": "²", "unit": "Time"}, "actual: '²' is no time of day"),
        ({"target": None}, "target is empty for kpi 'on_time_pct', team 'JFK-AA'"),
        ({"valuestreamer_team_id": None}, "valuestreamer_team_id is empty for kpi 'on_time_pct', team 'JFK-AA'"),
        ({"valuestreamer_kpi_id": None}, "valuestreamer_kpi_id is empty"),
        ({"valuestreamer_actual_id": None}, "valuestreamer_actual_id is empty"),
        ({"valuestreamer_kpi_id": "../../teams"}, "valuestreamer_kpi_id: '../../teams' is no UUID"),
        ({"valuestreamer_team_id": f"{TEAM}\n"}, "is no UUID"),
        ({"valuestreamer_actual_id": "🙂"}, "valuestreamer_actual_id: '🙂' is no UUID"),
        ({"valuestreamer_target_id": "x"}, "valuestreamer_target_id: 'x' is no UUID"),
        ({"valuestreamer_target_id": ACTUAL}, "are the same id"),
        ({"date": None}, "date is empty"),
        ({"date": "tomorrow"}, "date: 'tomorrow' is no date"),
    ],
)  # fmt: skip
def test_what_cannot_be_said_exactly_is_invalid(columns: dict[str, object], said: str) -> None:
    """Nothing is rounded, guessed or sent as 0; the reason names column and value."""
    assert said in reason(valuestreamer().build(rows(dataset(**columns))))


def test_a_kpi_without_a_target_id_has_the_actual_alone() -> None:
    """Neither id nor value of a target is made up."""
    built = valuestreamer().build(rows(dataset(valuestreamer_target_id=None, target=None)))
    assert values(built) == [[91.5]]


@pytest.mark.parametrize("target", ["keep", "none"])
def test_targets_that_are_not_the_syncs_are_not_in_the_upsert(target: str) -> None:
    """Kept and unwanted targets are never compared, so that somebody else's change of a target sends nothing."""
    spec = valuestreamer(target=target)
    assert values(spec.build(rows(dataset(target=None)))) == [[91.5]]
    assert "target" not in spec.used()


def test_keeping_is_the_default() -> None:
    """A sync that says nothing of targets cannot reset any to 0."""
    fields = valuestreamer().model_dump(exclude={"target"})
    assert type(valuestreamer()).model_validate(fields).target == "keep"


def test_a_sub_tile_is_the_last_part_of_the_key() -> None:
    """KPIs with sub-tiles have one dataset for each, KPIs without have the shorter key."""
    spec = valuestreamer(sub_tile_id="tile_id")
    built = spec.build(rows(dataset(tile_id=TILE.upper()), dataset(tile_id=None)))
    assert [upsert.key for upsert in built.upserts] == [f"{KEY}/{TILE}", KEY]


def test_a_sub_tile_without_an_id_is_not_sent_to_the_kpi_itself() -> None:
    """A code that leads to no id is invalid: the shorter path would be another dataset."""
    spec = valuestreamer(sub_tile_id="tile_id")
    given = [dataset(tile_id=None, sub_tile="north"), dataset(tile_id="x", sub_tile="south")]
    built = spec.build(rows(*given, dataset(tile_id=None, sub_tile=None)))
    assert [upsert.key for upsert in built.upserts] == [KEY]
    assert reasons(built) == ["tile_id is empty for sub_tile 'north'", "tile_id: 'x' is no UUID"]


@pytest.mark.parametrize(
    ("grain", "day", "said"),
    [
        ("weekly", dt.date(2013, 1, 7), None),
        ("weekly", dt.date(2013, 1, 8), "2013-01-08 is a Tuesday; the date of a weekly dataset is its Monday"),
        ("monthly", dt.date(2013, 2, 1), None),
        ("monthly", dt.date(2013, 2, 2), "2013-02-02 is not the 1st"),
        ("daily", dt.date(2013, 2, 2), None),
        (None, dt.date(2013, 2, 2), None),
    ],
)
def test_a_date_off_the_grain_is_invalid(grain: str | None, day: dt.date, said: str | None) -> None:
    """A week is its Monday and a month its 1st; what another date does is unknown, so it is not tried."""
    built = valuestreamer(grain=grain).build(rows(dataset(date=day)))
    if said is None:
        assert [upsert.key[:10] for upsert in built.upserts] == [day.isoformat()]
    else:
        assert said in reason(built)


@pytest.mark.parametrize("day", ["2013-01-05", pd.Timestamp("2013-01-05"), dt.datetime(2013, 1, 5, 7, 30)])  # noqa: DTZ001  # as pandas gives them
def test_a_date_in_any_form_is_the_same_day(day: object) -> None:
    """Text, timestamp and date give one key."""
    (upsert,) = valuestreamer().build(rows(dataset(date=day))).upserts
    assert upsert.key == KEY


def test_two_rows_of_one_dataset_that_differ_are_both_invalid() -> None:
    """The API takes one dataset per day, team, KPI and sub-tile; which row would be right is not guessed."""
    built = valuestreamer().build(rows(dataset(), dataset(actual=5.0)))
    assert reason(built) == (
        f"dataset {KEY} is made by 2 rows that differ: date, team, KPI and sub-tile must tell them apart"
    )


def test_a_changed_target_alone_can_be_left_unsent() -> None:
    """With `send_when: [actual]` the actual alone is compared; without it both are."""
    first, second = (
        {"values": [{"kpiValueId": ACTUAL, "value": 1}, {"kpiValueId": TARGET, "value": n}]} for n in (2, 3)
    )
    spec = valuestreamer(send_when=["actual"])
    assert spec.normalise(first) == spec.normalise(second) == spec.normalise(spec.normalise(first))
    assert valuestreamer().normalise(first) != valuestreamer().normalise(second)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"send_when": ["target"]}, "send_when must name actual"),
        ({"send_when": ["actual", "target"], "target": "keep"}, "which the sync does not send"),
        ({"send_when": ["actuals"]}, "Did you mean actual"),
        ({"target": "all"}, "target"),
        ({"grain": "yearly"}, "grain"),
        ({"actual": {"column": "actual"}}, "actual.id"),
    ],
)
def test_a_mistake_of_the_mapping_is_named_when_the_yaml_is_read(fields: dict[str, object], said: str) -> None:
    """Nothing that can be seen in the YAML waits for the first row."""
    with pytest.raises(ValidationError, match=said):
        valuestreamer(**fields)
