"""Looking at what stands at an account, within the turn and the pace of its runs."""

from __future__ import annotations

import asyncio
from contextlib import closing

from pipelines.components.way import Errand, Way, open_way
from pipelines.delivery.caller import STOPS
from pipelines.delivery.destination import Found, Remembering
from pipelines.delivery.errors import AccountUnavailable, PipelinesError
from pipelines.delivery.ledger import Ledger, Priority
from pipelines.delivery.report import Traffic
from pipelines.delivery.upsert import Upsert
from pipelines.destinations.accounts import Account
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home

_RESERVE = 64
_PATIENCE_S = 60.0


async def look(sync: SyncSpec, account: Account, home: Home, upsert: Upsert) -> Found | None:
    """What stands at the upsert's key now; None: the API does not tell.

    Raises:
        AccountStopped, AccountUnavailable: as a call does; or a run has the account's turn and does not yield it.
        LedgerError: the ledger cannot be used.
    """
    with closing(Ledger(home.ledger_url)) as ledger:
        async with open_way(sync, account, ledger, Errand(Priority.MANUAL, Traffic())) as way:
            remind(way, sync)
            try:
                async with asyncio.timeout(_PATIENCE_S), way.turn.hold():
                    with way.turn.transaction(reserve=_RESERVE):
                        pass
                    found = await _read(way, upsert)
            except TimeoutError:
                raise AccountUnavailable(
                    f"account {account.name}: not read within {_PATIENCE_S:g} s: its API is slow or a run is sending",
                    do="Try again later, or leave it out with --offline.",
                    account=account.name,
                ) from None
    if isinstance(found, PipelinesError):
        raise found
    return found


async def _read(way: Way, upsert: Upsert) -> Found | PipelinesError | None:
    """What stands at the key, or what stopped the account: raised within the turn it would leave the reserve behind."""
    try:
        return await way.destination.read_back(upsert, way.caller)
    except STOPS as stop:
        return stop


def remind(way: Way, sync: SyncSpec) -> None:
    """Tell the destination what the ledger knows, such as the API's own ids."""
    if isinstance(way.destination, Remembering):
        with way.ledger.reading() as connection:
            accepted = way.ledger.accepted(connection, way.scope, sync.name)
        way.destination.remember({key: Found(*one) for key, one in accepted.items()})
