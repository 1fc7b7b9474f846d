"""The sandbox's state on disk: one SQLite file, written behind the requests.

A request never waits for the disk. What a kill in the wrong half second loses is what a stop in good order flushes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import orjson

from pipelines.sandbox.state import Clock, Record, State

_FLUSH_EVERY_S = 0.5
_VERSION = 1
_SCHEMA = f"""
pragma user_version = {_VERSION};
create table if not exists identity (id text not null);
create table if not exists records (shelf text, key text, record blob, primary key (shelf, key)) without rowid;
"""
_PUT = "insert into records values (?, ?, ?) on conflict do update set record = excluded.record"
_DROP = "delete from records where shelf = ? and key = ?"


class StateUnusable(Exception):
    """The file is no state of this version of the sandbox; the message says what to do."""


class Store:
    """Keeps a `State` in a folder.

    Raises:
        StateUnusable: the folder holds the state of another version, or a file that is none.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "state.db"
        self._db = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        try:
            self._prepare()
        except (sqlite3.DatabaseError, StateUnusable) as error:
            self._db.close()
            msg = f"The sandbox's state in {file} cannot be used: {error}. Delete the folder {folder} to start empty."
            raise StateUnusable(msg) from error
        self._epoch = ""
        self._at = 0

    def _prepare(self) -> None:
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = normal")
        (version,) = self._db.execute("pragma user_version").fetchone()
        if version not in (0, _VERSION):
            msg = f"it has version {version}, not {_VERSION}"
            raise StateUnusable(msg)
        self._db.executescript(_SCHEMA)

    def load(self, clock: Clock) -> State:
        """The state as it was last flushed; an empty one with a new id where there is none."""
        row = self._db.execute("select id from identity").fetchone()
        records: dict[str, dict[str, Record]] = {}
        for shelf, key, record in self._db.execute("select shelf, key, record from records"):
            records.setdefault(shelf, {})[key] = orjson.loads(record)
        state = State(state_id=row[0] if row else None, records=records, clock=clock)
        if row:
            self._epoch = state.epoch
        return state

    def flush(self, state: State) -> None:
        """Write what changed since the last flush, in one transaction."""
        self._write(*self._pending(state))

    async def keep(self, state: State, until: asyncio.Event) -> None:
        """Flush every half second beside the event loop, and once more at the end."""
        while not until.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), _FLUSH_EVERY_S)
            if state.epoch != self._epoch or state.journal.at != self._at:
                await asyncio.to_thread(self._write, *self._pending(state))
        self.flush(state)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def _pending(self, state: State) -> tuple[str | None, list[tuple[str, str, Record | None]]]:
        """The new id where the state was cleared, and the records to write; taken on the loop's own thread."""
        fresh = state.id if state.epoch != self._epoch else None
        since = 0 if fresh else self._at
        changed = [(shelf, key, state.record(shelf, key)) for shelf, key in state.journal.since(since)]
        self._epoch, self._at = state.epoch, state.journal.at
        return fresh, changed

    def _write(self, fresh: str | None, changed: list[tuple[str, str, Record | None]]) -> None:
        self._db.execute("begin immediate")
        if fresh:
            self._db.execute("delete from records")
            self._db.execute("delete from identity")
            self._db.execute("insert into identity values (?)", (fresh,))
        puts = ((shelf, key, orjson.dumps(record)) for shelf, key, record in changed if record is not None)
        self._db.executemany(_PUT, puts)
        self._db.executemany(_DROP, ((shelf, key) for shelf, key, record in changed if record is None))
        self._db.execute("commit")
