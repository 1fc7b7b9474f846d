"""A sync's run that notes each write before it leaves, and that ends by SIGKILL where it is told to.

The notes survive the kill, since they are in the kernel's hands before the request is: nothing leaves unseen.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import orjson
from sqlalchemy import Connection, Engine, event

from pipelines.components.sync_run import Order, SyncRunner
from pipelines.components.way import http_port
from pipelines.delivery.errors import PipelinesError
from pipelines.delivery.messages import Exchange, Port, Request
from pipelines.destinations.accounts import Account
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home


@dataclass(slots=True)
class Fate:
    """When the process ends, or stops: the n-th time that it is about to do something; never, where `at` is empty.

    `send`: a write is about to leave. `answer`: it was answered, which nobody has written down yet. `commit`: a
    transaction of the ledger is about to be committed.
    """

    at: str = ""
    count: int = 0
    signal: int = signal.SIGKILL
    seen: Counter[str] = field(default_factory=Counter)

    def reached(self, what: str) -> None:
        """Note that it is about to do something, and die if this is the time."""
        self.seen[what] += 1
        if what == self.at and self.seen[what] == self.count:
            os.kill(os.getpid(), self.signal)


class _WitnessedPort:
    """The port, with each write in the notes before it leaves."""

    def __init__(self, port: Port, notes: Path, fate: Fate) -> None:
        self._port = port
        self._notes = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._fate = fate

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        os.close(self._notes)
        await self._port.aclose()

    async def send(self, request: Request) -> Exchange:
        if request.method == "GET":
            return await self._port.send(request)
        line = {"path": request.path, "body": (request.body or b"").decode()}
        os.write(self._notes, orjson.dumps(line) + b"\n")
        self._fate.reached("send")
        exchange = await self._port.send(request)
        self._fate.reached("answer")
        return exchange


def witnessed_runner(sync: SyncSpec, environ: Mapping[str, str], notes: Path, fate: Fate | None = None) -> SyncRunner:
    """What runs a sync with every write noted in a file."""

    def open_port(account: Account) -> _WitnessedPort:
        return _WitnessedPort(http_port(account), notes, fate or Fate())

    return SyncRunner(sync, Home.of(environ), environ=environ, open_port=open_port)


def deliver_and_die(spec: SyncSpec, environ: Mapping[str, str], order: Order, notes: Path, fate: Fate) -> None:
    """The target of a process: deliver, unless fate strikes before. An error of ours is its last words."""

    def before_commit(_: Connection) -> None:
        fate.reached("commit")

    event.listen(Engine, "commit", before_commit)
    try:
        witnessed_runner(spec, environ, notes, fate).run(order)
    except PipelinesError as error:
        sys.exit(str(error))


def noted(notes: Path, start: int = 0) -> tuple[list[Mapping[str, Any]], int]:
    """The writes noted from an offset on, and the offset behind them."""
    if not notes.exists():
        return [], start
    with notes.open("rb") as file:
        file.seek(start)
        content = file.read()
    return [orjson.loads(line) for line in content.splitlines()], start + len(content)
