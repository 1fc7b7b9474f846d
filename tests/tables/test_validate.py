"""Rows against their contract: valid ones, quarantined ones, and none lost."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tables.contracts import for_areas, for_readings
from pipelines.tables.frames import array_of
from pipelines.tables.rules import MAX_TEXT
from pipelines.tables.sources.wanted import by_partition
from pipelines.tables.validate import Validated, validate
from tests.examples import examples
from tests.tables.helpers import area_spec, day, raw_of, readings, table_spec

D = "2024-01-01"


def judged(*rows: tuple[Any, ...], **changes: Any) -> Validated:
    """Readings of one day against the contract of `table_spec`."""
    names = ("day", "team_code", "kpi_code", "value")
    columns = [array_of(values) for values in zip(*rows, strict=True)]
    return validate(raw_of(pa.table(columns, names=list(names))), for_readings(table_spec(**changes)))


def reasons(found: Validated) -> dict[int, str]:
    """Row -> why it is in quarantine."""
    return dict(zip(found.quarantine["row"].to_pylist(), found.quarantine["reasons"].to_pylist(), strict=True))


def test_a_valid_row_is_converted() -> None:
    """A valid row has our names and types; further columns pass as they are."""
    source = readings((D, 7, "K", "1.50"), (D, 8, "K", None)).append_column("note", pa.array([True, None]))
    found = validate(raw_of(source), for_readings(table_spec()))
    assert found.valid.to_pylist() == [
        {"partition": D, "row": 0, "date": day(D), "team": "7", "kpi": "K", "actual": 1.5, "note": True},
        {"partition": D, "row": 1, "date": day(D), "team": "8", "kpi": "K", "actual": None, "note": None},
    ]
    assert found.quarantine.num_rows == 0
    assert found.broken == {}


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (("soon", "T", "K", 1), "date: is not a date ('soon')"),
        ((None, "T", "K", 1), "date: is missing"),
        (("2024-01-02", "T", "K", 1), "date: is outside the partition ('2024-01-02')"),
        ((D, None, "K", 1), "team: is missing"),
        ((D, "  ", "K", 1), "team: is an empty text ('  ')"),
        ((D, "a\x00b", "K", 1), "team: holds a control character ('a�b')"),
        ((D, "a\nb", "K", 1), "team: holds a control character ('a�b')"),
        ((D, "T", "k" * (MAX_TEXT + 1), 1), f"kpi: is longer than {MAX_TEXT} characters ('{'k' * 80}…')"),
        ((D, "T", "K", "abc"), "actual: is not a number ('abc')"),
        ((D, "T", "K", "inf"), "actual: is not finite ('inf')"),
        ((D, "T", "K", "1e999"), "actual: is not finite ('1e999')"),
    ],
)
def test_a_broken_rule_names_column_and_value(row: tuple[Any, ...], said: str) -> None:
    """A row that breaks a rule is quarantined with the column, the rule and the value."""
    found = judged(row, (D, "good", "K", "2"))
    assert reasons(found) == {0: said}
    assert found.valid["team"].to_pylist() == ["good"]


def test_all_broken_rules_are_named() -> None:
    """A row that breaks several rules has every one of them, as text and for machines."""
    found = judged(("soon", "", "K", "abc"), (D, "T", "K", "2"))
    (row,) = found.quarantine.to_pylist()
    assert set(row["reasons"].split("; ")) == {
        "date: is not a date ('soon')",
        "team: is an empty text ('')",
        "actual: is not a number ('abc')",
    }
    assert sorted(row["rules"]) == ["actual/type:number", "date/type:date", "team/text:empty"]
    assert {name: row[name] for name in ("partition", "row", "day", "team_code", "kpi_code", "value")} == {
        "partition": D,
        "row": 0,
        "day": "soon",
        "team_code": "",
        "kpi_code": "K",
        "value": "abc",
    }


@pytest.mark.parametrize("value", ["x" * MAX_TEXT, "🛩", "Zürich", "a b", "'; drop table kpi; --", "null", "NaN"])
def test_odd_codes_are_codes(value: str) -> None:
    """A code may be any printable text up to the limit."""
    assert judged((D, value, "K", 1)).valid["team"].to_pylist() == [value]


def test_empty_values_are_valid_unless_the_table_says_otherwise() -> None:
    """A reading without a value (empty, blank, NaN) is valid by default; `nulls: quarantine` refuses it."""
    rows = [(D, "T1", "K", None), (D, "T2", "K", ""), (D, "T3", "K", "NaN"), (D, "T4", "K", "0")]
    assert judged(*rows).valid["actual"].to_pylist() == [None, None, None, 0.0]
    strict = judged(*rows, nulls="quarantine")
    assert strict.valid["actual"].to_pylist() == [0.0]
    assert set(reasons(strict).values()) == {
        "actual: is missing",
        "actual: is missing ('')",
        "actual: is missing ('NaN')",
    }


def test_all_rows_of_a_doubled_key_are_quarantined() -> None:
    """Which of two readings of one key is right cannot be known: both go, also if one is at fault anyway."""
    found = judged((D, "T", "K", 1), (D, "T", "K", 2), (D, "U", "K", 1), (D, "V", "K", 1), ("2024-1-1", "V", "K", "x"))
    assert found.valid["team"].to_pylist() == ["U"]
    assert reasons(found) == {
        0: "date, team, kpi: stands in several rows ('2024-01-01, T, K')",
        1: "date, team, kpi: stands in several rows ('2024-01-01, T, K')",
        3: "date, team, kpi: stands in several rows ('2024-01-01, V, K')",
        4: "actual: is not a number ('x'); date, team, kpi: stands in several rows ('2024-01-01, V, K')",
    }


def test_identical_rows_are_doubles_too() -> None:
    """A row that stands twice, value and all, is a double like any other."""
    assert judged((D, "T", "K", 1), (D, "T", "K", 1)).valid.num_rows == 0


def test_an_incomplete_key_is_no_double() -> None:
    """Rows without a team are each missing it, and not doubles of each other."""
    assert reasons(judged((D, None, "K", 1), (D, None, "K", 1))) == {0: "team: is missing", 1: "team: is missing"}


def test_the_same_key_on_another_day_is_another_key() -> None:
    """Days are judged apart, though they are read together."""
    source = readings((D, "T", "K", 1), ("2024-01-02", "T", "K", 1))
    found = validate(raw_of(source, [D, "2024-01-02"]), for_readings(table_spec()))
    assert found.valid.num_rows == 2


def test_a_sub_tile_is_part_of_the_key() -> None:
    """Where a KPI has several values per team, the sub-tile tells them apart; without one the row is the KPI's own."""
    columns = {"date": "day", "team": "team_code", "kpi": "kpi_code", "actual": "value", "sub_tile": "tile"}
    source = readings(*[(D, "T", "K", 1)] * 5).append_column("tile", pa.array(["a", "b", None, "b", "c" * 300]))
    found = validate(raw_of(source), for_readings(table_spec(columns=columns)))
    assert found.valid["sub_tile"].to_pylist() == ["a", None]
    assert sorted(reasons(found)) == [1, 3, 4]
    both = readings(*[(D, "T", "K", 1)] * 2).append_column("tile", pa.array(["", None]))
    assert validate(raw_of(both), for_readings(table_spec(columns=columns))).valid.num_rows == 0


