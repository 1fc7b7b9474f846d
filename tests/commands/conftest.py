"""The homes, sandbox and deployments of the components' tests, and the command line over them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from pipelines.cli import main
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.components.conftest import empty_home, home, instance, sandbox_home, server, write

__all__ = ["empty_home", "home", "instance", "sandbox_home", "server", "write"]

TABLE = """type: pipelines.KpiTable
attributes:
  name: readings
  source: {files: "sample/kpi_readings.parquet"}
  catalogues: {kpi: "sample/kpis.parquet", team: "sample/teams.parquet"}
  start: "2013-01-01"
  columns: {date: reading_date, team: team_code, kpi: kpi_code, actual: value}
"""
BOARD = """type: pipelines.StativateSync
attributes:
  name: board
  table: readings
  account: stativate
  mode: sandbox
  key: "{kpi}-{team}"
  label: "{kpi_name} {team}"
  value: {column: actual, format: compact}
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command printed, as one line each, and its exit status."""

    status: int
    out: str
    err: str

    def line(self, start: str) -> str:
        """The only line that begins so."""
        (found,) = [line for line in self.out.splitlines() if line.startswith(start)]
        return found


Command = Callable[..., Said]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `pipelines ...` in this process."""

    def run(*words: object) -> Said:
        monkeypatch.setattr("sys.argv", ["pipelines", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return Said(int(ended.value.code or 0), printed.out, re.sub(r"\s+", " ", printed.err))

    return run


@pytest.fixture
def live(home: Home, server: SandboxServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """All accounts have settings as real ones do, without a limit that a test would wait for."""
    card = home.read_card()
    assert card is not None
    for api, settings in card.accounts.items():
        for name, value in {**settings, "RATE": "1000/s", "IN_FLIGHT": "8"}.items():
            monkeypatch.setenv(f"{api}_{name}".upper(), value)
