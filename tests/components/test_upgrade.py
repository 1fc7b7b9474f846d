"""A deployment that goes on with the ledger of an earlier release."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, select, update

from pipelines.components.deployment import read_deployment
from pipelines.components.sync_run import Order, SyncRunner
from pipelines.delivery import fingerprint
from pipelines.delivery.ledger import schema
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.accounts import read_account
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from pipelines.tables.extract import extract
from pipelines.tables.grains import SNAPSHOT, Calendar
from pipelines.tables.spec import AnyTable
from pipelines.tables.store import PartitionStore
from tests.components.deploying import PACKAGE, READS_YAML
from tests.delivery.ledgers import FLIGHT_STATUSES, ORG_UNITS, STATUS_BOARD, load_version_1

pytestmark = READS_YAML

DELIVERED = {"status_board": STATUS_BOARD, "flight_statuses": FLIGHT_STATUSES, "org_units": ORG_UNITS}
JANUARY = ("2013-01-01", "2013-01-31")


@pytest.fixture
def sample() -> tuple[Mapping[str, AnyTable], Mapping[str, SyncSpec]]:
    """The sample deployment's tables and syncs by name, as its YAML files have them."""
    _, tables, syncs = read_deployment(PACKAGE)
    return {table.name: table for table in tables}, {sync.name: sync for sync in syncs}


def upgrade(home: Home, syncs: Mapping[str, SyncSpec], *, outdated: bool) -> None:
    """Put the ledger of version 1 into the home, as if it had delivered to the home's sandbox.

    `outdated`: with fingerprints that this release does not make.
    """
    home.path.mkdir(parents=True, exist_ok=True)
    load_version_1(home.ledger_url)
    engine, scopes, state = create_engine(home.ledger_url), schema.scopes, schema.state
    with engine.begin() as connection:
        for name in DELIVERED:
            account = read_account(syncs[name].account, syncs[name].settings, "sandbox", home=home, environ=os.environ)
            place = {"address": account.address_hash, "sandbox": account.sandbox_id}
            connection.execute(update(scopes).where(scopes.c.account == account.name).values(**place))
        # The areas were read when the ledger was made, which a test machine's clock need not have reached yet.
        areas = update(state).where(state.c.sync == "org_units")
        connection.execute(areas.values(as_of="2020-01-01T00:00:00.000000Z"))
        if outdated:
            connection.execute(
                update(state).values(fingerprint="of-another-release", fingerprint_version=fingerprint.VERSION - 1)
            )
    engine.dispose()


def read_sample(table: AnyTable, store: PartitionStore) -> list[str]:
    """Extract the table's January, or what is true now; returns the partitions."""
    calendar = Calendar.of(table)
    keys = [SNAPSHOT] if calendar.grain == SNAPSHOT else calendar.keys(*JANUARY)
    extract(table, keys, base=PACKAGE, store=store, environ=os.environ, now=datetime.now(UTC))
    return keys


def outdated_in(home: Home, sync: str) -> int:
    """How many keys of the sync still have a fingerprint of another release."""
    engine, state = create_engine(home.ledger_url), schema.state
    with engine.connect() as connection:
        found = connection.scalar(
            select(func.count()).where(state.c.sync == sync, state.c.fingerprint_version != fingerprint.VERSION)
        )
    engine.dispose()
    return found or 0


@pytest.mark.parametrize("outdated", [False, True], ids=["same fingerprints", "fingerprints of another release"])
def test_upgrade_resends_nothing(
    home: Home,
    server: SandboxServer,
    sample: tuple[Mapping[str, AnyTable], Mapping[str, SyncSpec]],
    tmp_path: Path,
    *,
    outdated: bool,
) -> None:
    """January over a ledger of version 1: every key is unchanged, no request is made, today's fingerprints are kept."""
    tables, syncs = sample
    upgrade(home, syncs, outdated=outdated)
    store = PartitionStore(home.store_url)
    keys = {name: read_sample(tables[name], store) for name in {syncs[sync].table for sync in DELIVERED}}
    for name, delivered in DELIVERED.items():
        sync = syncs[name]
        assert outdated_in(home, name) == (delivered if outdated else 0)
        result = SyncRunner(sync, home, tables[sync.table], PACKAGE).run(Order("after", keys[sync.table]))
        assert all(not account.red for account in result.results.values())
        assert result.report.total(Outcome.UNCHANGED) == delivered
        assert result.report.traffic.requests == 0
        assert outdated_in(home, name) == 0
    assert server.control.counts()["requests"] == 0
