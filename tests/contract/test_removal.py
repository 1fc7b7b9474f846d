"""Keys that the source no longer has, taken away by the engine over real HTTP, at every destination."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from pipelines.components.partition_result import PartitionResult
from pipelines.components.vanishing import NotSeen
from pipelines.delivery.caller import AccountRules, Caller, Patience
from pipelines.delivery.deliver import Delivery
from pipelines.delivery.http import HttpPort
from pipelines.delivery.ledger import Ledger, Priority, Run, Turn, schema
from pipelines.delivery.pace import Pace
from pipelines.delivery.report import Report
from pipelines.delivery.retry import RetryPolicy
from pipelines.delivery.upsert import ACCEPTED, Built, Upsert
from pipelines.destinations.accounts import Account, read_account
from pipelines.home import Home
from pipelines.sandbox import Control
from tests.contract.cases import CASES, VALUESTREAMER_KEEP, Case
from tests.contract.conftest import standing

SINGLE = [case for case in CASES if case is not VALUESTREAMER_KEEP]
FAILURES = pytest.mark.parametrize("code", [500, 503, 403])


@dataclass(slots=True)
class Board:
    """A case's account, and a ledger of its own."""

    case: Case
    account: Account
    control: Control
    ledger: Ledger
    runs: int = 0
    report: Report = field(default_factory=Report)

    async def show(self, *upserts: Upsert) -> Report:
        """Deliver a source that has these rows and no others."""
        self.runs += 1
        self.report = Report()
        spec, account = self.case.spec, self.account
        destination = spec.connect(account)
        async with HttpPort(
            base_url=account.url,
            headers=account.headers,
            secrets=account.secrets,
            timeout_s=account.timeout_s,
            max_connections=account.limits.in_flight,
        ) as port:
            rules = AccountRules(account.name, account.url, destination.transient)
            patience = Patience(RetryPolicy(attempts=1))
            caller = Caller(rules, port, Pace(()), self.report.traffic, patience)
            delivery = Delivery(
                run=Run(f"run-{self.runs}", spec.name, "config"),
                ledger=self.ledger,
                scope=self.ledger.scope(account.name, "sandbox", account.address_hash, "box", 0.0),
                turn=Turn(self.ledger, account.name, Priority.MANUAL, caller),
                destination=destination,
                caller=caller,
                limits=account.limits,
                report=self.report,
            )
            seen = {upsert.key for upsert in upserts}
            return await delivery.deliver(Built(list(upserts)), vanishing=NotSeen(None, seen))

    def told(self) -> tuple[int, int, str]:
        """Keys removed, keys that could not be, and why the run is red."""
        removed, failed = self.report.removed.total(), self.report.removal_failed.total()
        return removed, failed, PartitionResult(0, Counter(), removed, failed).red

    def open(self) -> dict[str, str]:
        """Key -> open outcome."""
        with self.ledger.reading() as connection:
            rows = connection.execute(schema.open_outcomes.select())
            return {row.key: row.outcome for row in rows}

    def in_use(self) -> list[str]:
        """The keys that stand there and are in use."""
        api = self.account.api
        held = self.control.state(api)
        if api == "dnsimple":
            known = [one for one in held["statuses"] if one["state"] != "unknown"]
            return sorted(f"{one['resource']}/{one['context']}" for one in known)
        if api == "feedback_house":
            return sorted(one["correlationID"] for one in held["areas"].values() if one["active"])
        return list(standing(self.control, api))

    def writes(self) -> int:
        """Requests that were no reads."""
        routes = self.control.counts(self.account.api)["routes"]
        return sum(count["requests"] for route, count in routes.items() if not route.startswith("GET "))


@pytest.fixture(params=SINGLE, ids=str)
def board(request: pytest.FixtureRequest, home: Home, control: Control, tmp_path: Path) -> Iterator[Board]:
    """An empty board of each API."""
    case: Case = request.param
    account = read_account(case.spec.account, case.spec.settings, "sandbox", home=home, environ={})
    control.configure(**{account.api: case.switches})
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    yield Board(case, account, control, ledger)
    ledger.close()


def fault(board: Board, **more: Any) -> dict[str, Any]:
    """A fault of the requests by which this API lets go of a key."""
    return {"api": board.account.api, "method": "DELETE" if board.case.deletes else "POST", "times": None, **more}


async def test_what_vanished_is_taken_away_once(board: Board) -> None:
    """It is gone or out of use, its neighbour stays, and later runs leave it alone without a request."""
    gone, stays = board.case.upsert(day=5), board.case.upsert(day=6)
    await board.show(gone, stays)
    await board.show(stays)
    assert board.told() == (1, 0, "")
    assert board.in_use() == [stays.key]
    board.control.reset_counts()
    await board.show(stays)
    assert board.told() == (0, 0, "")
    assert board.control.counts(board.account.api)["requests"] == 0


async def test_what_is_away_already_counts_as_taken_away(board: Board) -> None:
    """A person was faster: nothing is an error, and what would be noticed is not written again."""
    gone, stays = board.case.upsert(day=5), board.case.upsert(day=6)
    await board.show(gone, stays)
    async with HttpPort(base_url=board.account.url, headers=board.account.headers, max_connections=1) as port:
        removed = await board.case.spec.connect(board.account).remove(gone.key, gone.payload, port.send)
    assert removed.outcome in ACCEPTED
    board.control.reset_counts()
    await board.show(stays)
    assert board.told() == (1, 0, "")
    assert board.in_use() == [stays.key]
    assert board.writes() == (1 if board.case.deletes else 0)


@FAILURES
async def test_a_removal_that_fails_is_open_and_red_until_it_works(board: Board, code: int) -> None:
    """The key still stands, an open outcome says so, the partition is red; the next run takes it away."""
    gone, stays = board.case.upsert(day=5), board.case.upsert(day=6)
    await board.show(gone, stays)
    board.control.add_faults(fault(board, kind="status", params={"code": code}))
    await board.show(stays)
    assert board.told() == (0, 1, "1 vanished keys could not be taken away")
    assert board.open() == {gone.key: "removal_failed"}
    assert board.in_use() == sorted([gone.key, stays.key])
    assert any(gone.key in note and str(code) in note for note in board.report.notes)
    board.control.clear_faults()
    await board.show(stays)
    assert board.told() == (1, 0, "")
    assert board.open() == {}
    assert board.in_use() == [stays.key]


async def test_a_removal_whose_answer_was_lost_is_not_taken_for_done(board: Board) -> None:
    """Nobody knows: it is open, and the next run finds it away without making it more so."""
    gone, stays = board.case.upsert(day=5), board.case.upsert(day=6)
    await board.show(gone, stays)
    board.control.add_faults(fault(board, kind="drop_after"))
    await board.show(stays)
    assert board.told()[:2] == (0, 1)
    board.control.clear_faults()
    board.control.reset_counts()
    await board.show(stays)
    assert board.told() == (1, 0, "")
    assert board.writes() == (1 if board.case.deletes else 0)


async def test_a_key_that_comes_back_is_there_again(board: Board) -> None:
    """The same row as before, though nothing about it has changed, is sent once more."""
    gone, stays = board.case.upsert(day=5), board.case.upsert(day=6)
    await board.show(gone, stays)
    await board.show(stays)
    report = await board.show(gone, stays)
    assert sum(report.total(outcome) for outcome in ACCEPTED) == 1
    assert board.in_use() == sorted([gone.key, stays.key])
