"""`pipelines check`: is the deployment fit to run? Names, columns, templates, surroundings, accounts; a line each."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

import pipelines
from pipelines.commands.check_surroundings import (
    Known,
    check_home,
    check_ledger,
    check_store,
    former_owners,
    unknown_variables,
)
from pipelines.commands.quiet import quiet_dagster
from pipelines.delivery.destination import Judging
from pipelines.delivery.errors import PipelinesError
from pipelines.delivery.ledger.scopes import address_changed
from pipelines.delivery.messages import Answer, Lost, NotSent
from pipelines.destinations.accounts import read_account
from pipelines.destinations.answers import is_page, words
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.tables.sources.wanted import Undated
from pipelines.tables.spec import AnyTable

_PATIENCE_S = 10.0
_UNDATED = "They belong to no partition and are not delivered: mend the source, or how its dates are read."


def run_check(folder: Path | None) -> int:
    """Check everything; returns 0 if all is well."""
    quiet_dagster()
    from pipelines.components.deployment import read_deployment

    console = Console(highlight=False, soft_wrap=True)
    try:
        tree, tables, syncs = read_deployment(folder or Path(pipelines.__file__).parent)
    except PipelinesError as error:
        _fault(console, "deployment", error)
        return 1
    base = tree.defs_module_path.parent
    ok = _check_names(console, base, tables, syncs)
    ok &= _check_columns(console, base, tables, syncs)
    around, known = _check_surroundings(console, syncs)
    for said in unknown_variables(syncs, os.environ, _named_in(tree.defs_module_path)):
        _warn(console, "environment", said)
    for name, sync in _accounts(syncs):
        ok &= _line(console, f"account {name}", lambda sync=sync: asyncio.run(_reach(sync, known)))
    return 0 if ok and around else 1


def _check_surroundings(console: Console, syncs: Sequence[SyncSpec]) -> tuple[bool, Known]:
    """Home, ledger and store, and what the ledger knows of the accounts."""
    home, known = Home.of(), Known()

    def look() -> str:
        nonlocal known
        known, said = check_ledger(home, [sync.account for sync in syncs])
        return said

    ok = _line(console, "home", lambda: check_home(home))
    if ok:
        ok &= _line(console, "ledger", look)
        ok &= _line(console, "store", lambda: check_store(home))
    for said in former_owners(known, syncs):
        _warn(console, "ledger", said)
    return ok, known


def _named_in(defs: Path) -> set[str]:
    """Every name in the deployment's files that may be that of a variable."""
    return {
        name
        for path in defs.rglob("*.yaml")
        for name in re.findall(r"[A-Za-z_][A-Za-z0-9_]*", path.read_text(encoding="utf-8", errors="replace"))
    }


def _check_names(console: Console, base: Path, tables: Sequence[AnyTable], syncs: Sequence[SyncSpec]) -> bool:
    from pipelines.components.deployment import check_names, load_deployment

    count = f"{len(tables)} tables, {len(syncs)} syncs"
    return _line(console, "deployment", lambda: _said(check_names(tables, syncs), count)) and _line(
        console, "definitions", lambda: _said(load_deployment(base), "load")
    )


def _check_columns(console: Console, base: Path, tables: Sequence[AnyTable], syncs: Sequence[SyncSpec]) -> bool:
    """Each table's source, and each sync's columns against those that its table has."""
    from pipelines.components.spec_component import located
    from pipelines.tables.inspect import columns_of, dates_of

    ok, columns, undated = True, dict[str, list[str]](), dict[str, Undated]()
    for table in tables:

        def look(table: AnyTable = table) -> str:
            with located(table):
                columns[table.name] = columns_of(table, base=base, environ=os.environ)
                dates = dates_of(table, base=base, environ=os.environ)
            if dates is not None and dates.undated.count:
                undated[table.name] = dates.undated
            span = f", dates from {dates.first} to {dates.last}" if dates is not None and dates.first else ""
            return f"{table.source}: {len(columns[table.name])} columns{span}"

        ok &= _line(console, f"table {table.name}", look)
        if table.name in undated:
            rows = undated[table.name]
            told = rows.told(table.columns.mapped["date"])
            _warn(
                console, f"table {table.name}", f"{rows.count} rows have no date that can be read: {told}. {_UNDATED}"
            )
    for sync in syncs:
        if sync.table not in columns:
            continue

        def compare(sync: SyncSpec = sync) -> str:
            with located(sync):
                sync.check(columns[sync.table])
            return f"mode {sync.mode}"

        ok &= _line(console, f"sync {sync.name}", compare)
    return ok


def _said(_: object, words: str) -> str:
    return words


def _fault(console: Console, what: str, error: PipelinesError) -> None:
    console.print(f"[red]✗[/red] {escape(f'{what}: {error}')}")


def _warn(console: Console, what: str, said: str) -> None:
    """Something that stops nothing, and that somebody should know."""
    console.print(f"[yellow]![/yellow] {escape(f'{what}: {said}')}")


def _line(console: Console, what: str, look: Callable[[], str]) -> bool:
    try:
        said = look()
    except PipelinesError as error:
        _fault(console, what, error)
        return False
    console.print(f"[green]✓[/green] {escape(f'{what}: {said}')}")
    return True


def _accounts(syncs: list[SyncSpec]) -> Iterator[tuple[str, SyncSpec]]:
    """Each account once per mode in which it is used; a dry sync needs none."""
    seen = set()
    for sync in syncs:
        if sync.mode != "dry" and (sync.account, sync.mode) not in seen:
            seen.add((sync.account, sync.mode))
            yield f"{sync.account} ({sync.mode})", sync


async def _reach(sync: SyncSpec, known: Known) -> str:
    """The account's cheapest read call, where its address is the one that the ledger knows."""
    from pipelines.delivery.http import HttpPort

    account = read_account(sync.account, sync.settings, sync.mode, home=Home.of())
    if sync.mode == "live" and known.addresses.get(account.name, account.address_hash) != account.address_hash:
        raise address_changed(account.name)
    destination = sync.connect(account)
    request = destination.check()
    started = time.monotonic()
    async with HttpPort(
        base_url=account.url,
        headers=account.headers,
        secrets=account.secrets,
        timeout_s=min(account.timeout_s, _PATIENCE_S),
        max_connections=1,
    ) as port:
        exchange = await port.send(request)
    match exchange:
        case Answer(status=status) if exchange.ok:
            objection = "by an HTML page: did the API itself answer?" if is_page(exchange) else ""
            if not objection and isinstance(destination, Judging):
                objection = destination.objection(exchange)
            if objection:
                what = f"{account.url}{request.path} was answered, but {objection}"
                raise PipelinesError(what, do=f"Check the settings {account.name.upper()}_...")
            return f"{account.url} answered {status} in {time.monotonic() - started:.2f} s"
        case Answer():
            what = f"{account.url}{request.path} answered {words(exchange, account)}"
            raise PipelinesError(what, do=f"Check the settings {account.name.upper()}_...")
        case NotSent(reason) | Lost(reason):
            start = "Start the sandbox with `pipelines sandbox`." if sync.mode == "sandbox" else "Check the address."
            raise PipelinesError(f"{account.url} cannot be reached: {reason}", do=start)