@pytest.mark.parametrize(
    ("grain", "partition", "days", "valid"),
    [
        ("weekly", "2024-01-01", ["2024-01-01", "2024-01-02", "2024-01-08"], 1),
        ("monthly", "2024-02-01", ["2024-02-01", "2024-02-29", "2024-03-01"], 1),
    ],
)
def test_weekly_and_monthly_readings_are_of_the_first_day(
    grain: str, partition: str, days: list[str], valid: int
) -> None:
    """A weekly reading is of a Monday, a monthly one of the 1st: another date is a mistake in the source."""
    source = readings(*[(text, f"T{at}", "K", 1) for at, text in enumerate(days)])
    found = validate(raw_of(source, partition), for_readings(table_spec(grain=grain)))
    assert found.valid.num_rows == valid
    words = {"weekly": "is not a Monday", "monthly": "is not the 1st of a month"}[grain]
    assert words in reasons(found)[1]
    assert reasons(found)[2] == f"date: is outside the partition ('{days[2]}')"


def test_rules_of_ones_own() -> None:
    """A user's rule quarantines what breaks it, only where it applies, and never an empty value."""
    rules = [
        {"column": "actual", "min": 0, "max": 100, "where": {"kpi": "pct"}},
        {"column": "actual", "min": -5, "where": {"kpi": ["delay", "late"], "team_code": "T9"}},
        {"column": "kpi", "one_of": ["pct", "delay"]},
        {"column": "team", "matches": "T[0-9]"},
        {"column": "actual", "required": True, "where": {"kpi": "delay"}},
    ]
    found = judged(
        (D, "T1", "pct", 101),
        (D, "T2", "pct", -1),
        (D, "T3", "pct", None),
        (D, "T9", "delay", -6),
        (D, "T8", "delay", -6),
        (D, "T4", "late", 1),
        (D, "T10", "delay", 1),
        (D, "T5", "delay", None),
        rules=rules,
    )
    assert found.valid["team"].to_pylist() == ["T3", "T8"]
    assert reasons(found) == {
        0: "actual: is above 100 ('101')",
        1: "actual: is below 0 ('-1')",
        3: "actual: is below -5 ('-6')",
        5: "kpi: is none of pct, delay ('late')",
        6: "team: does not match T[0-9] ('T10')",
        7: "actual: is missing",
    }


