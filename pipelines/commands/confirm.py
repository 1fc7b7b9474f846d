"""`pipelines confirm`: a live account has a new address, and somebody says what that means."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from pipelines.commands.deployed import Deployed
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.ledger import Ledger
from pipelines.destinations.accounts import read_account
from pipelines.home import Home


def run_confirm(account: str, *, same_tenant: bool, folder: Path | None) -> int:
    """Take the account's present address into the ledger."""
    home = Home.of()
    live = next((sync for sync in Deployed.at(folder).syncs if sync.account == account and sync.mode == "live"), None)
    if live is None:
        raise ConfigurationError(f"no sync in mode live uses an account {account}", do="See `pipelines check`.")
    address = read_account(account, live.settings, "live", home=home)
    ledger = Ledger(home.ledger_url)
    try:
        changed = ledger.confirm_address(account, address.address_hash, time.time(), same_tenant=same_tenant)
    finally:
        ledger.close()
    state = (
        "its state applies to it"
        if same_tenant
        else "it starts with an empty state, and each sync with `pipelines adopt SYNC`"
    )
    Console(highlight=False, markup=False, soft_wrap=True).print(
        f"{account}: {address.url} is confirmed; {state}." if changed else f"{account}: nothing had changed."
    )
    return 0
