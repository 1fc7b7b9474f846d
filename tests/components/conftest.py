"""A sandbox for the whole folder, and deployments that deliver to it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import dagster as dg
import pytest

from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.components.deploying import Deployment, deployed
from tests.live.deployment import write_deployment

SETTINGS = ("PIPELINES_", "STATIVATE_", "VALUESTREAMER_", "DNSIMPLE_", "FEEDBACK_HOUSE_")

Deploy = Callable[..., Deployment]
Write = Callable[[Mapping[str, str]], Path]


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


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a project with these `defs.yaml` files and make its package importable; returns the deployment's folder."""
    # Each test's package has the same name, and none may find that of another.
    for name in [name for name in sys.modules if name.partition(".")[0] == "livedeployment"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    return lambda files: write_deployment(tmp_path, files)
