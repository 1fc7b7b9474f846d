"""Files: what is read of them, and what becomes of those that cannot be read."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.delivery.errors import ConfigurationError, TableError
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.source_spec import SourceSpec
from pipelines.tables.sources import Harvest, columns, files, read
from pipelines.tables.sources.file_reader import FileReader
from pipelines.tables.sources.places import Place
from tests.tables.helpers import day, readings, table_spec, wanted, write_parquet

CSV = "day,team_code,kpi_code,value\n"


def harvest(base: Path, source: dict[str, Any], *partitions: str, **changes: Any) -> Harvest:
    """What an extract of the table finds."""
    spec = table_spec(source=source, **changes)
    date_column = None if spec.source.per_partition or spec.grain == SNAPSHOT else spec.columns.date
    return read(spec.source, wanted(*partitions, spec=spec, date_column=date_column), base=base, environ={})


def rows(found: Harvest) -> list[tuple[Any, ...]]:
    """Partition, row and the source's columns of each row."""
    return [tuple(row[name] for name in row if name != "unreadable") for row in found.table.to_pylist()]


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    """An object store, empty before and after."""
    fs = fsspec.filesystem("memory")
    yield fs
    fs.rm("/", recursive=True)


def test_only_the_window_is_read(tmp_path: Path) -> None:
    """Of one Parquet file only the wanted days come, numbered within each of them in the order of the file."""
    write_parquet(
        tmp_path / "kpi.parquet",
        readings(
            (day("2024-01-02"), "T1", "K1", 1.0),
            (day("2024-01-01"), "T1", "K1", 2.0),
            (day("2024-01-04"), "T1", "K1", 3.0),
            (day("2024-01-02"), "T2", "K1", 4.0),
            (day("2024-01-05"), "T1", "K1", 5.0),
        ),
    )
    found = harvest(tmp_path, {"files": "kpi.parquet"}, "2024-01-01", "2024-01-02", "2024-01-04")
    assert rows(found) == [
        ("2024-01-01", 0, day("2024-01-01"), "T1", "K1", 2.0),
        ("2024-01-02", 0, day("2024-01-02"), "T1", "K1", 1.0),
        ("2024-01-02", 1, day("2024-01-02"), "T2", "K1", 4.0),
        ("2024-01-04", 0, day("2024-01-04"), "T1", "K1", 3.0),
    ]


@pytest.mark.parametrize(
    ("kind", "values", "inside"),
    [
        (pa.timestamp("us"), ["2024-03-10 00:00:00", "2024-03-10 23:59:59", "2024-03-11 00:00:00"], 2),
        (pa.timestamp("ns"), ["2024-03-09 23:59:59.999999", "2024-03-10 12:00:00", "2024-03-11 00:00:00"], 1),
        (pa.timestamp("us", "UTC"), ["2024-03-10 04:59:59", "2024-03-10 05:00:00", "2024-03-11 03:59:59"], 2),
        (pa.timestamp("us", "UTC"), ["2024-03-11 03:59:59", "2024-03-11 04:00:00"], 1),
        (pa.string(), ["2024-03-10", "2024-03-10 23:59", "2024-03-10T05:00:00Z", "2024-03-10T04:00:00Z"], 3),
        (pa.string(), ["2024-03-11T03:59:59+00:00", "2024-03-11 03:59:59", " 2024-03-10 ", "2024-3-10"], 3),
        (pa.date32(), ["2024-03-09", "2024-03-10", "2024-03-11"], 1),
    ],
)
def test_days_are_local(tmp_path: Path, kind: pa.DataType, values: list[str], inside: int) -> None:
    """The day of a clock change in New York begins at 05:00 UTC and ends at 04:00: for every type of date column."""
    zoned = pa.types.is_timestamp(kind) and kind.tz
    dates = pa.array([f"{value}Z" for value in values] if zoned else values).cast(kind)
    size = len(values)
    source = pa.table({"day": dates, "team_code": ["T"] * size, "kpi_code": ["K"] * size, "value": [1.0] * size})
    write_parquet(tmp_path / "kpi.parquet", source)
    found = harvest(tmp_path, {"files": "kpi.parquet"}, "2024-03-10", timezone="America/New_York")
    assert found.table.num_rows == inside


