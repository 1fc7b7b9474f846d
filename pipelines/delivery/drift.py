"""Read-back: what stands at an account beside what the ledger says was last accepted there."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from pipelines.delivery.caller import Caller
from pipelines.delivery.compare import differing
from pipelines.delivery.destination import Destination, Found, Sighting, Surveying
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.ledger import Ledger, Scope, State, Turn
from pipelines.delivery.slices import RESERVE, look_in_turns
from pipelines.delivery.upsert import Upsert

_AT_A_TIME = 20_000
ReadEach = Callable[[Sequence[Upsert]], AsyncGenerator[Sighting, None]]


@dataclass(frozen=True, slots=True)
class Changed:
    """A key at which something else stands than what was accepted: each field with both values; or nothing at all."""

    key: str
    partition: str
    fields: Mapping[str, tuple[Any, Any]]


@dataclass(slots=True)
class Drift:
    """What a look has found. `changed` and `unread` hold at most as many entries as are to be shown.

    `compared`: keys that were read; `differ`: those of them at which something else stands, `gone`: at which nothing
    does. `unsettled`: left out, since a run has sent something there and does not know the answer, or has sent while
    this look went on. `unreadable`: keys that the API did not tell, `marked`: keys that the next delivery sends again,
    of the partitions `marked_in`.
    """

    compared: int = 0
    differ: int = 0
    gone: int = 0
    unsettled: int = 0
    unreadable: int = 0
    marked: int = 0
    changed: list[Changed] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    marked_in: set[str] = field(default_factory=set)


@dataclass(slots=True)
class ReadBack:
    """One look at keys of a sync. `reassert`: mark what differs, so that its next delivery sends it again.

    `read_each` reads keys one by one, where a list of the account would cost more requests.
    """

    ledger: Ledger
    scope: Scope
    sync: str
    turn: Turn
    destination: Destination
    caller: Caller
    read_each: ReadEach
    reassert: bool = False
    shown: int = 10
    clock: Callable[[], float] = time.time
    drift: Drift = field(default_factory=Drift)

    async def look(self, keys: Mapping[str, str]) -> Drift:
        """Compare what stands at the keys, each given with its partition.

        Raises:
            AccountStopped, AccountUnavailable: as a call does.
            LedgerError: the ledger cannot be used.
        """
        names = list(keys)
        for start in range(0, len(names), _AT_A_TIME):
            await self._look({key: keys[key] for key in names[start : start + _AT_A_TIME]})
        return self.drift

    async def _look(self, keys: Mapping[str, str]) -> None:
        with self.ledger.reading() as connection:
            attempted = {one.upsert.key for one in self.ledger.attempts(connection, self.scope, self.sync)}
            states = self.ledger.states(connection, self.scope, list(keys), payloads=True)
        upserts = {
            key: self._upsert(key, state, keys[key])
            for key, state in states.items()
            if key not in attempted and not state.removed
        }
        self.drift.unsettled += len(keys) - len(upserts)
        if upserts:
            async with aclosing(self._parts([*upserts.values()])) as parts:
                await look_in_turns(self.turn, parts, lambda part: self._take_in(part, upserts, states))

    def _upsert(self, key: str, state: State, partition: str) -> Upsert:
        payload = state.payload or {}
        mark = fingerprint(self.destination.normalise(payload))
        return Upsert(key, state.as_of, payload, mark, partition, ())

    def _parts(self, upserts: Sequence[Upsert]) -> AsyncGenerator[Sighting, None]:
        """One list of the account where that takes fewer requests than a request per key."""
        destination = self.destination
        if isinstance(destination, Surveying) and destination.effort(upserts).requests < len(upserts):
            return destination.survey(upserts, self.caller)
        return self.read_each(upserts)

    def _take_in(self, part: Sighting, upserts: Mapping[str, Upsert], before: Mapping[str, State]) -> None:
        """Compare a part, in the turn: nobody else sends now, and what was sent since `before` is left out."""
        unread = {**part.unread, **dict.fromkeys(part.loose, "no entry carries the key"), **part.unclear}
        self._note_unread(unread)
        found = {key: one for key, one in part.found.items() if key not in unread}
        with self.turn.transaction(reserve=RESERVE) as connection:
            now = self.ledger.states(connection, self.scope, list(found), payloads=False)
            settled = {key for key in found if key in now and _is_as_before(now[key], before[key])}
            self.drift.unsettled += len(found) - len(settled)
            different = [key for key in settled if not self._is_same(upserts[key], found[key])]
            if self.reassert and different:
                self.ledger.doubt(connection, self.scope, different)
        self.drift.compared += len(settled)
        for key in sorted(different):
            self._note_change(upserts[key], found[key])
        marked = [key for key in different if self.reassert or not before[key].fingerprint]
        self.drift.marked += len(marked)
        self.drift.marked_in.update(upserts[key].partition for key in marked)

    def _note_unread(self, unread: Mapping[str, str]) -> None:
        self.drift.unreadable += len(unread)
        for key, why in unread.items():
            if len(self.drift.unread) < self.shown:
                self.drift.unread[key] = why

    def _is_same(self, upsert: Upsert, found: Found) -> bool:
        return found.payload is not None and fingerprint(self._form(found)) == upsert.fingerprint

    def _note_change(self, upsert: Upsert, found: Found) -> None:
        self.drift.differ += 1
        self.drift.gone += found.payload is None
        if len(self.drift.changed) < self.shown:
            fields = differing(self.destination.normalise(upsert.payload), self._form(found))
            self.drift.changed.append(Changed(upsert.key, upsert.partition, fields))

    def _form(self, found: Found) -> Mapping[str, Any]:
        return {} if found.payload is None else self.destination.normalise(found.payload)


def _is_as_before(now: State, before: State) -> bool:
    return (now.accepted_at, now.as_of, now.removed) == (before.accepted_at, before.as_of, before.removed)
