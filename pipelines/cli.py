"""The `pipelines` command. Each subcommand is a few lines here; what it does lives in `commands`."""

from __future__ import annotations

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

    run(Home.of(), port=port)


@app.command()
def check(
    *, folder: Annotated[Path | None, typer.Option(help="Folder of another deployment than the package's own.")] = None
) -> None:
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
    folder: Annotated[Path | None, typer.Option(help="Folder of another deployment than the package's own.")] = None,
) -> None:
    """Confirm that a live account has a new address."""
    from pipelines.commands.confirm import run_confirm

    raise typer.Exit(run_confirm(account, same_tenant=same_tenant, folder=folder))


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
