"""`pipelines ledger`: what is open, what was delivered, what people decided; sending again, and forgetting the old."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from pipelines.commands.deployed import Deployed
from pipelines.commands.printing import as_json, console, short, some, table, when
from pipelines.delivery.errors import MissingSetting, PipelinesError
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.moving import move
from pipelines.delivery.ledger.queries import (
    PARKED,
    Open,
    Wanted,
    find_decisions,
    find_deliveries,
    find_open,
    unpark,
)
from pipelines.delivery.ledger.retention import keep_days, prune
from pipelines.home import Home


@contextmanager
def the_ledger() -> Iterator[Ledger]:
    """The ledger of this home.

    Raises:
        LedgerError: it cannot be opened.
    """
    ledger = Ledger(Home.of().ledger_url)
    try:
        yield ledger
    finally:
        ledger.close()


def run_open(wanted: Wanted, *, limit: int, folder: Path | None, json: bool) -> int:
    """List what is open; 1 where anything is.

    Raises:
        ConfigurationError: parked keys are asked for, and the deployment, which says when a key parks, cannot be read.
    """
    unread: PipelinesError | None = None
    with the_ledger() as ledger, ledger.reading() as connection:
        if wanted.outcome == PARKED:
            found, total = find_open(connection, wanted, limit, park_after=_park_after(folder))
        else:
            found, total = find_open(connection, wanted, limit)
            if any(one.same for one in found):
                try:
                    found, total = find_open(connection, wanted, limit, park_after=_park_after(folder))
                except PipelinesError as error:
                    unread = error
    if json:
        as_json({"open": found, "total": total})
    else:
        _print_open(found, total)
    if unread:
        console(stderr=True).print(f"Which keys are parked is not known: {unread}")
    return 1 if total else 0


def run_deliveries(wanted: Wanted, *, limit: int, json: bool) -> int:
    """List who was told what, when, from which row, and what stood there before."""
    with the_ledger() as ledger, ledger.reading() as connection:
        found, total = find_deliveries(connection, wanted, limit)
    if json:
        as_json({"deliveries": found, "total": total})
        return 0
    rows = [
        (
            when(one.at),
            f"{one.account} ({one.mode})",
            one.sync,
            one.key,
            one.outcome,
            one.status,
            short(one.old),
            short(one.new),
            f"{one.partition} {', '.join(map(str, one.rows))}".rstrip(),
            one.as_of,
            one.run,
        )
        for one in found
    ]
    head = ("when", "account", "sync", "key", "outcome", "status", "before", "now", "partition, rows", "as of", "run")
    _print_list("Deliveries", head, rows, total)
    return 0


def run_decisions(about: str | None, *, limit: int, json: bool) -> int:
    """List what people decided."""
    with the_ledger() as ledger, ledger.reading() as connection:
        found, total = find_decisions(connection, about, limit)
    if json:
        as_json({"decisions": found, "total": total})
        return 0
    rows = [(when(one.at), one.what, one.about, one.who, one.reason, one.run) for one in found]
    _print_list("Decisions", ("when", "what", "sync or account", "who", "reason", "run"), rows, total)
    return 0


def run_retry(sync: str, key: str | None) -> int:
    """Let rejected keys be sent again; 1 where there is nothing to send again."""
    with the_ledger() as ledger, ledger.engine.begin() as connection:
        partitions = unpark(connection, sync, key, time.time())
    about = f"the key {key} of sync {sync}" if key else f"sync {sync}"
    if not partitions:
        console().print(f"Nothing of {about} was rejected. `pipelines ledger --sync {sync}` lists what is open.")
        return 1
    where = ", ".join(dict.fromkeys(partitions))
    console().print(
        f"{len(partitions)} rejected key{'s' * (len(partitions) > 1)} of {about} will be sent again "
        f"by the next run of {where}, unless it is superseded by then."
    )
    return 0


def run_prune(days: int | None) -> int:
    """Delete deliveries and decisions that are older than so many days."""
    kept = keep_days(os.environ) if days is None else days
    with the_ledger() as ledger:
        pruned = prune(ledger, kept)
    console().print(
        f"{pruned.deliveries} deliveries and {pruned.decisions} decisions older than {kept} days were deleted."
    )
    return 0


def run_move(variable: str) -> int:
    """Move the ledger to the database whose address the variable holds.

    Raises:
        MissingSetting: the variable is not set.
        LedgerError: a ledger cannot be opened, the new one is not empty, or somebody is delivering.
    """
    if not (url := os.environ.get(variable)):
        raise MissingSetting(
            f"the environment variable {variable} is not set",
            do="Set it to the new ledger's address, such as postgresql://user:password@host/name.",
            setting=variable,
        )
    with the_ledger() as ledger, closing(Ledger(url)) as target:
        moved = move(ledger, target)
        shown = target.url.render_as_string(hide_password=True)
    console().print(
        f"{sum(moved.values())} rows moved to {shown}: {moved['state']} keys, {moved['deliveries']} deliveries, "
        f"{moved['open_outcomes']} open. Set PIPELINES_LEDGER_URL to its address now; the old ledger opens no more."
    )
    return 0


def _park_after(folder: Path | None) -> dict[str, int | None]:
    """After how many rejections of the same payload each sync parks it."""
    return {sync.name: sync.park_after for sync in Deployed.at(folder).syncs}


def _print_open(found: list[Open], total: int) -> None:
    rows = [
        (
            when(one.last_at),
            f"{one.account} ({one.mode})",
            one.sync,
            one.partition,
            one.key,
            f"{one.outcome} ({PARKED})" if one.parked else one.outcome,
            one.status,
            one.tries,
            when(one.first_at),
            one.run,
            one.reason,
        )
        for one in found
    ]
    head = ("last", "account", "sync", "partition", "key", "outcome", "status", "tries", "first", "run", "reason")
    if rows:
        _print_list("Open", head, rows, total)
    else:
        console().print("Nothing is open.")


def _print_list(title: str, head: Sequence[str], rows: Sequence[Sequence[object]], total: int) -> None:
    out = console()
    out.print(table(title, head, rows))
    if said := some(len(rows), total):
        out.print(said)
