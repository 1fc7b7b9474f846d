"""One key's story: what the source says, what was accepted, told, refused, what a run would do, what stands there."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from pipelines.components.looking import look
from pipelines.components.said import Said, what_is_said
from pipelines.components.sync_run import config_hash
from pipelines.delivery.compare import ABSENT, flat
from pipelines.delivery.errors import PipelinesError
from pipelines.delivery.gates import Gates
from pipelines.delivery.ledger import Hold, Ledger, Run, Scope
from pipelines.delivery.ledger.people import hold_of
from pipelines.delivery.ledger.queries import (
    Accepted,
    Open,
    Told,
    Tried,
    Wanted,
    find_accepted,
    find_attempt,
    find_deliveries,
    find_open,
    keys_like,
)
from pipelines.delivery.ledger.scopes import current_scope
from pipelines.delivery.plan import make_plan
from pipelines.delivery.upsert import Payload, Upsert
from pipelines.destinations.accounts import read_account
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.store import PartitionStore

_DELIVERIES = 20
_SIMILAR = 5
_SCOPES = 10
"""Other accounts, modes and addresses that may have the same key."""


@dataclass(frozen=True, slots=True)
class There:
    """What stands at the key now, normalised as it is compared; `payload` None: nothing. `unread`: why it is not known.

    Where it was not asked for, both are empty and `asked` is false.
    """

    payload: Payload | None = None
    unread: str = ""
    asked: bool = True


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of a key. `next` is what a run over its newest partition would do, in words."""

    sync: str
    key: str
    account: str
    mode: str
    said: Said
    accepted: Accepted | None
    attempt: Tried | None
    still_open: Open | None
    deliveries: Sequence[Told]
    hold: Hold | None
    next: str
    settled: bool
    """Whether a run would leave the key as it is."""
    there: There
    fields: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Each field that is compared, as the source says it, as it was accepted, and as it stands there."""
    similar: Sequence[str] = ()
    """Of a key that is known nowhere: delivered ones that contain it."""

    @property
    def known(self) -> bool:
        """Whether anything is known of the key."""
        said = self.said.newest or self.said.dropped or self.said.quarantined
        return bool(said or self.accepted or self.attempt or self.still_open or self.deliveries)

    @property
    def drifted(self) -> bool:
        """Whether something else stands there than what was last accepted."""
        return any(
            "there" in one and "accepted" in one and one["there"] != one["accepted"] for one in self.fields.values()
        )

    @property
    def well(self) -> bool:
        """Whether nothing is wrong or open."""
        return self.settled and not (self.still_open or self.attempt or self.hold or self.drifted or self.there.unread)


def tell(sync: SyncSpec, key: str, home: Home, *, offline: bool) -> Story:
    """Put the story together.

    Raises:
        LedgerError: the ledger cannot be used.
        TableError: a stored partition cannot be read.
    """
    said = what_is_said(sync, PartitionStore(home.store_url), key)
    ledger = Ledger(home.ledger_url)
    try:
        with ledger.reading() as connection:
            scope = current_scope(connection, sync.account, sync.mode)
            accepted = find_accepted(connection, scope, key) if scope else None
        there = There(asked=False) if offline or sync.mode == "dry" else _there(sync, key, home, said, accepted)
        return _Teller(sync, key, ledger, scope or Scope(0, sync.account, sync.mode)).tell(said, there)
    finally:
        ledger.close()


def _there(sync: SyncSpec, key: str, home: Home, said: Said, accepted: Accepted | None) -> There:
    """Read what stands there; whatever keeps that from being read is part of the story, not its end."""
    if said.newest:
        upsert = said.newest[0]
    elif accepted is not None:
        upsert = Upsert(key, accepted.as_of, accepted.payload, "", accepted.partition, ())
    else:
        return There(asked=False)
    try:
        account = read_account(sync.account, sync.settings, sync.mode, home=home)
        found = asyncio.run(look(sync, account, home, upsert))
    except PipelinesError as error:
        return There(unread=str(error))
    return There(unread="the API does not tell") if found is None else There(found.payload)


@dataclass(frozen=True, slots=True)
class _Teller:
    """Asks the ledger about a key."""

    sync: SyncSpec
    key: str
    ledger: Ledger
    scope: Scope

    def tell(self, said: Said, there: There) -> Story:
        sync, scope = self.sync, self.scope
        wanted, place = Wanted(exact_key=self.key), (sync.account, sync.mode)
        with self.ledger.reading() as connection:
            accepted = find_accepted(connection, scope, self.key)
            still_open, _ = find_open(connection, wanted, _SCOPES, park_after={sync.name: sync.park_after})
            told, _ = find_deliveries(connection, wanted, _SCOPES * _DELIVERIES)
            next_, settled = self._next(connection, said, accepted)
            return Story(
                sync=sync.name,
                key=self.key,
                account=sync.account,
                mode=sync.mode,
                said=said,
                accepted=accepted,
                attempt=find_attempt(connection, scope, self.key),
                still_open=next((one for one in still_open if (one.account, one.mode) == place), None),
                deliveries=[one for one in told if (one.account, one.mode) == place][:_DELIVERIES],
                hold=hold_of(connection, sync.name),
                next=next_,
                settled=settled,
                there=there,
                fields=_fields(sync, said, accepted, there),
                similar=keys_like(connection, scope, self.key, _SIMILAR),
            )

    def _next(self, connection: Connection, said: Said, accepted: Accepted | None) -> tuple[str, bool]:
        """What a run would do with the key, in words, and whether that leaves it as it is."""
        if not said.newest:
            if accepted is None or accepted.removed_at is not None:
                return "nothing: the source has no valid row of it", not (said.dropped or said.quarantined)
            why = "the source has no valid row of it any more"
            kept = self.sync.vanished == "keep"
            return f"nothing: {why} (vanished: {self.sync.vanished})", kept and not said.dropped
        states = self.ledger.states(connection, self.scope, [self.key], payloads=True)
        plan = make_plan(said.newest, states, sync=self.sync.name, normalise=self.sync.normalise)
        if plan.to_send:
            return self._send("create it" if plan.create else "update it", connection, plan.to_send), False
        if plan.invalid:
            return f"nothing: {plan.invalid[0].reason}", False
        newer = "superseded, since something newer was accepted than what the source has stored"
        return f"nothing: {newer if plan.superseded else 'unchanged'}", True

    def _send(self, verb: str, connection: Connection, upserts: Sequence[Upsert]) -> str:
        sync = self.sync
        if sync.mode == "dry":
            return f"nothing: mode dry; live it would {verb}"
        gates = Gates(self.ledger, self.scope, Run("", sync.name, config_hash(sync)), park_after=sync.park_after)
        barred = gates.closed(connection) or next((one.reason for one in gates.park(connection, upserts)), "")
        return f"not {verb}: {barred}" if barred else verb


def _fields(sync: SyncSpec, said: Said, accepted: Accepted | None, there: There) -> dict[str, dict[str, Any]]:
    """The fields that count, side by side; a column only where there is something to put into it."""
    columns: dict[str, Mapping[str, Any]] = {}
    if said.newest:
        columns["source"] = flat(sync.normalise(said.newest[0].payload))
    if accepted is not None and accepted.removed_at is None:
        columns["accepted"] = flat(sync.normalise(accepted.payload))
    if there.asked and not there.unread:
        columns["there"] = flat(there.payload or {})
    names = dict.fromkeys(name for one in columns.values() for name in one)
    return {name: {column: one.get(name, ABSENT) for column, one in columns.items()} for name in names}
