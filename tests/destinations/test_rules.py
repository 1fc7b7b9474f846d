from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.destinations.columns import Columns
from pipelines.destinations.rules import Bounds, decide, used_columns


def steps(*given: tuple[dict[str, Any], int]) -> list[tuple[Bounds, int]]:
    """Steps as they stand in YAML, each with its result."""
    return [(Bounds.model_validate(fields), result) for fields, result in given]


def decided(rule: list[tuple[Bounds, int]], **columns: list[Any]) -> list[int]:
    """The results over columns, with 5 where no step matches."""
    return list(decide(Columns(pd.DataFrame(columns)), "actual", rule, 5).values)


def test_the_first_matching_step_decides() -> None:
    """Steps are tried in order; what none of them matches gets `otherwise`."""
    rule = steps(({"below": 80}, 1), ({"below": 90}, 3))
    assert decided(rule, actual=[79.9, 80.0, 89.9, 90.0]) == [1, 3, 3, 5]


@pytest.mark.parametrize(
    ("bound", "matching"),
    [("below", [1]), ("at_most", [1, 2]), ("above", [3]), ("at_least", [2, 3])],
)
def test_each_bound_is_strict_or_not_as_it_says(bound: str, matching: list[int]) -> None:
    """below and above exclude the bound itself, at_most and at_least include it."""
    results = decided(steps(({bound: 2}, 1)), actual=[1.0, 2.0, 3.0])
    assert [value for value, result in zip([1, 2, 3], results, strict=True) if result == 1] == matching


def test_for_limits_a_step_to_rows_with_that_text() -> None:
    """Each KPI can have thresholds of its own, one text or several, in one column or several."""
    rule = steps(
        ({"for": {"kpi": "late"}, "above": 10}, 1),
        ({"for": {"kpi": ["on_time", "load"], "team": "A"}, "below": 80}, 2),
        ({"for": {"whole": True}}, 3),
    )
    frame = {
        "kpi": ["late", "on_time", "on_time", "load", "other"],
        "team": ["A", "A", "B", "A", None],
        "whole": [False, False, False, False, True],
        "actual": [11.0, 11.0, 11.0, 79.0, 1.0],
    }
    assert decided(rule, **frame) == [1, 2, 5, 2, 3]


def test_a_step_without_a_bound_always_matches() -> None:
    """A last step without a bound is an `otherwise` of its rows."""
    assert decided(steps(({"for": {"kpi": "a"}}, 7)), kpi=["a", "b"], actual=[1.0, 1.0]) == [7, 5]


@pytest.mark.parametrize(("value", "reason"), [(None, "actual is empty"), ("high", "actual: 'high' is no number")])
def test_a_value_that_cannot_be_compared_is_the_rows_problem(value: object, reason: str) -> None:
    """A null is never compared as 0, and a text is never compared as a number."""
    frame = pd.DataFrame({"actual": pd.Series([value, 1.0], dtype=object)})
    cells = decide(Columns(frame), "actual", steps(({"below": 80}, 1)), 5)
    assert {at: problem.reason for at, problem in cells.problems.items()} == {0: reason}
    assert cells.values[1] == 1


def test_two_bounds_in_one_step_are_refused() -> None:
    """A step that means a range must be written as two steps, so that nobody guesses which bound counts."""
    with pytest.raises(ValidationError, match="one bound at most, this one has below and above"):
        Bounds.model_validate({"below": 1, "above": 0})


def test_the_columns_of_a_rule_are_known_before_any_row() -> None:
    """The columns that `for` names are checked like those of a template."""
    rule = [bounds for bounds, _ in steps(({"for": {"kpi": "a", "unit": "%"}}, 1), ({"below": 1}, 2))]
    assert used_columns("actual", rule) == ("actual", "kpi", "unit")


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False) | st.decimals(allow_nan=False, allow_infinity=False), min_size=1))
def test_every_number_gets_exactly_one_result(values: list[float | Decimal]) -> None:
    """Steps that cover all numbers leave none to `otherwise`."""
    frame = pd.DataFrame({"actual": pd.Series(values, dtype=object)})
    cells = decide(Columns(frame), "actual", steps(({"below": 0}, 1), ({"at_least": 0}, 2)), 5)
    assert list(cells.values) == [1 if value < 0 else 2 for value in values]
