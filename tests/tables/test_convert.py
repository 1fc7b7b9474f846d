"""Values of any type as text, number, boolean, date or instant."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tables.convert import TYPES, AnyKind, Notation, convert
from pipelines.tables.frames import array_of
from pipelines.tables.source_spec import SourceSpec
from tests.examples import examples
from tests.tables.helpers import local

INF = float("inf")


def converted(values: list[Any], kind: AnyKind, **options: Any) -> tuple[list[Any], list[int]]:
    """The values after conversion, and the positions of those that could not be converted."""
    result = convert(array_of(values), kind, **options)
    assert result.values.type == TYPES[kind]
    return result.values.to_pylist(), result.bad.tolist()


@pytest.mark.parametrize(
    ("values", "numbers", "bad"),
    [
        ([1, None, -(2**63)], [1.0, None, -(2.0**63)], []),
        ([1.5, float("nan"), None, INF, -INF], [1.5, None, None, INF, -INF], []),
        (
            [Decimal("1.50"), None, Decimal("12345678901234567890.123456789")],
            [1.5, None, 12345678901234567890.123456789],
            [],
        ),
        ([10**30, 1], [1e30, 1.0], []),
        (["1.5", " -2 ", "+3", ".5", "5.", "1e3", "1E-2", "-0"], [1.5, -2.0, 3.0, 0.5, 5.0, 1000.0, 0.01, -0.0], []),
        (["", "  ", "NaN", "nan", None], [None] * 5, []),
        (["inf", "-Infinity", "1e999"], [INF, -INF, INF], []),
        (["abc", "1,5", "1 000", "0x1F", "1_0", "٣", "1e", "--1", "5 %"], [None] * 9, list(range(9))),
        (["12\x00", "1\n2", "🛩"], [None] * 3, [0, 1, 2]),
        ([True, None, False], [None] * 3, [0, 2]),
        ([date(2024, 1, 1), None], [None, None], [0]),
        ([b"1", None], [None, None], [0]),
        ([[1], None], [None, None], [0]),
        ([1, "2", None, "x"], [1.0, 2.0, None, None], [3]),
        ([None, None], [None, None], []),
    ],
)
def test_numbers(values: list[Any], numbers: list[float | None], bad: list[int]) -> None:
    """Whole numbers, decimals and texts become numbers; NaN and blank texts are no value; everything else is marked."""
    assert converted(values, "number") == (numbers, bad)


@pytest.mark.parametrize(
    ("values", "texts", "bad"),
    [
        (["a", None, "", " b "], ["a", None, "", " b "], []),
        ([12, None, 0], ["12", None, "0"], []),
        ([12.0, 1.5, None, float("nan")], ["12", "1.5", None, None], []),
        ([True, None], ["true", None], []),
        ([date(2024, 1, 31), None], ["2024-01-31", None], []),
        ([Decimal(7), None], ["7", None], []),
        ([["a", "b"], [], None, ["c,d"]], ["a,b", "", None, None], [3]),
        ([[1, 2]], [None], [0]),
        ([b"a", None], [None, None], [0]),
        ([None], [None], []),
    ],
)
def test_texts(values: list[Any], texts: list[str | None], bad: list[int]) -> None:
    """Codes that are numbers become the text that a person would write; bytes and nested values are marked."""
    assert converted(values, "text") == (texts, bad)


@pytest.mark.parametrize(
    ("values", "booleans", "bad"),
    [
        ([True, None, False], [True, None, False], []),
        (["true", "F", " yes", "0", "No", None, ""], [True, False, True, False, False, None, None], []),
        ([1, 0, 2, None], [True, False, None, None], [2]),
        ([1.0, 0.5], [True, None], [1]),
        (["maybe"], [None], [0]),
        ([[True]], [None], [0]),
    ],
)
def test_booleans(values: list[Any], booleans: list[bool | None], bad: list[int]) -> None:
    """The usual words and 0 and 1 are booleans; everything else is marked."""
    assert converted(values, "boolean") == (booleans, bad)


@pytest.mark.parametrize(
    ("values", "days", "bad"),
    [
        ([date(1, 1, 1), None, date(9999, 12, 31)], [date(1, 1, 1), None, date(9999, 12, 31)], []),
        ([local("2024-01-01T23:59"), None], [date(2024, 1, 1), None], []),
        ([datetime(2024, 1, 1, 23, 59, tzinfo=UTC)], [date(2024, 1, 2)], []),
        (["2024-01-31", "2024-1-5", "9999-12-31", "2024-01-31 10:00", "2024-01-31T10:00:00.5"], None, []),
        (["2024-01-31T23:30:00Z", "2024-01-31T23:30:00+02:00", "2024-01-31 23:30:00-05"], None, []),
        (
            ["2024-02-30", "2024-13-01", "24-01-01", "31.01.2024", "20240131", "today", "epoch", "infinity"],
            [None] * 8,
            list(range(8)),
        ),
        (["2024-01-31 (BC)", "99999-01-01", "0000-01-01", "-2024-01-01", "2024-01-31x"], [None] * 5, list(range(5))),
        (["", " ", None], [None] * 3, []),
        ([20240131, None], [None, None], [0]),
        ([True], [None], [0]),
        ([time(10, 0)], [None], [0]),
        ([1.5], [None], [0]),
    ],
)
def test_dates(values: list[Any], days: list[date | None] | None, bad: list[int]) -> None:
    """Dates, local times, instants and ISO texts give the local day; everything else is marked."""
    found, wrong = converted(values, "date", timezone="Europe/Berlin")
    assert wrong == bad
    if days is not None:
        assert found == days


def test_texts_with_an_offset_give_the_local_day() -> None:
    """A text with an offset is an instant: its day is the one on the table's own calendar."""
    texts = ["2024-01-31T23:30:00Z", "2024-01-31T23:30:00+02:00", "2024-01-31 23:30:00-05", "2024-01-31T23:30:00"]
    days, _ = converted(texts, "date", timezone="Europe/Berlin")
    assert [day.day for day in days] == [1, 31, 1, 31]


