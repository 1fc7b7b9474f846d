"""The whole way of a table into the store."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import csv
from upath import UPath

import pipelines
from pipelines.delivery.errors import ConfigurationError, TableError
from pipelines.tables.extract import Extracted, PartitionFacts, extract
from pipelines.tables.frames import records
from pipelines.tables.grains import SNAPSHOT, Calendar
from pipelines.tables.inspect import columns_of, dates_of
from pipelines.tables.spec import AnyTable, AreaTableSpec, TableSpec
from pipelines.tables.store import PartitionStore
from tests.examples import examples
from tests.tables.helpers import COLUMNS, NOW, area_spec, day, local, readings, table_spec, write_parquet

SAMPLE = Path(pipelines.__file__).parent


@pytest.fixture
def store(tmp_path: Path) -> PartitionStore:
    """An empty store."""
    return PartitionStore(tmp_path / "store")


def extracted(spec: AnyTable, base: Path, store: PartitionStore, *partitions: str, **environ: str) -> Extracted:
    """An extract at a fixed time."""
    return extract(spec, partitions, base=base, store=store, environ=environ, now=NOW)


def stored(store: PartitionStore, asset: str, *partitions: str) -> list[dict[str, Any]]:
    """The stored rows."""
    return list(records(store.read(asset, partitions)))


def flights(**changes: Any) -> TableSpec:
    """The sample table, as it is delivered."""
    return TableSpec.model_validate(
        {
            "name": "flight_kpis",
            "source": {"files": "sample/kpi_readings.parquet"},
            "catalogues": {"kpi": "sample/kpis.parquet", "team": "sample/teams.parquet"},
            "start": "2013-01-01",
            "timezone": "America/New_York",
            "columns": {"date": "reading_date", "team": "team_code", "kpi": "kpi_code", "actual": "value"},
            **changes,
        }
    )


def test_the_sample_table_is_extracted_whole(store: PartitionStore) -> None:
    """A year of the sample gives every row of every day, joined with both catalogues and without a fault."""
    spec = flights()
    keys = Calendar.of(spec).keys("2013-01-01", "2013-12-31")
    found = extracted(spec, SAMPLE, store, *keys)
    assert list(found.partitions) == keys
    assert sum(facts.extracted for facts in found.partitions.values()) == 59278
    assert all(
        facts.valid == facts.extracted == store.rows("flight_kpis_valid", key)
        for key, facts in found.partitions.items()
    )
    assert (found.failed, found.undated.count) == ({}, 0)
    first = stored(store, "flight_kpis_valid", "2013-01-01")[0]
    assert first | {"valuestreamer_team_id": "", "valuestreamer_kpi_id": "", "valuestreamer_actual_id": ""} == {
        "row": 0,
        "partition": "2013-01-01",
        "as_of": "2013-01-01",
        "date": day("2013-01-01"),
        "team": "EWR-AA",
        "kpi": "departures",
        "actual": 10.0,
        "kpi_name": "Departures",
        "unit": "flights",
        "whole_number": True,
        "target": None,
        "valuestreamer_kpi_id": "",
        "valuestreamer_actual_id": "",
        "valuestreamer_target_id": None,
        "team_name": "American Airlines Inc. at EWR",
        "valuestreamer_team_id": "",
        "dnsimple_resource": "domain:102",
    }
    everything = store.read("flight_kpis_valid", keys, ["team_name", "unit"])
    assert everything.isna().sum().sum() == 0


def test_the_sample_areas_are_extracted_whole(store: PartitionStore) -> None:
    """The sample's areas are one valid snapshot, as of the time of the extract."""
    spec = AreaTableSpec.model_validate({"name": "areas", "source": {"files": "sample/areas.parquet"}})
    found = extracted(spec, SAMPLE, store, SNAPSHOT)
    assert found.partitions[SNAPSHOT].valid == 39
    rows = stored(store, "areas_valid", SNAPSHOT)
    assert rows[0] == {
        "row": 0,
        "partition": SNAPSHOT,
        "as_of": "2026-03-01T12:30:00.000000Z",
        "area_code": "NYC",
        "area_name": "New York City airports",
        "parent_code": None,
        "active": True,
        "tags": None,
    }
    assert {row["active"] for row in rows} == {True, False}


