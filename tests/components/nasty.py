"""Rows as nobody wants them, and what must become of each."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.components.sync_run import Order, SyncResult, SyncRunner
from pipelines.delivery.upsert import Built
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.sandbox import Control
from pipelines.tables.extract import Extracted, extract
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.spec import AnyTable, AreaTableSpec, TableSpec
from pipelines.tables.store import PartitionStore
from tests.destinations.given import ACTUAL, KPI, TEAM, stativate, valuestreamer
from tests.destinations.given_dnsimple import dnsimple
from tests.destinations.given_feedback_house import sync as feedback_house

DAY = "2024-03-10"
DAYS = (DAY, "2024-03-11")
NOW = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
HEADER = "day,team,kpi,value,text\n"
LONG = 10_000_000
"""Characters of what should never have been put into one cell."""

UNHURRIED = {"FEEDBACK_HOUSE_RATE": "1000/s", "DNSIMPLE_RATE": "1000/s"}

NUMBERS: Mapping[str, float | None] = {
    "0": 0,
    "-0.0": 0,
    "12.50": 12.5,
    " 7 ": 7,
    "+5": 5,
    "1e3": 1000,
    ".5": 0.5,
    "0.1": 0.1,
    "5e-324": 5e-324,
    "-1e15": -(10**15),
    "9007199254740991": 2**53 - 1,
    "9007199254740993": None,
    "1e308": None,
    "1e400": None,
    "9" * 400: None,
    "-inf": None,
    "nan": None,
    "": None,
    "1,234": None,
    "1.234,5": None,
    "1 000": None,
    "1_000": None,
    "0x10": None,
    "٣": None,
    "--5": None,
    "true": None,
    "n/a": None,
}
"""A number as a source writes it, and as a board must get it; None: no board may get anything."""

VALUES: Mapping[str, str | None] = {
    "Straße": "STRASSE",
    "ß" * 5: "S" * 10,
    "ß" * 6: None,
    "ﬃﬃﬃ": "FFI" * 3,
    "ﬃ" * 4: None,
    "😀" * 5: "😀" * 5,
    "😀" * 6: None,
    "e\u0301" * 5: "E\u0301" * 5,
    "\u202eabc\u200f": "\u202eABC\u200f",
    "../..": "../..",
    "%2F?#": "%2F?#",
    "\"'\\\\n": "\"'\\\\N",
    "{kpi}": "{KPI}",
    "=1+1": "=1+1",
    "\x07bell": "\x07BELL",
    "a\0b": None,
    "": None,
    "eleven char": None,
    "x" * LONG: None,
}
"""A text as it stands in the row, and as Stativate must show it; None: it may not arrive."""

KEYS: Mapping[str, bool] = {
    "../..": True,
    "..": False,
    ".": False,
    "a/b": True,
    "a%2Fb": True,
    "%2e%2e": True,
    "a b": True,
    "a+b": True,
    "?x=1": True,
    "#y": True,
    "a;b=c": True,
    "a:b@c": True,
    "a\\b": True,
    "é": True,
    "e\u0301": True,
    "😀": True,
    "\u202egnp": True,
    "\ufeffbom": True,
}
"""Codes, and whether they may become a key of a status."""

_FAR, _EARLY = 10**18, -(10**18)
"""Microseconds since 1970 that lead out of Python's calendar."""

COLUMNS: Mapping[str, tuple[str, pa.Array, int]] = {
    "uint64": ("value", pa.array([0, 2**64 - 1, None], pa.uint64()), 0),
    "int64": ("value", pa.array([-(2**63), 2**63 - 1, 2**53 + 1]), 0),
    "decimal128": ("value", pa.array([Decimal("1.10"), Decimal(-9) * 10**35, None], pa.decimal128(38, 2)), 0),
    "decimal256": ("value", pa.array([Decimal(10) ** 60], pa.decimal256(76, 2)), 0),
    "float16": ("value", pa.array([1.5, float("nan"), float("inf")], pa.float16()), 1),
    "float32": ("value", pa.array([0.1, float("-inf")], pa.float32()), 1),
    "booleans as a number": ("value", pa.array([True, False]), 2),
    "structs as a number": ("value", pa.array([{"a": 1}, None]), 1),
    "times as a number": ("value", pa.array([1, None], pa.time64("us")), 1),
    "durations, whole numbers in Parquet": ("value", pa.array([1, None], pa.duration("ns")), 0),
    "numbers in a dictionary": ("value", pa.array([1, 2, 1]).dictionary_encode(), 0),
    "nothing as a number": ("value", pa.nulls(2), 0),
    "nothing as a code": ("team", pa.nulls(2), 2),
    "bytes as a code": ("team", pa.array([b"a", b"\xff"]), 2),
    "lists as a code": ("team", pa.array([["a"], ["a,b"], ["b"]]), 1),
    "texts in a dictionary": ("team", pa.array(["a", "b", None]).dictionary_encode(), 1),
    "large texts": ("team", pa.array(["a", "b"], pa.large_string()), 0),
    "text views": ("team", pa.array(["a", "b"]).cast(pa.string_view()), 0),
    "long texts": ("team", pa.array(["é" * LONG, "a" * 256, "b" * 255]), 2),
    "controls": ("team", pa.array(["a\0", "a\x1b[31m", "a\nb", "\u2028"]), 3),
    "blanks": ("team", pa.array(["", " ", "\t", "."]), 3),
    "a struct": ("text", pa.array([{"a": "x"}, {"a": None}]), 0),
    "a map": ("text", pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())), 0),
    "lists": ("text", pa.array([["x"], [None, "y"], []]), 0),
    "lists of structs": ("text", pa.array([[{"a": 1}], None]), 0),
    "binary": ("text", pa.array([b"a", b"\xff\x00"]), 0),
    "times": ("text", pa.array([1, None], pa.time64("ns")), 0),
    "durations too long": ("text", pa.array([2**62, None], pa.duration("s")), 0),
    "times beyond the calendar": ("text", pa.array([_FAR, _EARLY, None], pa.timestamp("us")), 0),
    "instants beyond the calendar": ("text", pa.array([_FAR, _EARLY], pa.timestamp("us", tz="Europe/Berlin")), 0),
    "days beyond the calendar": ("text", pa.array([10**7, -(10**6)], pa.date32()), 0),
    "lists beyond the calendar": ("text", pa.array([[_FAR], None, []], pa.list_(pa.timestamp("us"))), 0),
    "structs beyond the calendar": (
        "text",
        pa.StructArray.from_arrays([pa.array([_FAR], pa.timestamp("us"))], ["a"]),
        0,
    ),
}
"""Name -> the column of a Parquet file, its content, and how many of the rows break the contract."""

