"""The screen in words: as Markdown for Dagster's UI, and as the cells that the terminal's table is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pipelines.components.operations.status import Colour, Newest, Problem, Progress, Screen, SyncStatus, span
from pipelines.tables.grains import SNAPSHOT

DOTS = {Colour.GREEN: "🟢", Colour.YELLOW: "🟡", Colour.RED: "🔴"}
HEAD = ("sync", "newest closed partition", "rows delivered", "partitions", "open")
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_NOTHING = "-"


class ToDo(NamedTuple):
    """Something that is wrong, for how long, and what to do; `syncs`: those it concerns, none: the whole deployment.

    `run`: where it happened, as far as that is known.
    """

    colour: Colour
    syncs: tuple[str, ...]
    what: str
    since: str
    next: str
    run: str

    @property
    def about(self) -> str:
        """The syncs in a line."""
        return ", ".join(self.syncs) or "the deployment"


def headline(screen: Screen) -> str:
    """How many syncs are of which colour, in a line, after what concerns them all."""
    whole = [f"{one.kind} {one.colour}" for one in screen.problems]
    counts = [f"{screen.count(one)} {one}" for one in (Colour.RED, Colour.YELLOW, Colour.GREEN) if screen.count(one)]
    return ", ".join([*whole, *(counts or ["no syncs"])])


def daemon_line(screen: Screen) -> str:
    """The daemon's last sign of life, in a line."""
    if screen.daemon.seen is None:
        return "never seen"
    return f"last sign of life {age(screen.now, screen.daemon.seen)} ago ({moment(screen.daemon.seen)})"


def cells(status: SyncStatus) -> tuple[str, str, str, str, str]:
    """A sync in the columns of `HEAD`."""
    return (
        f"{status.sync} ({status.mode})",
        _newest(status.newest),
        _rows(status.newest),
        _history(status),
        _open(status.problems),
    )


def to_do(screen: Screen) -> list[ToDo]:
    """What is wrong, the worst first; what syncs have in common stands there once."""
    found: dict[tuple[Colour, str, str], ToDo] = {}
    named = [("", problem) for problem in screen.problems]
    named += [(status.sync, problem) for status in screen.syncs for problem in status.problems]
    for sync, problem in named:
        key = (problem.colour, problem.what, problem.next)
        before = found[key].syncs if key in found else ()
        since = age(screen.now, problem.since) if problem.since else ""
        run = found[key].run if key in found else problem.run
        about = (*before, *([sync] if sync else []))
        found[key] = ToDo(problem.colour, about, problem.what, since, problem.next, run)
    return sorted(found.values(), key=lambda one: -one.colour.rank)


def accepted(screen: Screen) -> list[str]:
    """What is red and acknowledged: of each sync, by whoever did so and why."""
    found: dict[tuple[str, str, str, float], list[str]] = {}
    for status in screen.syncs:
        for one in status.acknowledged:
            found.setdefault((status.sync, one.who, one.reason, one.since), []).append(one.partition)
    return [
        f"{sync}: {span(partitions)}: {reason} ({who}, {age(screen.now, datetime.fromtimestamp(since, UTC))} ago)"
        for (sync, who, reason, since), partitions in found.items()
    ]


def under_way(screen: Screen) -> list[tuple[str, str]]:
    """What works now: the syncs that it is about, and how far it is."""
    found: dict[str, tuple[list[str], Progress]] = {}
    for status in screen.syncs:
        for one in status.progress:
            key = f"{one.id}/{one.done}/{one.total}"
            found.setdefault(key, ([], one))[0].append(status.sync)
    return [(", ".join(syncs), progress(one, screen.now)) for syncs, one in found.values()]


def progress(one: Progress, now: datetime) -> str:
    """How far a backfill or run is, and when it should end."""
    if one.kind == "run":
        return f"run {one.id[:8]} {'waits' if one.queued else 'works'} since {age(now, one.since)}"
    said = f"backfill {one.id}: {one.done} of {one.total} partitions in {age(now, one.since)}"
    if one.ends is None:
        return f"{said}, its end is not known yet"
    return f"{said}, expected to end in {age(one.ends, now)} ({moment(one.ends)})"