def database(tmp_path: Path, table: pa.Table) -> dict[str, str]:
    """The same readings in a SQLite database; returns the environment."""
    url = f"sqlite:///{tmp_path / 'mart.db'}"
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("create table kpi (day text, team_code text, kpi_code text, value real)"))
        for row in table.to_pylist():
            values = {**row, "day": row["day"].isoformat()}
            connection.execute(sa.text("insert into kpi values (:day, :team_code, :kpi_code, :value)"), values)
    engine.dispose()
    return {"MART_URL": url}


@pytest.mark.parametrize(
    "source",
    [
        {"files": "kpi.parquet"},
        {"files": "kpi.csv"},
        {"files": "*.parquet"},
        {"files": "daily/{date}.csv"},
        {"duckdb": "m.duckdb", "table": "kpi"},
        {"database_env": "MART_URL", "table": "kpi"},
    ],
)
def test_every_kind_of_source_gives_the_same_rows(
    tmp_path: Path, store: PartitionStore, source: dict[str, str]
) -> None:
    """Parquet, CSV, files per day, DuckDB, a database: the same readings become the same valid rows and quarantine."""
    table = readings(
        (day("2024-01-01"), "T1", "K", 1.5),
        (day("2024-01-02"), "T1", "K", 2.0),
        (day("2024-01-02"), " ", "K", 3.0),
        (day("2024-01-02"), "T2", "K", None),
        (day("2024-01-04"), "T1", "K", 4.0),
    )
    write_parquet(tmp_path / "kpi.parquet", table)
    (tmp_path / "daily").mkdir()
    with duckdb.connect(str(tmp_path / "m.duckdb")) as connection:
        connection.register("readings", table)
        connection.execute("create table kpi as select * from readings")
        connection.execute(f"copy readings to '{tmp_path / 'kpi.csv'}' (header)")
        for key in ("2024-01-01", "2024-01-02", "2024-01-03"):
            where = f"select * from readings where day = '{key}'"
            connection.execute(f"copy ({where}) to '{tmp_path / 'daily' / key}.csv' (header)")
    keys = ["2024-01-01", "2024-01-02", "2024-01-03"]
    found = extracted(table_spec(source=source), tmp_path, store, *keys, **database(tmp_path, table))
    assert found.failed == {}
    assert [(facts.extracted, facts.valid, facts.quarantined) for facts in found.partitions.values()] == [
        (1, 1, 0),
        (3, 2, 1),
        (0, 0, 0),
    ]
    rows = stored(store, "kpis_valid", *keys)
    assert [(row["partition"], row["row"], row["date"], row["as_of"], row["team"], row["actual"]) for row in rows] == [
        ("2024-01-01", 0, day("2024-01-01"), "2024-01-01", "T1", 1.5),
        ("2024-01-02", 0, day("2024-01-02"), "2024-01-02", "T1", 2.0),
        ("2024-01-02", 2, day("2024-01-02"), "2024-01-02", "T2", None),
    ]
    (bad,) = stored(store, "kpis_quarantine", *keys)
    assert (bad["partition"], bad["row"], bad["reasons"]) == ("2024-01-02", 1, "team: is an empty text (' ')")
    assert store.rows("kpis", "2024-01-02") == 3
    assert columns_of(table_spec(source=source), base=tmp_path, environ=database_url(tmp_path)) == list(rows[0])


def database_url(tmp_path: Path) -> dict[str, str]:
    """The environment of `database`."""
    return {"MART_URL": f"sqlite:///{tmp_path / 'mart.db'}"}


