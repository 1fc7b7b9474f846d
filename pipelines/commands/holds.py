"""`pipelines hold` and `pipelines release`: a sync that sends nothing until somebody lets it."""

from __future__ import annotations

import time
from pathlib import Path

from pipelines.commands.deployed import Deployed
from pipelines.commands.ledger import the_ledger
from pipelines.commands.printing import console, when
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.ledger.people import all_holds, hold, hold_of, release


def run_hold(sync: str, reason: str, folder: Path | None) -> int:
    """Keep the sync from sending; a hold that stands is renewed with its new reason.

    Raises:
        ConfigurationError: there is no such sync, or no reason was given.
    """
    if not reason.strip():
        raise ConfigurationError(f"sync {sync} is not held: there is no reason", do="Say why: --reason TEXT.")
    Deployed.at(folder).sync(sync)
    with the_ledger() as ledger, ledger.engine.begin() as connection:
        before = hold_of(connection, sync)
        hold(ledger, connection, sync, reason.strip(), time.time())
    renewed = f" It was held before, since {when(before.since)} by {before.who}: {before.reason}" if before else ""
    console().print(
        f"{sync} is held: its runs plan and report, and send nothing, until `pipelines release {sync}`.{renewed}"
    )
    return 0


def run_release(sync: str) -> int:
    """Let the sync send again; 1 where it was not held."""
    with the_ledger() as ledger, ledger.engine.begin() as connection:
        released = release(connection, sync, time.time())
        others = all_holds(connection)
    if released:
        console().print(f"{sync} may send again; what was kept back goes out with the next run of its partitions.")
        return 0
    held = ", ".join(f"{name} (since {when(one.since)}: {one.reason})" for name, one in others.items())
    console().print(f"{sync} was not held. Held are: {held or 'none'}.")
    return 1
