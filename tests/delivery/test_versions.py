"""A ledger of an earlier release: brought up to date once, whole or not at all, and nothing in it is sent again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import create_engine, func, inspect, select, text, update

from pipelines.delivery import fingerprint
from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import Ledger, Record, Run, Scope, schema
from pipelines.delivery.ledger.people import has_contact
from pipelines.delivery.messages import Exchange, Request
from pipelines.delivery.upsert import Outcome, Verdict
from tests.delivery.fakes import Bench, Died, lost_before, upsert
from tests.delivery.ledgers import FLIGHT_STATUSES, KEYS, ORG_UNITS, STATUS_BOARD, load_version_1

SYNCS = {"status_board": STATUS_BOARD, "flight_statuses": FLIGHT_STATUSES, "org_units": ORG_UNITS}


@pytest.fixture(params=["sqlite", "postgresql"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a ledger that version 1 wrote."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        fresh: Callable[[], str] = request.getfixturevalue("postgres")
        url = fresh()
    load_version_1(url)
    return url


def version_of(url: str) -> str:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        found = connection.scalar(select(schema.meta.c.value).where(schema.meta.c.name == "schema_version"))
    engine.dispose()
    return str(found)


def columns(ledger: Ledger) -> dict[str, dict[str, bool]]:
    """Table -> column -> whether it may be empty, as the database has them."""
    found = inspect(ledger.engine)
    return {
        table: {column["name"]: column["nullable"] for column in found.get_columns(table)}
        for table in found.get_table_names()
    }


def test_ledger_of_version_1_gets_the_tables_of_a_new_one(old: str, tmp_path: Path) -> None:
    """Every table, column and index of a ledger made today, and the version that says so."""
    ledger, new = Ledger(old), Ledger(f"sqlite:///{tmp_path / 'new' / 'ledger.db'}")
    assert columns(ledger) == columns(new)
    for table in schema.metadata.tables:
        names = [{index["name"] for index in inspect(one.engine).get_indexes(table)} for one in (ledger, new)]
        assert names[0] - {None} >= names[1] - {None}
    ledger.close()
    new.close()
    assert version_of(old) == str(schema.SCHEMA_VERSION)


def test_what_version_1_knew_is_kept(old: str) -> None:
    """State and history stay as they were; nothing is removed, parked, held or read."""
    ledger = Ledger(old)
    with ledger.reading() as connection:
        state = schema.state
        counted = select(state.c.sync, func.count()).group_by(state.c.sync)
        assert dict(map(tuple, connection.execute(counted))) == SYNCS
        assert connection.scalar(select(func.count()).select_from(schema.deliveries)) == KEYS
        assert connection.scalar(select(func.count()).where(state.c.removed_at.is_not(None))) == 0
        assert connection.scalar(select(func.count()).select_from(schema.reads)) == 0
        row = connection.execute(select(state).where(state.c.key == "domain:101/on-time")).one()
        assert orjson.loads(row.payload)["state"] == "ok"
    ledger.close()


def test_who_delivered_before_has_made_contact(old: str) -> None:
    """A live sync that delivered under version 1 goes on without being adopted."""
    ledger = Ledger(old)
    with ledger.reading() as connection:
        scopes = connection.execute(select(schema.state.c.scope, schema.state.c.sync).distinct()).all()
        assert len(scopes) == len(SYNCS)
        assert all(has_contact(connection, Scope(id_, "", "live"), sync) for id_, sync in scopes)
    ledger.close()


def test_migrated_ledger_can_be_written(old: str) -> None:
    """Attempts and results find every column that they need."""
    ledger = Ledger(old)
    scope, run = ledger.scope("stativate", "sandbox", "elsewhere", "", 0.0), Run("run", "status_board", "config")
    with ledger.engine.begin() as connection:
        ledger.begin(connection, scope, run, [upsert("a", 1), upsert("b", 1)], 1.0)
    with ledger.engine.begin() as connection:
        attempts = ledger.attempts(connection, scope, "status_board")
        verdicts = (Verdict(Outcome.ACCEPTED), Verdict(Outcome.REJECTED, "no"))
        records = [Record(one.upsert, verdict) for one, verdict in zip(attempts, verdicts, strict=True)]
        ledger.record(connection, scope, run, records, 2.0)
        assert list(ledger.states(connection, scope, ["a", "b"], payloads=True)) == ["a"]
        assert list(ledger.parked(connection, scope, "status_board", 1)) == ["b"]
    with ledger.reading() as connection:
        newest = select(schema.deliveries.c.key).order_by(schema.deliveries.c.id.desc()).limit(1)
        assert connection.scalar(newest) == "a"
    ledger.close()


def test_migrating_happens_once(old: str) -> None:
    """A second start finds nothing to do, and the ledger keeps its id."""
    first = Ledger(old)
    first.close()
    second = Ledger(old)
    with second.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.contacts)) == len(SYNCS)
    second.close()
    assert first.id == second.id == "b041cf018718472e96c89e2e9aea3d52"


OPENING = """
import sys
from pipelines.delivery.ledger import Ledger
sys.stdin.readline()
Ledger(sys.argv[1]).close()
"""


def test_two_processes_that_start_at_once_migrate_once(old: str) -> None:
    """Both come up, and what the migration writes is there once."""
    processes = [
        subprocess.Popen([sys.executable, "-c", OPENING, old], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    ledger = Ledger(old)
    with ledger.reading() as connection:
        assert connection.scalar(select(func.count()).select_from(schema.contacts)) == len(SYNCS)
    ledger.close()


def test_migration_that_fails_halfway_leaves_the_ledger_as_it_was(old: str) -> None:
    """What cannot be finished is undone, so that the release before can go on, and the next start can try again."""
    engine = create_engine(old.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE decisions (mine INTEGER)"))
    before = {table: inspect(engine).get_columns(table) for table in ("state", "open_outcomes", "paces")}
    with pytest.raises(LedgerError, match="cannot be used"):
        Ledger(old)
    after = {table: inspect(engine).get_columns(table) for table in before}
    assert {table: [column["name"] for column in found] for table, found in after.items()} == {
        table: [column["name"] for column in found] for table, found in before.items()
    }
    assert not inspect(engine).has_table("contacts")
    assert version_of(old) == "1"
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE decisions"))
    engine.dispose()
    Ledger(old).close()
    assert version_of(old) == str(schema.SCHEMA_VERSION)


@pytest.mark.parametrize("version", ["0", "99"])
def test_ledger_of_a_version_that_nobody_knows_is_refused(old: str, version: str) -> None:
    """Neither a newer one nor one from before the first is touched."""
    engine = create_engine(old.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        connection.execute(update(schema.meta).where(schema.meta.c.name == "schema_version").values(value=version))
    with pytest.raises(LedgerError, match=f"schema version {version}"):
        Ledger(old)
    assert not inspect(engine).has_table("contacts")
    engine.dispose()
    assert version_of(old) == version


def outdate(bench: Bench, table: Any = schema.state) -> None:
    """Let the fingerprints be those of an earlier release: of another version where that is kept, and other hashes."""
    values = {"fingerprint": "of-another-release"}
    if "fingerprint_version" in table.c:
        values["fingerprint_version"] = fingerprint.VERSION - 1
    with bench.ledger.engine.begin() as connection:
        connection.execute(update(table).values(**values))


async def test_upgrade_sends_nothing_and_renews_the_fingerprints(bench: Bench) -> None:
    """The first run compares payloads and writes down today's fingerprints; the next one needs no payload any more."""
    month = [upsert(f"k{n}", n) for n in range(50)]
    await bench.deliver(*month)
    outdate(bench)
    bench.port.requests.clear()
    report = await bench.deliver(*month)
    assert bench.port.requests == []
    assert report.total(Outcome.UNCHANGED) == len(month)
    assert {row["key"]: row["fingerprint"] for row in bench.rows("state")} == {u.key: u.fingerprint for u in month}
    assert {row["fingerprint_version"] for row in bench.rows("state")} == {fingerprint.VERSION}
    assert len(bench.rows("deliveries")) == len(month)