def markdown(screen: Screen) -> str:
    """The whole screen for Dagster's UI."""
    rows = [(named(one.colour), _linked(screen, one), *cells(one)[1:]) for one in screen.syncs]
    parts = [f"### {DOTS[screen.colour]} {headline(screen)}", f"{moment(screen.now)} · daemon: {daemon_line(screen)}"]
    parts.append(_grid(("", *HEAD), rows) if rows else "This deployment has no syncs.")
    wrong = [
        (named(one.colour), one.about, one.what, one.since, _code(one.next), _run(screen, one.run))
        for one in to_do(screen)
    ]
    if wrong:
        parts += ["#### What to do", _grid(("", "sync", "what", "since", "next", "run"), wrong)]
    if accepted(screen):
        parts += ["#### Acknowledged", "\n".join(f"- {one}" for one in accepted(screen))]
    working = under_way(screen)
    if working:
        parts += ["#### Under way", _grid(("sync", "progress"), working)]
    return "\n\n".join(parts)


def named(colour: Colour) -> str:
    """The colour as a dot and as a word: not every screen shows the one, and not every eye tells it."""
    return f"{DOTS[colour]} {colour}"


def age(now: datetime, since: datetime) -> str:
    """How long ago it was, in its largest unit; also how long until then."""
    seconds = max(0, int((now - since).total_seconds()))
    size, unit = next((one for one in _UNITS if seconds >= one[0]), _UNITS[-1])
    return f"{seconds // size} {unit}"


def moment(when: datetime) -> str:
    """A time, to the minute."""
    return when.strftime("%Y-%m-%d %H:%M UTC")


def owners(status: SyncStatus) -> str:
    """Who answers for the sync."""
    return ", ".join(owner.removeprefix("team:") for owner in status.owners)


def asset_url(screen: Screen, status: SyncStatus, partition: str = "") -> str:
    """The sync's page in Dagster's UI, at a partition or at the newest; empty without an address of the UI."""
    if not screen.ui_url:
        return ""
    wanted = partition or status.newest.partition
    at = f"?view=partitions&partition={wanted}" if wanted not in {"", SNAPSHOT} else ""
    return f"{screen.ui_url}/assets/{status.sync}{at}"


def run_url(screen: Screen, run: str) -> str:
    """The page of a run; empty where none is known, or the UI has no address."""
    return f"{screen.ui_url}/runs/{run}" if screen.ui_url and run else ""


def _newest(newest: Newest) -> str:
    if newest.state == "none":
        return "none has closed yet"
    name = "snapshot" if newest.partition == SNAPSHOT else newest.partition
    at = f" {moment(newest.at)}" if newest.at and newest.partition == SNAPSHOT else ""
    return f"{name} {newest.state}{at}"


def _rows(newest: Newest) -> str:
    return _NOTHING if newest.delivered is None else f"{newest.delivered:,} of {newest.expected:,}"


def _history(status: SyncStatus) -> str:
    history = status.history
    if status.newest.partition == SNAPSHOT or not history.closed:
        return _NOTHING
    what = "extracted" if status.mode == "dry" else "delivered"
    up_to = f", up to {history.up_to}" if history.up_to and history.up_to != status.newest.partition else ""
    failed = f", {history.failed} failed" if history.failed else ""
    return f"{history.delivered:,} of {history.closed:,} {what}{up_to}{failed}"


def _open(problems: Sequence[Problem]) -> str:
    return ", ".join(f"{one.count:,} {one.kind}" for one in problems if one.count) or _NOTHING


def _linked(screen: Screen, status: SyncStatus) -> str:
    name, url = cells(status)[0], asset_url(screen, status)
    return f"[{name}]({url})" if url else name


def _run(screen: Screen, run: str) -> str:
    url = run_url(screen, run)
    return f"[{run[:8]}]({url})" if url else run[:8]


def _code(command: str) -> str:
    return f"`{command}`" if command.startswith("pipelines ") else command


def _grid(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(" ".join(cell.replace("|", r"\|").split()) for cell in one) + " |" for one in lines
    )
