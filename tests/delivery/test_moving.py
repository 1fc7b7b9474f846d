"""A ledger that moves to another database: all of it arrives, and nothing goes on beside it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import select

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import Ledger, Priority, Record, Run, Turn, schema
from pipelines.delivery.ledger.locks import lock_of
from pipelines.delivery.ledger.moving import move
from pipelines.delivery.ledger.people import decide
from pipelines.delivery.pace import Pace
from pipelines.delivery.upsert import Outcome, Verdict
from tests.delivery.fakes import upsert

RUN = Run("run", "board", "config")


@pytest.fixture(params=["sqlite to postgresql", "postgresql to sqlite", "sqlite to sqlite"])
def addresses(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """Where the ledger is, and where it goes."""

    def address(kind: str, name: str) -> str:
        if kind == "sqlite":
            return f"sqlite:///{tmp_path / name}.db"
        fresh: Callable[[], str] = request.getfixturevalue("postgres")
        return fresh()

    source, target = request.param.split(" to ")
    return address(source, "old"), address(target, "new")


def fill(ledger: Ledger) -> None:
    scope = ledger.scope("a", "live", "x", "", 1.0)
    with ledger.engine.begin() as connection:
        for name in ("one", "two", "three"):
            ledger.record(connection, scope, RUN, [Record(upsert(name, 1), Verdict(Outcome.ACCEPTED))], 2.0)
        ledger.record(connection, scope, RUN, [Record(upsert("bad", 1), Verdict(Outcome.REJECTED))], 3.0)
        decide(connection, "hold", "board", "tired", 4.0)
        connection.execute(schema.paces.insert().values(quota="live.a", state="{}", reserved=0))


def content(ledger: Ledger) -> dict[str, list[tuple[object, ...]]]:
    with ledger.reading() as connection:
        return {
            table.name: sorted((tuple(row) for row in connection.execute(select(table))), key=repr)
            for table in schema.metadata.sorted_tables
            if table is not schema.meta
        }


def test_everything_arrives_and_the_old_one_opens_no_more(addresses: tuple[str, str]) -> None:
    """Every row of every table, the ledger's id too; new rows are numbered on; the old address says where it went."""
    old, new = addresses
    with closing(Ledger(old)) as source, closing(Ledger(new)) as target:
        fill(source)
        before, identity = content(source), source.id
        moved = move(source, target, group=2)
        assert content(target) == before
        assert moved == {name: len(rows) for name, rows in before.items()}
    with closing(Ledger(new)) as target:
        assert target.id == identity
        scope = target.scope("a", "live", "x", "", 9.0)
        with target.engine.begin() as connection:
            target.record(connection, scope, RUN, [Record(upsert("four", 1), Verdict(Outcome.ACCEPTED))], 9.0)
        assert len(content(target)["deliveries"]) == 4
    with pytest.raises(LedgerError, match="was moved to"):
        Ledger(old)


def test_a_ledger_that_somebody_uses_stays(addresses: tuple[str, str]) -> None:
    """While a run has an account's turn nothing moves, and the ledger stays usable."""
    old, new = addresses
    with closing(Ledger(old)) as source, closing(Ledger(new)) as target, source.engine.connect() as holder:
        fill(source)
        lock = lock_of(source, "live.a")
        assert lock.try_take(holder)
        with pytest.raises(LedgerError, match=r"delivering to live\.a"):
            move(source, target)
        lock.release(holder)
        assert content(target)["state"] == []
    with closing(Ledger(old)) as source:
        assert len(content(source)["state"]) == 3


async def test_run_that_opened_it_before_sends_nothing_from_there(addresses: tuple[str, str]) -> None:
    """It waited while the ledger moved: what it would send nobody would know of."""
    old, new = addresses
    with closing(Ledger(old)) as source, closing(Ledger(new)) as target, closing(Ledger(old)) as opened:
        fill(source)
        turn = Turn(opened, "live.a", Priority.MANUAL, Pace(()))
        async with turn.hold():
            pass
        move(source, target)
        with pytest.raises(LedgerError, match="was moved to"):
            async with turn.hold():
                pass


def test_address_that_the_old_one_tells_has_no_secret(tmp_path: Path, postgres: Callable[[], str]) -> None:
    """A password may stand in many places of an address: none of them is written down or shown."""
    old, secret = f"sqlite:///{tmp_path / 'old.db'}", "hush-hush-4711"
    new = postgres()
    new += f"{'&' if '?' in new else '?'}password={secret}"
    with closing(Ledger(old)) as source, closing(Ledger(new)) as target:
        fill(source)
        move(source, target)
        with source.reading() as connection:
            assert secret not in str(connection.execute(select(schema.meta)).all())
    with pytest.raises(LedgerError, match="was moved to postgresql") as told:
        Ledger(old)
    assert secret not in str(told.value)


def test_two_ledgers_are_never_mixed(addresses: tuple[str, str]) -> None:
    """A target that holds rows, or that is the source itself, is refused and left as it was."""
    old, new = addresses
    with closing(Ledger(old)) as source, closing(Ledger(new)) as target:
        fill(source)
        fill(target)
        before = content(target)
        with pytest.raises(LedgerError, match="not empty"):
            move(source, target)
        with closing(Ledger(old)) as again, pytest.raises(LedgerError, match="the same ledger"):
            move(source, again)
        assert content(target) == before
    Ledger(old).close()
