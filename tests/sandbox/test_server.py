"""The server as a process: its card, its lock, its state across restarts."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.home import Home
from pipelines.sandbox import SandboxError, SandboxServer, run
from pipelines.sandbox.state import State
from pipelines.sandbox.store import Store

FULL = {"name": "Sales", "value": "1"}
KEY = {"stativate-api-key": "sandbox"}


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


def wait_for(home: Home, key: str) -> None:
    """Wait until a status is on disk, while the sandbox runs."""
    while key not in on_disk(home).shelf("stativate/statuses"):
        time.sleep(0.05)


def test_state_and_id_survive_a_restart(home: Home) -> None:
    """What was written and deleted is as it was after a stop and a start, under the same id, at the same places; the
    stop does not wait for answers that never come.
    """
    with SandboxServer.start(home, port=0) as server:
        before = server.id
        for key in ("a", "b", "b", "c"):
            post(home, key)
        httpx.delete(f"{server.url}/stativate/v1/status-keys/a", headers=KEY)
        server.control.add_faults({"kind": "never", "params": {"act": True}})
        with pytest.raises(httpx.ReadTimeout):
            post(home, "d", timeout=0.3)
        held = server.control.state("stativate")
    with SandboxServer.start(home, port=0) as server:
        assert server.id == before
        assert server.control.state("stativate") == held
        assert list(held["statuses"]) == ["b", "c", "d"]
        by_id = f"{server.url}/stativate/v1/status/{held['statuses']['b']['id']}"
        assert httpx.get(by_id, headers=KEY).json()["name"] == "Sales"


def test_a_kill_loses_no_more_than_the_last_moment(home: Home) -> None:
    """What is written goes to disk by itself, so that a kill loses no more than what came just before it."""
    with SandboxServer.start(home, port=0) as server:
        post(home, "a")
        wait_for(home, "a")
        os.kill(server.pid, signal.SIGKILL)
    assert list(on_disk(home).shelf("stativate/statuses")) == ["a"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, SandboxServer]]:
    """A sandbox that keeps its state."""
    home = Home.of({"PIPELINES_HOME": str(tmp_path_factory.mktemp("kept"))})
    with SandboxServer.start(home, port=0) as server:
        yield home, server


def test_reset_reaches_disk_and_card(kept: tuple[Home, SandboxServer]) -> None:
    """A reset gives the home's card the new id, and empties what is on disk under that id."""
    home, server = kept
    post(home, "a")
    wait_for(home, "a")
    new = server.control.reset()
    card = home.read_card()
    assert card is not None
    assert (card.id, card.url) == (new, server.url)
    post(home, "b")
    wait_for(home, "b")
    state = on_disk(home)
    assert (state.id, list(state.shelf("stativate/statuses"))) == (new, ["b"])


def test_one_sandbox_per_home(kept: tuple[Home, SandboxServer]) -> None:
    """A second sandbox on the same home does not start, and says why; the first goes on, and the card stays."""
    home, server = kept
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


def test_unusable_state(home: Home) -> None:
    """A state of another version, or a file that is none, is named in the error with what to do."""
    home.sandbox.mkdir(parents=True)
    file = home.sandbox / "state.db"
    with contextlib.closing(sqlite3.connect(file)) as other:
        other.execute("pragma user_version = 99")
    with pytest.raises(SandboxError, match=r"has version 99.*Delete the folder"):
        run(home, port=0)
    file.write_bytes(b"no database" * 100)
    with pytest.raises(SandboxError, match=r"not a database.*Delete the folder"):
        run(home, port=0)


def test_this_machine_only(home: Home) -> None:
    """An address that others can reach is refused."""
    for host in ("0.0.0.0", "example.com"):  # noqa: S104 - refused, which is the point
        with pytest.raises(SandboxError, match="this machine only"):
            run(home, host=host, port=0)
