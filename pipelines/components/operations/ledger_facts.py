"""What the ledger knows of a deployment's syncs, in a handful of queries each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.people import all_acknowledged
from pipelines.delivery.ledger.records import Acknowledged
from pipelines.delivery.ledger.summary import Place, Summary, summarise
from pipelines.destinations.base import SyncSpec

Still = Callable[[SyncSpec, Sequence[Acknowledged]], Sequence[Acknowledged]]
"""Those of a sync's acknowledged partitions that nobody has tried since."""


@dataclass(frozen=True, slots=True)
class Noted:
    """What the ledger says of a sync, without the partitions that are acknowledged, and those."""

    summary: Summary = field(default_factory=Summary)
    acknowledged: Sequence[Acknowledged] = ()


def note(url: str, syncs: Sequence[SyncSpec], still: Still) -> tuple[dict[str, Noted], str]:
    """What the ledger says of each sync, and why it cannot be read. A ledger that was never made is not made now."""
    if _never_made(url):
        return {sync.name: Noted(Summary(contact=sync.mode != "live")) for sync in syncs}, ""
    try:
        with closing(Ledger(url)) as ledger, ledger.reading() as connection:
            accepted = all_acknowledged(connection)
            holds = {sync.name: still(sync, accepted.get(sync.name, [])) for sync in syncs}
            return {sync.name: _of(connection, sync, holds[sync.name]) for sync in syncs}, ""
    except LedgerError as error:
        return {}, str(error)


def _of(connection: Connection, sync: SyncSpec, acknowledged: Sequence[Acknowledged]) -> Noted:
    without = [one.partition for one in acknowledged]
    place = Place(sync.name, sync.account, sync.mode, sync.park_after, without)
    return Noted(summarise(connection, place), acknowledged)


def _never_made(url: str) -> bool:
    if not url.startswith("sqlite:"):
        return False
    file = make_url(url).database
    return bool(file) and not Path(file or "").exists()
