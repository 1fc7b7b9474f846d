"""First contact with a live account, made without looking: what tests about other things begin with."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from contextlib import closing

from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.people import make_contact
from pipelines.destinations.accounts import read_account
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home


def let_send(sync: SyncSpec, home: Home, environ: Mapping[str, str] | None = None) -> None:
    """Let a live sync send; another mode may anyway."""
    if sync.mode != "live":
        return
    env = os.environ if environ is None else environ
    account = read_account(sync.account, sync.settings, sync.mode, home=home, environ=env)
    now = time.time()
    with closing(Ledger(home.ledger_url)) as ledger:
        scope = ledger.scope(account.name, account.mode, account.address_hash, "", now)
        with ledger.engine.begin() as connection:
            make_contact(ledger, connection, scope, sync.name, policy="trusted", found={}, now=now)
