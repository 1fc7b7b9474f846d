"""A disk that fills up during a sync's run, of the partition store or of the whole home."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.components.sync_run import Order, SyncRunner
from pipelines.delivery.errors import LedgerError, PipelinesError, TableError
from pipelines.home import Home
from pipelines.sandbox.server import SandboxServer
from pipelines.tables.store import PartitionStore
from tests.benchmarks.kill_source import SYNCS, Source, shown
from tests.disks import filled

API = "valuestreamer"


def in_the_store(home: Home, monkeypatch: pytest.MonkeyPatch, disk: Path) -> None:
    monkeypatch.setenv("PIPELINES_STORE_URL", str(disk / "store"))


def in_the_ledger(home: Home, monkeypatch: pytest.MonkeyPatch, disk: Path) -> None:
    monkeypatch.setenv("PIPELINES_LEDGER_URL", f"sqlite:///{disk / 'ledger.db'}")


@pytest.mark.parametrize(("move", "error"), [(in_the_store, TableError), (in_the_ledger, LedgerError)])
def test_run_on_a_full_disk_sends_nothing_and_the_next_one_all(
    home: Home,
    server: SandboxServer,
    small_disk: Path,
    monkeypatch: pytest.MonkeyPatch,
    move: Callable[[Home, pytest.MonkeyPatch, Path], None],
    error: type[PipelinesError],
) -> None:
    """The run says what is full before a write left; with room, the next run delivers everything once."""
    move(home, monkeypatch, small_disk)
    home = Home.of()
    source = Source(API, PartitionStore(home.store_url), random.Random(1))
    days = source.change()
    runner = SyncRunner(SYNCS[API], home, environ=os.environ)
    runner.run(Order("before", days))
    server.control.reset_counts()

    days += source.change()
    with filled(small_disk), pytest.raises(error, match="full"):
        runner.run(Order("full", days))
    routes = server.control.counts(API)["routes"]
    assert not [route for route in routes if route.startswith("PUT")]

    result = runner.run(Order("after", days))
    assert all(not account.gap and not account.undelivered for account in result.results.values())
    held = shown(API, server.control.state(API))
    assert held == {key: value for key, (_, value) in source.wanted().items()}