def test_a_failed_day_leaves_what_the_store_held(tmp_path: Path, store: PartitionStore) -> None:
    """A day whose file cannot be used fails alone: its former rows stay; the others are stored."""
    spec = table_spec(source={"files": "kpi_{date}.csv"})
    for number in (1, 2):
        (tmp_path / f"kpi_2024-01-0{number}.csv").write_text(f"day,team_code,kpi_code,value\n2024-01-0{number},T,K,1\n")
    extracted(spec, tmp_path, store, "2024-01-01", "2024-01-02")
    (tmp_path / "kpi_2024-01-01.csv").unlink()
    (tmp_path / "kpi_2024-01-02.csv").write_text("day,team_code,kpi_code,value\n2024-01-02,T,K,2\n")
    found = extracted(spec, tmp_path, store, "2024-01-01", "2024-01-02", "2024-01-03")
    assert list(found.failed) == ["2024-01-01", "2024-01-03"]
    assert "there is no file" in str(found.partitions["2024-01-01"].failed)
    assert [row["actual"] for row in stored(store, "kpis_valid", "2024-01-01", "2024-01-02")] == [1.0, 2.0]
    assert not store.exists("kpis", "2024-01-03")
    assert found.failed["2024-01-01"].facts["partitions"] == ["2024-01-01"]


def test_when_all_days_fail_nothing_is_stored(tmp_path: Path, store: PartitionStore) -> None:
    """A range of which no file can be used stores nothing and says so per day."""
    found = extracted(table_spec(source={"files": "{date}.parquet"}), tmp_path, store, "2024-01-01", "2024-01-02")
    assert list(found.failed) == ["2024-01-01", "2024-01-02"]
    assert store.partitions("kpis") == []


def test_a_source_that_cannot_be_used_stores_nothing(tmp_path: Path, store: PartitionStore) -> None:
    """An error of the whole source, or of a catalogue, comes before anything is stored."""
    with pytest.raises(TableError):
        extracted(table_spec(), tmp_path, store, "2024-01-01")
    write_parquet(tmp_path / "kpi.parquet", readings((day("2024-01-01"), "T", "K", 1.0)))
    with pytest.raises(TableError, match="catalogue kpi"):
        extracted(table_spec(catalogues={"kpi": "kpis.csv"}), tmp_path, store, "2024-01-01")
    assert store.partitions("kpis") == []


def test_an_empty_day_is_fine_or_not(tmp_path: Path, store: PartitionStore) -> None:
    """A day without rows among others is stored empty, or fails where the table says that no day may be empty."""
    write_parquet(tmp_path / "kpi.parquet", readings((day("2024-01-01"), "T", "K", 1.0)))
    keys = ("2024-01-01", "2024-01-02")
    assert extracted(table_spec(), tmp_path, store, *keys).partitions["2024-01-02"].extracted == 0
    assert store.rows("kpis_valid", "2024-01-02") == 0
    found = extracted(table_spec(name="strict", empty_days="fail"), tmp_path, store, *keys)
    assert "kpi.parquet has no row for 2024-01-02" in str(found.failed["2024-01-02"])
    assert store.partitions("strict") == ["2024-01-01"]


def test_the_same_extract_twice_gives_the_same_store(tmp_path: Path, store: PartitionStore) -> None:
    """Extracting unchanged data again changes nothing; doubled keys in the call are one partition."""
    write_parquet(
        tmp_path / "kpi.parquet", readings(*[(day("2024-01-01"), f"T{at}", "K", float(at)) for at in range(50)])
    )
    extracted(table_spec(), tmp_path, store, "2024-01-01", "2024-01-01")
    before = {path: path.read_bytes() for path in Path(str(store.root)).rglob("*.parquet")}
    extracted(table_spec(), tmp_path, store, "2024-01-01")
    assert before == {path: path.read_bytes() for path in Path(str(store.root)).rglob("*.parquet")}
    assert len(before) == 3


