"""How commands print: tables for people, JSON for programs, times in UTC."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pipelines.delivery.errors import ConfigurationError

_WIDE = 200


def console(*, stderr: bool = False) -> Console:
    """A console that prints text as it is; as wide as a screen can be where it prints to a file or a pipe."""
    found = Console(highlight=False, markup=False, soft_wrap=True, stderr=stderr)
    return (
        found
        if found.is_terminal
        else Console(highlight=False, markup=False, soft_wrap=True, stderr=stderr, width=_WIDE)
    )


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table of texts, which are shown whole: a key that is cut short could not be copied."""
    made = Table(title=Text(title), title_justify="left")
    for name in head:
        made.add_column(name, overflow="fold")
    for row in rows:
        made.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    return made


def confirm(what: str) -> None:
    """Ask whether to go on; `typer.Abort` where the answer is no.

    Raises:
        ConfigurationError: there is no terminal to ask at.
    """
    if not sys.stdin.isatty():
        raise ConfigurationError(f"nobody can confirm {what}", do="Say --yes where no terminal is.")
    typer.confirm("Go on?", abort=True, err=True)


def as_json(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(orjson.dumps(value, default=_named, option=orjson.OPT_INDENT_2).decode() + "\n")


def _named(value: Any) -> Any:
    """A named tuple by its names."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()  # pyright: ignore[reportAttributeAccessIssue] - a named tuple has it
    raise TypeError


def when(seconds: float) -> str:
    """A Unix time, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def short(value: Any, most: int = 120) -> str:
    """A JSON value on one line, cut where it is long."""
    text = orjson.dumps(value).decode()
    return text if len(text) <= most else f"{text[: most - 1]}…"


def some(shown: int, total: int, limit_option: str = "--limit") -> str:
    """What to say where not all of a list is shown; else empty."""
    return "" if shown == total else f"The newest {shown} of {total}; {limit_option} shows more."
