"""`pipelines ledger`: what is open, what was delivered, what was decided; sending again, and forgetting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from pipelines.delivery.ledger import Ledger, Record, Run, Scope
from pipelines.delivery.ledger.people import who
from pipelines.delivery.ledger.removals import Removal, record_removals
from pipelines.delivery.upsert import Outcome, Upsert, Verdict
from pipelines.home import Home
from tests.commands.conftest import BOARD, TABLE, Command
from tests.components.conftest import Write
from tests.components.deploying import READS_YAML
from tests.delivery.fakes import upsert

pytestmark = READS_YAML

DAY = 86_400.0


@pytest.fixture
def ledger(empty_home: Home) -> Iterator[Ledger]:
    """The ledger of an empty home."""
    ledger = Ledger(empty_home.ledger_url)
    yield ledger
    ledger.close()


@pytest.fixture
def live(ledger: Ledger) -> Scope:
    return ledger.scope("stativate", "live", "here", "", 0.0)


def note(
    ledger: Ledger, scope: Scope, key: str, outcome: Outcome, at: float, sync: str = "board", **verdict: Any
) -> Upsert:
    """Write down that a run ended so for a key."""
    one = upsert(key, 1, rows=(3, 4))
    with ledger.engine.begin() as connection:
        run = Run(f"run-{at:g}", sync, "c0ffee")
        ledger.record(connection, scope, run, [Record(one, Verdict(outcome, **verdict), {"value": 0})], at)
    return one


def open_keys(command: Command, *options: object) -> list[str]:
    """The keys that `pipelines ledger --json` lists, in its order."""
    return [one["key"] for one in orjson.loads(command("ledger", "--json", *options).out)["open"]]


def test_an_empty_ledger_says_so(command: Command, ledger: Ledger) -> None:
    """Where nothing is open the command says it and exits 0, so that a script may rely on it."""
    said = command("ledger")
    assert (said.status, said.out) == (0, "Nothing is open.\n")


def test_what_is_open_is_told_in_full(command: Command, ledger: Ledger, live: Scope) -> None:
    """Account, partition, key, tries, first and last time, run, status and the API's words; exit 1."""
    note(ledger, live, "kpi-A", Outcome.FAILED, 0.0, reason="500 Oops", status=500)
    note(ledger, live, "kpi-A", Outcome.FAILED, 3 * DAY, reason="[502] Bad Gateway", status=502)
    note(ledger, live, "kpi-B", Outcome.ACCEPTED, 3 * DAY)
    said = command("ledger", "--json")
    assert said.status == 1
    told = orjson.loads(said.out)
    assert told["total"] == 1
    (one,) = told["open"]
    expected = {
        "account": "stativate", "mode": "live", "sync": "board", "key": "kpi-A", "partition": "2013-01-01",
        "outcome": "failed", "reason": "[502] Bad Gateway", "status": 502, "tries": 2, "first_at": 0.0,
        "last_at": 3 * DAY, "run": f"run-{3 * DAY:g}", "payload": {"value": 1}, "parked": False,
    }  # fmt: skip
    assert {name: one[name] for name in expected} == expected
    table = command("ledger").out
    for text in (
        "kpi-A",
        "[502] Bad Gateway",
        "1970-01-04 00:00:00 UTC",
        "1970-01-01 00:00:00 UTC",
        "stativate (live)",
    ):
        assert text in table


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ((), ["c-100%", "b", "A-late"]),
        (("--sync", "other"), ["b"]),
        (("--outcome", "unknown"), ["b"]),
        (("--outcome", "not_sent", "--sync", "board"), ["c-100%"]),
        (("--key", "a-LATE"), ["A-late"]),
        (("--key", "0%"), ["c-100%"]),
        (("--partition", "2013-01-02"), []),
        (("--limit", "2"), ["c-100%", "b"]),
    ],
)
def test_the_list_can_be_narrowed(
    options: tuple[str, ...], keys: list[str], command: Command, ledger: Ledger, live: Scope
) -> None:
    """By sync, partition, outcome and a part of the key, newest first, and no longer than asked for."""
    note(ledger, live, "A-late", Outcome.FAILED, 1.0)
    note(ledger, live, "b", Outcome.UNKNOWN, 2.0, sync="other")
    note(ledger, live, "c-100%", Outcome.NOT_SENT, 3.0)
    assert open_keys(command, *options) == keys


def test_a_list_that_is_cut_says_so(command: Command, ledger: Ledger, live: Scope) -> None:
    """Nobody takes the first page for everything."""
    for number in range(3):
        note(ledger, live, f"k{number}", Outcome.FAILED, number)
    assert "The newest 2 of 3; --limit shows more." in command("ledger", "--limit", 2).out


def test_what_an_earlier_address_left_open_is_gone(command: Command, ledger: Ledger, live: Scope) -> None:
    """What was open at an address that the account no longer has concerns nobody."""
    note(ledger, live, "old", Outcome.FAILED, 1.0)
    ledger.confirm_address("stativate", "elsewhere", 2.0, same_tenant=False)
    assert open_keys(command) == []


