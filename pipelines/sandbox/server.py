"""Starting and stopping the sandbox.

This module is light: FastAPI and uvicorn are loaded where they serve, not by a parent that only starts a child.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from pipelines.home import Home
from pipelines.sandbox.remote import Control

HOST = "127.0.0.1"
PORT = 4180
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0


class SandboxError(Exception):
    """The sandbox cannot be started; the message says why and what to do."""


def run(
    home: Home,
    host: str = HOST,
    port: int = PORT,
    *,
    persist: bool = True,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve in the foreground until interrupted, and write the home's card. `port` 0 takes any free one.

    `ready` is called with the address, once it can be reached.

    Raises:
        SandboxError: the host is not this machine, the port is taken, another sandbox serves this home, or its
            state is unusable.
    """
    from pipelines.sandbox.serving import serve  # noqa: PLC0415 - see the module's docstring

    serve(home, host, port, persist=persist, ready=ready)


class SandboxServer:
    """A sandbox in a child process. Use it as a context manager, or `stop` it; it also ends with its parent."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.url = url
        self.control = Control(url)
        self._process = process
        self._log = log

    @classmethod
    def start(cls, home: Home, *, host: str = HOST, port: int = PORT, persist: bool = True) -> Self:
        """Start it and wait until it can be reached. `port` 0 takes any free one.

        Raises:
            SandboxError: it did not start; the message holds what it printed.
        """
        home.path.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pipelines.sandbox", "--tied", "--announce"]
        command += ["--home", str(home.path), "--host", host, "--port", str(port)]
        command += [] if persist else ["--no-persist"]
        with tempfile.NamedTemporaryFile(prefix="pipelines-sandbox-", suffix=".log", delete=False) as errors:
            process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
            )
        server = cls(process, "", Path(errors.name))
        try:
            server.url = server._announced()
            server.control = Control(server.url)
        except BaseException:
            server.stop()
            raise
        return server

    @property
    def id(self) -> str:
        """The id of what it holds now."""
        return self.control.id()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    def stop(self) -> None:
        """End it: politely, so that it flushes its state; after ten seconds by force."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._log.unlink(missing_ok=True)

    def _announced(self) -> str:
        """The address that the child announces, waited for in a thread so that a silent child cannot hang us."""
        lines: list[bytes] = []
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - asked for above
        reader = threading.Thread(target=lambda: lines.append(stdout.readline()), daemon=True)
        reader.start()
        reader.join(_START_TIMEOUT_S)
        if lines and lines[0]:
            return orjson.loads(lines[0])["url"]
        said = self._log.read_text(encoding="utf-8", errors="replace").strip()
        why = said or f"it said nothing within {_START_TIMEOUT_S:.0f} s"
        msg = f"The sandbox did not start: {why}"
        raise SandboxError(msg)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
