"""The ledger with a million keys: bytes per key, look-up and write per 100,000, beside the best of plain SQL."""

from __future__ import annotations

import argparse
import sqlite3
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import orjson
import psycopg

from pipelines.delivery import fingerprint
from pipelines.delivery.ledger import Ledger, Record, Run, Scope, schema, store
from pipelines.delivery.upsert import Outcome, Upsert, Verdict
from tests.benchmarks.parts.machine import Timed, ratio, say
from tests.benchmarks.parts.rows import uuid
from tests.postgres import running

_RUN = Run("benchmark-run", "floor", "0123456789abcdef")
_LOOK_UP = 20_000
"""Keys per look-up, as a delivery asks for them."""
_GROUP = 256
"""Upserts per transaction, as a delivery without a limit writes them."""
_STATE = tuple(schema.state.columns.keys())
_READ = "key, sync, as_of, fingerprint, fingerprint_version, accepted_at, removed_at"
_CHANGES = ", ".join(f'"{name}" = excluded."{name}"' for name in _STATE[2:])
_NAMES = ", ".join(f'"{name}"' for name in _STATE)

Row = tuple[Any, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Sizes."""
    parser.add_argument("--keys", type=int, default=1_000_000, help="keys in the ledger")
    parser.add_argument("--touched", type=int, default=100_000, help="keys that are looked up and written")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the median counts")
    parser.add_argument(
        "--ledgers", nargs="+", choices=("sqlite", "postgresql"), default=["sqlite", "postgresql"], help="ledgers"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure."""
    figures: dict[str, Any] = {"keys": arguments.keys, "touched": arguments.touched}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        if "sqlite" in arguments.ledgers:
            path = Path(name) / "ledger.db"
            with closing(sqlite3.connect(path, isolation_level=None)) as plain:
                figures["sqlite"] = _measure(f"sqlite:///{path}", PlainSqlite(plain, path), arguments)
        if "postgresql" in arguments.ledgers:
            url = stack.enter_context(running())()
            with psycopg.connect(url, autocommit=True) as connection:
                figures["postgresql"] = _measure(url, PlainPostgres(connection), arguments)
    return figures


class PlainSqlite:
    """What the standard library makes of the same tables."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def size(self) -> int:
        """Bytes of the state of all keys, and of nothing else as long as only that was written."""
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return self._path.stat().st_size

    def look_ups(self, scope: int) -> dict[str, Callable[[Sequence[str]], dict[str, Row]]]:
        """Ways to look keys up."""

        def joined(keys: Sequence[str]) -> dict[str, Row]:
            query = f"select {_READ} from state where scope = ? and key in (select value from json_each(?))"
            return {row[0]: row for row in self._connection.execute(query, (scope, orjson.dumps(keys).decode()))}

        def one_by_one(keys: Sequence[str]) -> dict[str, Row]:
            query = f"select {_READ} from state where scope = ? and key = ?"
            found = (self._connection.execute(query, (scope, key)).fetchone() for key in keys)
            return {row[0]: row for row in found if row is not None}

        return {"json_each": joined, "one by one": one_by_one}

    def writes(self) -> dict[str, Callable[[Sequence[Row]], None]]:
        """Ways to write states."""

        def many(rows: Sequence[Row]) -> None:
            marks = ", ".join("?" * len(_STATE))
            insert = f"insert into state ({_NAMES}) values ({marks}) on conflict (scope, key) do update set {_CHANGES}"
            self._connection.execute("begin immediate")
            self._connection.executemany(insert, rows)
            self._connection.execute("commit")

        return {"executemany": many}


class PlainPostgres:
    """What psycopg makes of the same tables."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def size(self) -> int:
        """Bytes of the state of all keys, with its index."""
        self._connection.execute("vacuum analyze state")
        row = self._connection.execute("select pg_total_relation_size('state')").fetchone()
        return row[0] if row else 0

    def look_ups(self, scope: int) -> dict[str, Callable[[Sequence[str]], dict[str, Row]]]:
        """Ways to look keys up."""

        def listed(keys: Sequence[str]) -> dict[str, Row]:
            query = f"select {_READ} from state where scope = %s and key = any(%s)"  # type: ignore[arg-type]  # constant
            return {row[0]: row for row in self._connection.execute(query, (scope, list(keys)))}

        return {"any": listed}

    def writes(self) -> dict[str, Callable[[Sequence[Row]], None]]:
        """Ways to write states."""
        insert = f"insert into state ({_NAMES})"
        upsert = f"on conflict (scope, key) do update set {_CHANGES}"

        def many(rows: Sequence[Row]) -> None:
            marks = ", ".join(["%s"] * len(_STATE))
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.executemany(f"{insert} values ({marks}) {upsert}", rows)  # type: ignore[arg-type]  # constant

        def copied(rows: Sequence[Row]) -> None:
            with self._connection.transaction(), self._connection.cursor() as cursor:
                cursor.execute("create temp table incoming (like state) on commit drop")
                with cursor.copy(f"copy incoming ({_NAMES}) from stdin") as copy:  # type: ignore[arg-type]  # constant
                    for row in rows:
                        copy.write_row(row)
                cursor.execute(f"{insert} select {_NAMES} from incoming {upsert}")  # type: ignore[arg-type]  # constant

        return {"executemany": many, "copy": copied}


def _measure(url: str, plain: PlainSqlite | PlainPostgres, arguments: argparse.Namespace) -> dict[str, Any]:
    ledger = Ledger(url)
    try:
        scope = ledger.scope("floor", "sandbox", "address", "", 0.0)
        with Timed() as filling:
            _fill(ledger, scope, arguments.keys)
        size = plain.size()
        say(ledger.dialect, "filled in", filling.wall)
        step = max(1, arguments.keys // arguments.touched)
        numbers = range(0, step * min(arguments.touched, arguments.keys), step)
        upserts = [_upsert(number) for number in numbers]
        look_ups = {"product": _product_look_up(ledger, scope), **plain.look_ups(scope.id)}
        writes = {"product": _product_write(ledger), **plain.writes()}
        seconds: dict[str, dict[str, list[float]]] = {
            "look_up": {name: [] for name in look_ups},
            "write": {name: [] for name in writes},
            "deliver": {"product": [], "product in one transaction": []},
        }
        for number in range(arguments.rounds):
            _round(ledger, scope, upserts, look_ups, writes, seconds, number + 1.0)
        medians = {
            work: {name: statistics.median(some) for name, some in ways.items()} for work, ways in seconds.items()
        }
        return {
            "fill_seconds": filling.wall,
            "bytes_per_key": round(size / arguments.keys, 1),
            "seconds": medians,
            "ratios": {
                work: ratio(ways["product"], min(spent for name, spent in ways.items() if name != "product"))
                for work, ways in medians.items()
                if work != "deliver"
            },
        }
    finally:
        ledger.close()


def _round(
    ledger: Ledger,
    scope: Scope,
    upserts: Sequence[Upsert],
    look_ups: dict[str, Callable[[Sequence[str]], Any]],
    writes: dict[str, Callable[[Sequence[Row]], None]],
    seconds: dict[str, dict[str, list[float]]],
    now: float,
) -> None:
    keys = [upsert.key for upsert in upserts]
    for name, look_up in look_ups.items():
        with Timed() as timed:
            found = look_up(keys)
        seconds["look_up"][name].append(timed.wall)
        if len(found) != len(keys):
            msg = f"{name} found {len(found)} of {len(keys)} keys"
            raise RuntimeError(msg)
    rows = [_row(scope, upsert, now) for upsert in upserts]
    for name, write in writes.items():
        with Timed() as timed:
            write(rows)
        seconds["write"][name].append(timed.wall)
    for name, size in (("product", _GROUP), ("product in one transaction", len(upserts))):
        with Timed() as timed:
            for start in range(0, len(upserts), size):
                _delivered(ledger, scope, upserts[start : start + size], now)
        seconds["deliver"][name].append(timed.wall)
    say(ledger.dialect, {work: {name: some[-1] for name, some in ways.items()} for work, ways in seconds.items()})


def _product_look_up(ledger: Ledger, scope: Scope) -> Callable[[Sequence[str]], Any]:
    def look_up(keys: Sequence[str]) -> Any:
        found: dict[str, Any] = {}
        with ledger.reading() as connection:
            for start in range(0, len(keys), _LOOK_UP):
                found |= ledger.states(connection, scope, keys[start : start + _LOOK_UP], payloads=False)
        return found

    return look_up


def _product_write(ledger: Ledger) -> Callable[[Sequence[Row]], None]:
    def write(rows: Sequence[Row]) -> None:
        with ledger.engine.begin() as connection:
            ledger.put(connection, schema.state, [dict(zip(_STATE, row, strict=True)) for row in rows])

    return write


def _delivered(ledger: Ledger, scope: Scope, upserts: Sequence[Upsert], now: float) -> None:
    """What the ledger writes for accepted upserts, in two transactions: the attempts, then state and history."""
    with ledger.engine.begin() as connection:
        ledger.begin(connection, scope, _RUN, upserts, now)
    records = [Record(upsert, Verdict(Outcome.ACCEPTED, status=200), upsert.payload) for upsert in upserts]
    with ledger.engine.begin() as connection:
        ledger.record(connection, scope, _RUN, records, now)


def _fill(ledger: Ledger, scope: Scope, keys: int) -> None:
    write = _product_write(ledger)
    for some in _portions(keys):
        write([_row(scope, _upsert(number), 0.0) for number in some])


def _portions(keys: int) -> Iterator[range]:
    for start in range(0, keys, _LOOK_UP):
        yield range(start, min(keys, start + _LOOK_UP))


def _upsert(number: int) -> Upsert:
    """A dataset as the product writes it: a key of date, team and KPI, a payload of one value."""
    day = f"2025-{number // 28 % 12 + 1:02d}-{number % 28 + 1:02d}"
    payload = {"values": [{"kpiValueId": uuid("2", number % 5), "value": number % 1000 / 10}]}
    key = f"{day}/{uuid('4', number)}/{uuid('1', number % 5)}"
    return Upsert(key, day, payload, fingerprint.fingerprint(payload), day, (number,))


def _row(scope: Scope, upsert: Upsert, now: float) -> Row:
    """The state of an accepted upsert, as the product would write it."""
    record = Record(upsert, Verdict(Outcome.ACCEPTED, status=200))
    return tuple(map(store._state_row(scope, _RUN, record, now).__getitem__, _STATE))
