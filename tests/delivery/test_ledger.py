"""The ledger, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import update

from pipelines.delivery.errors import AddressChanged, LedgerError
from pipelines.delivery.ledger import Ledger, Record, Run, Scope, schema
from pipelines.delivery.ledger.people import has_contact, make_contact
from pipelines.delivery.ledger.queries import Wanted, find_open
from pipelines.delivery.upsert import Outcome, Verdict
from tests.delivery.fakes import upsert

RUN = Run("run", "board", "config")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    fresh: Callable[[], str] = request.getfixturevalue("postgres")
    return fresh()


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    ledger = Ledger(url)
    yield ledger
    ledger.close()


def record(key: str, value: object, outcome: Outcome = Outcome.ACCEPTED) -> Record:
    return Record(upsert(key, value), Verdict(outcome, "because", 200))


def test_what_is_recorded_is_found_by_key(ledger: Ledger) -> None:
    """A look-up of many keys finds those that were accepted, in one query, whatever characters they hold."""
    scope = ledger.scope("a", "sandbox", "x", "", 0.0)
    keys = ["plain", "with'quote", "ключ", 'with"both\\', "a,b", "{x}"]
    with ledger.engine.begin() as connection:
        ledger.record(connection, scope, RUN, [record(key, n) for n, key in enumerate(keys)], 1.0)
    with ledger.reading() as connection:
        states = ledger.states(connection, scope, [*keys, "never"], payloads=True)
    assert {key: state.payload for key, state in states.items()} == {k: {"value": n} for n, k in enumerate(keys)}


def test_forty_thousand_keys_in_one_look_up(ledger: Ledger) -> None:
    """No driver's limit of bound parameters stands in the way."""
    scope = ledger.scope("a", "sandbox", "x", "", 0.0)
    with ledger.engine.begin() as connection:
        ledger.record(connection, scope, RUN, [record("k39999", 1)], 1.0)
    with ledger.reading() as connection:
        found = ledger.states(connection, scope, [f"k{n}" for n in range(40_000)], payloads=False)
    assert list(found) == ["k39999"]


def test_scopes_do_not_answer_for_each_other(ledger: Ledger) -> None:
    """What the sandbox accepted says nothing about the live account."""
    sandbox, live = (ledger.scope("a", mode, "x", "", 0.0) for mode in ("sandbox", "live"))
    with ledger.engine.begin() as connection:
        ledger.record(connection, sandbox, RUN, [record("k", 1)], 1.0)
    with ledger.reading() as connection:
        assert ledger.states(connection, live, ["k"], payloads=False) == {}


def test_emptied_sandbox_starts_without_state(ledger: Ledger) -> None:
    """Another id at the same address is another sandbox."""
    old = ledger.scope("a", "sandbox", "x", "id-1", 0.0)
    new = ledger.scope("a", "sandbox", "x", "id-2", 0.0)
    assert old.id != new.id
    assert ledger.scope("a", "sandbox", "x", "id-1", 0.0).id == old.id


def accept(ledger: Ledger, scope: Scope) -> None:
    with ledger.engine.begin() as connection:
        ledger.record(connection, scope, RUN, [record("k", 1)], 1.0)


def find_there(ledger: Ledger, scope: Scope) -> None:
    with ledger.engine.begin() as connection:
        ledger.assume(connection, scope, RUN, [record("k", 1)], 1.0)


def attempt(ledger: Ledger, scope: Scope) -> None:
    with ledger.engine.begin() as connection:
        ledger.begin(connection, scope, RUN, [upsert("k", 1)], 1.0)


@pytest.mark.parametrize("leave", [accept, find_there, attempt])
def test_changed_address_of_a_live_account_stops_until_confirmed(
    ledger: Ledger, leave: Callable[[Ledger, Scope], None]
) -> None:
    """It may be another tenant: nothing goes on before somebody says which."""
    first = ledger.scope("a", "live", "x", "", 0.0)
    leave(ledger, first)
    with pytest.raises(AddressChanged, match="pipelines confirm a"):
        ledger.scope("a", "live", "y", "", 0.0)
    assert ledger.confirm_address("a", "y", 1.0, same_tenant=True)
    assert ledger.scope("a", "live", "y", "", 0.0).id == first.id


