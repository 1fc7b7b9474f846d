"""What the partition store keeps, and how it is seen by readers."""

from __future__ import annotations

import threading
from datetime import date
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from pipelines.delivery.errors import ConfigurationError, TableError
from pipelines.tables.frames import records
from pipelines.tables.store import PartitionStore, _safe
from tests.disks import filled, longest_file


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> PartitionStore:
    """A store in a folder, and one at an address."""
    return PartitionStore(tmp_path / "store" if request.param == "folder" else UPath(f"memory://{tmp_path.name}/store"))


def test_types_survive(store: PartitionStore) -> None:
    """Integers, booleans, dates and texts are themselves beside empty values, and so are the values at their limits."""
    frame = pa.table(
        {
            "whole": pa.array([1, None, 2**63 - 1]),
            "yes": pa.array([True, None, False]),
            "day": pa.array([date(1, 1, 1), None, date(9999, 12, 31)]),
            "text": pa.array(["", None, "a\x00b ü 🛩"]),
            "number": pa.array([0.1, None, float("inf")]),
            "list": pa.array([["a"], None, []]),
        }
    )
    store.write("a", "p", frame)
    back = store.read("a", ["p"])
    assert list(records(back)) == frame.to_pylist()
    assert store.read_table("a", ["p"]).schema.equals(frame.schema)


def test_partitions_are_read_in_the_order_asked_for(store: PartitionStore) -> None:
    """Reading several partitions puts their rows one after another."""
    store.write_all("a", {f"2024-01-0{day}": pa.table({"x": [day]}) for day in (1, 2, 3)})
    assert store.read("a", ["2024-01-03", "2024-01-01"])["x"].to_list() == [3, 1]
    assert store.partitions("a") == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert store.exists("a", "2024-01-03")
    assert not store.exists("a", "2024-01-04")
    assert not store.exists("b", "2024-01-03")
    assert store.partitions("b") == []


def test_missing_partitions_are_named(store: PartitionStore) -> None:
    """A partition that was never stored is an error that says what to materialize."""
    store.write("kpis_valid", "2024-01-01", pa.table({"x": [1]}))
    with pytest.raises(TableError) as caught:
        store.read("kpis_valid", ["2024-01-01", "2024-01-02", "2024-01-03"])
    assert "2024-01-02, 2024-01-03" in str(caught.value)
    assert "Materialize kpis_valid" in str(caught.value)
    assert caught.value.facts["partitions"] == ["2024-01-02", "2024-01-03"]
    with pytest.raises(TableError, match="the store holds no kpis for 2024-01-01"):
        store.rows("kpis", "2024-01-01")


def test_rows_are_counted_without_reading_them(store: PartitionStore) -> None:
    """A partition's number of rows is known, also of one without rows."""
    store.write("a", "p", pa.table({"x": [1, 2, 3]}))
    store.write("a", "q", pa.table({"x": pa.array([], pa.int64())}))
    assert (store.rows("a", "p"), store.rows("a", "q")) == (3, 0)


def test_columns_that_differ_between_partitions_are_united(store: PartitionStore) -> None:
    """A column that a partition lacks is empty there; types that differ become their common type, or text."""
    store.write("a", "1", pa.table({"n": [1], "code": [7], "all_empty": pa.nulls(1)}))
    store.write("a", "2", pa.table({"n": [0.5], "code": ["x"], "all_empty": [2.5], "new": [True]}))
    frame = store.read("a", ["1", "2"])
    assert list(records(frame)) == [
        {"n": 1.0, "code": "7", "all_empty": None, "new": None},
        {"n": 0.5, "code": "x", "all_empty": 2.5, "new": True},
    ]


def test_only_wanted_columns_are_read(store: PartitionStore) -> None:
    """A reader that asks for columns gets those, as far as they exist."""
    store.write("a", "1", pa.table({"x": [1], "y": [2]}))
    assert list(store.read("a", ["1"], ["y", "z"]).columns) == ["y"]


def test_newest_are_the_partitions_after(store: PartitionStore) -> None:
    """What is later than a partition is read; nothing is, if there is nothing later."""
    store.write_all("a", {f"2024-01-0{day}": pa.table({"x": [day], "y": [day]}) for day in (1, 2, 3)})
    assert store.newest("a", "2024-01-01", ["x"])["x"].to_list() == [2, 3]
    assert len(store.newest("a", "2024-01-03", ["x"])) == 0
    assert len(store.newest("unknown", "2024-01-03", ["x"])) == 0


