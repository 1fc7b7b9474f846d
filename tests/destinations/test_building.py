from __future__ import annotations

import contextlib
import gc
from collections import Counter
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.delivery.cycles import no_cycles
from pipelines.delivery.errors import ConfigurationError, PipelinesError
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.upsert import Built, Dropped, Outcome
from pipelines.destinations.building import check_conserved, select
from tests.destinations.given import DAY, arrow, dataset, placed, reasons, rows, stativate, valuestreamer


def test_rows_that_say_the_same_become_one_upsert() -> None:
    """Equal rows of a partition travel together, and all of them are accounted for in the upsert."""
    built = stativate().build(rows({"actual": 1.0}, {"actual": 2.0, "team": "B"}, {"actual": 1.0}))
    assert [(upsert.key, upsert.rows) for upsert in built.upserts] == [
        ("on_time_pct-JFK-AA", (0, 2)),
        ("on_time_pct-B", (1,)),
    ]


def test_rows_that_contradict_each_other_are_all_invalid() -> None:
    """Same key, same time, different payloads: never "the latest wins", and the reason names the template."""
    built = stativate(key="{kpi}").build(rows({"actual": 1.0}, {"actual": 2.0}, {"actual": 1.0}))
    assert built.upserts == []
    assert built.dropped == [
        Dropped(
            Outcome.INVALID,
            DAY,
            (0, 1, 2),
            'key on_time_pct is made by 3 rows that differ: does the template key: "{kpi}" lack a column?',
            "on_time_pct",
        )
    ]


def test_the_reason_shows_the_template_as_it_was_written() -> None:
    """Columns called key or n are no places of the reason."""
    (said,) = reasons(stativate(key="{n}-{key}").build(rows({"actual": 1}, {"actual": 2}, n="a", key="b")))
    assert said == 'key a-b is made by 2 rows that differ: does the template key: "{n}-{key}" lack a column?'


def test_a_difference_that_is_not_compared_is_still_a_contradiction() -> None:
    """Rows that differ in a field outside `send_when` differ in what would be sent."""
    spec = stativate(key="{kpi}", label="{team} now", send_when=["value"])
    assert len(spec.build(rows({"actual": 1.0}, {"actual": 1.0, "team": "B"})).dropped) == 1


def test_the_same_key_at_another_time_is_another_upsert() -> None:
    """Which time counts is the plan's decision."""
    built = stativate().build(rows({"actual": 1.0}, {"actual": 2.0, "as_of": "2013-01-06"}))
    assert [upsert.as_of for upsert in built.upserts] == ["2013-01-05", "2013-01-06"]


def test_equal_rows_of_two_partitions_stay_apart() -> None:
    """An upsert's row numbers belong to one partition."""
    built = stativate().build(rows({"actual": 1.0}, {"actual": 1.0, "partition": "2013-01-06"}))
    assert [(upsert.partition, upsert.rows) for upsert in built.upserts] == [(DAY, (0,)), ("2013-01-06", (1,))]


def test_the_fingerprint_is_that_of_the_normalised_payload() -> None:
    """What the plan compares is what the API would keep, of the fields that count."""
    spec = stativate(key="fixed", value="{kpi}", send_when=["value"])
    (upsert,) = spec.build(rows({"kpi": "straße"})).upserts
    assert upsert.payload["value"] == "straße"
    assert upsert.fingerprint == fingerprint({"value": "STRASSE"})


def test_rows_outside_the_condition_are_not_selected() -> None:
    """`where` is SQL over the row's columns; rows for which it is false or null are dropped with the condition."""
    frame = arrow(rows({"actual": 1.0}, {"actual": 5.0}, {"actual": None}, {"actual": 7.0, "kpi": "departures"}))
    built = stativate(where="actual > 2 and kpi = 'on_time_pct' -- late ones").build(frame)
    assert [upsert.rows for upsert in built.upserts] == [(1,)]
    assert built.dropped == [
        Dropped(
            Outcome.NOT_SELECTED, DAY, (0, 2, 3), "where: not actual > 2 and kpi = 'on_time_pct' -- late ones", None
        )
    ]


def test_nan_is_no_number_for_the_condition() -> None:
    """DuckDB sorts NaN above all numbers; a row without a value must not pass `actual > 2` for that."""
    column = pa.array([float("nan"), 3.0])
    frame = rows({}, {}).assign(actual=pd.Series(pd.arrays.ArrowExtensionArray(column)))
    assert [upsert.rows for upsert in stativate(where="actual > 2").build(frame).upserts] == [(1,)]


@pytest.mark.parametrize("where", ["actual > 'abc'", "kpi"])
def test_a_condition_that_fails_on_the_data_names_itself(where: str) -> None:
    """What DuckDB refuses is a configuration error in its words."""
    with pytest.raises(ConfigurationError, match=r"where: the condition .* cannot be used: .+"):
        stativate(where=where).build(rows({"actual": 1.0}))