def test_rules_and_types_of_further_columns() -> None:
    """A further column gets the type that is declared, or that a rule about it implies."""
    source = readings(*[(D, f"T{at}", "K", 1) for at in range(4)])
    source = source.append_column("share", pa.array(["0.5", "2", "x", ""])).append_column(
        "since", pa.array(["2024-01-01", "", "?", None])
    )
    spec = table_spec(rules=[{"column": "share", "max": 1}], types={"since": "date"})
    found = validate(raw_of(source), for_readings(spec))
    assert found.valid.select(["share", "since"]).to_pylist() == [
        {"share": 0.5, "since": date(2024, 1, 1)},
        {"share": None, "since": None},
    ]
    assert reasons(found) == {
        1: "share: is above 1 ('2')",
        2: "since: is not a date ('?'); share: is not a number ('x')",
    }
    assert for_readings(spec).sources == ("day", "team_code", "kpi_code", "value", "since", "share")


def test_further_columns_with_our_names_keep_apart() -> None:
    """A further column whose name has a meaning here is called after its source."""
    source = readings((D, "T", "K", 1)).append_column("team", pa.array(["x"])).append_column("as_of", pa.array([5]))
    source = source.append_column("reasons", pa.array(["r"]))
    found = validate(raw_of(source), for_readings(table_spec()))
    (row,) = found.valid.to_pylist()
    assert (row["team"], row["source.team"], row["source.as_of"], row["reasons"]) == ("T", "x", 5, "r")
    bad = source.set_column(3, "value", pa.array(["x"]))
    (row,) = validate(raw_of(bad), for_readings(table_spec())).quarantine.to_pylist()
    assert (row["source.reasons"], row["reasons"]) == ("r", "actual: is not a number ('x')")


def test_a_mapped_column_may_have_one_of_our_names() -> None:
    """Even a source column called row or partition can be mapped, and means the source's."""
    source = readings((D, "T", "K", 5), names=("day", "row", "partition", "value"))
    spec = table_spec(columns={"date": "day", "team": "row", "kpi": "partition", "actual": "value"})
    (row,) = validate(raw_of(source), for_readings(spec)).valid.to_pylist()
    assert (row["row"], row["team"], row["kpi"]) == (0, "T", "K")


def test_an_unreadable_line_has_only_that_reason() -> None:
    """Of a line that could not be taken apart nothing else is known, so nothing else is said of it."""
    lines = pa.array([None, "line 3 of a.csv: too many columns ('a,b')"])
    source = readings((D, "T", "K", "1"), (None, None, None, None))
    found = validate(by_partition(source, pa.array([D, D]), lines), for_readings(table_spec()))
    assert reasons(found) == {1: "line: cannot be taken apart ('line 3 of a.csv: too many columns ('a,b')')"}
    assert found.valid.num_rows == 1


def test_broken_rules_are_counted_per_partition() -> None:
    """Each partition says how often which rule was broken, the most frequent first, with a few of the values."""
    rows = [(D, f"T{at}", "K", f"bad{at}") for at in range(9)] + [("2024-01-02", None, "K", 1), (D, None, "K", 1)]
    found = validate(
        raw_of(
            pa.table(
                [array_of(values) for values in zip(*rows, strict=True)],
                names=["day", "team_code", "kpi_code", "value"],
            ),
            [D] * 9 + ["2024-01-02", D],
        ),
        for_readings(table_spec()),
    )
    first, second = found.broken[D]
    assert (first.column, first.rule, first.count, first.samples) == (
        "actual",
        "type:number",
        9,
        ("bad0", "bad1", "bad2", "bad3", "bad4"),
    )
    assert (second.column, second.rule, second.count, second.samples) == ("team", "null", 1, ())
    assert [item.count for item in found.broken["2024-01-02"]] == [1]


