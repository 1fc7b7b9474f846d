from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.delivery.errors import ConfigurationError
from pipelines.destinations.columns import Columns
from pipelines.destinations.formats import FormatBy, FormatError, formatted, formatter

PINNED = {
    "compact": [
        (0, "0"), (-0.0, "0"), (1, "1"), (2420, "2420"), (9999, "9999"), (9999.4, "9999.4"), (9999.994, "9999.99"),
        (9999.995, "10K"), (10_000, "10K"), (10_049, "10K"), (10_050, "10.1K"), (12_345, "12.3K"), (104_000, "104K"),
        (112_000, "112K"), (999_499, "999K"), (999_500, "1M"), (999_999, "1M"), (1_000_000, "1M"),
        (1_234_567, "1.23M"), (1_235_000, "1.24M"), (-1_234_567, "-1.23M"), (999_999_999, "1B"),
        (5_500_000_000, "5.5B"), (1e12, "1T"), (999.4e12, "999T"), (-9999.99, "-9999.99"), (35.2, "35.2"),
        (83.33333333, "83.33"), (2.675, "2.68"), (0.005, "0.005"), (0.00412345, "0.00412"), (1 / 3, "0.333"),
        (0.30000000000000004, "0.3"), (-4.0, "-4"), (Decimal("12345.678"), "12.3K"), (1.5e-7, "0.00000015"),
    ],
    "time": [(0, "00:00"), (480, "08:00"), (883, "14:43"), (366.0, "06:06"), (1439, "23:59"), (366.5, "06:07")],
    "integer": [(104_000, "104000"), (2.5, "3"), (-2.5, "-3"), (0.4, "0"), (-0.4, "0"), (1e15, "1000000000000000")],
    "percent": [(60.0, "60%"), (83.333, "83.3%"), (99.95, "100%"), (-4.25, "-4.3%"), (0, "0%")],
    "percent0": [(83.5, "84%")],
    "percent2": [(83.5, "83.50%")],
    "decimal0": [(2.5, "3")],
    "decimal2": [(2.675, "2.68"), (35.2, "35.20"), (-0.001, "0.00"), (7, "7.00")],
    "plain": [
        (35.2, "35.2"), (10.0, "10"), (1e20, "100000000000000000000"), (1e-7, "0.0000001"), (True, "true"),
        (False, "false"), ("on time", "on time"), (dt.date(2013, 1, 5), "2013-01-05"), (Decimal("1.50"), "1.5"),
        (dt.datetime(2013, 1, 5), "2013-01-05"), (dt.datetime(2013, 1, 5, 6, 7), "2013-01-05T06:07:00"),  # noqa: DTZ001  # as pandas gives them
        (pd.Timestamp("2013-01-05"), "2013-01-05"), (-0.0, "0"), (10**17, "1" + "0" * 17),
    ],
}  # fmt: skip
"""A changed format is a resend to everybody: these texts are the promise."""


@pytest.mark.parametrize(("name", "value", "text"), [(name, *pair) for name, pairs in PINNED.items() for pair in pairs])
def test_the_text_of_a_number_never_changes_with_a_release(name: str, value: object, text: str) -> None:
    """Each format writes exactly what is pinned here."""
    assert formatter(name)(value) == text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("compact", 999.6e12), ("compact", 1e300), ("compact", -1e15), ("compact", 1.5e-8), ("compact", float("inf")),
        ("compact", float("nan")), ("compact", "104000"), ("compact", True), ("compact", None), ("time", 1440),
        ("time", -1), ("time", 1439.5), ("time", float("-inf")), ("integer", "x"), ("percent", "60"),
        ("decimal2", Decimal("1e500")), ("plain", float("inf")),
    ],
)  # fmt: skip
def test_a_value_without_that_form_is_an_error_and_never_a_wrong_text(name: str, value: object) -> None:
    """What a format cannot write is refused with a reason that shows the value."""
    with pytest.raises(FormatError, match=r"\S"):
        formatter(name)(value)


@settings(deadline=None)
@given(st.floats() | st.integers() | st.decimals(allow_nan=True))
def test_no_number_makes_a_compact_text_longer_than_a_status_holds(value: float | Decimal) -> None:
    """`compact` writes at most 10 characters, or refuses."""
    try:
        text = formatter("compact")(value)
    except FormatError:
        return
    assert 1 <= len(text) <= 10
    assert text != "-0"


@settings(deadline=None)
@given(st.floats(min_value=-9.99e14, max_value=9.99e14))
def test_a_compact_text_is_the_number_to_three_digits(value: float) -> None:
    """What `compact` writes differs from the number by at most half of its third digit."""
    try:
        text = formatter("compact")(value)
    except FormatError:
        assert abs(value) < 1e-5
        return
    factor = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}.get(text[-1], 1)
    shown = Decimal(text.rstrip("KMBT")) * factor
    exact = Decimal(repr(value))
    assert abs(shown - exact) <= abs(exact) * Decimal("0.005")


@settings(deadline=None)
@given(st.integers(0, 1439))
def test_every_minute_of_the_day_reads_as_a_time(minutes: int) -> None:
    """`time` is the inverse of hours times 60 plus minutes."""
    hour, minute = formatter("time")(minutes).split(":")
    assert int(hour) * 60 + int(minute) == minutes


def test_an_unknown_format_is_named_with_the_nearest_ones() -> None:
    """A misspelt format is a configuration error that names the field and what there is."""
    with pytest.raises(ConfigurationError, match=r'value\.format: there is no format "compct".*Did you mean compact'):
        formatter("compct", "value.format")


def test_the_unit_of_a_row_decides_its_format() -> None:
    """`format: {by: ...}` formats each row by the text in the other column, and rows without one by `otherwise`."""
    frame = pd.DataFrame({"actual": [366.0, 60.0, 104_000.0, 5.0], "unit": ["Time", "%", "flights", None]})
    style = FormatBy(by="unit", cases={"Time": "time", "%": "percent"}, otherwise="compact")
    assert formatted(Columns(frame), "actual", style).values == ["06:06", "60%", "104K", "5"]


def test_a_problem_of_one_format_stays_with_its_row() -> None:
    """A value that only its own row's format refuses is that row's problem alone, under the column's name."""
    frame = pd.DataFrame({"actual": [2000.0, 2000.0, None], "unit": ["Time", "flights", "Time"]})
    cells = formatted(Columns(frame), "actual", FormatBy(by="unit", cases={"Time": "time"}))
    assert cells.values[1] == "2000"
    assert {at: problem.reason for at, problem in cells.problems.items()} == {
        0: "actual: 2000.0 is no time of day: minutes since midnight go from 0 to 1439",
        2: "actual is empty",
    }


@pytest.mark.parametrize("fields", [{"cases": {"Time": "tyme"}}, {"cases": {}, "otherwise": "compakt"}])
def test_a_misspelt_format_of_a_case_is_refused_when_the_yaml_is_read(fields: dict[str, object]) -> None:
    """No format is looked up for the first time in the middle of a run."""
    with pytest.raises(ValidationError, match="there is no format"):
        FormatBy.model_validate({"by": "unit", **fields})
