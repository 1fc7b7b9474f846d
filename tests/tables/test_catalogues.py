"""Catalogues: read, validated, joined to the readings."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.errors import ConfigurationError, MissingSetting, TableError
from pipelines.tables.catalogues import Catalogue, join_all, load
from tests.tables.helpers import day, table_spec, write_parquet


def loaded(base: Path, catalogue: Any, name: str = "kpi", **changes: Any) -> Catalogue:
    """One catalogue of a table."""
    return load(table_spec(catalogues={name: catalogue}, **changes), name, base=base, environ={})


def valid(*rows: tuple[str, str], **further: list[Any]) -> pa.Table:
    """Valid readings of a team and a KPI each."""
    table = pa.table(
        {
            "date": pa.array([day("2024-01-01")] * len(rows)),
            "team": [team for team, _ in rows],
            "kpi": [kpi for _, kpi in rows],
        }
    )
    for name, values in further.items():
        table = table.append_column(name, pa.array(values))
    return table


def test_the_key_has_the_readings_name_in_their_source(tmp_path: Path) -> None:
    """Without `key`, a catalogue's code stands in the column of the readings' source name; types survive the join."""
    write_parquet(
        tmp_path / "kpis.parquet",
        pa.table(
            {"kpi_code": ["K1", "K2"], "whole_number": [True, None], "digits": pa.array([2, None]), "unit": ["%", None]}
        ),
    )
    joined = join_all(valid(("T", "K2"), ("T", "K1"), ("T", "K3")), [loaded(tmp_path, "kpis.parquet")])
    assert joined.select(["kpi", "whole_number", "digits", "unit"]).to_pylist() == [
        {"kpi": "K2", "whole_number": None, "digits": None, "unit": None},
        {"kpi": "K1", "whole_number": True, "digits": 2, "unit": "%"},
        {"kpi": "K3", "whole_number": None, "digits": None, "unit": None},
    ]
    assert joined.schema.field("digits").type == pa.int64()


def test_joined_columns_keep_the_catalogues_order(tmp_path: Path) -> None:
    """The columns of a catalogue come in its own order, typed ones and others, whatever they are called."""
    (tmp_path / "kpis.csv").write_text("row,unit,target,kpi_code,unreadable,whole_number\n1,%,5,K,u,no\n")
    joined = join_all(valid(("T", "K")), [loaded(tmp_path, "kpis.csv")])
    assert list(joined.to_pylist()[0].values())[3:] == ["1", "%", 5.0, "u", False]
    assert joined.column_names[3:] == ["source.row", "unit", "target", "source.unreadable", "whole_number"]


def test_a_code_matches_whatever_its_type(tmp_path: Path) -> None:
    """A code that is a number in one place and a text in the other is the same code."""
    write_parquet(tmp_path / "kpis.parquet", pa.table({"code": [7, 8], "unit": ["%", "min"]}))
    catalogue = loaded(tmp_path, {"files": "kpis.parquet", "key": "code"})
    assert join_all(valid(("T", "7"), ("T", "9")), [catalogue])["unit"].to_pylist() == ["%", None]


def test_known_columns_of_a_csv_have_types(tmp_path: Path) -> None:
    """In a CSV file, target and whole_number have their types, others those that are declared."""
    (tmp_path / "kpis.csv").write_text("kpi_code,target,whole_number,digits,since\nK1,80.5,yes,2,2024-01-01\nK2,,,,\n")
    catalogue = loaded(tmp_path, {"files": "kpis.csv", "types": {"digits": "number", "since": "date"}})
    joined = join_all(valid(("T", "K1"), ("T", "K2")), [catalogue])
    assert joined.select(["target", "whole_number", "digits", "since"]).to_pylist() == [
        {"target": 80.5, "whole_number": True, "digits": 2.0, "since": day("2024-01-01")},
        {"target": None, "whole_number": None, "digits": None, "since": None},
    ]


def test_bad_rows_of_a_catalogue_are_quarantined(tmp_path: Path) -> None:
    """A line whose code is missing or stands twice, or whose target is no number, is quarantined."""
    (tmp_path / "kpis.csv").write_text("kpi_code,target\nK1,1\nK2,2\nK2,3\n,4\nK3,many\nbroken\n")
    catalogue = loaded(tmp_path, "kpis.csv")
    assert catalogue.rows.to_pylist() == [{"kpi_code": "K1", "target": 1.0}]
    assert {row["row"]: row["reasons"] for row in catalogue.quarantine.to_pylist()} == {
        1: "kpi_code: stands in several rows ('K2')",
        2: "kpi_code: stands in several rows ('K2')",
        3: "kpi_code: is missing",
        4: "target: is not a number ('many')",
        5: "line: cannot be taken apart ('line 7 of kpis.csv: missing columns ('broken')')",
    }
    assert sum(item.count for item in catalogue.broken) == 5
    joined = join_all(valid(("T", "K1"), ("T", "K2")), [catalogue])
    assert joined["target"].to_pylist() == [1.0, None]


def test_names_that_meet_are_told_apart(tmp_path: Path) -> None:
    """A column name that readings or another catalogue have too is prefixed with the catalogue's; others stay bare."""
    write_parquet(
        tmp_path / "kpis.parquet", pa.table({"kpi_code": ["K"], "name": ["Kpi"], "unit": ["%"], "sub_tile": ["s"]})
    )
    write_parquet(
        tmp_path / "teams.parquet", pa.table({"team_code": ["T"], "name": ["Team"], "note": ["n"], "kpi": ["?"]})
    )
    both = [loaded(tmp_path, "kpis.parquet"), loaded(tmp_path, "teams.parquet", "team")]
    joined = join_all(valid(("T", "K"), note=["reading"]), both)
    assert joined.column_names == [
        *["date", "team", "kpi", "note"],
        *["kpi.name", "unit", "kpi.sub_tile"],
        *["team.name", "team.note", "team.kpi"],
    ]


