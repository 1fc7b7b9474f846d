"""The least that a million readings cost: read them, check them, hash them, look their keys up."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
import pandas as pd
import pandera.pandas as pda
import pyarrow.parquet as pq
from sqlalchemy.engine import make_url

from pipelines.home import Home
from tests.benchmarks.parts.machine import HighWater, Timed

_LOOK_UP = 20_000


def measure(folder: Path, home: Home, sync: str) -> dict[str, Any]:
    """Each of the four alone, in seconds, on the readings and on the ledger that holds them all."""
    memory = HighWater()
    memory.reset()
    with Timed() as read:
        table = pq.read_table(folder / "readings.parquet")
    # pandera's first call in a process imports half of a library: that is no cost of the rows.
    _schema().validate(table.slice(0, 10).to_pandas(types_mapper=pd.ArrowDtype), lazy=True)
    with Timed() as check:
        _schema().validate(table.to_pandas(types_mapper=pd.ArrowDtype), lazy=True)
    with Timed() as hashing:
        for batch in table.to_batches(10_000):
            for row in batch.to_pylist():
                blake2b(orjson.dumps(row, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
    with closing(sqlite3.connect(make_url(home.ledger_url).database or "")) as connection:
        keys = [key for (key,) in connection.execute("select key from state where sync = ?", (sync,))]
        with Timed() as looking:
            found = _look_up(connection, keys)
    if found != table.num_rows:
        msg = f"the ledger holds {found} of {table.num_rows} keys"
        raise RuntimeError(msg)
    parts = {"read": read, "pandera": check, "hash": hashing, "look_up": looking}
    return {
        "seconds": round(sum(part.wall for part in parts.values()), 3),
        "cpu_seconds": round(sum(part.cpu for part in parts.values()), 3),
        "parts": {name: part.wall for name, part in parts.items()},
        "cpu_parts": {name: part.cpu for name, part in parts.items()},
        "peak_mb": memory.read(),
    }


def _schema() -> pda.DataFrameSchema:
    """What the table's contract checks: types, no empty cell of the key, a key once a day."""
    return pda.DataFrameSchema(
        {
            "reading_date": pda.Column(nullable=False),
            "team_code": pda.Column(nullable=False),
            "kpi_code": pda.Column(nullable=False),
            "value": pda.Column(nullable=True),
        },
        unique=["reading_date", "team_code", "kpi_code"],
    )


def _look_up(connection: sqlite3.Connection, keys: list[str]) -> int:
    query = (
        "select key, sync, as_of, fingerprint, fingerprint_version from state "
        "where scope = 1 and key in (select value from json_each(?))"
    )
    found = 0
    for start in range(0, len(keys), _LOOK_UP):
        some = orjson.dumps(keys[start : start + _LOOK_UP]).decode()
        found += len({row[0]: row for row in connection.execute(query, (some,))})
    return found
