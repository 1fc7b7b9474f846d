"""The server as a process: its card, its lock, its state across restarts."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.home import Home
from pipelines.sandbox import SandboxError, SandboxServer, run
from pipelines.sandbox.state import State
from pipelines.sandbox.store import Store

FULL = {"name": "Sales", "value": "1"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A new home."""
    return Home.of({"PIPELINES_HOME": str(tmp_path / "home")})


def post(home: Home, key: str, **options: Any) -> None:
    """Set a status through the account that the home's card names."""
    card = home.read_card()
    assert card is not None
    settings = card.accounts["stativate"]
    headers = {"stativate-api-key": settings["API_KEY"]}
    httpx.post(f"{settings['URL']}/status-keys/{key}", json=FULL, headers=headers, **options).raise_for_status()


def on_disk(home: Home) -> State:
    """What a next sandbox of the home would start with."""
    store = Store(home.sandbox)
    try:
        return store.load(time.time)
    finally:
        store.close()


def test_state_and_id_survive_a_restart(home: Home) -> None:
    """What was written and deleted is as it was after a restart, under the same id, at the same places."""
    with SandboxServer.start(home, port=0) as server:
        before = server.id
        for key in ("a", "b", "b", "c"):
            post(home, key)
        httpx.delete(f"{server.url}/stativate/v1/status-keys/a", headers={"stativate-api-key": "sandbox"})
        held = server.control.state("stativate")
    with SandboxServer.start(home, port=0) as server:
        assert server.id == before
        assert server.control.state("stativate") == held
        assert list(held["statuses"]) == ["b", "c"]
        by_id = f"{server.url}/stativate/v1/status/{held['statuses']['b']['id']}"
        assert httpx.get(by_id, headers={"stativate-api-key": "sandbox"}).json()["name"] == "Sales"


def test_reset_reaches_disk_and_card(home: Home) -> None:
    """A reset gives the home's card the new id, and an emptied state stays empty after a restart."""
    with SandboxServer.start(home, port=0) as server:
        post(home, "a")
        time.sleep(0.7)
        new = server.control.reset()
        card = home.read_card()
        assert card is not None
        assert (card.id, card.url) == (new, server.url)
    state = on_disk(home)
    assert (state.id, len(state.shelf("stativate/statuses"))) == (new, 0)


def test_a_kill_loses_no_more_than_the_last_moment(home: Home) -> None:
    """What was written a while before a kill is there after it."""
    with SandboxServer.start(home, port=0) as server:
        post(home, "a")
        time.sleep(1.5)
        os.kill(server.pid, signal.SIGKILL)
    assert list(on_disk(home).shelf("stativate/statuses").keys()) == ["a"]


def test_stop_with_requests_in_flight(home: Home) -> None:
    """A stop does not wait for answers that never come, and still flushes."""
    with SandboxServer.start(home, port=0) as server:
        server.control.add_faults({"kind": "never", "params": {"act": True}})
        with pytest.raises(httpx.ReadTimeout):
            post(home, "a", timeout=0.3)
    assert list(on_disk(home).shelf("stativate/statuses").keys()) == ["a"]


def test_one_sandbox_per_home(home: Home) -> None:
    """A second sandbox on the same home does not start, and says why; the first goes on."""
    with SandboxServer.start(home, port=0) as server:
        card = home.read_card()
        with pytest.raises(SandboxError, match="Another sandbox already serves"):
            run(home, port=0)
        assert home.read_card() == card
        assert server.id


def test_what_the_child_says_is_in_the_error(home: Home, server: SandboxServer) -> None:
    """A port that is taken is named in the error of whoever starts the child."""
    port = int(server.url.rsplit(":", 1)[1])
    with pytest.raises(SandboxError, match=f"did not start: Port {port}"):
        SandboxServer.start(home, port=port)


def test_this_machine_only(home: Home) -> None:
    """An address that others can reach is refused."""
    for host in ("0.0.0.0", "example.com"):  # noqa: S104 - refused, which is the point
        with pytest.raises(SandboxError, match="this machine only"):
            run(home, host=host, port=0)