def test_address_that_never_took_anything_can_be_corrected(ledger: Ledger) -> None:
    """A mistyped first address asks nothing of anybody: what was refused there parks and adopts nothing at the next."""
    wrong = ledger.scope("a", "live", "x", "", 0.0)
    with ledger.engine.begin() as connection:
        for _ in range(3):
            ledger.record(connection, wrong, RUN, [record("k", 1, Outcome.REJECTED)], 1.0)
        make_contact(ledger, connection, wrong, RUN.sync, policy="trusted", found={}, now=1.0)
    right = ledger.scope("a", "live", "y", "", 2.0)
    assert right.id != wrong.id
    with ledger.reading() as connection:
        assert ledger.parked(connection, right, RUN.sync, 3) == {}
        assert not has_contact(connection, right, RUN.sync)
        assert find_open(connection, Wanted(), 10) == ([], 0)
    accept(ledger, right)
    with pytest.raises(AddressChanged):
        ledger.scope("a", "live", "x", "", 3.0)


def test_new_tenant_starts_with_an_empty_state(ledger: Ledger) -> None:
    """Confirmed as another tenant, the address has a state of its own, and the old one is kept for its own address."""
    first = ledger.scope("a", "live", "x", "", 0.0)
    assert ledger.confirm_address("a", "y", 1.0, same_tenant=False)
    assert ledger.scope("a", "live", "y", "", 0.0).id != first.id
    assert not ledger.confirm_address("a", "y", 1.0, same_tenant=True)


def test_open_outcome_counts_its_tries_and_keeps_its_first_time(ledger: Ledger) -> None:
    """The same upsert rejected twice is one row: tried twice, open since the first time."""
    scope = ledger.scope("a", "sandbox", "x", "", 0.0)
    for now in (1.0, 2.0):
        with ledger.engine.begin() as connection:
            ledger.record(connection, scope, RUN, [record("k", 1, Outcome.REJECTED)], now)
    with ledger.reading() as connection:
        (row,) = connection.execute(schema.open_outcomes.select()).all()
    assert (row.tries, row.first_at, row.last_at) == (2, 1.0, 2.0)


def test_unknown_outcome_keeps_its_attempt(ledger: Ledger) -> None:
    """An answered attempt is gone; one that stays unknown waits for the next run."""
    scope = ledger.scope("a", "sandbox", "x", "", 0.0)
    with ledger.engine.begin() as connection:
        ledger.begin(connection, scope, RUN, [upsert("k", 1), upsert("u", 1)], 1.0)
        ledger.record(connection, scope, RUN, [record("k", 1), record("u", 1, Outcome.UNKNOWN)], 2.0)
    with ledger.reading() as connection:
        assert [attempt.upsert.key for attempt in ledger.attempts(connection, scope, "board")] == ["u"]


def test_ledger_of_a_newer_release_is_refused(url: str) -> None:
    """Tables that this release does not know are not written to."""
    ledger = Ledger(url)
    with ledger.engine.begin() as connection:
        connection.execute(update(schema.meta).where(schema.meta.c.name == "schema_version").values(value="99"))
    ledger.close()
    with pytest.raises(LedgerError, match="schema version 99"):
        Ledger(url)


def test_processes_that_find_no_ledger_create_it_together(url: str) -> None:
    """Runs that start at once on an empty database all get the same ledger, none an error."""
    with ThreadPoolExecutor(8) as pool:
        ledgers = list(pool.map(lambda _: Ledger(url), range(8)))
    for ledger in ledgers:
        ledger.close()
    assert len({ledger.id for ledger in ledgers}) == 1


def test_ledger_that_cannot_be_opened_says_where_it_is(tmp_path: Path) -> None:
    """The error names the address and what to check, and shows no password."""
    (tmp_path / "ledger.db").write_text("this is no database, but long enough to look like a file of one" * 20)
    with pytest.raises(LedgerError, match="PIPELINES_LEDGER_URL"):
        Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with pytest.raises(LedgerError) as error:
        Ledger("postgresql://someone:planted-secret@127.0.0.1:9/none")
    assert "planted-secret" not in str(error.value)


def test_commits_of_a_ledger_in_a_file_reach_the_disk(tmp_path: Path) -> None:
    """A power cut takes back no attempt that was committed before its request left: FULL, on every connection."""
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    with ledger.engine.connect() as holder, ledger.reading() as reader:
        found = [connection.exec_driver_sql("PRAGMA synchronous").scalar() for connection in (holder, reader)]
    ledger.close()
    assert found == [2, 2]
