"""What is open in a few words, the same on SQLite and PostgreSQL."""

from __future__ import annotations

from pipelines.delivery.ledger import Ledger, Record, Run, Scope
from pipelines.delivery.ledger.people import hold, make_contact, who
from pipelines.delivery.ledger.summary import OpenGroup, Place, Summary, Unanswered, summarise
from pipelines.delivery.upsert import Outcome, Verdict
from tests.delivery.fakes import upsert
from tests.delivery.test_ledger import ledger, url

__all__ = ["ledger", "url"]

PLACE = Place("board", "a", "live", park_after=2)
RUN = Run("run", "board", "config")


def note(ledger: Ledger, scope: Scope, key: str, outcome: Outcome, reason: str, at: float, run: Run = RUN) -> None:
    """Write down that a run ended so for a key."""
    with ledger.engine.begin() as connection:
        ledger.record(connection, scope, run, [Record(upsert(key, 1), Verdict(outcome, reason))], at)


def summary(ledger: Ledger, place: Place = PLACE) -> Summary:
    """What the ledger says of the sync."""
    with ledger.reading() as connection:
        return summarise(connection, place)


def test_of_a_sync_that_never_delivered_nothing_is_open(ledger: Ledger) -> None:
    """A live one has not been allowed to yet; another one needs nobody's leave."""
    assert summary(ledger) == Summary(contact=False)
    assert summary(ledger, Place("board", "a", "sandbox")) == Summary()


def test_open_keys_are_counted_by_kind(ledger: Ledger) -> None:
    """Each kind with its number, its oldest, and the reason of most; parked ones are a kind of their own."""
    scope = ledger.scope("a", "live", "x", "", 0.0)
    for at, (key, reason) in enumerate((("k1", "too long"), ("k2", "too long"), ("k3", "no colour"))):
        note(ledger, scope, key, Outcome.REJECTED, reason, 10.0 + at)
    note(ledger, scope, "k3", Outcome.REJECTED, "no colour", 20.0)
    note(ledger, scope, "k4", Outcome.FAILED, "500", 30.0)
    day = upsert("k1", 1).partition
    assert summary(ledger).open == (
        OpenGroup("failed", 1, 30.0, (day,), "500", "k4"),
        OpenGroup("parked", 1, 12.0, (day,), "no colour", "k3"),
        OpenGroup("rejected", 2, 10.0, (day,), "too long", "k1"),
    )
    unparked = summary(ledger, Place("board", "a", "live", park_after=None)).open
    assert [(one.outcome, one.keys) for one in unparked] == [("failed", 1), ("rejected", 3)]


def test_only_what_concerns_the_sync_where_it_delivers_now_is_open(ledger: Ledger) -> None:
    """Neither another sync's keys count, nor the sandbox's, nor those of an address of the past."""
    past, sandbox = ledger.scope("a", "sandbox", "x", "1", 0.0), ledger.scope("a", "sandbox", "x", "2", 0.0)
    live = ledger.scope("a", "live", "x", "", 0.0)
    note(ledger, past, "k", Outcome.FAILED, "500", 1.0)
    note(ledger, sandbox, "k", Outcome.FAILED, "500", 1.0)
    note(ledger, live, "k", Outcome.FAILED, "500", 1.0, Run("run", "other", "config"))
    assert summary(ledger).open == ()
    assert [one.keys for one in summary(ledger, Place("board", "a", "sandbox")).open] == [1]


def test_an_attempt_counts_until_somebody_knows_more(ledger: Ledger) -> None:
    """What a dead run left is told; what a later run could not settle is open as unknown, and told once."""
    scope = ledger.scope("a", "live", "x", "", 0.0)
    with ledger.engine.begin() as connection:
        ledger.begin(connection, scope, RUN, [upsert("k1", 1), upsert("k2", 1)], 5.0)
    assert summary(ledger).unanswered == Unanswered(2, 5.0)
    note(ledger, scope, "k1", Outcome.UNKNOWN, "no answer", 6.0)
    assert summary(ledger).unanswered == Unanswered(1, 5.0)
    assert [(one.outcome, one.keys) for one in summary(ledger).open] == [("unknown", 1)]


def test_holds_and_contacts_are_told(ledger: Ledger) -> None:
    """Who holds the sync, and whether somebody has looked at its account."""
    scope = ledger.scope("a", "live", "x", "", 0.0)
    assert not summary(ledger).contact
    with ledger.engine.begin() as connection:
        make_contact(ledger, connection, scope, "board", policy="trusted", found={}, now=1.0)
        hold(ledger, connection, "board", "repairs", 2.0)
    found = summary(ledger)
    assert found.contact
    assert found.hold is not None
    assert (found.hold.who, found.hold.reason) == (who(), "repairs")
