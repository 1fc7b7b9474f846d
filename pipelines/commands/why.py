"""`pipelines why`: one key's story, printed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from pipelines.commands.deployed import Deployed
from pipelines.commands.printing import as_json, console, short, table, when
from pipelines.home import Home

if TYPE_CHECKING:
    from pipelines.components.story import Story


def run_why(sync: str, key: str, *, offline: bool, folder: Path | None, json: bool) -> int:
    """Tell the story; 1 where something about the key is wrong or open, or nobody knows it."""
    spec = Deployed.at(folder).sync(sync)
    from pipelines.components.story import tell

    story = tell(spec, key, Home.of(), offline=offline)
    if json:
        as_json({"story": story, "known": story.known, "drifted": story.drifted, "well": story.well})
    elif not story.known:
        similar = f" Delivered keys that contain it: {', '.join(story.similar)}." if story.similar else ""
        console().print(f"Nothing is known of the key {key} of sync {sync}: no stored row makes it.{similar}")
    else:
        _print(console(), story)
    return 0 if story.known and story.well else 1


def _print(out: Console, story: Story) -> None:
    out.print(f"{story.key}: sync {story.sync}, account {story.account}, mode {story.mode}")
    for line in (*_of_source(story), *_of_ledger(story), *_of_account(story)):
        out.print(line)
    out.print(f"next      a run over its newest partition would: {story.next}")
    columns = list(next(iter(story.fields.values()), {}))
    if columns:
        rows = [
            (name, *(short(one[column]) for column in columns), "" if len({*map(short, one.values())}) == 1 else "≠")
            for name, one in story.fields.items()
        ]
        out.print(table("Fields that are compared", ("field", *columns, ""), rows))
    if story.deliveries:
        rows = [
            (
                when(one.at),
                one.outcome,
                one.status,
                short(one.old),
                short(one.new),
                _where(one.partition, one.rows),
                one.run,
            )
            for one in story.deliveries
        ]
        head = ("when", "outcome", "status", "before", "now", "partition, rows", "run")
        out.print(table("What the account was told, newest first", head, rows))


def _of_source(story: Story) -> Iterator[str]:
    for one in story.said.newest:
        yield f"source    {_where(one.partition, one.rows)} says so, as of {one.as_of}: {short(one.payload)}"
    for one in story.said.dropped:
        yield f"source    {_where(one.partition, one.rows)} is {one.outcome}: {one.reason}"
    for partition, rows in story.said.quarantined:
        yield f"source    {_where(partition, rows)} is in quarantine"
    if not story.said.newest:
        yield "source    no valid row of the stored partitions makes this key"


def _of_ledger(story: Story) -> Iterator[str]:
    accepted = story.accepted
    if accepted is None:
        yield "accepted  never"
    else:
        as_of = f"as of {accepted.as_of}" if accepted.as_of else "as it stood there when it was taken over"
        yield (
            f"accepted  {when(accepted.accepted_at)} from run {accepted.run}, {as_of}: {short(accepted.payload)}"
            + ("; something else may stand there by now" if accepted.doubtful else "")
            + (f"; it belongs to sync {accepted.sync}" if accepted.sync != story.sync else "")
        )
        if accepted.removed_at is not None:
            yield f"removed   {when(accepted.removed_at)}, since it had vanished from the source"
    if story.attempt is not None:
        yield f"attempted {when(story.attempt.at)} by run {story.attempt.run}, without an answer: it is read back first"
    one = story.still_open
    if one is not None:
        parked = ", parked" if one.parked else ""
        status = f" ({one.status})" if one.status else ""
        yield (
            f"open      {one.outcome}{parked}{status} since {when(one.first_at)}, {one.tries} times, last "
            f"{when(one.last_at)} in run {one.run}: {one.reason}"
        )
    if story.hold is not None:
        yield f"held      since {when(story.hold.since)} by {story.hold.who}: {story.hold.reason}"


def _of_account(story: Story) -> Iterator[str]:
    there = story.there
    if not there.asked:
        return
    if there.unread:
        yield f"there now not known: {there.unread}"
    elif there.payload is None:
        yield "there now nothing"
    else:
        yield f"there now {short(there.payload)}" + ("; this is not what was last accepted" if story.drifted else "")


def _where(partition: str, rows: object) -> str:
    numbers = ", ".join(map(str, rows)) if isinstance(rows, list | tuple) else ""
    return f"{partition} row {numbers}" if numbers else partition