def test_a_pandas_frame_may_be_given() -> None:
    """A frame of pandas is validated like an Arrow table, mixed columns included."""
    frame = pd.DataFrame({"day": [D, D], "team_code": ["T", "U"], "kpi_code": "K", "value": [1, "x"]})
    frame = pd.concat([pd.DataFrame({"partition": [D, D], "row": [0, 1], "unreadable": [None, None]}), frame], axis=1)
    found = validate(frame, for_readings(table_spec()))
    assert (found.valid.num_rows, reasons(found)) == (1, {1: "actual: is not a number ('x')"})


def test_no_rows_are_valid() -> None:
    """A day without rows has a valid table and a quarantine, both empty, with all their columns."""
    found = validate(raw_of(readings()), for_readings(table_spec()))
    assert (found.valid.num_rows, found.quarantine.num_rows) == (0, 0)
    assert found.valid.column_names == ["partition", "row", "date", "team", "kpi", "actual"]
    assert found.quarantine.column_names[:4] == ["partition", "row", "reasons", "rules"]


def test_the_schema_describes_the_valid_rows() -> None:
    """The contract's pandera schema names each column of the valid rows with its type, for the documentation."""
    schema = for_readings(table_spec()).schema
    assert {name: column.dtype.type.pyarrow_dtype for name, column in schema.columns.items()} == {
        "date": pa.date32(),
        "team": pa.string(),
        "kpi": pa.string(),
        "actual": pa.float64(),
    }
    assert all(column.description for column in schema.columns.values())
    assert [name for name, column in schema.columns.items() if column.nullable] == ["actual"]


def areas(*rows: tuple[Any, ...]) -> Validated:
    """Areas against their contract."""
    names = ["area_code", "area_name", "parent_code", "active", "tags"]
    source = pa.table([array_of(values) for values in zip(*rows, strict=True)], names=names)
    return validate(raw_of(source, "snapshot"), for_areas(area_spec()))


def test_areas_are_a_tree() -> None:
    """Parents exist and do not run in circles; whoever only hangs below a circle is not to blame."""
    found = areas(
        ("top", "Top", None, True, "a:1,b"),
        ("mid", "Mid", "top", "false", None),
        ("orphan", "Orphan", "nowhere", True, ""),
        ("a", "A", "c", True, None),
        ("b", "B", "a", True, None),
        ("c", "C", "b", True, None),
        ("below", "Below", "a", None, None),
        ("self", "Self", "self", True, None),
        ("root", "Root", "", "1", None),
    )
    assert found.valid.to_pylist()[:2] == [
        {
            "partition": "snapshot",
            "row": 0,
            "area_code": "top",
            "area_name": "Top",
            "parent_code": None,
            "active": True,
            "tags": "a:1,b",
        },
        {
            "partition": "snapshot",
            "row": 1,
            "area_code": "mid",
            "area_name": "Mid",
            "parent_code": "top",
            "active": False,
            "tags": None,
        },
    ]
    assert found.valid["area_code"].to_pylist() == ["top", "mid", "below", "root"]
    assert reasons(found) == {
        2: "parent_code: is no area of this table ('nowhere')",
        3: "parent_code: leads back to the area itself ('c')",
        4: "parent_code: leads back to the area itself ('a')",
        5: "parent_code: leads back to the area itself ('b')",
        7: "parent_code: leads back to the area itself ('self')",
    }


def test_areas_have_unique_codes_and_names() -> None:
    """An area needs a name of bearable length and a code of its own; a child of a bad area stays valid."""
    found = areas(
        ("x", "One", None, True, None),
        ("x", "Two", None, True, None),
        ("y", "n" * 256, None, True, None),
        ("z", None, None, "perhaps", None),
        ("child", "Child", "y", True, None),
    )
    assert found.valid["area_code"].to_pylist() == ["child"]
    assert reasons(found)[0] == "area_code: stands in several rows ('x')"
    assert reasons(found)[2].startswith("area_name: is longer than 255 characters")
    assert set(reasons(found)[3].split("; ")) == {
        "active: is neither true nor false ('perhaps')",
        "area_name: is missing",
    }


def test_tags_may_be_a_list() -> None:
    """Tags that the source holds as a list become text with commas; a comma inside one is refused."""
    found = areas(("a", "A", None, True, ["x:1", "y"]), ("b", "B", None, True, ["x,y"]), ("c", "C", None, True, []))
    assert found.valid["tags"].to_pylist() == ["x:1,y", None]
    assert reasons(found) == {1: "tags: is not a text ('[\"x,y\"]')"}