def test_removals_that_failed_are_open(command: Command, ledger: Ledger, live: Scope) -> None:
    """A vanished key that still stands is found by its own outcome."""
    failed = Removal("gone", "2013-01-01", "2013-01-01", {"value": 1}), Verdict(Outcome.FAILED, "500")
    with ledger.engine.begin() as connection:
        record_removals(ledger, connection, live, Run("r", "board", ""), [failed], now=1.0)
    assert open_keys(command, "--outcome", "removal_failed") == ["gone"]


def test_parked_is_told_apart_from_rejected(command: Command, ledger: Ledger, live: Scope, write: Write) -> None:
    """Which rejected payloads are no longer sent is the sync's own `park_after`; a retry lets them go again."""
    folder = write({"readings": TABLE, "board": f"{BOARD}  park_after: 2\n"})
    for at in (1.0, 2.0):
        note(ledger, live, "often", Outcome.REJECTED, at)
    note(ledger, live, "once", Outcome.REJECTED, 3.0)
    assert open_keys(command, "--outcome", "parked", "--folder", folder) == ["often"]
    assert open_keys(command, "--outcome", "rejected", "--folder", folder) == ["once", "often"]
    assert "rejected (parked)" in command("ledger", "--folder", folder).out
    said = command("ledger", "retry", "board", "--key", "often")
    assert said.status == 0
    assert "by the next run of 2013-01-01" in said.out
    assert open_keys(command, "--outcome", "parked", "--folder", folder) == []
    (decision,) = orjson.loads(command("ledger", "decisions", "--json").out)["decisions"]
    expected = {"what": "retry", "about": "board", "who": who(), "reason": "key often", "run": ""}
    assert {name: decision[name] for name in expected} == expected


def test_a_broken_deployment_does_not_hide_what_is_open(
    command: Command, ledger: Ledger, live: Scope, write: Write
) -> None:
    """Somebody in trouble still sees the list; only what the deployment alone knows is missing, and he is told so."""
    folder = write({"board": BOARD.replace("key:", "kee:")})
    note(ledger, live, "k", Outcome.REJECTED, 1.0)
    said = command("ledger", "--json", "--folder", folder)
    assert [one["key"] for one in orjson.loads(said.out)["open"]] == ["k"]
    assert "Which keys are parked is not known" in said.err
    assert command("ledger", "--outcome", "parked", "--folder", folder).status == 2


def test_a_retry_without_anything_to_retry_says_so(command: Command, ledger: Ledger, live: Scope) -> None:
    """A misspelt sync or key is noticed: exit 1, and nothing is written down."""
    note(ledger, live, "k", Outcome.REJECTED, 1.0)
    said = command("ledger", "retry", "bord")
    assert said.status == 1
    assert "Nothing of sync bord was rejected." in said.out
    assert command("ledger", "retry", "board", "--key", "K").status == 1
    assert orjson.loads(command("ledger", "decisions", "--json").out)["total"] == 0


def test_deliveries_tell_who_was_told_what(command: Command, ledger: Ledger, live: Scope) -> None:
    """Each accepted change with old and new, source rows, run, configuration and time; newest first."""
    note(ledger, live, "k", Outcome.CREATED, 1.0, status=201)
    note(ledger, live, "k", Outcome.UPDATED, 2.0, status=200)
    note(ledger, live, "other", Outcome.UPDATED, 3.0)
    said = command("ledger", "deliveries", "--key", "k", "--json")
    assert said.status == 0
    told = orjson.loads(said.out)
    assert (told["total"], [one["at"] for one in told["deliveries"]]) == (2, [2.0, 1.0])
    expected = {
        "account": "stativate", "mode": "live", "sync": "board", "key": "k", "outcome": "updated", "status": 200,
        "old": {"value": 0}, "new": {"value": 1}, "partition": "2013-01-01", "rows": [3, 4], "config": "c0ffee",
    }  # fmt: skip
    assert {name: told["deliveries"][0][name] for name in expected} == expected
    table = command("ledger", "deliveries", "--sync", "board", "--limit", 1).out
    assert '{"value":0}' in table
    assert "2013-01-01 3, 4" in table
    assert "The newest 1 of 3; --limit shows more." in table


def test_history_older_than_the_kept_days_is_forgotten(
    command: Command, ledger: Ledger, live: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--days` says how much is kept, else the environment; what cannot be such a number is an error."""
    note(ledger, live, "old", Outcome.ACCEPTED, 1.0)
    monkeypatch.setenv("PIPELINES_KEEP_DELIVERIES_DAYS", "1000000")
    assert command("ledger", "prune").out == ("0 deliveries and 0 decisions older than 1000000 days were deleted.\n")
    assert command("ledger", "prune", "--days", 400).out == (
        "1 deliveries and 0 decisions older than 400 days were deleted.\n"
    )
    monkeypatch.setenv("PIPELINES_KEEP_DELIVERIES_DAYS", "ever")
    assert command("ledger", "prune").status == 2
