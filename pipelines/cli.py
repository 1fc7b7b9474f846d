"""The `pipelines` command. Each subcommand is a few lines here; what it does lives in `commands`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pipelines.delivery.errors import PipelinesError
from pipelines.sandbox.server import SandboxError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keep boards, statuses and HR planning equal to your KPI and area tables.",
)
ledger_app = typer.Typer(add_completion=False, help="What is open, what was delivered, what people decided.")
app.add_typer(ledger_app, name="ledger")
_errors = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)


class OpenOutcome(StrEnum):
    """What `pipelines ledger --outcome` takes."""

    REJECTED = "rejected"
    FAILED = "failed"
    UNKNOWN = "unknown"
    NOT_SENT = "not_sent"
    PARKED = "parked"
    REMOVAL_FAILED = "removal_failed"


Port = Annotated[int, typer.Option(help="Port on 127.0.0.1.")]
Folder = Annotated[Path | None, typer.Option(help="Folder of another deployment than the package's own.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Limit = Annotated[int, typer.Option(min=1, help="How many to show at most.")]
OfSync = Annotated[str | None, typer.Option(help="Only of this sync.")]
OfPartition = Annotated[str | None, typer.Option(help="Only of this partition.")]
OfKey = Annotated[str | None, typer.Option(help="Only keys that contain this text.")]


@app.command()
def demo(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as one JSON object.")] = False,
    port: Annotated[int, typer.Option(help="Port of the sandbox; 0 takes any free one.")] = 0,
) -> None:
    """Deliver January 2013 of the sample to the sandbox, twice; the second time nothing is sent."""
    from pipelines.commands.demo import run_demo

    raise typer.Exit(run_demo(as_json=json, port=port))


@app.command()
def dev(
    *,
    port: Port = 3000,
    sandbox_port: Annotated[int, typer.Option(help="Port of the sandbox on 127.0.0.1.")] = 4180,
    demo_home: Annotated[bool, typer.Option("--demo", help="Open the home that `pipelines demo` left behind.")] = False,
) -> None:
    """Open the Dagster UI (webserver and daemon) with the sandbox beside it."""
    from pipelines.commands.dev import run_dev

    raise typer.Exit(run_dev(port=port, sandbox_port=sandbox_port, demo_home_wanted=demo_home))


@app.command()
def sandbox(*, port: Port = 4180) -> None:
    """Run the sandbox alone: the APIs as a local server, with a page of what they hold."""
    from pipelines.home import Home
    from pipelines.sandbox.server import run

    run(Home.of(), port=port)


@app.command()
def check(*, folder: Folder = None) -> None:
    """Check the deployment: names, source columns, templates, and each account's address and credentials."""
    from pipelines.commands.check import run_check

    raise typer.Exit(run_check(folder))


@app.command()
def confirm(
    account: Annotated[str, typer.Argument(help="The account whose address changed.")],
    *,
    same_tenant: Annotated[
        bool,
        typer.Option(
            "--same-tenant/--new-tenant", help="Keep the ledger's state for the new address, or start without."
        ),
    ],
    folder: Folder = None,
) -> None:
    """Confirm that a live account has a new address."""
    from pipelines.commands.confirm import run_confirm

    raise typer.Exit(run_confirm(account, same_tenant=same_tenant, folder=folder))


@app.command()
def hold(
    sync: Annotated[str, typer.Argument(help="The sync that is to send nothing.")],
    *,
    reason: Annotated[str, typer.Option(help="Why; shown wherever the hold keeps something back.")],
    folder: Folder = None,
) -> None:
    """Keep a sync from sending anything until it is released."""
    from pipelines.commands.holds import run_hold

    raise typer.Exit(run_hold(sync, reason, folder))


@app.command()
def release(sync: Annotated[str, typer.Argument(help="The sync that is held.")]) -> None:
    """Let a held sync send again."""
    from pipelines.commands.holds import run_release

    raise typer.Exit(run_release(sync))


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
def prune(
    *,
    days: Annotated[
        int | None, typer.Option(min=1, help="Keep so many days; default: PIPELINES_KEEP_DELIVERIES_DAYS, or 400.")
    ] = None,
) -> None:
    """Delete deliveries and decisions that are older; what was last accepted and what is open stays."""
    from pipelines.commands.ledger import run_prune

    raise typer.Exit(run_prune(days))


@ledger_app.command(name="schema")
def ledger_schema() -> None:
    """Print the ledger's tables, and queries over them, as a Markdown page."""
    from pipelines.commands.ledger_page import render

    typer.echo(render(), nl=False)


@app.command()
def fields() -> None:
    """Print every field of the YAML and every setting as a Markdown page."""
    from pipelines.commands.fields import render

    typer.echo(render(), nl=False)


def main() -> None:
    """Run the command line; an error of ours is a sentence, not a stack trace."""
    try:
        app()
    except (PipelinesError, SandboxError) as error:
        _errors.print(f"{type(error).__name__}: {error}", style="red")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
