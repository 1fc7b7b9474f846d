"""How long the ledger keeps its history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.ledger import Ledger, Record, Run, schema
from pipelines.delivery.ledger.people import decide
from pipelines.delivery.ledger.retention import DAY_S, KEEP_DAYS, VARIABLE, Pruned, keep_days, prune
from pipelines.delivery.upsert import Outcome, Verdict
from tests.delivery.fakes import upsert

RUN = Run("run", "board", "config")
NOW = 1_000 * DAY_S


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger in which each of five keys was delivered, and decided about, 10, 9, 8, 7 and 6 days ago; one is open."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        fresh: Callable[[], str] = request.getfixturevalue("postgres")
        url = fresh()
    ledger = Ledger(url)
    scope = ledger.scope("a", "live", "x", "", 0.0)
    with ledger.engine.begin() as connection:
        for ago in range(10, 5, -1):
            at = NOW - ago * DAY_S
            ledger.record(connection, scope, RUN, [Record(upsert(f"k{ago}", 1), Verdict(Outcome.ACCEPTED))], at)
            decide(connection, "hold", f"s{ago}", "", at)
        ledger.record(connection, scope, RUN, [Record(upsert("open", 1), Verdict(Outcome.REJECTED))], 0.0)
    yield ledger
    ledger.close()


def count(ledger: Ledger, table: str) -> int:
    with ledger.reading() as connection:
        return connection.scalar(select(func.count()).select_from(schema.metadata.tables[table])) or 0


def test_only_what_is_older_is_forgotten(ledger: Ledger) -> None:
    """History of the kept days stays; what was last accepted and what is open stays however old it is."""
    assert prune(ledger, 8, clock=lambda: NOW) == Pruned(2, 2)
    with ledger.reading() as connection:
        left = list(connection.scalars(select(schema.deliveries.c.key).order_by(schema.deliveries.c.id)))
        decided = list(connection.scalars(select(schema.decisions.c.sync).order_by(schema.decisions.c.id)))
    assert (left, decided) == (["k8", "k7", "k6"], ["s8", "s7", "s6"])
    assert (count(ledger, "state"), count(ledger, "open_outcomes")) == (5, 1)


def test_other_writers_come_in_between(ledger: Ledger) -> None:
    """Much history is deleted a group at a time; after each group others can write for as long as it took."""
    pauses: list[float] = []
    left: list[int] = []
    ticks = iter(range(1_000))

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        with ledger.engine.begin() as connection:  # it would wait for a minute if the ledger were still locked
            decide(connection, "hold", "other", "", NOW)
        left.append(count(ledger, "deliveries"))

    assert prune(ledger, 1, group=2, clock=lambda: NOW, timer=lambda: next(ticks) * 0.5, sleep=sleep) == Pruned(5, 5)
    assert left[:2] == [3, 1]
    assert set(pauses) == {0.5}


@pytest.mark.parametrize(("said", "days"), [({}, KEEP_DAYS), ({VARIABLE: ""}, KEEP_DAYS), ({VARIABLE: "30"}, 30)])
def test_the_days_come_from_the_environment(said: dict[str, str], days: int) -> None:
    """A deployment says once how long it keeps history."""
    assert keep_days(said) == days


@pytest.mark.parametrize("said", ["0", "-1", "a year", "1.5", "²"])
def test_what_is_no_number_of_days_is_named(said: str) -> None:
    """A misspelt number neither deletes everything nor nothing: it is an error that names the variable."""
    with pytest.raises(ConfigurationError, match=VARIABLE):
        keep_days({VARIABLE: said})