def test_a_day_of_a_clock_change_has_its_own_rows(tmp_path: Path, store: PartitionStore) -> None:
    """Instants around the short and the long day of a year each go to the day that clocks there showed."""
    march = ["2024-03-10T04:59Z", "2024-03-10T05:00Z", "2024-03-11T03:59Z", "2024-03-11T04:00Z"]
    november = ["2024-11-03T04:00Z", "2024-11-04T04:59Z", "2024-11-04T05:00Z"]
    rows = [(local(text), f"T{at}", "K", 1.0) for at, text in enumerate(march + november)]
    write_parquet(tmp_path / "kpi.parquet", readings(*rows))
    keys = ["2024-03-09", "2024-03-10", "2024-03-11", "2024-11-03", "2024-11-04"]
    found = extracted(table_spec(timezone="America/New_York"), tmp_path, store, *keys)
    assert [facts.valid for facts in found.partitions.values()] == [1, 2, 1, 2, 1]
    assert [row["date"].isoformat() for row in stored(store, "kpis_valid", *keys)] == [
        *["2024-03-09", "2024-03-10", "2024-03-10", "2024-03-11"],
        *["2024-11-03", "2024-11-03", "2024-11-04"],
    ]


def test_a_snapshot_is_as_of_its_column_or_its_extract(tmp_path: Path, store: PartitionStore) -> None:
    """A snapshot's rows are as of a column of theirs, else of the extract; the date follows in the table's zone."""
    (tmp_path / "now.csv").write_text(
        "team_code,kpi_code,value,at\nT1,K,1,2024-01-01T23:30:00Z\nT2,K,2,2024-01-01\nT3,K,3,?\nT4,K,4,\n"
    )
    columns = {"team": "team_code", "kpi": "kpi_code", "actual": "value"}
    base: dict[str, Any] = {
        "source": {"files": "now.csv"},
        "grain": "snapshot",
        "start": None,
        "timezone": "Europe/Berlin",
    }
    extracted(table_spec(**base, columns={**columns, "as_of": "at"}), tmp_path, store, SNAPSHOT)
    rows = stored(store, "kpis_valid", SNAPSHOT)
    assert [(row["as_of"], row["date"]) for row in rows] == [
        ("2024-01-01T23:30:00.000000Z", day("2024-01-02")),
        ("2024-01-01", day("2024-01-01")),
    ]
    assert [row["reasons"] for row in stored(store, "kpis_quarantine", SNAPSHOT)] == [
        "as_of: is not a date or time ('?')",
        "as_of: is missing",
    ]
    extracted(table_spec(**base, columns=columns), tmp_path, store, SNAPSHOT)
    rows = stored(store, "kpis_valid", SNAPSHOT)
    assert {(row["as_of"], row["date"]) for row in rows} == {("2026-03-01T12:30:00.000000Z", day("2026-03-01"))}
    assert rows[0]["at"] == "2024-01-01T23:30:00Z"


def test_files_per_day_need_no_date_column(tmp_path: Path, store: PartitionStore) -> None:
    """Where the file's name says the day, the rows need not."""
    (tmp_path / "2024-01-01.csv").write_text("team_code,kpi_code,value\nT,K,1\n")
    columns = {"team": "team_code", "kpi": "kpi_code", "actual": "value"}
    extracted(table_spec(source={"files": "{date}.csv"}, columns=columns), tmp_path, store, "2024-01-01")
    (row,) = stored(store, "kpis_valid", "2024-01-01")
    assert (row["date"], row["as_of"]) == (day("2024-01-01"), "2024-01-01")


def test_undated_rows_are_handed_on(tmp_path: Path, store: PartitionStore) -> None:
    """Rows that belong to no partition are part of what an extract reports."""
    write_parquet(tmp_path / "kpi.parquet", readings((day("2024-01-01"), "T", "K", 1.0), (None, "T", "K", 2.0)))
    found = extracted(table_spec(), tmp_path, store, "2024-01-01")
    assert (found.undated.count, found.partitions["2024-01-01"].extracted) == (1, 1)


