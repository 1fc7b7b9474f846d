"""What a delivery asks of its ledger: a few statements however many keys, and none that is not needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from pipelines.delivery.ledger import Record
from pipelines.delivery.upsert import Outcome, Verdict
from tests.delivery.fakes import Bench, Left, upsert

KEYS = 25_000
PER_LOOK_UP = 20_000


@contextmanager
def counted(bench: Bench) -> Iterator[list[tuple[str, int]]]:
    """Every statement on the ledger, shortened, and how many rows of parameters it had."""
    told: list[tuple[str, int]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, ___: Any, many: bool) -> None:
        told.append((" ".join(statement.split())[:60], len(parameters) if many else 1))

    event.listen(bench.ledger.engine, "before_cursor_execute", note)
    try:
        yield told
    finally:
        event.remove(bench.ledger.engine, "before_cursor_execute", note)


async def deliver_all(bench: Bench, day: str, **options: Any) -> list[tuple[str, int]]:
    """Deliver the same values of a day, all accepted long ago; the statements that it took."""
    everything = [upsert(f"k{n}", n % 100, day) for n in range(KEYS)]
    with counted(bench) as told:
        report = await bench.deliver(*everything, gates={}, **options)
    assert report.total(Outcome.UNCHANGED) == KEYS
    assert bench.port.requests == []
    return told


def accepted(bench: Bench, day: str) -> None:
    """Let the ledger know all of them."""
    delivery = bench.delivery()
    records = [Record(upsert(f"k{n}", n % 100, day), Verdict(Outcome.ACCEPTED)) for n in range(KEYS)]
    with bench.ledger.engine.begin() as connection:
        bench.ledger.record(connection, delivery.scope, delivery.run, records, 0.0)


async def test_unchanged_keys_cost_a_few_look_ups(bench: Bench) -> None:
    """One statement per 20,000 keys, and a dozen for the run: no query per upsert, nothing of gates or known keys."""
    accepted(bench, "2013-01-01")
    told = await deliver_all(bench, "2013-01-01")
    assert len(told) <= -(-KEYS // PER_LOOK_UP) + 12, told
    assert max(rows for _, rows in told) == 1
    assert not any("count(" in statement or "same >=" in statement for statement, _ in told)


async def test_known_keys_are_read_once_where_they_may_vanish(bench: Bench) -> None:
    """The look for vanished keys is one more statement."""
    accepted(bench, "2013-01-01")
    plain = await deliver_all(bench, "2013-01-01")
    told = await deliver_all(bench, "2013-01-01", vanishing=Left(*(f"k{n}" for n in range(KEYS))))
    assert len(told) == len(plain) + 1


async def test_values_that_are_unchanged_on_a_newer_day_cost_as_little(bench: Bench) -> None:
    """What every day brings to a board that shows the latest: seen later, in few statements and no request."""
    accepted(bench, "2013-01-01")
    told = await deliver_all(bench, "2013-01-02")
    assert len(told) <= 6 * -(-KEYS // PER_LOOK_UP) + 20, told
    assert max(rows for _, rows in told) == 1
    assert {row["as_of"] for row in bench.rows("state")} == {"2013-01-02"}