def test_dates_can_be_written_in_another_format(tmp_path: Path) -> None:
    """With `date_format`, text dates and whole numbers are read; what does not fit it is undated."""
    (tmp_path / "a.csv").write_text(CSV + "02.01.2024,T,K,1\n2024-01-02,T,K,2\n01.01.2024,T,K,3\n")
    found = harvest(tmp_path, {"files": "a.csv"}, "2024-01-02", date_format="%d.%m.%Y")
    assert rows(found) == [("2024-01-02", 0, "02.01.2024", "T", "K", "1")]
    assert found.undated.count == 1
    write_parquet(tmp_path / "b.parquet", readings((20240102, "T", "K", 1.0), (20240103, "T", "K", 1.0)))
    assert harvest(tmp_path, {"files": "b.parquet"}, "2024-01-02", date_format="%Y%m%d").table.num_rows == 1


def test_weeks_and_months_collect_their_days(tmp_path: Path) -> None:
    """A weekly or monthly partition holds every row of its days."""
    days = [(day(text), "T", "K", 1.0) for text in ("2024-01-29", "2024-02-01", "2024-02-04", "2024-02-05")]
    write_parquet(tmp_path / "kpi.parquet", readings(*days))
    weekly = harvest(tmp_path, {"files": "kpi.parquet"}, "2024-01-29", grain="weekly")
    monthly = harvest(tmp_path, {"files": "kpi.parquet"}, "2024-01-01", "2024-02-01", grain="monthly")
    assert [row[2].isoformat() for row in rows(weekly)] == ["2024-01-29", "2024-02-01", "2024-02-04"]
    assert [row[:2] for row in rows(monthly)] == [("2024-01-01", 0), *(("2024-02-01", row) for row in range(3))]


def test_rows_without_a_date_are_reported(tmp_path: Path) -> None:
    """A row whose date is empty or unreadable belongs to no partition; it is counted and shown."""
    bad = "".join(f",T,K,{number}\n" for number in range(30))
    (tmp_path / "a.csv").write_text(CSV + "2024-01-01,T,K,1\n2024-02-30,T,K,x\nyesterday,T,K,2\n" + bad)
    undated = harvest(tmp_path, {"files": "a.csv"}, "2024-01-01").undated
    assert undated.count == 32
    assert len(undated.sample) == 20
    assert undated.sample[0] == {"day": "2024-02-30", "team_code": "T", "kpi_code": "K", "value": "x"}
    write_parquet(tmp_path / "b.parquet", readings((day("2024-01-01"), "T", "K", 1.0), (None, "T", "K", 2.0)))
    undated = harvest(tmp_path, {"files": "b.parquet"}, "2024-01-01").undated
    assert undated.count == 1
    assert undated.sample == [{"day": None, "team_code": "T", "kpi_code": "K", "value": "2"}]


def test_a_line_that_cannot_be_taken_apart_is_reported(tmp_path: Path) -> None:
    """A CSV line with the wrong number of fields or broken text stops nothing: it is counted and shown as undated."""
    good = "2024-01-01,T1,K,1\n"
    (tmp_path / "a.csv").write_bytes(
        (CSV + good + "2024-01-01,T2,K,1,5\nshort\n" + good).encode() + b"2024-01-01,\xff,K,1\n"
    )
    found = harvest(tmp_path, {"files": "a.csv"}, "2024-01-01")
    assert [row[3] for row in rows(found)] == ["T1", "T1"]
    assert found.undated.count == 3
    assert {line["line"] for line in found.undated.sample} == {"3", "4", "6"}
    assert any("2024-01-01,T2,K,1,5" in str(line["text"]) for line in found.undated.sample)


