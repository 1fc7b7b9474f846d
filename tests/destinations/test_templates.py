from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.delivery.errors import ConfigurationError
from pipelines.destinations.columns import Columns, Origin
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
    """A row whose code is in no catalogue says which code and which catalogue; other rows are rendered."""
    frame = pd.DataFrame({"kpi": ["a", "b"], "kpi_name": ["Alpha", None]})
    cells = Template.parse("{kpi}: {kpi_name}", "label").render(Columns(frame, {"kpi_name": Origin("kpis", "kpi")}))
    assert cells.values[0] == "a: Alpha"
    assert cells.problems[1].reason == "kpi_name is empty: kpi 'b' has no entry in kpis, or one without it"


def test_a_null_of_unknown_origin_names_the_codes_of_its_row() -> None:
    """Without knowing the catalogue, the reason still tells which KPI and team the row is about."""
    frame = pd.DataFrame({"kpi": ["a"], "team": ["t"], "kpi_name": [None]})
    cells = Template.parse("{kpi_name}", "label").render(Columns(frame))
    assert cells.problems[0].reason == "kpi_name is empty for kpi 'a', team 't'"


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
