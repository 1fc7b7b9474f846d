"""The subcommands of `pipelines ledger`, a few lines each like those of `cli`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from pipelines.cli_options import Folder, Json, Limit

ledger_app = typer.Typer(add_completion=False, help="What is open, what was delivered, what people decided.")

OfSync = Annotated[str | None, typer.Option(help="Only of this sync.")]
OfPartition = Annotated[str | None, typer.Option(help="Only of this partition.")]
OfKey = Annotated[str | None, typer.Option(help="Only keys that contain this text.")]


class OpenOutcome(StrEnum):
    """What `pipelines ledger --outcome` takes."""

    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"
    PARKED = "parked"
    REMOVAL_FAILED = "removal_failed"


@ledger_app.callback(invoke_without_command=True)
def ledger(
    context: typer.Context,
    *,
    sync: OfSync = None,
    partition: OfPartition = None,
    outcome: Annotated[OpenOutcome | None, typer.Option(help="Only what ended so.")] = None,
    key: OfKey = None,
    limit: Limit = 50,
    json: Json = False,
    folder: Folder = None,
) -> None:
    """List what somebody or some later run has to come back to, newest first; exit 1 where anything is open."""
    if context.invoked_subcommand is not None:
        return
    from pipelines.commands.ledger import Wanted, run_open

    wanted = Wanted(sync, partition, outcome, key)
    raise typer.Exit(run_open(wanted, limit=limit, folder=folder, json=json))


@ledger_app.command()
def deliveries(
    *, sync: OfSync = None, partition: OfPartition = None, key: OfKey = None, limit: Limit = 50, json: Json = False
) -> None:
    """List who was told what, when, from which row, and what stood there before; newest first."""
    from pipelines.commands.ledger import Wanted, run_deliveries

    raise typer.Exit(run_deliveries(Wanted(sync, partition, key=key), limit=limit, json=json))


@ledger_app.command()
def decisions(
    *,
    about: Annotated[str | None, typer.Option(help="Only about this sync or account.")] = None,
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """List what people decided: first contacts, holds, retries, overrides, confirmed addresses; newest first."""
    from pipelines.commands.ledger import run_decisions

    raise typer.Exit(run_decisions(about, limit=limit, json=json))


@ledger_app.command()
def retry(
    sync: Annotated[str, typer.Argument(help="The sync whose rejected keys are to be sent again.")],
    *,
    key: Annotated[str | None, typer.Option(help="This key alone.")] = None,
) -> None:
    """Send what was rejected again with the next run, also what was parked since it was rejected too often."""
    from pipelines.commands.ledger import run_retry

    raise typer.Exit(run_retry(sync, key))


@ledger_app.command()
def rename(
    old: Annotated[str, typer.Argument(help="The name that the sync had; it is no sync of the deployment any more.")],
    new: Annotated[str, typer.Argument(help="The name that it has now.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it is done.")] = False,
    folder: Folder = None,
) -> None:
    """Give a renamed sync its keys, and what is open, held and agreed about them, after showing how many."""
    from pipelines.commands.rename import run_rename

    raise typer.Exit(run_rename(old, new, yes=yes, folder=folder))


@ledger_app.command()
def prune(
    *,
    days: Annotated[
        int | None, typer.Option(min=1, help="Keep so many days; default: PIPELINES_KEEP_DELIVERIES_DAYS, or 400.")
    ] = None,
) -> None:
    """Delete deliveries and decisions that are older; what was last accepted and what is open stays."""
    from pipelines.commands.ledger import run_prune

    raise typer.Exit(run_prune(days))


@ledger_app.command()
def move(
    variable: Annotated[str, typer.Argument(help="The environment variable that holds the new ledger's address.")],
) -> None:
    """Move the ledger to another, empty database, such as from SQLite to PostgreSQL; nothing is sent again."""
    from pipelines.commands.ledger import run_move

    raise typer.Exit(run_move(variable))


@ledger_app.command(name="schema")
def ledger_schema() -> None:
    """Print the ledger's tables, and queries over them, as a Markdown page."""
    from pipelines.commands.ledger_page import render

    typer.echo(render(), nl=False)