def test_in_files_of_one_day_a_broken_line_belongs_to_that_day(tmp_path: Path) -> None:
    """A CSV line that cannot be taken apart is a row of its file's partition, with nothing but the reason."""
    (tmp_path / "kpi_2024-01-01.csv").write_text(CSV + "x,T,K,1\nonly this\n")
    (tmp_path / "kpi_2024-01-02.csv").write_text(CSV + "2024-01-02,T,K,1\n")
    found = harvest(tmp_path, {"files": "kpi_{date}.csv"}, "2024-01-01", "2024-01-02")
    assert [row[:3] for row in rows(found)] == [
        ("2024-01-01", 0, "x"),
        ("2024-01-01", 1, None),
        ("2024-01-02", 0, "2024-01-02"),
    ]
    reasons = found.table["unreadable"].to_pylist()
    assert reasons == [None, "line 3 of kpi_2024-01-01.csv: missing columns ('only this')", None]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("semicolon.csv", b"day;team_code;kpi_code;value\n2024-01-01;T;K;1,5\n", {}),
        ("tabs.tsv", b"day\tteam_code\tkpi_code\tvalue\n2024-01-01\tT\tK\t1,5\n", {}),
        ("windows.csv", b'\xef\xbb\xbfday,team_code,kpi_code,value\r\n2024-01-01,T,K,"1,5"\r\n', {}),
        ("given.txt", b"day~team_code~kpi_code~value\n2024-01-01~T~K~1,5\n", {"delimiter": "~"}),
        ("utf16.csv", "day;team_code;kpi_code;value\n2024-01-01;T;K;1,5\n".encode("utf-16"), {"encoding": "utf-16"}),
        ("any.data", b'"day",team_code,kpi_code,value\n2024-01-01,T,K,"1,5"', {"format": "csv"}),
        ("packed.csv.gz", gzip.compress(b'day,team_code,kpi_code,value\n2024-01-01,T,K,"1,5"\n'), {}),
    ],
)
def test_csv_dialects(tmp_path: Path, name: str, content: bytes, options: dict[str, str]) -> None:
    """Separators, byte order marks, line ends, encodings and gzip are understood; values stay the texts they are."""
    (tmp_path / name).write_bytes(content)
    assert rows(harvest(tmp_path, {"files": name, **options}, "2024-01-01")) == [
        ("2024-01-01", 0, "2024-01-01", "T", "K", "1,5")
    ]


def test_latin_1_is_read(tmp_path: Path) -> None:
    """A file in Latin-1 keeps its letters when the configuration says so."""
    (tmp_path / "a.csv").write_bytes((CSV + "2024-01-01,Zürich,K,1\n").encode("latin-1"))
    found = harvest(tmp_path, {"files": "a.csv", "encoding": "latin-1"}, "2024-01-01")
    assert found.table["team_code"].to_pylist() == ["Zürich"]


def test_text_in_csv_stays_text(tmp_path: Path) -> None:
    """Leading zeros, quoted separators and line breaks inside quotation marks survive."""
    (tmp_path / "a.csv").write_text(CSV + '2024-01-01,007,"a,b\nc ""d""",00.50\n')
    assert rows(harvest(tmp_path, {"files": "a.csv"}, "2024-01-01")) == [
        ("2024-01-01", 0, "2024-01-01", "007", 'a,b\nc "d"', "00.50")
    ]


def test_a_pattern_reads_all_its_files(tmp_path: Path) -> None:
    """A pattern takes all files that match; columns are matched by name, and a folder's key=value is a column."""
    (tmp_path / "b.csv").write_text("value,kpi_code,team_code,day\n2,K,T,2024-01-01\n")
    (tmp_path / "a.csv").write_text("day,team_code,kpi_code,value,note\n2024-01-01,T,K,1,n\n")
    found = harvest(tmp_path, {"files": "*.csv"}, "2024-01-01").table.to_pylist()
    assert sorted((row["value"], row["note"]) for row in found) == [("1", "n"), ("2", None)]
    for number in (1, 2):
        table = readings((day("2024-01-01"), f"T{number}", "K", 1.0))
        write_parquet(tmp_path / "parts" / f"plant={number}" / "kpi.parquet", table)
    found = harvest(tmp_path, {"files": "parts/*/kpi.parquet"}, "2024-01-01").table.to_pylist()
    assert [(row["team_code"], str(row["plant"])) for row in found] == [("T1", "1"), ("T2", "2")]


