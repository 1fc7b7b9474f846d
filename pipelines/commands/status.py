"""`pipelines status`: a morning in one screen."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

import pipelines
from pipelines.commands.homes import demo_home
from pipelines.commands.printing import as_json, console
from pipelines.commands.quiet import quiet_dagster
from pipelines.delivery.errors import PipelinesError
from pipelines.home import Home
from pipelines.instance import environment, surrounded_by

if TYPE_CHECKING:
    import dagster as dg

    from pipelines.components.operations.status import Colour, Screen


def run_status(folder: Path | None, *, json: bool, demo: bool) -> int:
    """Print the screen; 1 where anything is red or yellow.

    Raises:
        ConfigurationError: the deployment cannot be read.
        PipelinesError: Dagster's instance cannot be opened.
    """
    quiet_dagster()
    from pipelines.components.deployment import watched_at
    from pipelines.components.operations.screen import read_screen, utc_now
    from pipelines.components.operations.status import Colour

    home = demo_home() if demo else Home.of()
    watched = watched_at(folder or Path(pipelines.__file__).parent)
    with home_instance(home, {} if demo else os.environ) as instance:
        screen = read_screen(watched, home.ledger_url, instance, utc_now())
    if json:
        as_json(document(screen))
    else:
        _print(console(), screen)
    return 0 if screen.colour is Colour.GREEN else 1


def document(screen: Screen) -> dict[str, Any]:
    """The screen as `--json` promises it: every colour and next command spelt out, times as ISO 8601 in UTC."""
    return {
        "now": screen.now,
        "colour": screen.colour,
        "daemon": screen.daemon,
        "problems": screen.problems,
        "syncs": [
            {"colour": one.colour, "next": one.next, **{name: getattr(one, name) for name in one.__slots__}}
            for one in screen.syncs
        ],
    }


@contextmanager
def home_instance(home: Home, environ: Mapping[str, str]) -> Iterator[dg.DagsterInstance | None]:
    """The home's Dagster instance, or the one that DAGSTER_HOME names; None where there is none yet."""
    import dagster as dg

    folder = Path(environ.get("DAGSTER_HOME") or home.dagster)
    if not folder.is_dir():
        yield None
        return
    with surrounded_by({**os.environ, **environment(home, environ), "DAGSTER_HOME": str(folder)}):
        try:
            instance = dg.DagsterInstance.from_config(str(folder))
        except Exception as error:
            raise PipelinesError(
                f"Dagster's instance in {folder} cannot be opened: {error}", do="Mend its dagster.yaml or its database."
            ) from error
        with instance:
            yield instance


def _print(out: Console, screen: Screen) -> None:
    from pipelines.components.operations.rendering import (
        HEAD,
        accepted,
        cells,
        daemon_line,
        headline,
        moment,
        run_url,
        to_do,
        under_way,
    )

    out.print(Text.assemble((f"● {headline(screen)}", f"bold {screen.colour}"), f"   {moment(screen.now)}"))
    out.print(f"daemon: {daemon_line(screen)}")
    if screen.syncs:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        for name in ("", *HEAD):
            table.add_column(name, overflow="fold")
        for one in screen.syncs:
            table.add_row(_dot(one.colour), *map(Text, cells(one)))
        out.print(table)
    # No table: a command that a cell's edge folds cannot be copied.
    for one in to_do(screen):
        since = f" (since {one.since})" if one.since else ""
        out.print(Text.assemble(_dot(one.colour), " ", (one.about, "bold"), f": {one.what}{since}"))
        out.print(f"  next: {one.next}")
        if one.run:
            out.print(f"  run:  {run_url(screen, one.run) or one.run}")
    for one in accepted(screen):
        out.print(f"acknowledged: {one}")
    for syncs, how in under_way(screen):
        out.print(f"under way: {syncs}: {how}")


def _dot(colour: Colour) -> Text:
    """The colour, also as a word: a pipe or a file has no colours."""
    return Text(f"● {colour}", str(colour))
