"""A ledger that cannot be written in the middle of a delivery: nothing leaves unwritten, and nothing is sent twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, select, text

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import Ledger, schema
from pipelines.delivery.messages import Request
from pipelines.delivery.upsert import Built, Outcome
from tests.delivery.fakes import Bench, Fault, upsert
from tests.disks import filled

UPSERTS = [upsert(f"k{n}", n, note="x" * 200) for n in range(600)]


@contextmanager
def pragma(bench: Bench, statement: str) -> Iterator[None]:
    """All connections of the ledger have this pragma for a while."""

    def set_it(connection: Any, _: Any) -> None:
        connection.execute(statement)

    event.listen(bench.ledger.engine, "connect", set_it)
    bench.ledger.engine.dispose()
    yield
    event.remove(bench.ledger.engine, "connect", set_it)
    bench.ledger.engine.dispose()


def written(bench: Bench) -> set[str]:
    """The keys that the ledger knows as attempted or accepted."""
    with bench.ledger.reading() as connection:
        return {key for table in (schema.attempts, schema.state) for key in connection.scalars(select(table.c.key))}


def sent(bench: Bench) -> list[str]:
    return [path.removeprefix("/") for path in bench.port.writes]


async def check_completed(bench: Bench) -> None:
    """The next run delivers the rest, and sends nothing that stands there already."""
    before = set(bench.port.held)
    bench.port.requests.clear()
    report = await bench.deliver(*UPSERTS)
    assert not {f"/{key}" for key in sent(bench)} & before
    assert report.total(Outcome.ACCEPTED) + report.total(Outcome.UNCHANGED) == len(UPSERTS)
    assert bench.port.held == {f"/{one.key}": one.payload for one in UPSERTS}
    with bench.ledger.reading() as connection:
        assert connection.execute(schema.attempts.select()).all() == []


@pytest.mark.parametrize("pages", [0, 20, 40, 60, 70, 80, 90, 100])
async def test_ledger_whose_disk_fills_up_loses_and_repeats_nothing(tmp_path: Path, pages: int) -> None:
    """Wherever it happens: the error names the disk, all that left was written before, the next run settles it."""
    with closing(Bench(tmp_path)) as bench:
        with bench.ledger.reading() as connection:
            used = connection.scalar(text("PRAGMA page_count"))
        assert used is not None
        with pragma(bench, f"PRAGMA max_page_count={used + pages}"), pytest.raises(LedgerError, match="full") as error:
            await bench.deliver(*UPSERTS)
        assert "Make room" in str(error.value)
        assert str(tmp_path) in str(error.value)
        assert set(sent(bench)) <= written(bench)
        await check_completed(bench)


async def test_full_disk_of_a_postgresql_server_is_told(tmp_path: Path, postgres: Callable[[], str]) -> None:
    """PostgreSQL's own error for it reaches the user as what it is, and nothing was sent."""
    with closing(Bench(tmp_path)) as bench:
        bench.ledger.close()
        bench.ledger = Ledger(postgres())
        statements = """
            create function full_disk() returns trigger language plpgsql as
            $$ begin raise exception 'could not extend file' using errcode = '53100'; end $$;
            create trigger full_disk before insert on attempts execute function full_disk()
        """
        with bench.ledger.engine.begin() as connection:
            connection.exec_driver_sql(statements)
        with pytest.raises(LedgerError, match=r"is full .could not extend file"):
            await bench.deliver(*UPSERTS)
        assert sent(bench) == []
        with bench.ledger.engine.begin() as connection:
            connection.exec_driver_sql("drop trigger full_disk on attempts")
        await check_completed(bench)


async def test_ledger_that_another_process_never_lets_go_is_told(tmp_path: Path) -> None:
    """After the time that SQLite waits for a lock, the error says to look for whoever holds it; nothing was sent."""
    with closing(Bench(tmp_path)) as bench, closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as other:
        delivery = bench.delivery()
        with other.engine.begin(), pragma(bench, "PRAGMA busy_timeout=50"):
            with pytest.raises(LedgerError, match="another process that does not end"):
                await delivery.deliver(Built(UPSERTS))
            assert sent(bench) == []


async def test_lost_connection_to_the_ledger_is_told(tmp_path: Path, postgres: Callable[[], str]) -> None:
    """A database that ends its connections in the middle: the error says so, and the next run settles all."""
    url = postgres()
    with closing(Bench(tmp_path)) as bench, closing(Ledger(url)) as other:
        bench.ledger.close()
        bench.ledger = Ledger(url)
        killed = 0

        def kill_connections(_: Request) -> None:
            nonlocal killed
            with other.engine.begin() as connection:
                mine = text(
                    "select count(pg_terminate_backend(pid)) from pg_stat_activity "
                    "where datname = current_database() and pid <> pg_backend_pid()"
                )
                killed = connection.scalar(mine) or 0

        faults: list[Fault] = [lambda _: None] * 20
        bench.port.faults = [*faults, kill_connections]
        with pytest.raises(LedgerError, match=r"connection to the ledger at .* was lost"):
            await bench.deliver(*UPSERTS)
        assert killed
        assert set(sent(bench)) <= written(bench)
        await check_completed(bench)


async def test_ledger_on_a_disk_that_is_really_full(small_disk: Path) -> None:
    """With a file system that has no room left, as with a database that may not grow."""
    with closing(Bench(small_disk)) as bench:
        with filled(small_disk), pytest.raises(LedgerError, match=r"full|I/O error"):
            await bench.deliver(*UPSERTS)
        assert set(sent(bench)) <= written(bench)
        await check_completed(bench)
