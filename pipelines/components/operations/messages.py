"""What people are told: the screen of the morning, and what changed, as short messages."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.components.operations.channels import Message
from pipelines.components.operations.news import DEPLOYMENT, Change
from pipelines.components.operations.rendering import (
    DOTS,
    ToDo,
    accepted,
    asset_url,
    cells,
    daemon_line,
    headline,
    moment,
    named,
    owners,
    run_url,
    to_do,
    under_way,
)
from pipelines.components.operations.status import Colour, Problem, Screen, SyncStatus, span

_REASONS = 3
_NAMED = 3


def morning(screen: Screen) -> Message:
    """The whole screen, also when all is green."""
    lines = [_line(one) for one in screen.syncs] or ["This deployment has no syncs."]
    wrong = [_wrong(one) for one in to_do(screen)]
    put_up_with = [f"acknowledged: {one}" for one in accepted(screen)]
    working = [f"under way: {syncs}: {how}" for syncs, how in under_way(screen)]
    links = [screen.ui_url] if screen.ui_url else []
    daemon = f"{moment(screen.now)}, daemon: {daemon_line(screen)}"
    told = ["\n".join(lines), *wrong, *put_up_with, *working, daemon, *links]
    return Message(f"{DOTS[screen.colour]} pipelines: {headline(screen)}", told)


def alert(screen: Screen, changes: Sequence[Change], owner: str = "") -> Message:
    """What changed since it was last told. `owner`: who answers for the deployment as a whole."""
    colour = max((one.colour for one in changes), key=lambda colour: colour.rank)
    names = [one.about for one in changes]
    by_name = {status.sync: status for status in screen.syncs}
    told = [
        _of_deployment(screen, one, owner) if one.about == DEPLOYMENT else _of_sync(screen, by_name[one.about], one)
        for one in changes
    ]
    verb = f"{colour}"
    if all(one.recovered for one in changes):
        put_up_with = any(status.acknowledged for name, status in by_name.items() if name in {*names})
        verb = "acknowledged" if put_up_with else "recovered"
    return Message(f"{DOTS[colour]} pipelines: {', '.join(names)} {verb}", told)


def _of_sync(screen: Screen, status: SyncStatus, change: Change) -> str:
    newest, told = status.newest, change.told_of(status.problems)
    lines = [f"{DOTS[change.colour]} {status.sync} ({status.mode}): {change.before} -> {change.colour}"]
    if change.colour is change.before:
        lines = [f"{DOTS[change.colour]} {status.sync} ({status.mode}): still {change.colour}, and new"]
    rows = f", {newest.delivered:,} of {newest.expected:,} rows delivered" if newest.delivered is not None else ""
    if newest.partition:
        lines.append(f"{newest.partition} {newest.state}{rows}")
    lines += _reasons(screen, told, change)
    if status.acknowledged:
        lines.append(f"acknowledged: {span([one.partition for one in status.acknowledged])}")
    if status.owners:
        lines.append(f"owner: {owners(status)}")
    about = next((max(one.partitions) for one in told if one.partitions), "")
    url = asset_url(screen, status, about) if told else run_url(screen, newest.run) or asset_url(screen, status)
    return "\n".join([*lines, *([url] if url else [])])


def _of_deployment(screen: Screen, change: Change, owner: str) -> str:
    lines = [f"{DOTS[change.colour]} the deployment: {change.before} -> {change.colour}"]
    lines += _reasons(screen, change.told_of(screen.problems), change)
    return "\n".join([*lines, *([f"owner: {owner.removeprefix('team:')}"] if owner else [])])


def _reasons(screen: Screen, problems: Sequence[Problem], change: Change) -> list[str]:
    """The worst problems: what it is, what to do, and the run that made it so."""
    lines = []
    for one in problems[:_REASONS]:
        url = run_url(screen, one.run)
        lines += [f"- {one.what}{_new(change.fresh_of(one), one)}", f"  next: {_do(one.next)}"]
        lines += [f"  run: {url}"] if url else []
    rest = len(problems) - _REASONS
    return [*lines, *([f"- and {rest} more: {_do('pipelines status')}"] if rest > 0 else [])]


def _new(fresh: Sequence[str], problem: Problem) -> str:
    """Which of its partitions are told for the first time, where others were told before."""
    if not fresh or len(fresh) == len(problem.partitions):
        return ""
    return f" (new: {', '.join(fresh[-_NAMED:])}{f' and {len(fresh) - _NAMED} more' if len(fresh) > _NAMED else ''})"


def _wrong(one: ToDo) -> str:
    since = f" (since {one.since})" if one.since else ""
    return f"{named(one.colour)}: {one.about}: {one.what}{since}\nnext: {_do(one.next)}"


def _line(status: SyncStatus) -> str:
    _, newest, rows, _, open_ = cells(status)
    shown = [newest, *([f"{rows} rows"] if status.newest.delivered is not None else [])]
    shown += [open_] if status.colour is not Colour.GREEN and any(one.count for one in status.problems) else []
    return f"{named(status.colour)}: {status.sync} ({status.mode}): {', '.join(shown)}"


def _do(command: str) -> str:
    return f"`{command}`" if command.startswith("pipelines ") else command
