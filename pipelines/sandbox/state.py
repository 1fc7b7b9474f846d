"""What the sandbox holds: shelves of JSON records in memory, and a journal of which of them changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

Record = dict[str, Any]
Clock = Callable[[], float]


class Journal:
    """Which records changed, oldest change first, each once.

    The store writes what changed since its last turn, and the page fetches what changed since its last look.
    """

    def __init__(self) -> None:
        self.at = 0
        self._changed: dict[tuple[str, str], int] = {}

    def mark(self, shelf: str, key: str) -> None:
        """Note that a record was put, changed or taken away."""
        self.at += 1
        entry = (shelf, key)
        self._changed.pop(entry, None)
        self._changed[entry] = self.at

    def since(self, at: int) -> list[tuple[str, str]]:
        """The shelves and keys that changed after `at`, newest first."""
        changed = []
        for entry, number in reversed(self._changed.items()):
            if number <= at:
                break
            changed.append(entry)
        return changed


class Shelf:
    """Records by key, in the order in which the keys came.

    A record that was changed in place must be `put` again, so that the journal knows.
    """

    def __init__(self, name: str, journal: Journal, records: dict[str, Record]) -> None:
        self.name = name
        self._journal = journal
        self._records = records

    def get(self, key: str) -> Record | None:
        """The record at a key."""
        return self._records.get(key)

    def put(self, key: str, record: Record) -> None:
        """Set the record at a key."""
        self._records[key] = record
        self._journal.mark(self.name, key)

    def take(self, key: str) -> Record | None:
        """Take the record away and return it; None where there is none."""
        record = self._records.pop(key, None)
        if record is not None:
            self._journal.mark(self.name, key)
        return record

    def values(self) -> Iterator[Record]:
        """The records."""
        return iter(self._records.values())

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def as_dict(self) -> dict[str, Record]:
        """The records by key."""
        return self._records

    def __len__(self) -> int:
        return len(self._records)


class State:
    """All shelves and the id of what they hold.

    The id lives as long as the state: it survives restarts and changes with a reset, so that a ledger can tell that
    the sandbox it wrote to is gone. `epoch` tells one stretch of the journal from another.
    """

    def __init__(
        self,
        *,
        state_id: str | None = None,
        records: dict[str, dict[str, Record]] | None = None,
        clock: Clock = time.time,
    ) -> None:
        self.id = state_id or uuid4().hex
        self.epoch = uuid4().hex
        self.clock = clock
        self.journal = Journal()
        self._records = records or {}

    def shelf(self, name: str) -> Shelf:
        """The shelf of a name; after a clearing, ask again."""
        return Shelf(name, self.journal, self._records.setdefault(name, {}))

    def record(self, shelf: str, key: str) -> Record | None:
        """The record at a key of a shelf."""
        return self._records.get(shelf, {}).get(key)

    def clear(self) -> None:
        """Empty every shelf and take a new id."""
        self.id = uuid4().hex
        self.epoch = uuid4().hex
        self.journal = Journal()
        self._records = {}

    def now(self) -> str:
        """The time, as ISO 8601 text in UTC with milliseconds."""
        moment = datetime.fromtimestamp(self.clock(), UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