def test_what_is_wrong_with_a_catalogue_is_handed_on(tmp_path: Path, store: PartitionStore) -> None:
    """A reading stays valid when its code's line is bad or missing; the catalogue's bad lines are reported."""
    write_parquet(
        tmp_path / "kpi.parquet", readings((day("2024-01-01"), "T", "K", 1.0), (day("2024-01-01"), "T", "L", 2.0))
    )
    (tmp_path / "kpis.csv").write_text("kpi_code,unit\nK,%\nL,a\nL,b\n")
    found = extracted(table_spec(catalogues={"kpi": "kpis.csv"}), tmp_path, store, "2024-01-01")
    assert found.partitions["2024-01-01"].valid == 2
    assert [row["unit"] for row in stored(store, "kpis_valid", "2024-01-01")] == ["%", None]
    assert [(item.rule, item.count) for item in found.catalogues["kpi"].broken] == [("key:duplicate", 2)]
    assert found.catalogues["kpi"].quarantine.num_rows == 2


def test_a_store_at_an_address(tmp_path: Path) -> None:
    """Extracts go to an object store as they go to a folder."""
    store = PartitionStore(UPath(f"memory://{tmp_path.name}/store"))
    write_parquet(tmp_path / "kpi.parquet", readings((day("2024-01-01"), "T", "K", 1.0)))
    extracted(table_spec(), tmp_path, store, "2024-01-01")
    assert [row["team"] for row in stored(store, "kpis_valid", "2024-01-01")] == ["T"]


def test_a_wrong_partition_is_refused(tmp_path: Path, store: PartitionStore) -> None:
    """A key that is no partition of the table is a mistake of the caller, told before anything is read."""
    with pytest.raises(ConfigurationError, match="is no weekly partition"):
        extracted(table_spec(grain="weekly"), tmp_path, store, "2024-01-02")
    with pytest.raises(ConfigurationError, match="the table has no partitions"):
        extracted(area_spec(), tmp_path, store, "2024-01-02")


FIELD = st.sampled_from(
    [
        "2024-01-01",
        "2024-01-02",
        "2024-01-03",
        "T",
        "U",
        "K",
        "1",
        "nan",
        "inf",
        '"a',
        'b"',
        "",
        "ü",
        "x,y",
        "\x00",
        "\n",
    ]
)


@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(FIELD, min_size=1, max_size=6), max_size=8), st.sampled_from(["kpi.csv", "kpi_{date}.csv"]))
def test_any_file_is_accounted_for(tmp_path: Path, lines: list[list[str]], files: str) -> None:
    """Whatever stands in a CSV file, no extract crashes, and each extracted row is valid or in quarantine, once.

    Only a quotation mark that swallows the lines after it fails the file.
    """
    store = PartitionStore(tmp_path / "store")
    rows = ["day,team_code,kpi_code,value", "2024-01-01,Z,Z,1", *(",".join(line) for line in lines)]
    path = tmp_path / files.replace("{date}", "2024-01-01")
    path.write_text("\n".join(rows), encoding="utf-8", newline="")
    quoted = any('"' in field for line in lines for field in line)
    try:
        facts = extracted(table_spec(source={"files": files}), tmp_path, store, "2024-01-01").partitions["2024-01-01"]
    except TableError as error:
        facts = PartitionFacts("2024-01-01", failed=error)
    if facts.failed is not None:
        assert quoted
        assert "a quotation mark that is not closed" in str(facts.failed)
        return
    assert facts.extracted == facts.valid + facts.quarantined
    numbers = [row["row"] for name in ("kpis_valid", "kpis_quarantine") for row in stored(store, name, "2024-01-01")]
    assert sorted(numbers) == list(range(facts.extracted))
    assert sorted(row["row"] for row in stored(store, "kpis", "2024-01-01")) == sorted(numbers)
    if files == "kpi_{date}.csv" and not quoted:
        assert facts.extracted == 1 + sum(line != "" for line in "\n".join(rows[2:]).split("\n"))


def test_the_columns_of_a_table_are_those_of_its_rows(tmp_path: Path, store: PartitionStore) -> None:
    """What `pipelines check` learns of a table's columns, without reading rows, is what an extract stores."""
    spec = flights()
    extracted(spec, SAMPLE, store, "2013-01-01")
    found = columns_of(spec, base=SAMPLE, environ={})
    assert found == list(store.read("flight_kpis_valid", ["2013-01-01"]).columns)
    areas = AreaTableSpec.model_validate({"name": "areas", "source": {"files": "sample/areas.parquet"}})
    extracted(areas, SAMPLE, store, SNAPSHOT)
    assert columns_of(areas, base=SAMPLE, environ={}) == list(store.read("areas_valid", [SNAPSHOT]).columns)
    with pytest.raises(TableError, match=r"kpi_readings.parquet has no column 'amount'"):
        columns_of(flights(types={"amount": "number"}), base=SAMPLE, environ={})


