"""Whether Dagster's daemon lives. Pure; no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from pipelines.components.operations.status import Colour, Daemon, Problem

_SILENT = timedelta(minutes=5)
"""The daemon gives a sign of life every half minute."""
_STUCK = timedelta(minutes=30, seconds=30)
"""One of its parts may be at work for long; Dagster itself gives it half an hour."""


def daemon_of(needed: Sequence[str], beats: Mapping[str, datetime], now: datetime) -> Daemon:
    """The daemon's last sign of life, and those of its parts that have been silent for too long."""
    seen = max(beats.values(), default=None)
    if seen is None or now - seen > _SILENT:
        return Daemon(seen, tuple(needed))
    return Daemon(seen, tuple(name for name in needed if name not in beats or now - beats[name] > _STUCK))


def daemon_problem(daemon: Daemon, now: datetime, *, waits: bool) -> Problem | None:
    """What is wrong with the daemon. `waits`: a schedule is on, or a run or backfill waits for it."""
    do = "start it: `pipelines dev`, or your service for dagster-daemon"
    if daemon.seen is None:
        what = "Dagster's daemon has never run, so nothing starts by itself"
        return Problem("daemon", Colour.RED, what, do) if waits else None
    if now - daemon.seen > _SILENT:
        what = "Dagster's daemon is not running, so nothing starts by itself"
        return Problem("daemon", Colour.RED, what, do, since=daemon.seen)
    if daemon.silent:
        what = f"parts of Dagster's daemon are silent: {', '.join(daemon.silent)}"
        return Problem("daemon", Colour.RED, what, "look at the daemon's log, and start it anew")
    return None
