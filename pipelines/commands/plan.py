"""`pipelines plan`: what a run of a sync would do, printed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from pipelines.commands.deployed import Deployed
from pipelines.commands.plan_forms import as_document, write_csv
from pipelines.commands.printing import as_json, console, duration, short, table
from pipelines.delivery.errors import ConfigurationError, TableError
from pipelines.home import Home

if TYPE_CHECKING:
    from pipelines.components.area_tree import Branch
    from pipelines.components.changes import Change
    from pipelines.components.planning import Preview
    from pipelines.components.sync_run import SyncResult

_VALUE = 60
_WHOLE = 120
"""Characters of a value in a table, and of all fields of a key; `--csv` and `--json` have all of them."""


def run_plan(
    sync: str, partitions: str | None, *, shown: int | None, csv: Path | None, folder: Path | None, json: bool
) -> int:
    """Plan and print; 1 where something would stop the run. `shown`: keys to show of what would change, None: all.

    Raises:
        ConfigurationError: there is no such sync or partition, a setting of its account is missing, or two documents
            would be printed into each other.
        AddressChanged: a live account has state under another address.
    """
    if json and csv == Path("-"):
        raise ConfigurationError("--json and --csv - would print into each other", do="Name a file for --csv.")
    deployed = Deployed.at(folder)
    spec = deployed.sync(sync)
    from pipelines.components.chosen_partitions import chosen_partitions
    from pipelines.components.sync_run import Order, SyncRunner
    from pipelines.tables.store import PartitionStore

    home, source = Home.of(), deployed.table(spec.table)
    chosen = chosen_partitions(spec, source, PartitionStore(home.store_url), partitions)
    order = Order("plan", chosen, dry=True, sample=None if csv is not None else shown)
    result = SyncRunner(spec, home, source, deployed.folder).run(order)
    plan = result.preview
    if plan is None:
        raise TableError(f"{spec.table} has none of {', '.join(chosen)} any more", do="Extract them again.")
    if csv is not None:
        write_csv(csv, plan.changes)
    if json:
        as_json(as_document(plan, result, shown))
    elif csv != Path("-"):
        _print(console(), plan, result, shown, csv)
    return 1 if plan.obstacles else 0


def _print(out: Console, plan: Preview, result: SyncResult, shown: int | None, csv: Path | None) -> None:
    out.print(f"{plan.sync}: {_span(plan.partitions)}, account {plan.account}, mode {plan.mode}")
    out.print("Made from the ledger: nothing was sent, and no API was asked.")
    for line in _missing(result):
        out.print(line)
    out.print(table("What a run would do", ("", "keys", ""), _counts(plan, result)))
    changes = plan.changes[:shown]
    if tree := plan.tree(shown):
        out.print(_drawn(f"What would change ({len(changes)} of {plan.touched} areas)", tree))
    elif changes:
        title = f"What would change ({len(changes)} of {plan.touched} keys)"
        head = ("key", "partition", "what", "field", "old", "new")
        rows = list(_changes(changes))
        # One partition stands in the headline already.
        kept = [at for at, name in enumerate(head) if name != "partition" or len(plan.partitions) > 1]
        out.print(table(title, [head[at] for at in kept], [[row[at] for at in kept] for row in rows]))
    if len(changes) < plan.touched:
        out.print(f"{plan.touched - len(changes)} more keys would change: --all shows them, --csv writes them down.")
    if csv is not None:
        out.print(f"Every change stands in {csv}, one line per field.")
    for line in _verdict(plan):
        out.print(line)


def _span(partitions: Any) -> str:
    if len(partitions) == 1:
        return str(partitions[0])
    return f"{partitions[0]} to {partitions[-1]} ({len(partitions)} partitions)"


def _missing(result: SyncResult) -> Iterator[str]:
    if result.missing:
        some = ", ".join(list(result.missing)[:5]) + (", …" if len(result.missing) > 5 else "")
        yield f"Nothing is planned for {len(result.missing)} of the partitions, since they were never extracted: {some}"


def _counts(plan: Preview, result: SyncResult) -> Iterator[tuple[str, str, str]]:
    from pipelines.components.changes import Verb

    again = plan.total(Verb.SEND_AGAIN)
    yield "create", f"{plan.total(Verb.CREATE):,}", "never delivered, or taken away since"
    yield "update", f"{plan.total(Verb.UPDATE):,}", "differ from what was last accepted"
    if again:
        yield "send again", f"{again:,}", "unchanged, and asked for all the same"
    yield "remove", f"{plan.total(Verb.REMOVE):,}", "no longer in the source"
    yield "unchanged", f"{plan.unchanged:,}", "accepted exactly so: not sent"
    yield "superseded", f"{plan.superseded:,}", "older than another reading of their key: not sent"
    for outcome, rows in _left_out(result).items():
        yield outcome.replace("_", " "), f"{rows:,} rows", "become no upsert"


def _left_out(result: SyncResult) -> dict[str, int]:
    from pipelines.commands.plan_forms import left_out

    return left_out(result)


def _changes(changes: Sequence[Change]) -> Iterator[tuple[object, ...]]:
    from pipelines.components.changes import in_lines

    for change in changes:
        place = (change.key, change.partition, change.verb.replace("_", " "))
        for at, (name, old, new) in enumerate(in_lines(change)):
            yield *(place if at == 0 else ("", "", "")), name, _value(old), _value(new)


def _value(value: Any) -> str:
    if isinstance(value, str) and len(value) <= _VALUE:
        return value
    return short(value, _WHOLE if isinstance(value, dict) else _VALUE)


def _drawn(title: str, branches: Sequence[Branch]) -> Tree:
    root = Tree(Text(title, style="italic"))
    for branch in branches:
        _grow(root, branch)
    return root


def _grow(tree: Tree, branch: Branch) -> None:
    said = f"{branch.name} ({branch.key})"
    label = Text.assemble((said, "bold"), f"  {'; '.join(branch.said)}") if branch.said else Text(said, style="dim")
    grown = tree.add(label)
    for below in branch.below:
        _grow(grown, below)


def _verdict(plan: Preview) -> Iterator[str]:
    bounds = [
        f"{one.name} {one.count}" + (" (no ceiling)" if one.allowed is None else f" of at most {one.allowed:g}")
        for one in plan.measured
    ]
    if bounds:
        yield f"ceilings  {', '.join(bounds)}"
    cost = plan.cost
    if cost.effort.requests:
        takes = "as fast as it answers" if cost.seconds is None else f"about {duration(cost.seconds)}"
        yield f"requests  about {cost.effort.requests:,}: {cost.effort.why}"
        yield f"time      {takes} ({cost.pace}), if nothing has to be tried again"
    else:
        yield "requests  none"
    for note in plan.notes:
        yield f"note      {note}"
    for one in plan.obstacles:
        yield f"stopped   {one.why}"
    if not plan.obstacles:
        yield "verdict   nothing stands in the way"
    else:
        yield "verdict   a run would send nothing"