@pytest.mark.parametrize(
    ("source", "changes"), [({"files": "kpi_{date}.parquet"}, {}), ({"files": "kpi.parquet"}, {"grain": "snapshot"})]
)
def test_rows_that_need_no_date_of_their_own_are_not_looked_through(
    tmp_path: Path, source: dict[str, str], changes: dict[str, str]
) -> None:
    """Files of one partition each and snapshots have no undated rows, so nobody looks for them."""
    start = None if changes else "2024-01-01"
    columns = {name: value for name, value in COLUMNS.items() if name != "date"}
    spec = table_spec(source=source, columns=columns, start=start, **changes)
    assert dates_of(spec, base=tmp_path, environ={}) is None


@pytest.mark.parametrize("kind", ["csv", "parquet", "duckdb", "database"])
def test_the_dates_of_a_source(tmp_path: Path, kind: str) -> None:
    """Every kind of source tells its first and last date and its rows without one, without an extract."""
    rows = readings(("2024-01-03", "T", "K", 1.0), ("soon", "T", "K", 2.0), ("2024-01-01", "T", "K", 3.0))
    source: dict[str, str] = {"files": f"kpi.{kind}"}
    if kind == "csv":
        csv.write_csv(rows, tmp_path / "kpi.csv")
    elif kind == "parquet":
        write_parquet(tmp_path / "kpi.parquet", rows)
    else:
        source = (
            {"duckdb": "mart.duckdb", "table": "kpi"} if kind == "duckdb" else {"database_env": "D", "table": "kpi"}
        )
        fill = duckdb.connect(tmp_path / "mart.duckdb") if kind == "duckdb" else sqlite3.connect(tmp_path / "mart.db")
        fill.execute("create table kpi (day text, team_code text, kpi_code text, value double)")
        for row in rows.to_pylist():
            fill.execute("insert into kpi values (?, ?, ?, ?)", list(row.values()))
        fill.commit()
        fill.close()
    found = dates_of(table_spec(source=source), base=tmp_path, environ={"D": f"sqlite:///{tmp_path}/mart.db"})
    assert found is not None
    assert (found.first, found.last, found.undated.count) == ("2024-01-01", "2024-01-03", 1)
    assert found.undated.sample[0]["day"] == "soon"


def test_a_german_export(tmp_path: Path, store: PartitionStore) -> None:
    """Semicolons, decimal commas, points in thousands, Excel's BOM, ja and nein, in readings and catalogue alike."""
    (tmp_path / "kpi.csv").write_text(
        "Datum;Linie;Kennzahl;Istwert\r\n31.12.2025;L1;oee;1.234,5\r\n31.12.2025;L2;oee;7.5\r\n", encoding="utf-8-sig"
    )
    (tmp_path / "kennzahlen.csv").write_text("Kennzahl;target;whole_number\noee;87,5;nein\n")
    notation = {"decimal": ",", "thousands": "."}
    spec = table_spec(
        source={"files": "kpi.csv", **notation},
        catalogues={"kpi": {"files": "kennzahlen.csv", "false_words": ["nein"], **notation}},
        columns={"date": "Datum", "team": "Linie", "kpi": "Kennzahl", "actual": "Istwert"},
        date_format="%d.%m.%Y",
    )
    found = extracted(spec, tmp_path, store, "2025-12-31")
    (row,) = stored(store, "kpis_valid", "2025-12-31")
    assert (row["team"], row["actual"], row["target"], row["whole_number"]) == ("L1", 1234.5, 87.5, False)
    (broken,) = found.partitions["2025-12-31"].broken
    assert (broken.column, broken.rule, broken.samples) == ("actual", "type:number", ("7.5",))