@pytest.mark.parametrize("zone", [" America/New_York", " UTC", "Z", "-04:00"])
def test_the_name_of_a_zone_counts_like_an_offset(zone: str) -> None:
    """A text that names a zone is an instant too: without it, the day would be that of somebody else's clock."""
    day = date(2024, 3, 10) if zone in (" UTC", "Z") else date(2024, 3, 11)
    texts = [f"2024-03-10 23:30:00{zone}", "2024-03-10 23:30 nonsense"]
    assert converted(texts, "date") == ([day, None], [1])


def test_a_midnight_that_does_not_exist_is_still_that_day() -> None:
    """Where the clock change skips midnight, a date written as midnight stays on its day."""
    assert (
        converted(["2018-11-04", "2018-11-04 00:00:00"], "date", timezone="America/Sao_Paulo")[0]
        == [date(2018, 11, 4)] * 2
    )
    assert converted([local("2018-11-04")], "date", timezone="America/Sao_Paulo")[0] == [date(2018, 11, 4)]


def test_dates_in_a_format() -> None:
    """With a format, only what fits it is a date: texts and whole numbers."""
    assert converted(["31.01.2024", "2024-01-31", None], "date", date_format="%d.%m.%Y") == (
        [date(2024, 1, 31), None, None],
        [1],
    )
    assert converted([20240131, 20241399], "date", date_format="%Y%m%d") == ([date(2024, 1, 31), None], [1])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (date(2024, 1, 31), "2024-01-31"),
        ("2024-01-31", "2024-01-31"),
        (datetime(2024, 1, 31, 10, tzinfo=timezone(timedelta(hours=5))), "2024-01-31T05:00:00.000000Z"),
        (local("2024-01-31T10:00:00.000001"), "2024-01-31T09:00:00.000001Z"),
        ("2024-01-31 10:00", "2024-01-31T09:00:00.000000Z"),
        ("2024-01-31T10:00:00-01:00", "2024-01-31T11:00:00.000000Z"),
    ],
)
def test_instants(value: Any, text: str) -> None:
    """A moment is text in UTC that sorts by time, a date stays a date."""
    assert converted([value], "instant", timezone="Europe/Berlin") == ([text], [])


