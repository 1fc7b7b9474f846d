"""A sandbox in a process of its own, and one client per API with the right credentials."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from pipelines.home import Home
from pipelines.sandbox import Control, SandboxServer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SandboxServer]:
    """One sandbox for all tests of the folder, without a disk."""
    home = Home.of({"PIPELINES_HOME": str(tmp_path_factory.mktemp("home"))})
    with SandboxServer.start(home, port=0, persist=False) as running:
        yield running


@pytest.fixture
def control(server: SandboxServer) -> Control:
    """The control of an empty sandbox."""
    server.control.reset()
    return server.control


@pytest.fixture(scope="session")
def stativate(server: SandboxServer) -> Iterator[httpx.Client]:
    """A client of Stativate."""
    headers = {"stativate-api-key": "sandbox"}
    with httpx.Client(base_url=f"{server.url}/stativate/v1", headers=headers) as client:
        yield client


@pytest.fixture(scope="session")
def valuestreamer(server: SandboxServer) -> Iterator[httpx.Client]:
    """A client of ValueStreamer."""
    headers = {"content-type": "application/vs.v2.0+json"}
    url = f"{server.url}/valuestreamer/api/exchange"
    with httpx.Client(base_url=url, headers=headers, auth=("sandbox", "sandbox")) as client:
        yield client


@pytest.fixture(scope="session")
def dnsimple(server: SandboxServer) -> Iterator[httpx.Client]:
    """A client of DNSimple."""
    headers = {"authorization": "Bearer sandbox", "content-type": "application/json"}
    with httpx.Client(base_url=f"{server.url}/dnsimple/v2", headers=headers) as client:
        yield client


@pytest.fixture(scope="session")
def feedback_house(server: SandboxServer) -> Iterator[httpx.Client]:
    """A client of feedback.house, for which the limit of requests is no matter."""
    with httpx.Client(base_url=f"{server.url}/feedback-house/api", headers={"x-api-key": "sandbox"}) as client:
        yield client