def test_a_condition_reaches_no_file() -> None:
    """The condition of a sync reads the row and nothing else of the machine."""
    with pytest.raises(ConfigurationError, match=r"where: the condition .* disabled by configuration"):
        select(rows({"actual": 1.0}), "(select count(*) from read_text('pyproject.toml')) > 0")


def test_an_empty_frame_shows_what_is_misspelt() -> None:
    """`pipelines check` finds a wrong column and a wrong condition without a row."""
    empty = rows({"actual": 1.0}).iloc[:0]
    assert stativate(where="actual > 2").build(empty) == Built()
    with pytest.raises(ConfigurationError, match=r'sync status_board, label: there is no column "kpi_nme"'):
        stativate(label="{kpi_nme}").build(empty)
    with pytest.raises(ConfigurationError, match="no_such"):
        stativate(where="no_such > 2").build(empty)


def test_a_frame_without_row_numbers_is_refused() -> None:
    """Without the row's number, partition and time nothing can be accounted for."""
    with pytest.raises(ConfigurationError, match='table flight_kpis: there is no column "as_of"'):
        stativate().build(rows({"actual": 1.0}).drop(columns="as_of"))


def test_a_mapping_that_loses_a_row_is_stopped() -> None:
    """Conservation is checked where upserts are made, before anything can be sent."""
    frame = rows({"actual": 1.0}, {"actual": 2.0})
    with pytest.raises(PipelinesError, match="2 rows went into the mapping and 0 came out"):
        check_conserved(frame, Built())


def test_the_garbage_collector_is_left_as_it_was() -> None:
    """Building pauses it, also when it was off before and when building fails."""
    with no_cycles():
        assert not gc.isenabled()
    assert gc.isenabled()
    with contextlib.suppress(ValueError), no_cycles():
        int("no number")
    assert gc.isenabled()
    gc.disable()
    try:
        with no_cycles():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


texts = st.sampled_from(["a", "b", "straße", "🙂🙂", "é", "x\0y", "../..", "", "a/b", "ﬀ" * 6]) | st.text(max_size=12)
numbers = st.none() | st.floats() | st.sampled_from([0.0, 12.0, 12.5, 883.0, 104_000.0, 1e300])
ids = st.none() | st.sampled_from([dataset()["valuestreamer_kpi_id"], dataset()["valuestreamer_team_id"], "no uuid"])


def row(**columns: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Rows of two partitions with some columns at will."""
    partition = st.sampled_from(["2013-01-05", "2013-01-06"])
    return st.lists(st.fixed_dictionaries({"partition": partition, "as_of": partition, **columns}), max_size=12)


def conserved(built: Built, frame: pd.DataFrame) -> None:
    """Every row of the frame stands in exactly one record, and no record is empty."""
    assert placed(built) == sorted(zip(frame["partition"], frame["row"], strict=True))
    assert all(record.rows for record in [*built.upserts, *built.dropped])
    keys = Counter((upsert.key, upsert.as_of, upsert.partition) for upsert in built.upserts)
    assert set(keys.values()) <= {1}


@settings(max_examples=60, deadline=None)
@given(
    row(team=texts, kpi=texts, actual=numbers),
    st.sampled_from(["{kpi}-{team}", "{kpi}", "fixed"]),
    st.sampled_from(["invalid", "skip"]),
    st.sampled_from([None, "actual > 10", "kpi <> 'a'"]),
)
def test_every_row_of_a_status_board_is_accounted_for(
    given_rows: list[dict[str, Any]], key: str, on_null: str, where: str | None
) -> None:
    """Whatever the data, each row stands in exactly one upsert or dropped record."""
    if not given_rows:
        return
    frame = rows(*given_rows)
    color = {"column": "actual", "steps": [{"below": 80, "color": 1}], "otherwise": 5}
    conserved(stativate(key=key, on_null=on_null, where=where, color=color).build(frame), frame)


@settings(max_examples=60, deadline=None)
@given(
    row(actual=numbers, target=numbers, unit=st.sampled_from(["Time", "%", None]), whole_number=st.booleans(),
        valuestreamer_team_id=ids, valuestreamer_kpi_id=ids, valuestreamer_actual_id=ids, valuestreamer_target_id=ids),
    st.sampled_from(["invalid", "skip"]),
    st.sampled_from([None, "weekly", "monthly"]),
)  # fmt: skip
def test_every_row_of_a_shop_floor_board_is_accounted_for(
    given_rows: list[dict[str, Any]], on_null: str, grain: str | None
) -> None:
    """Whatever the data, each row stands in exactly one upsert or dropped record."""
    if not given_rows:
        return
    frame = rows(*given_rows)
    conserved(valuestreamer(on_null=on_null, grain=grain).build(frame), frame)


def test_reasons_are_grouped_by_partition_key_and_text() -> None:
    """Rows that fail for the same cause are one record per partition."""
    built = stativate().build(rows({"team": None}, {"team": None}, {"team": None, "partition": "2013-01-06"}, actual=1))
    assert reasons(built) == ["team is empty", "team is empty"]
    assert [(one.partition, one.rows, one.key) for one in built.dropped] == [
        (DAY, (0, 1), None),
        ("2013-01-06", (2,), None),
    ]