@pytest.mark.parametrize(
    "pattern", ["kpi_{date}.parquet", "kpi_{date:%Y%m%d}.parquet", "{date:%Y}/{date:%m-%d}/*.parquet"]
)
def test_only_the_files_of_wanted_days_are_opened(tmp_path: Path, pattern: str) -> None:
    """With {date}, the files of other days may be anything; they are not looked at."""
    names = {
        "kpi_{date}.parquet": ["kpi_2024-01-01.parquet", "kpi_2024-01-02.parquet", "kpi_2024-01-03.parquet"],
        "kpi_{date:%Y%m%d}.parquet": ["kpi_20240101.parquet", "kpi_20240102.parquet", "kpi_20240103.parquet"],
        "{date:%Y}/{date:%m-%d}/*.parquet": [f"2024/01-0{number}/x.parquet" for number in (1, 2, 3)],
    }[pattern]
    for number, name in enumerate(names[:2], 1):
        write_parquet(tmp_path / name, readings((day(f"2024-01-0{number}"), "T", "K", float(number))))
    (tmp_path / names[2]).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / names[2]).write_bytes(b"not Parquet")
    found = harvest(tmp_path, {"files": pattern}, "2024-01-02", "2024-01-01")
    assert [(row[0], row[5]) for row in rows(found)] == [("2024-01-01", 1.0), ("2024-01-02", 2.0)]
    assert found.failed == {}


def test_what_is_wrong_with_a_days_file_fails_that_day_alone(tmp_path: Path) -> None:
    """A missing, damaged, empty or renamed file fails its own partition; the other days are read."""
    write_parquet(tmp_path / "kpi_2024-01-01.parquet", readings((day("2024-01-01"), "T", "K", 1.0)))
    (tmp_path / "kpi_2024-01-03.parquet").write_bytes(b"PAR1 nonsense PAR1")
    (tmp_path / "kpi_2024-01-04.parquet").write_bytes(b"")
    renamed = readings((day("2024-01-05"), "T", "K", 1.0), names=("day", "team_code", "kpi_code", "valeu"))
    write_parquet(tmp_path / "kpi_2024-01-05.parquet", renamed)
    write_parquet(tmp_path / "kpi_2024-01-06.parquet", readings((day("2024-01-06"), "T", "K", 6.0)))
    found = harvest(tmp_path, {"files": "kpi_{date}.parquet"}, *(f"2024-01-0{number}" for number in range(1, 7)))
    assert [(row[0], row[5]) for row in rows(found)] == [("2024-01-01", 1.0), ("2024-01-06", 6.0)]
    said = {key: str(error) for key, error in found.failed.items()}
    assert "there is no file kpi_2024-01-02.parquet for 2024-01-02; " in said["2024-01-02"]
    assert "kpi_2024-01-03.parquet cannot be read" in said["2024-01-03"]
    assert "kpi_2024-01-04.parquet cannot be read" in said["2024-01-04"]
    assert "has no column 'value'" in said["2024-01-05"]
    assert "Did you mean 'valeu'?" in said["2024-01-05"]


def test_a_file_that_breaks_while_it_is_read_fails_its_day_alone(tmp_path: Path) -> None:
    """A file whose damage shows only behind a good footer still fails only its own partition."""
    for number in (1, 2, 3):
        many = readings(*[(day(f"2024-01-0{number}"), f"T{team}", "K", 1.0) for team in range(1000)])
        write_parquet(tmp_path / f"kpi_2024-01-0{number}.parquet", many)
    path = tmp_path / "kpi_2024-01-02.parquet"
    content = bytearray(path.read_bytes())
    content[4:400] = b"\xff" * 396
    path.write_bytes(bytes(content))
    assert pq.read_schema(path).names[0] == "day"
    found = harvest(tmp_path, {"files": "kpi_{date}.parquet"}, *(f"2024-01-0{number}" for number in (1, 2, 3)))
    assert list(found.failed) == ["2024-01-02"]
    assert "kpi_2024-01-02.parquet cannot be read" in str(found.failed["2024-01-02"])
    assert [row[:2] for row in rows(found)][::999] == [("2024-01-01", 0), ("2024-01-01", 999), ("2024-01-03", 998)]


