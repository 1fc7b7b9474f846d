"""`pipelines acknowledge`: red partitions that somebody puts up with, so that they hide no new ones."""

from __future__ import annotations

import os
import time
from collections.abc import Collection
from pathlib import Path

import pipelines
from pipelines.commands.deployed import Deployed
from pipelines.commands.ledger import the_ledger
from pipelines.commands.printing import console
from pipelines.commands.status import home_instance
from pipelines.components.chosen_partitions import named_partitions
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.ledger.people import acknowledge, withdraw
from pipelines.home import Home


def run_acknowledge(sync: str, partitions: str, reason: str, folder: Path | None) -> int:
    """Acknowledge those of the partitions for which the sync is red now.

    Raises:
        ConfigurationError: there is no such sync or partition, no reason was given, or none of them is red.
        PipelinesError: the ledger, or Dagster's instance, cannot be opened.
    """
    if not reason.strip():
        raise ConfigurationError(f"nothing of {sync} is acknowledged: there is no reason", do="Say why: --reason TEXT.")
    wanted = _named(sync, partitions, folder)
    from pipelines.components.deployment import watched_at
    from pipelines.components.operations.screen import red_partitions, utc_now

    home = Home.of()
    watched = watched_at(folder or Path(pipelines.__file__).parent)
    with home_instance(home, os.environ) as instance:
        red = red_partitions(watched, home.ledger_url, instance, utc_now(), sync)
    chosen = {one: tried for one, tried in red.items() if one in wanted}
    if not chosen:
        raise ConfigurationError(
            f"sync {sync} is not red for {partitions}; it is for {', '.join(sorted(red)) or 'no partition'}",
            do="Acknowledge what `pipelines status` shows.",
            field="partitions",
        )
    with the_ledger() as ledger, ledger.engine.begin() as connection:
        acknowledge(ledger, connection, sync, chosen, reason=reason.strip(), now=time.time())
    console().print(
        f"Acknowledged for {sync}: {', '.join(sorted(chosen))}. They are listed, and red no longer, until a run tries "
        "one of them again."
    )
    return 0


def run_withdraw(sync: str, partitions: str, folder: Path | None) -> int:
    """Take acknowledgements back; 1 where none of the partitions has one.

    Raises:
        ConfigurationError: there is no such sync or partition.
    """
    wanted = _named(sync, partitions, folder)
    with the_ledger() as ledger, ledger.engine.begin() as connection:
        found = withdraw(connection, sync, wanted, time.time())
    console().print(f"No longer acknowledged for {sync}: {', '.join(found) or 'none, as none was'}.")
    return 0 if found else 1


def _named(sync: str, partitions: str, folder: Path | None) -> Collection[str]:
    deployed = Deployed.at(folder)
    return named_partitions(deployed.table(deployed.sync(sync).table), partitions)
