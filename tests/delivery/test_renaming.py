"""A renamed sync: what the ledger holds of its old name becomes the new one's, and nothing else changes hands."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import select

from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger import Ledger, Record, Run, schema
from pipelines.delivery.ledger.locks import lock_of
from pipelines.delivery.ledger.people import all_holds, hold, make_contact
from pipelines.delivery.ledger.queries import find_decisions
from pipelines.delivery.ledger.reads import note_reads
from pipelines.delivery.ledger.renaming import Holdings, holdings, owners, rename
from pipelines.delivery.upsert import Outcome, Verdict
from tests.delivery.fakes import upsert

QUOTAS = ["live.a"]


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger in which `old` has two keys, one open, one attempted, a reading, a contact and a hold at account a."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'ledger.db'}"
    else:
        fresh: Callable[[], str] = request.getfixturevalue("postgres")
        url = fresh()
    ledger = Ledger(url)
    fill(ledger, "old", "a", "one", "two")
    with ledger.engine.begin() as connection:
        hold(ledger, connection, "old", "tired", 1.0)
    yield ledger
    ledger.close()


def fill(ledger: Ledger, sync: str, account: str, *keys: str) -> None:
    run = Run("run", sync, "config", 5.0)
    scope = ledger.scope(account, "live", "x", "", 0.0)
    with ledger.engine.begin() as connection:
        accepted = [Record(upsert(key, 1), Verdict(Outcome.ACCEPTED)) for key in keys]
        refused = Record(upsert(f"bad-{sync}", 1), Verdict(Outcome.REJECTED))
        ledger.record(connection, scope, run, [*accepted, refused], 2.0)
        ledger.begin(connection, scope, run, [upsert(f"lost-{sync}", 1)], 3.0)
        note_reads(ledger, connection, scope, run, ["2013-01-01"])
        make_contact(ledger, connection, scope, sync, policy="keep", found={}, now=4.0)


def names(ledger: Ledger, table: str) -> list[str]:
    with ledger.reading() as connection:
        return sorted(connection.scalars(select(schema.metadata.tables[table].c.sync)))


def test_all_of_it_goes_in_one_step_and_is_written_down(ledger: Ledger) -> None:
    """State, attempts, open outcomes, readings, contact and hold have the new name; what was told keeps the old one."""
    assert rename(ledger, "a", "old", "new", quotas=QUOTAS, now=9.0) == Holdings(2, 1, 1, 1, 1, held=True)
    assert names(ledger, "state") == ["new", "new"]
    for table in ("attempts", "open_outcomes", "reads", "contacts", "holds"):
        assert names(ledger, table) == ["new"]
    assert set(names(ledger, "deliveries")) == {"old"}
    with ledger.reading() as connection:
        assert not holdings(connection, "a", "old")
        (decision,), total = find_decisions(connection, "new", 1)
    assert (decision.what, decision.reason, total) == ("rename", "from old at account a: 2 keys, 2 open", 1)


def test_what_both_names_have_stays_the_new_ones(ledger: Ledger) -> None:
    """The new name has delivered, been looked at and been held before: its own records stay."""
    fill(ledger, "new", "a", "three")
    with ledger.engine.begin() as connection:
        hold(ledger, connection, "new", "asleep", 6.0)
    rename(ledger, "a", "old", "new", quotas=QUOTAS, now=9.0)
    assert names(ledger, "state") == ["new"] * 3
    assert names(ledger, "reads") == names(ledger, "contacts") == ["new"]
    with ledger.reading() as connection:
        assert {sync: one.reason for sync, one in all_holds(connection).items()} == {"new": "asleep"}


def test_other_accounts_and_syncs_are_left_alone(ledger: Ledger) -> None:
    """A rename is about one account: what the old name holds elsewhere, and what others hold here, stays."""
    fill(ledger, "old", "b", "one")
    fill(ledger, "other", "a", "four")
    rename(ledger, "a", "old", "new", quotas=QUOTAS, now=9.0)
    with ledger.reading() as connection:
        assert owners(connection, "a") == {"new": 2, "other": 1}
        assert owners(connection, "b") == {"old": 1}
        assert holdings(connection, "b", "old").contacts == 1


def test_nobody_may_be_delivering_meanwhile(ledger: Ledger) -> None:
    """A run of the old name would write its keys back: while somebody has the turn, nothing is renamed."""
    lock = lock_of(ledger, "live.a")
    with ledger.engine.connect() as other:
        assert lock.try_take(other)
        try:
            with pytest.raises(LedgerError, match=r"somebody is delivering to live\.a\. Let its runs end"):
                rename(ledger, "a", "old", "new", quotas=QUOTAS, now=9.0)
        finally:
            lock.release(other)
    assert names(ledger, "state") == ["old", "old"]