def test_no_instant() -> None:
    """What is no moment is marked."""
    assert converted(["now", None, ""], "instant") == ([None, None, None], [0])
    assert converted([5], "instant") == ([None], [0])


ANY = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(),
    st.binary(),
    st.dates(),
    st.datetimes(),
    st.datetimes(timezones=st.just(UTC)),
    st.times(),
    st.timedeltas(),
    st.lists(st.one_of(st.none(), st.text(), st.integers()), max_size=3),
    st.dictionaries(st.text(), st.integers(), max_size=2),
)


@given(st.lists(ANY, max_size=8), st.sampled_from(list(TYPES)))
def test_nothing_is_lost_and_nothing_crashes(values: list[Any], kind: AnyKind) -> None:
    """Whatever a column holds, each value is converted, empty, or marked; never two of these."""
    array = array_of(values)
    result = convert(array, kind, "America/New_York")
    assert len(result.values) == len(values)
    assert result.values.type == TYPES[kind]
    for position in result.bad.tolist():
        assert result.values[position].as_py() is None
        assert array[position].is_valid
    result.values.to_pylist()


@given(st.lists(st.floats(allow_nan=False)))
def test_numbers_written_as_text_come_back(values: list[float]) -> None:
    """A number's own text is that number again."""
    assert converted([repr(value) for value in values], "number") == (values, [])


@settings(max_examples=examples(40))
@given(st.lists(st.datetimes(local("0001-01-03"), local("9999-12-29"))))
def test_times_written_as_text_come_back(values: list[datetime]) -> None:
    """A time's own text gives its day."""
    result = convert(pa.array([value.isoformat() for value in values], pa.string()), "date")
    assert (result.values.to_pylist(), result.bad.tolist()) == ([value.date() for value in values], [])


@pytest.mark.parametrize(
    ("fields", "texts", "numbers", "bad"),
    [
        ({"decimal": ","}, ["1234,5", "-,5", "1,5e3", "7", "1.5", "1.234,5", "1,2,3"], [1234.5, -0.5, 1500.0, 7.0], 3),
        (
            {"decimal": ",", "thousands": "."},
            ["1.234,5", "12.345.678", "1234,5", "1.23,5", "1234.567", "1,234.5", ".5"],
            [1234.5, 12345678.0, 1234.5],
            4,
        ),
        ({"thousands": ","}, ["1,234.5", "1234.5", "1,23"], [1234.5, 1234.5], 1),
        (
            {"decimal": ",", "thousands": " "},
            ["1 234,5", "1\u00a0234", "1\u202f234", " 5 ", "1  234"],
            [1234.5, 1234.0, 1234.0, 5.0],
            1,
        ),
        ({"decimal": ",", "thousands": "'"}, ["1'234,5", "nan", ""], [1234.5, None, None], 0),
    ],
)
def test_numbers_as_companies_write_them(
    fields: dict[str, str], texts: list[str], numbers: list[float | None], bad: int
) -> None:
    """Marks that a source declares are read, groups of three digits only; whatever fits no declaration is no number."""
    notation = Notation.of(SourceSpec.model_validate({"files": "a.csv", **fields}))
    result = convert(pa.array(texts), "number", notation=notation)
    assert result.values.to_pylist() == numbers + [None] * bad
    assert result.bad.tolist() == list(range(len(numbers), len(texts)))


def test_words_for_yes_and_no_are_declared() -> None:
    """A source's own words stand beside the usual ones; a word that nobody declared means nothing."""
    texts = pa.array(["Ja", " nein ", "true", "0", "si"])
    assert convert(texts, "boolean").bad.tolist() == [0, 1, 4]
    source = SourceSpec.model_validate({"files": "a.csv", "true_words": ["ja"], "false_words": ["Nein"]})
    result = convert(texts, "boolean", notation=Notation.of(source))
    assert result.values.to_pylist() == [True, False, True, False, None]
    assert result.bad.tolist() == [4]