def test_a_long_chain_of_areas_is_no_problem() -> None:
    """Ten thousand areas in a chain, closed to a circle at the end, are judged at once."""
    size = 10_000
    found = areas(
        *[(str(at), "N", str((at + 1) % size), True, None) for at in range(size)], ("in", "N", "0", True, None)
    )
    assert found.valid["area_code"].to_pylist() == ["in"]


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["2024-01-01", "2024-01-02", "T1", "T2", "K", "1.5", "inf", "a\x00b", "9999-12-31", "🛩"]),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.binary(max_size=3),
    st.lists(st.text(max_size=2), max_size=2),
    st.dictionaries(st.text(max_size=2), st.integers(0, 3), max_size=1),
)
GOOD = st.tuples(st.just(D), st.sampled_from(["T1", "T2", "T3"]), st.sampled_from(["K1", "K2"]), st.floats(0, 1))
ROWS = st.lists(st.one_of(GOOD, st.tuples(JUNK, JUNK, JUNK, JUNK)), max_size=12)
SPECS = [
    table_spec(),
    table_spec(grain="weekly", nulls="quarantine"),
    table_spec(rules=[{"column": "actual", "max": 0.5, "where": {"team": "T1"}}, {"column": "kpi", "matches": "K."}]),
    table_spec(date_format="%d.%m.%Y", timezone="America/New_York"),
]


@settings(max_examples=examples(25), deadline=None)
@given(spec=st.sampled_from(SPECS), rows=ROWS)
def test_every_row_is_accounted_for(spec: Any, rows: list[tuple[Any, ...]]) -> None:
    """Whatever a source holds, valid and quarantined rows together are the extracted ones, each once, never a crash."""
    columns = [array_of(values) for values in zip(*rows, strict=True)] or [pa.nulls(0)] * 4
    raw = raw_of(pa.table(columns, names=["day", "team_code", "kpi_code", "value"]))
    found = validate(raw, for_readings(spec))
    assert sorted(found.valid["row"].to_pylist() + found.quarantine["row"].to_pylist()) == list(range(len(rows)))
    for row in found.quarantine.to_pylist():
        assert row["reasons"]
        assert len(row["rules"]) == len(set(row["rules"])) > 0
    counted = Counter(rule for row in found.quarantine["rules"].to_pylist() for rule in row)
    assert counted == {f"{item.column}/{item.rule}": item.count for item in found.broken.get(D, ())}
    for row in found.valid.to_pylist():
        assert row["team"].strip()
        assert row["actual"] is None or np.isfinite(row["actual"])


@pytest.mark.parametrize(
    "value",
    [
        Decimal("0.1"),
        2**62,
        -(10**25),
        1e308,
        np.float32(0.5),
        datetime(2024, 1, 1, tzinfo=UTC),
        [1],
        {"a": 1},
        b"\x00",
        True,
    ],
)
def test_extreme_values_are_judged(value: Any) -> None:
    """A value of any type and size is either a number or quarantined with its text."""
    found = judged((D, "T", "K", value))
    assert found.valid.num_rows + found.quarantine.num_rows == 1
    if found.valid.num_rows:
        assert found.valid["actual"].to_pylist() == [pytest.approx(float(value))]
    else:
        assert reasons(found)[0].startswith("actual: is not a number ('")


def test_a_hundred_thousand_bad_rows_are_judged_at_once() -> None:
    """Many bad rows are no other case than few: each has its reasons, and they are counted."""
    size = 100_000
    numbers = np.arange(size)
    source = pa.table(
        {
            "day": pa.array([D]).take(pa.array(np.zeros(size, int))),
            "team_code": pa.array(np.char.add("T", numbers.astype(str))),
            "kpi_code": pa.array(["K", " "]).take(pa.array(numbers % 2)),
            "value": pa.array(["x", "inf"]).take(pa.array(numbers % 2)),
        }
    )
    found = validate(raw_of(source), for_readings(table_spec()))
    assert (found.valid.num_rows, found.quarantine.num_rows) == (0, size)
    assert {(item.column, item.rule, item.count) for item in found.broken[D]} == {
        ("actual", "type:number", size // 2),
        ("actual", "number:finite", size // 2),
        ("kpi", "text:empty", size // 2),
    }
