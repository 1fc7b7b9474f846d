"""Frames on their way between sources, contracts and the store."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tables.frames import array_of, concat, frame_of, records, shown, storable, table_of


def test_a_frame_keeps_every_type() -> None:
    """From Arrow to pandas and back nothing changes, and an empty value is empty in every type."""
    table = pa.table(
        {
            "whole": pa.array([2**62 + 1, None]),
            "yes": pa.array([None, True]),
            "text": pa.array(["", None]),
            "day": pa.array([date(9999, 12, 31), None]),
            "at": pa.array([datetime(2024, 1, 1, tzinfo=UTC), None]),
            "exact": pa.array([Decimal("1.10"), None]),
            "list": pa.array([["a"], None]),
            "none": pa.nulls(2),
        }
    )
    frame = frame_of(table)
    assert all(isinstance(dtype, pd.ArrowDtype) for dtype in frame.dtypes)
    assert frame.isna().sum().sum() == 9
    assert table_of(frame).equals(table)


def test_a_plain_pandas_frame_is_taken() -> None:
    """Columns of pandas' own types become Arrow's; one of mixed values becomes text."""
    frame = pd.DataFrame({"n": [1.5, None], "s": ["a", None], "m": [1, "x"], "b": [True, False], "l": [[1], [2, 3]]})
    assert table_of(frame).to_pydict() == {
        "n": [1.5, None],
        "s": ["a", None],
        "m": ["1", "x"],
        "b": [True, False],
        "l": [[1], [2, 3]],
    }


def test_records_are_plain() -> None:
    """The rows as dicts hold Python's own values, batch after batch."""
    table = pa.table({"x": list(range(25)), "y": [None] * 25})
    assert list(records(table, batch=10)) == [{"x": number, "y": None} for number in range(25)]
    assert list(records(frame_of(table)))[3] == {"x": 3, "y": None}


@pytest.mark.parametrize(
    ("array", "texts"),
    [
        (pa.array(["a", None]), ["a", None]),
        (pa.array([12.0, 0.1, float("inf"), 1e300, None]), ["12", "0.1", "inf", "1e+300", None]),
        (pa.array([True, None]), ["true", None]),
        (pa.array([date(2024, 1, 1)]), ["2024-01-01"]),
        (pa.array([{"b": [1], "a": None}]), ['{"b":[1],"a":null}']),
        (pa.array([["x", "ü"]]), ['["x","ü"]']),
        (pa.array([b"\xff"]), ["b'\\xff'"]),
        (pa.array(["k"]).dictionary_encode(), ["k"]),
        (pa.nulls(1), [None]),
        (pa.chunked_array([[1], [2]]), ["1", "2"]),
    ],
)
def test_values_are_shown_as_people_know_them(array: pa.Array, texts: list[str | None]) -> None:
    """A value of any type has a text."""
    assert shown(array).to_pylist() == texts


def test_what_parquet_cannot_hold_becomes_text() -> None:
    """Dictionaries become their values, nested and exotic values texts, lists stay."""
    table = pa.table(
        {
            "code": pa.array(["a", None]).dictionary_encode(),
            "nested": pa.array([{}, None], pa.struct([])),
            "list": pa.array([["a"], None]),
            "deep": pa.array([[{"a": 1}], None]),
        }
    )
    assert storable(table).to_pydict() == {
        "code": ["a", None],
        "nested": ["{}", None],
        "list": [["a"], None],
        "deep": ['[{"a":1}]', None],
    }


def test_tables_are_joined_under_all_their_columns() -> None:
    """Columns that differ in type take the common one, or become text; missing ones are empty."""
    tables = [
        pa.table({"a": [1], "b": ["x"], "c": pa.nulls(1)}),
        pa.table({"a": [1.5], "b": [2]}),
        pa.table({"a": [None], "b": [True], "c": [date(2024, 1, 1)]}),
    ]
    assert concat(tables).to_pydict() == {
        "a": [1.0, 1.5, None],
        "b": ["x", "2", "true"],
        "c": [None, None, date(2024, 1, 1)],
    }
    assert concat([]).num_rows == 0


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(allow_nan=False),
            st.text(),
            st.dates(),
            st.binary(),
            st.uuids(),
        ),
        max_size=6,
    )
)
def test_any_values_make_a_column(values: list[Any]) -> None:
    """Whatever a driver returns becomes a column of as many values, empty where they were."""
    array = array_of(values)
    assert [item.is_valid for item in array] == [value is not None for value in values]


def test_what_is_stored_can_be_read_by_python() -> None:
    """Times outside of Python's calendar become text, alone or in lists and structs; all others keep their type."""
    far = pa.array([10**18, None], pa.timestamp("us"))
    columns = {
        "far": far,
        "days": pa.array([10**7, None], pa.date32()),
        "long": pa.array([2**62, None], pa.duration("s")),
        "listed": pa.array([[10**18], None], pa.list_(pa.timestamp("us"))),
        "inside": pa.StructArray.from_arrays([far], ["at"]),
        "near": pa.array([date(9999, 12, 31), date(1, 1, 1)]),
        "short": pa.array([1, None], pa.duration("s")),
    }
    stored = storable(pa.table(columns))
    assert [field.name for field in stored.schema if not pa.types.is_string(field.type)] == ["near", "short"]
    assert stored["days"].to_pylist() == ["29349-01-26", None]
    assert len(stored.to_pylist()) == 2


def test_a_float32_is_stored_as_the_number_that_it_is_written_as() -> None:
    """0.1 with 32 bits is 0.1, not the 0.10000000149011612 that its bits would be with 64."""
    values = [0.1, 16777216.0, None, float("inf")]
    assert storable(pa.table({"x": pa.array(values, pa.float32())}))["x"].to_pylist() == values


@pytest.mark.parametrize("number", ["Infinity", "-Infinity"])
def test_a_decimal_that_arrow_cannot_take_is_text(number: str) -> None:
    """PostgreSQL's numeric may be infinite, which no decimal of Arrow is."""
    assert array_of([Decimal("1.5"), Decimal(number)]).to_pylist() == ["1.5", number]