async def test_upgrade_still_sends_what_changed(bench: Bench) -> None:
    """Another value is another value, whoever fingerprinted the one before."""
    await bench.deliver(upsert("a", 1), upsert("b", 1))
    outdate(bench)
    await bench.deliver(upsert("a", 1), upsert("b", 2))
    assert bench.port.writes == ["/a", "/b", "/b"]


async def test_dry_run_renews_nothing(bench: Bench) -> None:
    """A dry run touches no ledger."""
    await bench.deliver(upsert("a", 1))
    outdate(bench)
    assert (await bench.deliver(upsert("a", 1), dry=True)).total(Outcome.UNCHANGED) == 1
    assert [row["fingerprint"] for row in bench.rows("state")] == ["of-another-release"]


async def test_newer_day_with_the_same_value_after_an_upgrade_is_not_sent(bench: Bench) -> None:
    """Unchanged but newer, and fingerprinted by another release: seen at its time, and not sent."""
    await bench.deliver(upsert("a", 1, "2013-01-01"))
    outdate(bench)
    await bench.deliver(upsert("a", 1, "2013-01-02"))
    assert bench.port.writes == ["/a"]
    (row,) = bench.rows("state")
    assert (row["as_of"], row["fingerprint"]) == ("2013-01-02", upsert("a", 1).fingerprint)


@pytest.mark.parametrize("next_value", [1, 2, 3])
async def test_attempt_of_another_release_is_settled_by_its_payload(bench: Bench, next_value: int) -> None:
    """1 was accepted, 2 landed in a run that was killed, then came the upgrade: only what differs from 2 is sent."""
    await bench.deliver(upsert("a", 1))

    def die(request: Request) -> Exchange:
        bench.port.act(request)
        raise Died

    bench.port.faults = [die]
    with pytest.raises(Died):
        await bench.deliver(upsert("a", 2))
    outdate(bench)
    outdate(bench, schema.attempts)
    bench.port.requests.clear()
    await bench.deliver(upsert("a", next_value))
    assert bench.port.writes == ([] if next_value == 2 else ["/a"])
    assert bench.port.held == {"/a": {"value": next_value}}


async def test_attempt_that_did_not_arrive_before_an_upgrade_leaves_no_doubt(bench: Bench) -> None:
    """The read-back shows what was accepted before: that is known to stand there, whatever its fingerprint was."""
    await bench.deliver(upsert("a", 1))
    bench.port.always = lost_before
    await bench.deliver(upsert("a", 2))
    assert len(bench.rows("attempts")) == 1
    outdate(bench)
    outdate(bench, schema.attempts)
    bench.port.always = None
    bench.port.requests.clear()
    await bench.deliver(upsert("a", 1))
    assert bench.port.writes == []