def test_a_catalogue_may_be_joined_to_any_column(tmp_path: Path) -> None:
    """`join` names the readings' column, so that two catalogues can describe one code, or one a further column."""
    write_parquet(tmp_path / "plants.parquet", pa.table({"plant": [1, 2], "city": ["Bonn", "Rome"]}))
    catalogue = loaded(tmp_path, "plants.parquet", "plant")
    joined = join_all(valid(("T", "K"), ("T", "L"), plant=[2, None]), [catalogue])
    assert joined["city"].to_pylist() == ["Rome", None]
    write_parquet(tmp_path / "more.parquet", pa.table({"kpi_code": ["K"], "owner": ["me"]}))
    more = loaded(tmp_path, {"files": "more.parquet", "join": "kpi"}, "owners")
    assert join_all(valid(("T", "K")), [more])["owner"].to_pylist() == ["me"]
    with pytest.raises(ConfigurationError, match="the readings have no column 'plant' to join it to"):
        join_all(valid(("T", "K")), [catalogue])


def test_the_newest_line_that_has_begun_counts(tmp_path: Path) -> None:
    """With valid_from, a reading takes the newest line that began by its date; before the first there is none."""
    (tmp_path / "targets.csv").write_text(
        "kpi_code,valid_from,target\nK,2024-01-10,2\nK,2024-01-01,1\nL,,7\nL,2024-01-05,8\nK,2024-01-01,9\nM,2024-01-01,x\n"
    )
    (tmp_path / "ok.csv").write_text(
        "kpi_code,valid_from,target\nK,2024-01-10,2\nK,2024-01-01,1\nL,,7\nL,2024-01-05,8\n"
    )
    catalogue = loaded(tmp_path, "ok.csv")
    days = ["2023-12-31", "2024-01-01", "2024-01-09", "2024-01-10", "2030-01-01"]
    readings = pa.table(
        {
            "date": pa.array([day(text) for text in days] * 2),
            "team": ["T"] * 10,
            "kpi": ["K"] * 5 + ["L"] * 5,
        }
    )
    joined = join_all(readings, [catalogue])
    assert joined["target"].to_pylist() == [None, 1, 1, 2, 2, 7, 7, 8, 8, 8]
    assert "valid_from" not in joined.column_names
    doubled = loaded(tmp_path, "targets.csv")
    assert {row["kpi_code"] for row in doubled.quarantine.to_pylist()} == {"K", "M"}
    assert doubled.rows["target"].to_pylist() == [2.0, 7.0, 8.0]


def test_the_beginning_may_have_another_name(tmp_path: Path) -> None:
    """`valid_from` names the column with the beginning."""
    (tmp_path / "targets.csv").write_text("kpi_code,since,target\nK,2024-01-01,1\nK,2024-02-01,2\n")
    catalogue = loaded(tmp_path, {"files": "targets.csv", "valid_from": "since"})
    assert join_all(valid(("T", "K")), [catalogue])["target"].to_pylist() == [1.0]
    with pytest.raises(TableError, match="has no column 'begin'"):
        loaded(tmp_path, {"files": "targets.csv", "valid_from": "begin"})


LINES = st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.none(), st.integers(0, 20))), unique=True, max_size=8)
ASKED = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20)), max_size=8)


@given(LINES, ASKED)
def test_every_reading_finds_its_line(lines: list[tuple[str, int | None]], asked: list[tuple[str, int]]) -> None:
    """The line found is the one that a person would choose, for any catalogue and any dates, far past or future."""
    start = date(1, 1, 1)
    rows = pa.table(
        {
            "code": pa.array([code for code, _ in lines], pa.string()),
            "since": pa.array([None if at is None else start + timedelta(days=at) for _, at in lines], pa.date32()),
            "line": pa.array(range(len(lines)), pa.int64()),
        }
    )
    catalogue = Catalogue("c", "kpi", "code", "since", rows, pa.table({}), ())
    readings = pa.table(
        {
            "kpi": pa.array([code for code, _ in asked], pa.string()),
            "date": pa.array([start + timedelta(days=at) for _, at in asked], pa.date32()),
        }
    )
    begun = [
        max(
            (-1 if at is None else at, line)
            for line, (code, at) in enumerate(lines)
            if code == wanted and (at or 0) <= on
        )
        if any(code == wanted and (at or 0) <= on for code, at in lines)
        else None
        for wanted, on in asked
    ]
    assert join_all(readings, [catalogue])["line"].to_pylist() == [item and item[1] for item in begun]


def test_a_catalogue_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A catalogue that is not there, empty or without its key is an error that names table and catalogue."""
    with pytest.raises(TableError, match=r"table kpis, catalogue kpi: there is no file kpis.csv"):
        loaded(tmp_path, "kpis.csv")
    (tmp_path / "kpis.csv").write_text("code,target\nK,1\n")
    with pytest.raises(TableError, match=r"kpis.csv has no column 'kpi_code'; it has code, target"):
        loaded(tmp_path, "kpis.csv")
    (tmp_path / "empty.csv").write_text("kpi_code,target\n")
    with pytest.raises(TableError, match=r"empty.csv holds no row"):
        loaded(tmp_path, "empty.csv")
    with pytest.raises(MissingSetting, match="MART_URL"):
        loaded(tmp_path, {"database_env": "MART_URL", "table": "kpis"})