def test_a_missing_file_may_count_as_a_day_without_rows(tmp_path: Path) -> None:
    """With `missing_files: empty` a day without its file is no failure."""
    write_parquet(tmp_path / "kpi_2024-01-01.parquet", readings((day("2024-01-01"), "T", "K", 1.0)))
    source = {"files": "kpi_{date}.parquet", "missing_files": "empty"}
    found = harvest(tmp_path, source, "2024-01-01", "2024-01-02")
    assert (found.failed, found.table.num_rows) == ({}, 1)
    with pytest.raises(TableError, match="no row between 2024-01-03 and the end of 2024-01-04"):
        harvest(tmp_path, source, "2024-01-03", "2024-01-04")


def test_when_every_file_is_missing_every_day_fails(tmp_path: Path) -> None:
    """A range without any file is one failure per day, not a crash."""
    found = harvest(tmp_path, {"files": "kpi_{date}.csv"}, "2024-01-01", "2024-01-02")
    assert sorted(found.failed) == ["2024-01-01", "2024-01-02"]
    assert found.table.num_rows == 0


def test_files_that_differ_between_days_are_united(tmp_path: Path) -> None:
    """A type that changes from one day's file to the next becomes the common type, or text."""
    write_parquet(tmp_path / "kpi_2024-01-01.parquet", readings((day("2024-01-01"), "T", "K", 1)))
    write_parquet(tmp_path / "kpi_2024-01-02.parquet", readings((day("2024-01-02"), "T", "K", "n/a")))
    found = harvest(tmp_path, {"files": "kpi_{date}.parquet"}, "2024-01-01", "2024-01-02")
    assert found.failed == {}
    assert found.table["value"].to_pylist() == ["1", "n/a"]


def test_one_file_cannot_belong_to_two_days(tmp_path: Path) -> None:
    """A pattern that gives the same file to two partitions would count its rows twice; it is refused."""
    write_parquet(tmp_path / "kpi_2024.parquet", readings((day("2024-01-01"), "T", "K", 1)))
    with pytest.raises(ConfigurationError, match=r"kpi_2024.parquet would be the file of 2024-01-01 and of 2024-01-02"):
        harvest(tmp_path, {"files": "kpi_{date:%Y}.parquet"}, "2024-01-01", "2024-01-02")


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """A renamed column is an error with its name, what is there, and the closest name."""
    (tmp_path / "a.csv").write_text("day,Team_Code,kpi_code,value\n2024-01-01,T,K,1\n")
    with pytest.raises(TableError) as caught:
        harvest(tmp_path, {"files": "a.csv"}, "2024-01-01")
    assert "a.csv has no column 'team_code'; it has day, Team_Code, kpi_code, value" in str(caught.value)
    assert "Did you mean 'Team_Code'?" in str(caught.value)
    assert caught.value.facts["column"] == "team_code"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.parquet", None, "there is no file a.parquet"),
        ("*.parquet", None, "there is no file"),
        ("a.parquet", b"day,team_code", "a.parquet cannot be read"),
        ("a.csv", b"", "a.csv is empty: it has no header line"),
        ("a.csv", b"day,team_code,kpi_code,value,Day\n", "a.csv has two columns named 'day'"),
        ("a.csv.gz", b"no gzip", "a.csv.gz cannot be read"),
        ("a.csv", CSV.encode(), "no row between 2024-01-01 and the end of 2024-01-01 in a.csv"),
    ],
)
def test_a_source_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    """A file that is not there, damaged, empty or without rows is an error about the table, naming the file."""
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(TableError) as caught:
        harvest(tmp_path, {"files": name}, "2024-01-01")
    assert said in str(caught.value)
    assert "table kpis" in str(caught.value)


def test_no_row_in_the_window_names_what_is_there(tmp_path: Path) -> None:
    """An extract without any row says which dates there are; a day without rows among others is fine."""
    days = [(day(text), "T", "K", 1.0) for text in ("2024-01-01", "2024-01-03")]
    write_parquet(tmp_path / "kpi.parquet", readings(*days))
    with pytest.raises(TableError, match="the source holds dates from 2024-01-01 to 2024-01-03"):
        harvest(tmp_path, {"files": "kpi.parquet"}, "2024-02-01", "2024-02-02")
    found = harvest(tmp_path, {"files": "kpi.parquet"}, "2024-01-01", "2024-01-02", "2024-01-03")
    assert [row[0] for row in rows(found)] == ["2024-01-01", "2024-01-03"]


