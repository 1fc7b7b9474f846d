"""Serving in the foreground: what `pipelines sandbox` and the child of `SandboxServer` do."""

from __future__ import annotations

import argparse
import contextlib
import gc
import ipaddress
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import orjson
import uvicorn
from filelock import FileLock, Timeout

from pipelines.home import Home, SandboxCard
from pipelines.sandbox.accounts import accounts
from pipelines.sandbox.app import build_app
from pipelines.sandbox.core import Sandbox
from pipelines.sandbox.server import HOST, PORT, SandboxError
from pipelines.sandbox.state import State
from pipelines.sandbox.store import StateUnusable, Store
from pipelines.sandbox.wire import raw_protocol

_GRACE_S = 1
"""How long a stop waits for requests in flight."""


def serve(
    home: Home,
    host: str = HOST,
    port: int = PORT,
    *,
    persist: bool = True,
    tied: bool = False,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve in the foreground until interrupted, and write the home's card.

    `port` 0 takes any free one. `tied` stops when standard input closes, that is when the parent is gone.
    `ready` is called with the address, once it can be reached.

    Raises:
        SandboxError: the host is not this machine, the port is taken, another sandbox serves this home, or its
            state is unusable.
    """
    listener = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listener.getsockname()[1]}"
    with contextlib.closing(listener), _held(home) if persist else contextlib.nullcontext():
        store = _opened(home) if persist else None
        sandbox = Sandbox(store.load(time.time) if store else State())

        def write_card() -> None:
            home.write_card(SandboxCard(id=sandbox.state.id, url=url, accounts=accounts(url)))

        write_card()
        gc.freeze()
        server = uvicorn.Server(
            uvicorn.Config(
                build_app(sandbox, store, write_card),  # pyright: ignore[reportArgumentType] - plain dicts as messages
                http=raw_protocol(),
                log_level="warning",
                access_log=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        if tied:
            threading.Thread(target=_stop_when_stdin_closes, args=(server,), daemon=True).start()
        if ready is not None:
            ready(url)
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m pipelines.sandbox`: serve in the foreground."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.sandbox", description="Serve the sandbox.")
    parser.add_argument("--home", help="the deployment's folder (default: PIPELINES_HOME)")
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--no-persist", action="store_true", help="keep nothing on disk")
    parser.add_argument("--tied", action="store_true", help="stop when standard input closes")
    parser.add_argument("--announce", action="store_true", help="print the address as JSON")
    given = parser.parse_args(arguments)
    environ = {**os.environ, "PIPELINES_HOME": given.home} if given.home else None
    try:
        serve(
            Home.of(environ), given.host, given.port,
            persist=not given.no_persist, tied=given.tied, ready=_announce if given.announce else None,
        )  # fmt: skip
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _opened(home: Home) -> Store:
    try:
        return Store(home.sandbox)
    except StateUnusable as error:
        raise SandboxError(str(error)) from error


def _announce(url: str) -> None:
    print(orjson.dumps({"url": url}).decode(), flush=True)


def _listen(host: str, port: int) -> socket.socket:
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        msg = f"The sandbox has open credentials and serves this machine only, not {host}. Use 127.0.0.1."
        raise SandboxError(msg)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        msg = (
            f"Port {port} of {host} cannot be used: {error.strerror}. Stop what listens there, or choose another port."
        )
        raise SandboxError(msg) from error
    return listener


@contextlib.contextmanager
def _held(home: Home) -> Iterator[None]:
    """Hold the home's state, so that no two sandboxes write it."""
    home.sandbox.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home.sandbox / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        msg = f"Another sandbox already serves {home.path}. Stop it, or use another PIPELINES_HOME."
        raise SandboxError(msg) from error
    try:
        yield
    finally:
        lock.release()


def _stop_when_stdin_closes(server: uvicorn.Server) -> None:
    while os.read(0, 1024):
        pass
    server.should_exit = True
