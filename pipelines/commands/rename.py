"""`pipelines ledger rename`: a sync has a new name, and its keys go with it."""

from __future__ import annotations

import time
from pathlib import Path

from pipelines.commands.deployed import Deployed
from pipelines.commands.ledger import the_ledger
from pipelines.commands.printing import confirm, console
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.ledger.renaming import Holdings, holdings, owners, rename
from pipelines.destinations.base import SyncSpec

_MODES = ("sandbox", "dry", "live")


def run_rename(old: str, new: str, *, yes: bool, folder: Path | None) -> int:
    """Show what the old name holds at the account of the new one, ask, and hand it over.

    Raises:
        ConfigurationError: the old name is still a sync of the deployment, the new one is none, or there is nothing to
            hand over.
        LedgerError: somebody is delivering.
    """
    deployed = Deployed.at(folder)
    spec = deployed.sync(new)
    if any(sync.name == old for sync in deployed.syncs):
        raise ConfigurationError(
            f"the sync {old} is still in the deployment: its keys stay its own",
            do="Rename it in its file first, or take the file away.",
        )
    with the_ledger() as ledger:
        with ledger.reading() as connection:
            found, own = holdings(connection, spec.account, old), holdings(connection, spec.account, new)
            others = owners(connection, spec.account)
        if not found:
            raise _nothing(spec, old, [name for name in others if name not in {sync.name for sync in deployed.syncs}])
        out = console()
        out.print(f"At account {spec.account}, {old} has {_told(found)}; {new} has {_told(own)}.")
        if not yes:
            confirm(f"that {old} is {new} now")
        quotas = {f"{mode}.{name}" for mode in _MODES for name in (spec.account, spec.quota) if name}
        rename(ledger, spec.account, old, new, quotas=quotas, now=time.time())
    out.print(
        f"All of it belongs to {new} now; the history of deliveries keeps the old name. Dagster shows {new}'s "
        "partitions as missing until they are run: what is unchanged is not sent again."
    )
    return 0


def former_name(old: str, new: str) -> str:
    """What to do where keys belong to a sync that the deployment does not have."""
    return (
        f"{old} is no sync of this deployment. If {new} is its new name: `pipelines ledger rename {old} {new}` hands "
        "its keys over."
    )


def _nothing(spec: SyncSpec, old: str, former: list[str]) -> ConfigurationError:
    hint = f"Keys there belong to {', '.join(former)}, which the deployment does not have." if former else ""
    return ConfigurationError(f"the ledger holds nothing of a sync {old} at account {spec.account}", do=hint)


def _told(found: Holdings) -> str:
    counts = f"{found.keys} keys, {found.open} open, {found.attempts} attempted without an answer"
    contact = "first contact was made" if found.contacts else "no first contact"
    return f"{counts}, {contact}{', and is held' if found.held else ''}"
