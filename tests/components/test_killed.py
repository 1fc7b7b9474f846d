"""A delivering process is killed in the middle: the next run ends with the API equal to the source."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.delivery.upsert import Outcome
from pipelines.home import Home
from pipelines.sandbox.server import SandboxServer
from pipelines.tables.extract import extract
from pipelines.tables.store import PartitionStore
from tests.components.delivering_process import PACKAGE, SYNCS, TABLE, deliver

DAYS = ("2013-01-01", "2013-01-02", "2013-01-03")
KILLS = 3


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path))
    home = Home.of()
    extract(TABLE, DAYS, base=PACKAGE, store=PartitionStore(home.store_url), environ=os.environ, now=datetime.now(UTC))
    return home


@pytest.fixture
def sandbox(home: Home) -> Iterator[SandboxServer]:
    with SandboxServer.start(home, port=0) as server:
        yield server


def kill_in_the_middle(api: str, sandbox: SandboxServer, after_requests: int) -> None:
    """Start a delivery and kill it with SIGKILL once so many requests have arrived."""
    before = sandbox.control.counts(api)["requests"]
    command = [sys.executable, "-m", "tests.components.delivering_process", api, DAYS[0], DAYS[-1]]
    with subprocess.Popen(command, cwd=PACKAGE.parent, stdout=subprocess.DEVNULL) as process:
        while sandbox.control.counts(api)["requests"] - before < after_requests and process.poll() is None:
            time.sleep(0.005)
        process.kill()


def writes(api: str, sandbox: SandboxServer) -> int:
    routes = sandbox.control.counts(api)["routes"]
    return sum(route["requests"] for name, route in routes.items() if name.startswith(("PUT", "POST")))


@pytest.mark.parametrize("api", ["stativate", "valuestreamer"])
def test_killed_delivery_is_completed_without_sending_anything_twice(api: str, sandbox: SandboxServer) -> None:
    """After SIGKILLs in the middle: all there, none lost, and no write that was accepted is repeated."""
    sandbox.control.configure(**{api: {"latency_s": 0.02}})
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    for _ in range(KILLS):
        kill_in_the_middle(api, sandbox, chance.randrange(12, 40))
    sandbox.control.configure(**{api: {"latency_s": 0.0}})

    result = deliver(api, DAYS[0], DAYS[-1], "after")
    assert all(not account.gap and not account.undelivered for account in result.results.values()), seed
    built = SYNCS[api].build(PartitionStore(Home.of().store_url).read("flight_kpis_valid", DAYS))
    keys = {upsert.key for upsert in built.upserts}
    assert writes(api, sandbox) == len(keys), f"a write was repeated or lost; seed {seed}"

    again = deliver(api, DAYS[0], DAYS[-1], "again")
    assert again.report.traffic.requests == 0
    settled = again.report.total(Outcome.UNCHANGED) + again.report.total(Outcome.SUPERSEDED)
    assert settled == sum(account.extracted for account in again.results.values())