def test_a_column_without_dates_is_named(tmp_path: Path) -> None:
    """A date column that holds something else is an error that says what it holds."""
    write_parquet(tmp_path / "kpi.parquet", readings((1.5, "T", "K", 1.0)))
    with pytest.raises(TableError, match="column 'day' holds DOUBLE"):
        harvest(tmp_path, {"files": "kpi.parquet"}, "2024-01-01")


def test_a_snapshot_is_read_whole(tmp_path: Path) -> None:
    """A snapshot has one partition with all rows, broken lines included."""
    (tmp_path / "a.csv").write_text(CSV + "2024-01-01,T,K,1\nbroken\nwhenever,T,K,2\n")
    found = harvest(tmp_path, {"files": "a.csv"}, SNAPSHOT, grain="snapshot", start=None)
    assert [row[:3] for row in rows(found)] == [
        (SNAPSHOT, 0, "2024-01-01"),
        (SNAPSHOT, 1, "whenever"),
        (SNAPSHOT, 2, None),
    ]
    assert found.table["unreadable"].to_pylist()[2] == "line 3 of a.csv: missing columns ('broken')"


@pytest.mark.parametrize("names", [("a.csv",), ("a.parquet",), ("kpi_2024-01-01.csv", "kpi_2024-01-02.csv")])
def test_files_may_be_at_an_address(memory: fsspec.AbstractFileSystem, tmp_path: Path, names: tuple[str, ...]) -> None:
    """Files at an address such as s3:// are read through fsspec: single ones, patterns, and one per day."""
    for number, name in enumerate(names, 1):
        rows_of_day = readings((day(f"2024-01-0{number}"), "T", "K", 1.0))
        with memory.open(f"/bucket/{name}", "wb") as file:
            if name.endswith(".csv"):
                file.write((CSV + f"2024-01-0{number},T,K,1\n").encode())
            else:
                pq.write_table(rows_of_day, file)
    pattern = "kpi_{date}.csv" if len(names) > 1 else names[0]
    keys = [f"2024-01-0{number}" for number, _ in enumerate(names, 1)]
    found = harvest(tmp_path, {"files": f"memory://bucket/{pattern}"}, *keys)
    assert found.failed == {}
    assert found.table["partition"].to_pylist() == keys
    if len(names) == 1:
        ending = names[0].rsplit(".", 1)[1]
        assert harvest(tmp_path, {"files": f"memory://bucket/*.{ending}"}, *keys).table.num_rows == 1


def test_an_unknown_kind_of_address_says_what_to_install(tmp_path: Path) -> None:
    """An address that no installed package understands is a mistake in the configuration, not a crash."""
    with pytest.raises(ConfigurationError, match="Install the fsspec package for nowhere://"):
        harvest(tmp_path, {"files": "nowhere://bucket/a.csv"}, "2024-01-01")


def test_names_with_special_characters_are_taken_literally(tmp_path: Path) -> None:
    """A file whose name holds quotation marks or brackets is read as that file, and as no other."""
    folder = tmp_path / "it's [1]"
    write_parquet(folder / "a.parquet", readings((day("2024-01-01"), "right", "K", 1.0)))
    write_parquet(tmp_path / "it's 1" / "a.parquet", readings((day("2024-01-01"), "wrong", "K", 1.0)))
    for name in ("a.parquet", "*.parquet", str(folder / "a.parquet")):
        found = harvest(folder, {"files": name}, "2024-01-01")
        assert found.table["team_code"].to_pylist() == ["right"]


def test_columns_with_our_own_names_keep_apart(tmp_path: Path) -> None:
    """A source may have columns called row or partition; they are stored as the source's."""
    names = ("day", "team_code", "kpi_code", "value", "row", "partition", "unreadable")
    write_parquet(tmp_path / "kpi.parquet", readings((day("2024-01-01"), "T", "K", 1.0, 7, "p", "u"), names=names))
    found = harvest(tmp_path, {"files": "kpi.parquet"}, "2024-01-01").table.to_pylist()[0]
    assert (found["row"], found["partition"], found["unreadable"]) == (0, "2024-01-01", None)
    assert (found["source.row"], found["source.partition"], found["source.unreadable"]) == (7, "p", "u")


