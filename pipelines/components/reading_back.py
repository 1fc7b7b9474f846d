"""The standing check that reads from an API what a sync has delivered, in the turn and at the pace of its account."""

from __future__ import annotations

import asyncio
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import dagster as dg
import orjson

from pipelines.components.events import CheckOutcome
from pipelines.components.looking import remind
from pipelines.components.reasons import bounded
from pipelines.components.way import Errand, open_way
from pipelines.delivery.drift import Changed, Drift, ReadBack
from pipelines.delivery.ledger import Ledger, Priority
from pipelines.delivery.ledger.people import has_contact
from pipelines.delivery.ledger.scopes import current_scope
from pipelines.delivery.ledger.standing import delivered_keys
from pipelines.delivery.report import Traffic
from pipelines.destinations.accounts import Account, read_account
from pipelines.destinations.base import ReadBackSpec, SyncSpec
from pipelines.destinations.surveying import read_each
from pipelines.home import Home

READ_BACK = "read_back"
"""The check."""
MARKED_IN = "sent_again"
"""On its verdict: the partitions of which something is to be sent again, where the sync wants that."""
_VALUE_SHOWN = 80


@dataclass(frozen=True, slots=True)
class _Asked:
    sync: SyncSpec
    wanted: ReadBackSpec
    account: Account
    run: str


def read_back(sync: SyncSpec, wanted: ReadBackSpec, home: Home, run: str) -> CheckOutcome:
    """Read keys of the sync, and compare them with what was last accepted.

    Raises:
        ConfigurationError: the account's settings cannot be used.
        AccountStopped, AccountUnavailable: the account cannot be read.
        LedgerError: the ledger cannot be used.
    """
    if sync.mode == "dry":
        return _nothing("mode dry: nothing is delivered, so that there is nothing to read back")
    with closing(Ledger(home.ledger_url)) as ledger:
        with ledger.reading() as connection:
            scope = current_scope(connection, sync.account, sync.mode)
            if scope is None or (sync.mode == "live" and not has_contact(connection, scope, sync.name)):
                return _nothing(f"sync {sync.name} has delivered nothing to account {sync.account} yet")
        traffic = Traffic()
        account = read_account(sync.account, sync.settings, sync.mode, home=home)
        drift = asyncio.run(_look(_Asked(sync, wanted, account, run), ledger, traffic))
    if drift is None:
        return _nothing("the ledger holds no key that this sync has delivered there")
    return _verdict(sync, wanted, drift, traffic)


async def _look(asked: _Asked, ledger: Ledger, traffic: Traffic) -> Drift | None:
    """What was found; None: nothing was delivered to this very address, or this very sandbox."""
    sync, account = asked.sync, asked.account
    errand = Errand(Priority.CHECK, traffic, run=asked.run, minutes=sync.max_minutes)
    async with open_way(sync, account, ledger, errand) as way:
        with ledger.reading() as connection:
            most = None if asked.wanted.keys == "all" else asked.wanted.keys
            keys = delivered_keys(connection, way.scope, sync.name, most)
        if not keys:
            return None
        remind(way, sync)
        read = partial(read_each, way.destination, call=way.caller, in_flight=account.limits.in_flight)
        look = ReadBack(
            ledger,
            way.scope,
            sync.name,
            way.turn,
            way.destination,
            way.caller,
            read_each=read,
            reassert=asked.wanted.then == "reassert",
        )
        return await look.look(keys)


def _nothing(why: str) -> CheckOutcome:
    return CheckOutcome(passed=True, metadata={"why": why})


def _verdict(sync: SyncSpec, wanted: ReadBackSpec, drift: Drift, traffic: Traffic) -> CheckOutcome:
    """Yellow where something else stands there, or where nothing could be read."""
    metadata = {
        "compared": drift.compared,
        "differ": drift.differ,
        "gone": drift.gone,
        "unreadable": drift.unreadable,
        "unsettled": drift.unsettled,
        "sent_again_next_time": drift.marked,
        "requests": traffic.requests,
        "waited_for_limit_s": round(traffic.waited_s, 3),
    }
    if drift.differ:
        rows = [row for one in drift.changed for row in _rows(one)]
        heads = ("key", "partition", "field", "sent", "stands there")
        metadata["changes"] = dg.MetadataValue.md(
            bounded(heads, rows, len(rows) + drift.differ - len(drift.changed), "keys")
        )
        metadata["what_to_do"] = _mend(sync, wanted)
        if wanted.then == "reassert":
            metadata[MARKED_IN] = dg.MetadataValue.json(sorted(drift.marked_in))
    if drift.unread:
        rows = [(key, why) for key, why in drift.unread.items()]
        metadata["not_read"] = dg.MetadataValue.md(bounded(("key", "why"), rows, drift.unreadable, "keys"))
    mute = not drift.compared and drift.unreadable
    return CheckOutcome(
        passed=not drift.differ and not mute,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"why": _why(drift), **metadata},
    )


def _why(drift: Drift) -> str:
    if drift.differ:
        gone = f", at {drift.gone} of them nothing" if drift.gone else ""
        return f"at {drift.differ} of {drift.compared} keys something else stands than what was accepted{gone}"
    if not drift.compared and not drift.unreadable:
        return f"a run is at work at all of {drift.unsettled} keys, so that nothing was compared"
    if not drift.compared:
        return f"the API did not tell what stands at any of {drift.unreadable} keys"
    more = f"; {drift.unreadable} could not be read" if drift.unreadable else ""
    return f"all of {drift.compared} keys stand there as they were accepted{more}"


def _mend(sync: SyncSpec, wanted: ReadBackSpec) -> str:
    if wanted.then == "reassert":
        return (
            f"Nothing: runs of {sync.name}_deliver over these partitions are started, which send what differs. To let "
            "such changes stand, set `read_back: {then: report}`."
        )
    return (
        f"Ask who changed it: `pipelines why {sync.name} KEY`. To send it again, set `read_back: {{then: reassert}}`, "
        "and run this check; to let it stand, do nothing."
    )


def _rows(change: Changed) -> list[tuple[str, str, str, str, str]]:
    return [
        (change.key, change.partition, name, _shown(ours), _shown(theirs))
        for name, (ours, theirs) in change.fields.items()
    ]


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text if len(text) <= _VALUE_SHOWN else f"{text[:_VALUE_SHOWN]}…"
