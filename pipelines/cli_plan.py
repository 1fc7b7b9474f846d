"""The subcommands that look before something is sent, a few lines each like those of `cli`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli_options import Folder, Json

Partitions = Annotated[
    str | None,
    typer.Option(
        help="2013-01-31, 2013-01-01...2013-01-31, or several with commas; by default the newest that is stored."
    ),
]


def plan(
    sync: Annotated[str, typer.Argument(help="The sync whose run is to be planned.")],
    *,
    partitions: Partitions = None,
    limit: Annotated[int, typer.Option(min=0, help="How many keys to show of what would change.")] = 20,
    every: Annotated[bool, typer.Option("--all", help="Show every key that would change.")] = False,
    csv: Annotated[
        Path | None,
        typer.Option(help="Write every change, one line per field, to this file; - prints them and nothing else."),
    ] = None,
    json: Json = False,
    folder: Folder = None,
) -> None:
    """Show what a run would create, update and remove, old -> new; nothing is sent, and no API is asked.

    Exit status: 0 where nothing stands in the way; 1 where a hold, first contact or a ceiling would stop the run.
    """
    from pipelines.commands.plan import run_plan

    shown = None if every else limit
    raise typer.Exit(run_plan(sync, partitions, shown=shown, csv=csv, folder=folder, json=json))


def send(
    sync: Annotated[str, typer.Argument(help="The sync of which a few keys are to be sent.")],
    *,
    limit: Annotated[int | None, typer.Option(min=1, help="The first so many keys that a run would send.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="This key; may be given several times.")] = None,
    partitions: Partitions = None,
    json: Json = False,
    folder: Folder = None,
) -> None:
    """Send a few keys as a run would, and show each request with its answer, secrets masked.

    Exit status: 0 where every chosen key is delivered; 1 where one is not, or a key would not be sent.
    """
    from pipelines.commands.send import run_send

    raise typer.Exit(run_send(sync, limit, key or [], partitions, folder=folder, json=json))
