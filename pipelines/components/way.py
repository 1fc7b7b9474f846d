"""The way to an account: the ledger's state of it, the turn, the pace and HTTP, put together for one run or command."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

from pipelines.delivery.caller import AccountRules, Caller, Patience
from pipelines.delivery.deadline import Deadline
from pipelines.delivery.destination import Destination
from pipelines.delivery.http import HttpPort
from pipelines.delivery.ledger import Ledger, Priority, Scope, Turn
from pipelines.delivery.messages import NotSent, Port, Request
from pipelines.delivery.pace import Pace
from pipelines.delivery.report import Traffic
from pipelines.destinations.accounts import Account
from pipelines.destinations.base import SyncSpec

OpenPort = Callable[[Account], AbstractAsyncContextManager[Port]]


def http_port(account: Account) -> HttpPort:
    """HTTP to the account, with its headers."""
    return HttpPort(
        base_url=account.url or "http://127.0.0.1",
        headers=account.headers,
        secrets=account.secrets,
        timeout_s=account.timeout_s,
        max_connections=account.limits.in_flight,
    )


class _Nowhere:
    """A way out that nothing leaves through: what only plans cannot ask an API, whatever its destination does."""

    async def send(self, request: Request) -> NotSent:
        return NotSent(f"{request}: a plan makes no request")

    async def aclose(self) -> None:
        pass


@asynccontextmanager
async def no_port(account: Account) -> AsyncIterator[Port]:
    """For a plan: no connection is opened."""
    del account
    yield _Nowhere()


@dataclass(frozen=True, slots=True)
class Way:
    """What it takes to speak to a sync's account, and to write down what was said."""

    account: Account
    ledger: Ledger
    scope: Scope
    turn: Turn
    destination: Destination
    caller: Caller


@dataclass(frozen=True, slots=True)
class Errand:
    """What is wanted of an account.

    `traffic`: where requests are counted; `run`: whom others see waiting or sending; `open_port`: what its requests
    leave through; `minutes`: how long it may go on; `plans`: nothing is sent or written down.
    """

    priority: Priority
    traffic: Traffic
    run: str = ""
    patience: Patience = field(default_factory=Patience)
    open_port: OpenPort = http_port
    minutes: float | None = None
    plans: bool = False


@asynccontextmanager
async def open_way(sync: SyncSpec, account: Account, ledger: Ledger, errand: Errand) -> AsyncIterator[Way]:
    """Open connections, and close them at the end.

    Raises:
        AddressChanged: a live account has state under another address.
        LedgerError: the ledger cannot be used.
    """
    async with (no_port if errand.plans else errand.open_port)(account) as port:
        place = (account.name, account.mode, account.address_hash, account.sandbox_id or "")
        scope = ledger.planned_scope(*place) if errand.plans else ledger.scope(*place, time.time())
        destination = sync.connect(account)
        deadline = None if errand.minutes is None else Deadline(ledger.clock() + errand.minutes * 60, errand.minutes)
        caller = Caller(
            _rules(account, destination),
            port,
            Pace(account.limits.windows, share=sync.share, clock=ledger.clock),
            errand.traffic,
            errand.patience,
            deadline=deadline,
            guard=lambda: turn.check(),  # noqa: PLW0108 (the turn is made of this caller)
            clock=ledger.clock,
        )
        turn = Turn(ledger, quota_of(sync, account.mode), errand.priority, caller, run=errand.run, deadline=deadline)
        yield Way(account, ledger, scope, turn, destination, caller)


def quota_of(sync: SyncSpec, mode: str) -> str:
    """What a sync's account shares its allowance and its turn under."""
    return f"{mode}.{sync.quota or sync.account}"


def _rules(account: Account, destination: Destination) -> AccountRules:
    sandbox = account.mode == "sandbox"
    return AccountRules(
        account.name,
        account.url,
        destination.transient,
        when_refused="Start the sandbox with `pipelines sandbox`, or everything with `pipelines dev`."
        if sandbox
        else "",
        give_up_when_refused=sandbox,
        redact=account.redact,
        media_type_setting=account.media_type_setting,
    )