_GOOD = f"{DAY},T,K,1,x\n"
FILES: Mapping[str, tuple[bytes, tuple[int, int, int] | str]] = {
    "a BOM": (b"\xef\xbb\xbf" + (HEADER + _GOOD).encode(), (1, 0, 0)),
    "CRLF": ((HEADER + _GOOD).replace("\n", "\r\n").encode(), (1, 0, 0)),
    "CR": ((HEADER + _GOOD).replace("\n", "\r").encode(), "cannot be read"),
    "latin-1": ((HEADER + f"{DAY},Zürich,K,1,x\n" + _GOOD).encode("latin-1"), (1, 0, 1)),
    "UTF-16": ((HEADER + _GOOD).encode("utf-16"), "has no column 'day'"),
    "nothing": (b"", "is empty: it has no header line"),
    "a BOM alone": (b"\xef\xbb\xbf", "is empty: it has no header line"),
    "a header alone": (HEADER.encode(), "no row between"),
    "a column less": (f"day,team,kpi\n{DAY},T,K\n".encode(), "has no column 'value'"),
    "a column twice": (f"day,team,kpi,value,Value\n{DAY},T,K,1,2\n".encode(), "has two columns named 'value'"),
    "a column of ours": (f"day,team,kpi,value,__DAY\n{DAY},T,K,1,2\n".encode(), "has a column '__DAY'"),
    "names in capitals": (f"DAY,team,kpi,value\n{DAY},T,K,1\n".encode(), "Did you mean 'DAY'"),
    "a quotation mark": ((HEADER + f'{DAY},"T,K,1,x\n' + _GOOD).encode(), "has in line 2 a quotation mark"),
    "lines of any length": ((HEADER + f"{DAY},T,K\n{DAY},T,K,1,2,3\n" + _GOOD).encode(), (1, 0, 2)),
    "NUL": ((HEADER + f"{DAY},T\0,K,1,\0\n" + _GOOD).encode(), (2, 1, 0)),
    "a huge cell": ((HEADER + f"{DAY},T,K,1,{'x' * LONG}\n" + _GOOD).encode(), (1, 0, 1)),
    "bytes": (bytes(range(256)) * 20, "has no column 'day'"),
    "a key thrice": ((HEADER + _GOOD * 3).encode(), (3, 3, 0)),
    "dates": (
        HEADER.encode()
        + b"".join(
            f"{day},T{at},K,1,\n".encode()
            for at, day in enumerate(
                (
                    "2024-03-10",
                    "2024-03-10T02:30:00",  # does not exist in New York
                    "2024-03-11T03:30:00Z",  # still the 10th there
                    "2024-03-11 04:30 Europe/Berlin",  # and so is this
                    "0001-01-01",
                    "9999-12-31",
                    "10000-01-01",
                    "2024-02-30",
                    "2024-03-10T25:00",
                    "2024-03-10 nonsense",
                    "-2024-03-10",
                    "\uff12\uff10\uff12\uff14-03-10",
                    "infinity",
                    "",
                )
            )
        ),
        (4, 0, 8),
    ),
}
"""Name -> the bytes of a CSV file, and its rows: extracted, in quarantine, without a date; or the error's words."""