def test_exotic_types_become_text(tmp_path: Path) -> None:
    """Structs, maps and dictionaries of a source can be stored: as text, or as their values."""
    table = readings((day("2024-01-01"), "T", "K", 1.0)).append_column("extra", pa.array([{"a": 1}]))
    table = table.append_column("code", pa.array(["x"]).dictionary_encode()).append_column(
        "tags", pa.array([["a", "b"]])
    )
    write_parquet(tmp_path / "kpi.parquet", table)
    found = harvest(tmp_path, {"files": "kpi.parquet"}, "2024-01-01").table
    assert found.select(["extra", "code", "tags"]).to_pylist() == [
        {"extra": '{"a":1}', "code": "x", "tags": ["a", "b"]}
    ]


def test_columns_are_known_without_reading_rows(tmp_path: Path) -> None:
    """The columns of files come from their heads; of files per day, from the newest one."""
    (tmp_path / "kpi_2024-01-01.csv").write_text(CSV)
    (tmp_path / "kpi_2024-01-02.csv").write_text(CSV.strip() + ",note\n")
    spec = table_spec(source={"files": "kpi_{date}.csv"})
    asked = wanted(spec=spec, date_column=None)
    assert columns(spec.source, asked, base=tmp_path, environ={}) == ["day", "team_code", "kpi_code", "value", "note"]
    with pytest.raises(TableError, match="there is no file"):
        files.columns(SourceSpec(files="other_{date}.csv"), asked, tmp_path)


def test_a_source_without_any_date_shows_what_stands_there(tmp_path: Path) -> None:
    """Dates in another format are no missing rows: the error shows some, and names the field that reads them."""
    (tmp_path / "a.csv").write_text(CSV + "31.12.2024,T,K,1\n01.01.2025,T,K,1\n")
    with pytest.raises(TableError) as caught:
        harvest(tmp_path, {"files": "a.csv"}, "2025-01-01")
    said = "none of the 2 rows of a.csv has a date that can be read from column 'day': '31.12.2024', '01.01.2025'."
    assert said in str(caught.value)
    assert "set date_format to how it is written, such as '%d.%m.%Y'" in str(caught.value)
    with pytest.raises(TableError, match=r"can be read by date_format '%m/%d/%Y' from column 'day'"):
        harvest(tmp_path, {"files": "a.csv"}, "2025-01-01", date_format="%m/%d/%Y")


def test_undated_rows_are_told_where_a_range_has_no_row(tmp_path: Path) -> None:
    """A day that seems to have no row may be among those whose date cannot be read: both are said."""
    (tmp_path / "a.csv").write_text(CSV + "2024-01-01,T,K,1\n02.01.2024,T,K,1\n,T2,K,1\n")
    with pytest.raises(TableError, match="no row between 2024-01-02") as caught:
        harvest(tmp_path, {"files": "a.csv"}, "2024-01-02")
    undated = "and 2 rows without a date that can be read: '02.01.2024', (team_code 'T2', kpi_code 'K', value '1')"
    assert undated in str(caught.value)


def test_a_snapshot_of_broken_lines_is_no_empty_one(tmp_path: Path) -> None:
    """Where no line of a snapshot can be taken apart, each stands in the extract with its problem."""
    (tmp_path / "a.csv").write_text(CSV + "2024-01-01,T,K\n")
    found = harvest(tmp_path, {"files": "a.csv"}, SNAPSHOT, grain="snapshot", start=None)
    (row,) = found.table.to_pylist()
    assert row["unreadable"].startswith("line 2 of a.csv: missing columns")


