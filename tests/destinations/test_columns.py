from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.destinations.columns import Columns, Problem, derive, derive_by, merge


@pytest.mark.parametrize(
    "series",
    [
        pd.Series([1.5, np.nan, None]),
        pd.Series([1.5, None, pd.NA], dtype=object),
        pd.Series(pa.array([1.5, float("nan"), None]), dtype=pd.ArrowDtype(pa.float64())),
    ],
)
def test_a_null_of_whatever_kind_is_none(series: pd.Series) -> None:
    """NaN, None, pd.NA and an Arrow null all mean that there is no value."""
    assert Columns(pd.DataFrame({"a": series})).values("a") == [1.5, None, None]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, None, 2**60], pa.int64()),
        (["x", None, "x", ""], pa.string()),
        ([dt.date(2013, 1, 1), None, dt.date(2013, 1, 1)], pa.date32()),
        ([True, None, False], pa.bool_()),
        ([Decimal("1.50"), None], pa.decimal128(10, 2)),
    ],
)
def test_arrow_columns_keep_their_values(values: list[object], kind: pa.DataType) -> None:
    """A frame from the partition store gives the same Python values as were stored, in all its chunks."""
    column = pa.chunked_array([pa.array(values, kind), pa.array(values[::-1], kind)])
    frame = pa.table({"a": column}).to_pandas(types_mapper=pd.ArrowDtype)
    assert Columns(frame).values("a") == values + values[::-1]


def test_equal_values_of_different_types_are_told_apart() -> None:
    """1, 1.0 and True are one key of a dict, and still each is mapped for itself."""
    cells = derive([1, True, 1.0], lambda value: type(value).__name__, "", {})
    assert list(cells.values) == ["int", "bool", "float"]


def test_values_that_cannot_be_hashed_are_mapped_too() -> None:
    """A list in a column is data like any other."""
    assert list(derive([[1], [1]], str, "", {}).values) == ["[1]", "[1]"]


def test_the_case_of_a_row_takes_part_in_its_mapping() -> None:
    """The same value becomes different things in different cases, and a null stays with its own problem."""
    gone = Problem("gone")
    cells = derive_by(["a", "b", "a"], [1, 1, None], lambda case, value: f"{case}{value}", "", {2: gone})
    assert list(cells.values) == ["a1", "b1", ""]
    assert cells.problems == {2: gone}


def test_of_two_problems_of_a_row_the_first_is_told() -> None:
    """The reason that a person reads is that of the earlier field."""
    first, second = Problem("first"), Problem("second")
    assert merge({0: first}, {0: second, 1: second}) == {0: first, 1: second}


@settings(deadline=None)
@given(st.lists(st.none() | st.integers(-3, 3)))
def test_each_row_has_a_value_or_a_problem(values: list[int | None]) -> None:
    """Mapping keeps the rows' number and order; a refused value is a problem at every row that has it."""
    refused = Problem("negative")
    nulls = {at: Problem("null") for at, value in enumerate(values) if value is None}
    cells = derive(values, lambda value: refused if value < 0 else value * 2, 0, nulls)
    assert len(cells.values) == len(values)
    for at, value in enumerate(values):
        if value is None:
            assert cells.problems[at].reason == "null"
        elif value < 0:
            assert cells.problems[at] is refused
        else:
            assert (cells.values[at], at in cells.problems) == (value * 2, False)
