from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.delivery.errors import ConfigurationError
from pipelines.destinations.columns import Columns
from pipelines.destinations.templates import Template


def rendered(text: str, **columns: list[Any]) -> list[str]:
    """The texts of a template over columns."""
    return list(Template.parse(text, "label").render(Columns(pd.DataFrame(columns))).values)


def test_slots_take_columns_and_formats() -> None:
    """Text, `{column}` and `{column:format}` are put together per row."""
    assert rendered("{kpi} is {actual:compact}!", kpi=["sales", "bags"], actual=[104000.0, 2.5]) == [
        "sales is 104K!",
        "bags is 2.5!",
    ]


def test_names_may_hold_dots_and_spaces() -> None:
    """An ambiguous catalogue column is named `<catalogue>.<column>`, and is no attribute look-up."""
    assert rendered("{kpis.unit}/{my col}", **{"kpis.unit": ["%"], "my col": ["x"]}) == ["%/x"]


def test_doubled_braces_are_literal() -> None:
    """`{{` and `}}` are braces, alone and around a slot."""
    assert rendered("{{{a}}} {{b}}", a=["x"]) == ["{x} {b}"]


def test_a_template_without_slots_is_the_same_for_every_row() -> None:
    """A constant text is rendered once per row."""
    assert rendered("fixed", a=[1, 2, 3]) == ["fixed"] * 3


def test_a_value_is_never_read_as_a_template() -> None:
    """Braces that come from the data stay what they are."""
    assert rendered("<{a}>", a=["{b} {0} {{"]) == ["<{b} {0} {{>"]


@pytest.mark.parametrize("text", ["{a", "a}", "{}", "{ }", "{:compact}", "{a:nonsense}", "{a{b}}", "{a:}"])
def test_a_broken_template_is_refused_with_its_field(text: str) -> None:
    """What is no template is a configuration error that names the field."""
    with pytest.raises(ConfigurationError, match=r"^label: "):
        Template.parse(text, "label")


def test_an_unknown_column_is_named_with_the_closest_ones() -> None:
    """A misspelt column names the field, itself and what was probably meant."""
    template = Template.parse("{kpi_nmae}", "label")
    with pytest.raises(ConfigurationError, match=r'label: there is no column "kpi_nmae".*Did you mean kpi_name'):
        template.check(["kpi", "kpi_name", "team"])


def test_a_null_names_the_column_and_the_code_without_an_entry() -> None:
    """Of the row's codes the reason names the one whose rows all lack the column; other rows are rendered."""
    frame = pd.DataFrame({"kpi": ["a", "b", "b"], "team": ["t", "t", "u"], "kpi_name": ["Alpha", None, None]})
    cells = Template.parse("{kpi}: {kpi_name}", "label").render(Columns(frame))
    assert cells.values[0] == "a: Alpha"
    assert cells.problems[1].reason == "kpi_name is empty for kpi 'b'"


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"kpi": ["a"], "team": ["t"]}, "x is empty for kpi 'a', team 't'"),
        ({"kpi": ["a", "a"], "team": ["t", "t"], "x": [None, "y"]}, "x is empty for kpi 'a', team 't'"),
        ({"area_code": ["NYC"]}, "x is empty for area_code 'NYC'"),
        ({"kpi": ["a"], "sub_tile": [None]}, "x is empty for kpi 'a'"),
        ({"other": [1]}, "x is empty"),
    ],
)
def test_a_null_that_no_code_explains_alone_names_all_of_them(columns: dict[str, list[Any]], reason: str) -> None:
    """Where one row is all there is, or only some rows of a code lack the value, the reader gets every code."""
    frame = pd.DataFrame({"x": pd.Series([None], dtype=object), **columns})
    assert Template.parse("{x}", "label").render(Columns(frame)).problems[0].reason == reason


@settings(deadline=None)
@given(st.text(), st.lists(st.one_of(st.none(), st.text(), st.floats(), st.integers(), st.booleans()), min_size=1))
def test_no_template_and_no_data_crash(text: str, values: list[object]) -> None:
    """A template is either refused as configuration, or gives each row a text or a problem."""
    frame = pd.DataFrame({"a": pd.Series(values, dtype=object)})
    try:
        template = Template.parse(text + "{a}", "label")
        template.check(["a"])
    except ConfigurationError:
        return
    cells = template.render(Columns(frame))
    assert len(cells.values) == len(values)
    assert all(isinstance(cell, str) for cell in cells.values)
    for at, value in enumerate(values):
        if value is None:
            assert at in cells.problems
