"""The `pipelines` command. Each subcommand is a few lines here; what it does lives in `commands`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from pipelines.cli_ledger import ledger_app
from pipelines.cli_options import Folder, Json
from pipelines.cli_plan import plan, send
from pipelines.delivery.errors import PipelinesError
from pipelines.sandbox.server import SandboxError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Keep boards, statuses and HR planning equal to your KPI and area tables.",
)
app.add_typer(ledger_app, name="ledger")
_errors = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)

Port = Annotated[int, typer.Option(help="Port on 127.0.0.1.")]


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

    home = Home.of()
    run(home, port=port, ready=lambda url: _errors.print(f"sandbox      {url}\nhome         {home.path}"))


@app.command()
def check(*, folder: Folder = None) -> None:
    """Check the deployment: names, source columns, templates, and each account's address and credentials."""
    from pipelines.commands.check import run_check

    raise typer.Exit(run_check(folder))


@app.command()
def status(
    *,
    demo_home: Annotated[bool, typer.Option("--demo", help="Of the home that `pipelines demo` left behind.")] = False,
    json: Json = False,
    folder: Folder = None,
) -> None:
    """Show how every sync does, red, yellow or green, and what to do next; exit 1 unless all is green."""
    from pipelines.commands.status import run_status

    raise typer.Exit(run_status(folder, json=json, demo=demo_home))


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


@app.command()
def acknowledge(
    sync: Annotated[str, typer.Argument(help="The sync that is red.")],
    partitions: Annotated[str, typer.Argument(help="2013-01-04, 2013-01-01...2013-01-31, several with commas.")],
    *,
    reason: Annotated[str, typer.Option(help="Why they may stay as they are; shown beside them.")] = "",
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take the acknowledgement back.")] = False,
    folder: Folder = None,
) -> None:
    """Put up with partitions that are red: they are listed apart, until a run tries one of them again."""
    from pipelines.commands.acknowledge import run_acknowledge, run_withdraw

    if withdraw:
        raise typer.Exit(run_withdraw(sync, partitions, folder))
    raise typer.Exit(run_acknowledge(sync, partitions, reason, folder))


@app.command()
def adopt(
    sync: Annotated[str, typer.Argument(help="The sync whose account is to be looked at.")],
    *,
    take_over: Annotated[bool, typer.Option("--take-over", help="The next run sends what differs.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="What differs stays as it is there until the source's own value changes.")
    ] = False,
    trust_source: Annotated[
        bool, typer.Option("--trust-source", help="Do not look: for an account that cannot be read. Overwrites.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it is written down.")] = False,
    limit: Annotated[int, typer.Option(min=0, help="How many keys to show of what differs and what is there.")] = 20,
    json: Json = False,
    folder: Folder = None,
) -> None:
    """Look at what stands at an account before a sync writes to it, and say what the sync may do with it."""
    from pipelines.commands.adopt import run_adopt

    choice = {"take_over": take_over, "keep": keep, "trust_source": trust_source}
    raise typer.Exit(run_adopt(sync, **choice, yes=yes, limit=limit, folder=folder, json=json))


app.command()(plan)
app.command()(send)


@app.command()
def why(
    sync: Annotated[str, typer.Argument(help="The sync that the key belongs to.")],
    key: Annotated[str, typer.Argument(help="The whole key.")],
    *,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask the API what stands there.")] = False,
    json: Json = False,
    folder: Folder = None,
) -> None:
    """Tell one key's story: what the source says, what was told, what is open, what stands there, what happens next."""
    from pipelines.commands.why import run_why

    raise typer.Exit(run_why(sync, key, offline=offline, folder=folder, json=json))


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
