"""A company whose readings of every grain go to the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from tests.components.conftest import Deploy
from tests.components.grains.company import Company, Reading, found_company
from tests.components.grains.sources import VARIABLE, csv_glob, duckdb_file, in_database, parquet_glob

Found = Callable[..., Company]
Place = Callable[[Sequence[Reading]], dict[str, Any]]


@pytest.fixture
def found(deploy: Deploy, home: Home, server: SandboxServer, tmp_path: Path) -> Found:
    """Deploy the company: `found(table, sync, ...)`."""
    found_company(server.control, tmp_path / "deployment")
    return lambda table, *syncs: Company(deploy([table], list(syncs)))


FILLS = {fill.__name__: fill for fill in (duckdb_file, parquet_glob, csv_glob)}
DATABASES = ("sqlite", "postgres")


@pytest.fixture(params=[*FILLS, *DATABASES])
def place(request: pytest.FixtureRequest, empty_home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Put readings into a source of each kind; a database's address stands in the environment."""
    del empty_home  # it clears the environment first
    folder = tmp_path / "deployment"
    if request.param in FILLS:
        return lambda readings: FILLS[request.param](folder, readings)
    url = f"sqlite:///{tmp_path / 'mart.db'}"
    if request.param == "postgres":
        url = request.getfixturevalue("postgres")().replace("postgresql://", "postgresql+psycopg://", 1)
    monkeypatch.setenv(VARIABLE, url)
    return lambda readings: in_database(url, readings)
