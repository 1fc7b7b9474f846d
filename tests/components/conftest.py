"""A sandbox for the whole folder, and deployments that deliver to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest

from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.components.deploying import Deployment, deployed

HERE = Path(__file__).parent
SETTINGS = ("PIPELINES_", "STATIVATE_", "VALUESTREAMER_", "DNSIMPLE_", "FEEDBACK_HOUSE_")

Deploy = Callable[..., Deployment]


@pytest.fixture(scope="session")
def sandbox_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """The home of the sandbox, which keeps its card."""
    return Home.of({"PIPELINES_HOME": str(tmp_path_factory.mktemp("sandbox"))})


@pytest.fixture(scope="session")
def server(sandbox_home: Home) -> Iterator[SandboxServer]:
    """One sandbox for all tests, without a disk."""
    with SandboxServer.start(sandbox_home, port=0, persist=False) as running:
        yield running


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A home that the environment names, of whose sandbox nothing is known; no account has settings."""
    for name in list(os.environ):
        if name.startswith(SETTINGS):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path / "home"))
    return Home.of()


@pytest.fixture
def home(empty_home: Home, sandbox_home: Home, server: SandboxServer) -> Home:
    """A home with the card of the sandbox, which is empty and counts from nothing."""
    server.control.reset()
    card = sandbox_home.read_card()
    assert card is not None
    empty_home.write_card(card)
    return empty_home


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    """A Dagster instance in memory."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def deploy(home: Home, instance: dg.DagsterInstance, server: SandboxServer, tmp_path: Path) -> Deploy:
    """Deploy tables and syncs: `deploy([table], [sync])`, or the usual ones."""
    folder = tmp_path / "deployment"
    folder.mkdir()

    def build(tables=(), syncs=None) -> Deployment:
        return deployed(tables, syncs, folder=folder, instance=instance, home=home, control=server.control)

    return build
