"""`pipelines send`: a few keys, each request and answer shown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from pipelines.commands.deployed import Deployed
from pipelines.commands.printing import as_json, console, table
from pipelines.home import Home

if TYPE_CHECKING:
    from pipelines.components.sending import Choice, Sent
    from pipelines.components.watching import Seen

_BODY = 800
"""Characters of a body that are printed."""


def run_send(
    sync: str, limit: int | None, keys: Sequence[str], partitions: str | None, *, folder: Path | None, json: bool
) -> int:
    """Send and show; 1 where a chosen key is not delivered, or one that was asked for would not be sent.

    Raises:
        ConfigurationError: there is no such sync or partition; it is in mode dry; it is not said which keys.
    """
    deployed = Deployed.at(folder)
    spec = deployed.sync(sync)
    from pipelines.components.sending import ByHand

    by_hand = ByHand(spec, deployed.table(spec.table), Home.of(), deployed.folder)
    choice = by_hand.choose(limit, keys, partitions)
    out, seen = console(), list["Seen"]()
    if not json:
        out.print(f"{sync}: {_announced(choice)} Account {spec.account}, mode {spec.mode}.")
    sent = by_hand.send(choice, seen.append if json else lambda one: _show(out, one))
    if json:
        as_json(
            {
                "sync": sync,
                "run": sent.run,
                "partitions": choice.partitions,
                "requests": seen,
                "keys": {key: {"outcome": outcome, "reason": why} for key, (outcome, why) in sent.outcomes.items()},
                "unsent": choice.unsent,
                "more": choice.more,
                "stopped": sent.stopped,
                "notes": sent.notes,
            }
        )
    else:
        _conclude(out, sync, choice, sent)
    return 0 if sent.well and not choice.unsent else 1


def _announced(choice: Choice) -> str:
    if not choice.keys:
        return "nothing is sent."
    keys = "1 key" if len(choice.keys) == 1 else f"{len(choice.keys)} keys"
    return f"sending {keys} through the same checks as any run."


def _show(out: Console, seen: Seen) -> None:
    out.print(f"\n-> {seen.method} {seen.url}", style="bold")
    for name, value in seen.headers.items():
        out.print(f"   {name}: {value}", style="dim")
    if seen.body:
        out.print(f"   {_cut(seen.body)}")
    if seen.status is None:
        out.print(f"<- no answer: {seen.answer}", style="bold")
        return
    out.print(f"<- {seen.status} in {1000 * (seen.seconds or 0):.0f} ms", style="bold")
    if seen.answer:
        out.print(f"   {_cut(seen.answer)}")


def _cut(text: str) -> str:
    return text if len(text) <= _BODY else f"{text[:_BODY]}… (--json shows more)"


def _conclude(out: Console, sync: str, choice: Choice, sent: Sent) -> None:
    if sent.outcomes:
        rows = [(key, str(outcome), why) for key, (outcome, why) in sent.outcomes.items()]
        out.print()
        out.print(table(f"What became of it (run {sent.run})", ("key", "outcome", "why"), rows))
    for key, why in choice.unsent.items():
        out.print(f"not sent: {key}: {why}")
    for note in sent.notes:
        out.print(note)
    if choice.more:
        out.print(f"{choice.more} more keys are left to the next run, or to another `pipelines send {sync}`.")
    elif not choice.keys and not choice.unsent:
        out.print("A run over these partitions would send nothing.")
    if sent.outcomes:
        out.print(f"`pipelines why {sync} KEY` tells one key's story, `pipelines ledger deliveries` who was told what.")