@pytest.mark.parametrize("after", [3, 400_000])
def test_a_quotation_mark_that_is_not_closed_fails_the_file(tmp_path: Path, after: int) -> None:
    """It swallows the lines after it, and nobody knows which rows are missing: the error has file, line and text."""
    lines = "2024-01-01,T1,K,1\n" + '2024-01-01,"T2,K,1\n' + "2024-01-02,T3,K,1\n" * after
    (tmp_path / "a.csv").write_text(CSV + lines)
    for partition in ("2024-01-01", "2024-01-03"):
        with pytest.raises(
            TableError, match=r"table kpis: a\.csv has in line 3 a quotation mark that is not"
        ) as caught:
            harvest(tmp_path, {"files": "a.csv"}, partition)
        assert str(caught.value).endswith(": '2024-01-01,\"T2,K,1'. Correct the file, or have it exported again.")


def test_of_files_of_one_day_an_open_quotation_mark_fails_its_day_alone(tmp_path: Path) -> None:
    """The other days are read; a value with a mark in it, on its own line, is that line's problem only."""
    (tmp_path / "kpi_2024-01-01.csv").write_text(CSV + '2024-01-01,"T1"x,K,1\n2024-01-01,T2,K,1\n')
    (tmp_path / "kpi_2024-01-02.csv").write_text(CSV + '2024-01-02,"T1,K,1\n2024-01-02,T2,K,1\n')
    found = harvest(tmp_path, {"files": "kpi_{date}.csv"}, "2024-01-01", "2024-01-02")
    assert [row["team_code"] for row in found.table.to_pylist()] == ["T2", None]
    assert list(found.failed) == ["2024-01-02"]
    assert "kpi_2024-01-02.csv has in line 2 a quotation mark" in str(found.failed["2024-01-02"])


def test_a_missing_file_is_told_with_its_name_and_what_is_there(tmp_path: Path) -> None:
    """The error has the name that was looked for, not its template, and the names that are nearest to it."""
    (tmp_path / "exports").mkdir()
    for name in ("kpi_01.01.2024.csv", "other.txt"):
        (tmp_path / "exports" / name).write_text(CSV)
    source = {"files": "exports/kpi_{date}.csv"}
    found = harvest(tmp_path, source, "2024-01-01")
    said = str(found.failed["2024-01-01"])
    assert "there is no file exports/kpi_2024-01-01.csv for 2024-01-01; " in said
    assert f"{tmp_path}/exports holds kpi_01.01.2024.csv, other.txt. " in said
    with pytest.raises(TableError, match=r"no file exports/kpi_\{date\}.csv, such as exports/kpi_2026-01-31.csv; /"):
        columns(SourceSpec.model_validate(source), wanted(date_column=None), base=tmp_path, environ={})
    right = {"files": "exports/kpi_{date:%d.%m.%Y}.csv"}
    assert columns(SourceSpec.model_validate(right), wanted(date_column=None), base=tmp_path, environ={})


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ("export/kpi.csv", "{} holds exports. "),
        ("exports/{date}/kpi*.csv", "{}/exports holds 2024, a.csv. "),
        ("exports/2024/*.csv", "{}/exports/2024 holds nothing. "),
    ],
)
def test_a_missing_folder_is_told_with_what_is_there(tmp_path: Path, files: str, words: str) -> None:
    """What is there is told of the folder in which the name first goes astray."""
    (tmp_path / "exports" / "2024").mkdir(parents=True)
    (tmp_path / "exports" / "a.csv").write_text(CSV)
    reader = FileReader(SourceSpec(files=files), wanted("2024-01-01"), Place.of(files, tmp_path))
    there = reader.place.there(reader.place.named(day("2024-01-01")))
    assert words.format(tmp_path) in str(reader.no_file("2024-01-01", there))


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ("kpi_{date:%Y%m%d}_*.csv", "kpi_20240131_v2.csv"),
        ("{date:%Y}/{date:%m-%d}.csv", "2024/01-31.csv"),
        ("kpi_[ab]_{date}.csv", "kpi_a_2024-01-31.csv"),
        ("kpi_{date:%-d.%-m.%Y}.csv", "kpi_5.1.2024.csv"),
    ],
)
def test_the_newest_file_of_any_date_is_found(tmp_path: Path, files: str, name: str) -> None:
    """Whatever form the dates in the names have, `pipelines check` finds a file to look into."""
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(CSV)
    found = columns(SourceSpec(files=files), wanted(date_column=None), base=tmp_path, environ={})
    assert found == CSV.strip().split(",")