@dataclass(frozen=True, slots=True)
class Ground:
    """A folder with a source, a home with a store and a ledger, and the sandbox's control."""

    folder: Path
    home: Home
    control: Control

    @property
    def store(self) -> PartitionStore:
        """What was stored."""
        return PartitionStore(self.home.store_url)

    def extract(self, spec: AnyTable, source: pa.Table | bytes) -> Extracted:
        """Write the source's file and extract all partitions of the table."""
        path = self.folder / str(spec.source.files)
        if isinstance(source, bytes):
            path.write_bytes(source)
        else:
            pq.write_table(source, path)
        keys = DAYS if isinstance(spec, TableSpec) else (SNAPSHOT,)
        return extract(spec, keys, base=self.folder, store=self.store, environ={}, now=NOW)

    def valid(self, spec: AnyTable) -> pd.DataFrame:
        """The rows that keep the contract."""
        keys = DAYS if isinstance(spec, TableSpec) else (SNAPSHOT,)
        return self.store.read(f"{spec.name}_valid", keys)

    def deliver(self, sync: SyncSpec, spec: AnyTable) -> SyncResult:
        """Send to the sandbox, without Dagster."""
        keys = DAYS if isinstance(spec, TableSpec) else (SNAPSHOT,)
        return SyncRunner(sync, self.home, environ=UNHURRIED).run(Order("run", keys))


def readings(file: str = "kpi.parquet") -> TableSpec:
    """A daily table of readings, whose clocks change on `DAY`."""
    fields = {
        "name": "kpis",
        "source": {"files": file},
        "start": "2024-01-01",
        "timezone": "America/New_York",
        "columns": {"date": "day", "team": "team", "kpi": "kpi", "actual": "value"},
    }
    return TableSpec.model_validate(fields)


def areas() -> AreaTableSpec:
    """A table of areas."""
    return AreaTableSpec.model_validate({"name": "areas", "source": {"files": "areas.parquet"}})


def table(**columns: Sequence[Any] | pa.Array) -> pa.Table:
    """Readings of one day, of which some columns are given."""
    given = {name: some if isinstance(some, pa.Array) else pa.array(some) for name, some in columns.items()}
    rows = max(len(some) for some in given.values())
    usual = {
        "day": pa.array([dt.date.fromisoformat(DAY)] * rows),
        "team": pa.array([f"T{at}" for at in range(rows)]),
        "kpi": pa.array(["K"] * rows),
        "value": pa.array([float(at) for at in range(rows)]),
        "text": pa.nulls(rows, pa.string()),
        "resource": pa.array(["domain:101"] * rows),
        "team_id": pa.array([TEAM] * rows),
        "kpi_id": pa.array([KPI] * rows),
        "actual_id": pa.array([ACTUAL] * rows),
    }
    return pa.table(usual | given)


def tree(parents: Mapping[str, str | None], **columns: Sequence[Any]) -> pa.Table:
    """Areas out of code -> parent, of which some columns are given."""
    usual: dict[str, Any] = {
        "area_code": list(parents),
        "area_name": [f"Area {code}" for code in parents],
        "parent_code": pa.array(parents.values(), pa.string()),
        "active": [True] * len(parents),
        "tags": pa.nulls(len(parents), pa.string()),
    }
    return pa.table(usual | columns)


BOARD = stativate(table="kpis", key="{kpi}", key_pattern="(?s).+", label="A nasty row", value="{text}")
FLOOR = valuestreamer(
    table="kpis",
    team_id="team_id",
    kpi_id="kpi_id",
    actual={"column": "actual", "id": "actual_id"},
    target="none",
    unit=None,
    whole_number=None,
)
STATUSES = dnsimple(
    table="kpis", resource="resource", context="{kpi}", context_pattern="(?s).+", message="{text}", title=None
)
AREAS = feedback_house()
_STEPS = {"column": "text", "steps": [{"below": 1, "state": "ok"}], "otherwise": "error"}
_COLORS = {"column": "actual", "steps": [{"below": 1, "color": 1}], "otherwise": 2}
_BY_TEXT = {"column": "text", "format": {"by": "text", "cases": {"x": "time"}}}
_TEXT = {"column": "text", "id": "text"}
TEXTUAL: Sequence[SyncSpec] = (
    BOARD,
    stativate(table="kpis", description="{text}", color=_COLORS),
    stativate(table="kpis", value=_BY_TEXT, where="actual > 0"),
    valuestreamer(
        table="kpis", team_id="text", kpi_id="kpi", date="text", actual=_TEXT, target=_TEXT | {"column": "actual"},
        unit="text", whole_number="text",
    ),
    FLOOR,
    STATUSES,
    dnsimple(table="kpis", resource="domain:{text}", state=_STEPS),
    feedback_house(
        table="kpis", key="{text}", label="{text}", parent="{text}", active="text", tags="text", managers="text",
        business_division="text", allow_candidates_apply="text",
    ),
)  # fmt: skip
"""Syncs of every API in which each field may be made of the column `text`."""


def accounted(built: Built, frame: pd.DataFrame) -> None:
    """Every row stands in exactly one record, and each that was dropped has a reason that fits on a page."""
    records = [*built.upserts, *built.dropped]
    placed = sorted((one.partition, row) for one in records for row in one.rows)
    assert placed == sorted(zip(frame["partition"], frame["row"], strict=True))
    assert all(0 < len(one.reason) < 1_000 for one in built.dropped)
    assert all(len(one.key or "") <= 500 for one in records)
