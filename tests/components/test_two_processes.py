"""Two processes on one account: together they stay within its limit."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.home import Home
from pipelines.sandbox.server import SandboxServer
from pipelines.tables.extract import extract
from pipelines.tables.store import PartitionStore
from tests.components.delivering_process import PACKAGE, SYNCS, TABLE

DAYS = ("2013-01-01", "2013-01-02")
LATER = (*DAYS, "2013-01-03", "2013-01-04")
LIMIT = 40


def test_two_processes_never_exceed_the_limit_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that counts over every sliding second sees at most the limit, from both processes at once."""
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path))
    home = Home.of()
    extract(TABLE, DAYS, base=PACKAGE, store=PartitionStore(home.store_url), environ=os.environ, now=datetime.now(UTC))
    monkeypatch.setenv("VALUESTREAMER_RATE", f"{LIMIT}/s")
    with SandboxServer.start(home, port=0) as sandbox:
        sandbox.control.configure(valuestreamer={"limit": {"requests": LIMIT, "seconds": 1.0}})
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.components.delivering_process", "valuestreamer", day, day],
                cwd=PACKAGE.parent,
                stdout=subprocess.PIPE,
                text=True,
            )
            for day in DAYS
        ]
        said = [process.communicate(timeout=120)[0] for process in processes]
        counts = sandbox.control.counts("valuestreamer")
        held = len(sandbox.control.state("valuestreamer")["records"])
    assert [process.returncode for process in processes] == [0, 0], said
    assert counts["over_limit"] == 0
    assert "429" not in counts["statuses"]
    assert held == PartitionStore(home.store_url).read("flight_kpis_valid", DAYS).shape[0]


def test_backfill_and_newest_day_at_once_show_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes deliver overlapping days to one board: it ends with the newest readings, each key sent once."""
    monkeypatch.setenv("PIPELINES_HOME", str(tmp_path))
    home = Home.of()
    store = PartitionStore(home.store_url)
    extract(TABLE, LATER, base=PACKAGE, store=store, environ=os.environ, now=datetime.now(UTC))
    newest = {upsert.key: upsert for upsert in SYNCS["stativate"].build(store.read("flight_kpis_valid", LATER)).upserts}
    with SandboxServer.start(home, port=0) as sandbox:
        sandbox.control.configure(stativate={"latency_s": 0.01})
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.components.delivering_process", "stativate", first, LATER[-1]],
                cwd=PACKAGE.parent,
                stdout=subprocess.PIPE,
                text=True,
            )
            for first in (LATER[0], LATER[-1])
        ]
        said = [process.communicate(timeout=120)[0] for process in processes]
        shown = {key: one["value"] for key, one in sandbox.control.state("stativate")["statuses"].items()}
        routes = sandbox.control.counts("stativate")["routes"]
    assert [process.returncode for process in processes] == [0, 0], said
    assert shown == {key: upsert.payload["value"] for key, upsert in newest.items()}
    assert sum(route["requests"] for name, route in routes.items() if name.startswith(("PUT", "POST"))) == len(newest)
