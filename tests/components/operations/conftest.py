"""What is watched, and receivers of this machine that are told."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance
from dagster._core.instance import InstanceType
from dagster._core.launcher.sync_in_memory_run_launcher import SyncInMemoryRunLauncher
from dagster._core.run_coordinator import DefaultRunCoordinator
from dagster._core.storage.event_log import InMemoryEventLogStorage
from dagster._core.storage.noop_compute_log_manager import NoOpComputeLogManager
from dagster._core.storage.root import LocalArtifactStorage
from dagster._core.storage.runs import InMemoryRunStorage
from dagster._core.storage.schedules import SqliteScheduleStorage

from tests.components.operations.postbox import Postbox, served


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[DagsterInstance]:
    """A Dagster instance in memory that knows schedules, which Dagster's own does not."""
    with DagsterInstance(
        instance_type=InstanceType.EPHEMERAL,
        local_artifact_storage=LocalArtifactStorage(str(tmp_path)),
        run_storage=InMemoryRunStorage(),
        event_storage=InMemoryEventLogStorage(),
        run_coordinator=DefaultRunCoordinator(),
        compute_log_manager=NoOpComputeLogManager(),
        run_launcher=SyncInMemoryRunLauncher(),
        schedule_storage=SqliteScheduleStorage.from_local(str(tmp_path / "schedules")),
    ) as instance:
        yield instance


@pytest.fixture
def stored() -> Iterator[DagsterInstance]:
    """A Dagster instance on disk, which needs a daemon."""
    quiet: Any = {"telemetry": {"enabled": False}}
    with DagsterInstance.local_temp(overrides=quiet) as instance:
        yield instance


@dataclass(slots=True)
class Hook:
    """A webhook's receiver: what it got, and the status that it answers."""

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    status: int = 200

    @property
    def texts(self) -> list[str]:
        """What was told, in plain text."""
        return [body["text"] for body in self.bodies]


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A local HTTP receiver."""
    got = Hook()

    class _Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if got.status == 200:
                got.bodies.append(json.loads(body))
                got.paths.append(self.path)
            self.send_response(got.status)
            self.end_headers()
            self.wfile.write(b"ok" if got.status == 200 else b"no such /services/T0/secretpart")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
            """Not to the test's output."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    got.url = f"http://127.0.0.1:{server.server_address[1]}/services/T0/secretpart"
    yield from _serving(server, got)


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    """A mail server that neither encrypts nor asks who is there."""
    with served() as got:
        yield got


def _serving(server: socketserver.BaseServer, got: Any) -> Iterator[Any]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield got
    server.shutdown()
    thread.join()
    server.server_close()