def test_a_partition_is_replaced(store: PartitionStore) -> None:
    """Writing a partition again replaces it."""
    store.write("a", "p", pa.table({"x": [1]}))
    store.write("a", "p", pd.DataFrame({"x": [2, 3]}))
    assert store.read("a", ["p"])["x"].to_list() == [2, 3]


def test_a_reader_never_sees_half_a_partition(tmp_path: Path) -> None:
    """While a partition is written again and again, every reader finds it whole."""
    store = PartitionStore(tmp_path)
    store.write("a", "p", pa.table({"x": [0] * 1000}))
    stop = threading.Event()
    seen: list[int] = []

    def read() -> None:
        while not stop.is_set():
            seen.append(len(set(store.read("a", ["p"])["x"].to_list())))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(60):
        store.write("a", "p", pa.table({"x": [number] * 1000}))
    stop.set()
    reader.join()
    assert set(seen) == {1}
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["p.parquet"]


def test_a_failed_write_leaves_what_was_there(tmp_path: Path) -> None:
    """If a partition cannot be written, its former content stays, and no draft is left."""
    store = PartitionStore(tmp_path)
    store.write("a", "p", pa.table({"x": [1]}))
    with pytest.raises(pa.ArrowException):
        store.write("a", "p", pa.table({"x": pa.array([{}], pa.struct([]))}))
    assert store.read("a", ["p"])["x"].to_list() == [1]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["p.parquet"]


def test_an_unknown_kind_of_address_says_what_to_install() -> None:
    """An address that no installed package understands is a mistake in the configuration, not a crash."""
    with pytest.raises(ConfigurationError, match="Install the fsspec package for nowhere://"):
        PartitionStore("nowhere://bucket/store")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """A stored file that is no Parquet is an error that says which partition to materialize again."""
    store = PartitionStore(tmp_path)
    store.write("a", "p", pa.table({"x": [1]}))
    (tmp_path / "a" / "p.parquet").write_bytes(b"")
    with pytest.raises(TableError, match="the stored partition p of a is no readable Parquet file"):
        store.read("a", ["p"])


@given(st.text(min_size=1), st.text(min_size=1))
def test_names_are_safe_and_stay_apart(one: str, other: str) -> None:
    """Whatever a name is, it becomes a single visible component of a path, and no two names meet."""
    if any("\ud800" <= letter <= "\udfff" for letter in one + other):
        return
    assert "/" not in _safe(one)
    assert not _safe(one).startswith(".")
    assert (_safe(one) == _safe(other)) == (one == other)


def test_a_name_cannot_leave_the_store(tmp_path: Path) -> None:
    """A name that looks like a path stays inside the store, and is found again under itself."""
    store = PartitionStore(tmp_path / "store")
    store.write("../a", "../../p", pa.table({"x": [1]}))
    assert store.partitions("../a") == ["../../p"]
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    with pytest.raises(ValueError, match="needs a name"):
        store.exists("", "p")


def test_partition_that_cannot_be_written_leaves_the_former_one(tmp_path: Path) -> None:
    """The error names asset, partition, place and reason; readers go on seeing what stood there, and no draft stays."""
    store = PartitionStore(tmp_path)
    store.write("kpis", "2024-01-01", pa.table({"x": [1]}))
    long = pa.table({"x": [f"{number:x}" * 9 for number in range(10_000)]})
    with longest_file(4096), pytest.raises(TableError, match=r"2024-01-01 of kpis .* at .*: File too large") as error:
        store.write("kpis", "2024-01-01", long)
    assert str(tmp_path) in str(error.value)
    assert store.read("kpis", ["2024-01-01"])["x"].to_list() == [1]
    assert [path.name for path in (tmp_path / "kpis").iterdir()] == ["2024-01-01.parquet"]


def test_store_on_a_full_disk_says_so(small_disk: Path) -> None:
    """Of a disk without room it is said that room must be made there."""
    store = PartitionStore(small_disk)
    store.write("kpis", "2024-01-01", pa.table({"x": [1]}))
    with filled(small_disk), pytest.raises(TableError, match=r"the disk is full. Make room there"):
        store.write_all("kpis", {f"2024-01-0{day}": pa.table({"x": [day]}) for day in (1, 2, 3)})
    assert store.read("kpis", ["2024-01-01"])["x"].to_list() == [1]
