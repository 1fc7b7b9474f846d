"""What people decide about a delivery is written down, once and with its reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pipelines.delivery.deliver import Delivery
from pipelines.delivery.gates import Ceiling, Ceilings, Gates
from pipelines.delivery.ledger import Ledger, schema
from pipelines.delivery.ledger.people import who
from pipelines.delivery.upsert import Built, Outcome
from tests.delivery.fakes import Bench, upsert

TWO = [upsert("a", 1), upsert("b", 1)]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def gated(bench: Bench, override: str, most: int, **options: Any) -> Delivery:
    """A delivery that may create so many keys."""
    delivery = bench.delivery(**options)
    ceilings = Ceilings(created=Ceiling(count=most))
    delivery.gates = Gates(bench.ledger, delivery.scope, delivery.run, ceilings, override=override)
    return delivery


def decisions(ledger: Ledger) -> list[tuple[str, str, str, str, str]]:
    """What was decided about what, by whom, why, and for which run."""
    table = schema.decisions
    columns = (table.c.what, table.c.sync, table.c.who, table.c.reason, table.c.run)
    with ledger.reading() as connection:
        return [(what, sync, by, reason, run) for what, sync, by, reason, run in connection.execute(select(*columns))]


async def test_an_override_that_was_needed_is_written_down(bench: Bench) -> None:
    """A run over a ceiling sends with a reason, and the ledger has the reason, the ceiling, the run and who it was."""
    report = await gated(bench, "new plant", most=1).deliver(Built(TWO))
    assert report.total(Outcome.ACCEPTED) == 2
    ((what, sync, by, reason, run),) = decisions(bench.ledger)
    assert (what, sync, by, run) == ("override", "board", who(), "run-1")
    assert reason == "new plant (2 keys would be created, the ceiling is 1 keys (1 here))"


@pytest.mark.parametrize(("override", "most", "dry"), [("", 1, False), ("new plant", 2, False), ("new plant", 1, True)])
async def test_nothing_is_written_down_where_nothing_was_overridden(
    bench: Bench, override: str, most: int, dry: bool
) -> None:
    """Without a reason, below the ceiling, or in a dry run nobody has overridden anything."""
    await gated(bench, override, most, dry=dry).deliver(Built(TWO))
    assert decisions(bench.ledger) == []


def test_a_confirmed_address_is_written_down(bench: Bench) -> None:
    """Whose a changed address is, is a decision; confirming what had not changed is none."""
    bench.ledger.scope("vs", "live", "old", "", 0.0)
    assert bench.ledger.confirm_address("vs", "new", 1.0, same_tenant=True)
    assert not bench.ledger.confirm_address("vs", "new", 2.0, same_tenant=False)
    assert decisions(bench.ledger) == [("confirm", "vs", who(), "same tenant", "")]
