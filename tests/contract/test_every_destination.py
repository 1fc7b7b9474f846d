"""One suite for all destinations, over real HTTP to the sandbox."""

from __future__ import annotations

import pytest

from pipelines.delivery.errors import CredentialsRefused
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.messages import Answer
from pipelines.delivery.upsert import ACCEPTED, Outcome, Upsert
from pipelines.home import Home
from pipelines.sandbox import Control
from tests.contract.cases import CASES, Case
from tests.contract.conftest import Connect, Way, environment, standing

pytestmark = pytest.mark.parametrize("case", CASES, ids=str)


async def stands(way: Way, upsert: Upsert) -> bool:
    """Whether the read-back says that the API holds the upsert, as the engine would judge it."""
    found = await way.destination.read_back(upsert, way.call)
    assert found is not None
    if found.payload is None:
        return False
    return fingerprint(way.destination.normalise(found.payload)) == upsert.fingerprint


async def test_the_check_proves_the_credentials(case: Case, connect: Connect, home: Home) -> None:
    """The cheapest read succeeds with the right credentials and is refused with wrong ones."""
    way = connect(case)
    answer = await way.call(way.destination.check())
    assert isinstance(answer, Answer)
    assert answer.ok
    wrong = connect(case, environment(case, home, case.wrong))
    with pytest.raises(CredentialsRefused):
        await wrong.call(wrong.destination.check())


async def test_what_was_set_stands_there(case: Case, connect: Connect, control: Control) -> None:
    """An accepted upsert is held by the API under its key and reads back as what was sent."""
    way, upsert = connect(case), case.upsert()
    assert not await stands(way, upsert)
    (verdict,) = await way.deliver(upsert)
    assert verdict.outcome in ACCEPTED
    assert standing(control, way.account.api) == [upsert.key]
    assert await stands(way, upsert)


async def test_setting_it_again_changes_nothing(case: Case, connect: Connect, control: Control) -> None:
    """A repetition is accepted and leaves one entry that says the same."""
    way, upsert = connect(case), case.upsert()
    verdicts = await way.deliver(upsert, upsert)
    assert {verdict.outcome for verdict in verdicts} <= ACCEPTED
    assert standing(control, way.account.api) == [upsert.key]
    assert await stands(way, upsert)


async def test_a_change_replaces_what_stood_there(case: Case, connect: Connect) -> None:
    """After an update the new value reads back, and the old one no longer does."""
    way, old, new = connect(case), case.upsert(60.0), case.upsert(95.0)
    assert old.key == new.key
    await way.deliver(old)
    await way.deliver(new)
    assert await stands(way, new)
    assert not await stands(way, old)


async def test_what_was_removed_is_gone(case: Case, connect: Connect, control: Control) -> None:
    """A removal is accepted, stands no longer (an API without deletion keeps it out of use), and is accepted again."""
    way, upsert, neighbour = connect(case), case.upsert(), case.upsert(day=6)
    await way.deliver(upsert, neighbour)
    for _ in range(2):
        verdict = await way.destination.remove(upsert.key, upsert.payload, way.call)
        assert verdict.outcome in ACCEPTED
    left = [neighbour.key] if case.deletes else [upsert.key, neighbour.key]
    assert standing(control, way.account.api) == left
    assert not await stands(way, upsert)
    assert await stands(way, neighbour)
    found = await way.destination.read_back(upsert, way.call)
    assert found is not None
    assert (found.payload is None) is case.deletes


async def test_a_removed_key_can_be_set_again(case: Case, connect: Connect) -> None:
    """A KPI that comes back gets its entry back."""
    way, upsert = connect(case), case.upsert()
    await way.deliver(upsert)
    await way.destination.remove(upsert.key, upsert.payload, way.call)
    (verdict,) = await way.deliver(upsert)
    assert verdict.outcome in ACCEPTED
    assert await stands(way, upsert)


async def test_a_removal_costs_what_it_says(case: Case, connect: Connect) -> None:
    """Taking keys away makes as many requests as are foretold, what is read before it included."""
    way, some = connect(case), [case.upsert(day=day) for day in (5, 6, 7)]
    await way.deliver(*some)
    fresh = connect(case)
    for one in some[:2]:
        await fresh.destination.remove(one.key, one.payload, fresh.call)
    assert len(fresh.call.lines) == fresh.destination.cost([], removed=2, standing=3).requests


async def test_a_refused_upsert_stands_alone(case: Case, connect: Connect, control: Control) -> None:
    """One bad upsert is rejected with the API's words; those around it are delivered."""
    way = connect(case)
    good = [case.upsert(day=5), case.upsert(day=7)]
    verdicts = await way.deliver(good[0], case.bad_upsert(day=6), good[1])
    assert [verdict.outcome in ACCEPTED for verdict in verdicts] == [True, False, True]
    assert verdicts[1].outcome is Outcome.REJECTED
    assert verdicts[1].status == case.refused_status
    assert len(verdicts[1].reason) > len("400 Bad Request: ")
    assert standing(control, way.account.api) == sorted(upsert.key for upsert in good)


async def test_wrong_credentials_write_nothing(case: Case, connect: Connect, control: Control, home: Home) -> None:
    """A 401 ends the first request; the destination does not swallow it."""
    way = connect(case, environment(case, home, case.wrong))
    with pytest.raises(CredentialsRefused):
        await way.deliver(case.upsert())
    assert standing(control, way.account.api) == []
    assert len(way.call.lines) == 1


async def test_a_delivery_costs_what_it_says(case: Case, connect: Connect) -> None:
    """An upsert costs its known number of requests, the last of which is the one that `describe` shows."""
    way, upsert = connect(case), case.upsert()
    await way.deliver(upsert)
    assert len(way.call.lines) == case.requests
    assert way.call.lines[-1] == way.destination.describe(upsert)


async def test_vetting_passes_what_the_api_takes(case: Case, connect: Connect) -> None:
    """Nothing is held against an upsert that the API then accepts."""
    way, upsert = connect(case), case.upsert()
    assert await way.destination.vet([upsert], way.call) == {}


@pytest.mark.parametrize(
    ("kind", "landed"),
    [("drop_after", True), ("cut_body", True), ("garbage", True), ("drop_before", False)],
)
async def test_a_broken_answer_is_unknown_until_it_is_read_back(
    case: Case, kind: str, *, landed: bool, connect: Connect, control: Control
) -> None:
    """A dropped connection, half an answer or no HTTP at all says nothing of the write; the read-back does."""
    way, upsert = connect(case), case.upsert()
    method = way.destination.describe(upsert).split()[0]
    control.add_faults({"api": way.account.api, "method": method, "kind": kind})
    (verdict,) = await way.deliver(upsert)
    assert verdict.outcome is Outcome.UNKNOWN
    assert await stands(way, upsert) is landed


@pytest.mark.parametrize(
    ("params", "outcome"),
    [
        ({"code": 500, "html": "<html>Oops</html>"}, Outcome.FAILED),
        ({"code": 503}, Outcome.FAILED),
        ({"code": 429}, Outcome.FAILED),
        ({"code": 403, "body": {"message": "not allowed"}}, Outcome.REJECTED),
        ({"code": 402, "body": {"message": "not in your plan"}}, Outcome.REJECTED),
        ({"code": 302, "headers": {"location": "https://login.example.com"}}, Outcome.FAILED),
        ({"code": 200, "html": "<html>Please log in</html>"}, Outcome.UNKNOWN),
    ],
)
async def test_what_is_no_acceptance_is_never_taken_for_one(
    case: Case, params: dict[str, object], outcome: Outcome, connect: Connect, control: Control
) -> None:
    """Refusals, failures, redirects and a proxy's page are told apart, and nothing was written."""
    way, upsert = connect(case), case.upsert()
    method = way.destination.describe(upsert).split()[0]
    control.add_faults({"api": way.account.api, "method": method, "kind": "status", "params": params})
    (verdict,) = await way.deliver(upsert)
    assert (verdict.outcome, verdict.status) == (outcome, params["code"])
    assert standing(control, way.account.api) == []


@pytest.mark.parametrize("kind", ["empty_body", "other_json"])
async def test_a_success_needs_no_particular_body(case: Case, kind: str, connect: Connect, control: Control) -> None:
    """What the answer to a write holds is documented badly or not at all, so an acceptance does not depend on it.

    Where errors stand inside a 200, one without a word on them is unknown until it is read back.
    """
    way, upsert = connect(case), case.upsert()
    method = way.destination.describe(upsert).split()[0]
    control.add_faults({"api": way.account.api, "method": method, "kind": kind})
    (verdict,) = await way.deliver(upsert)
    assert verdict.outcome in (ACCEPTED if case.silence_is_yes else {Outcome.UNKNOWN})
    assert await stands(way, upsert)


async def test_a_read_back_that_fails_says_that_it_does_not_know(
    case: Case, connect: Connect, control: Control
) -> None:
    """An API that is down has not lost our entry."""
    way, upsert = connect(case), case.upsert()
    await way.deliver(upsert)
    control.add_faults({"api": way.account.api, "method": "GET", "kind": "status", "params": {"code": 503}})
    assert await way.destination.read_back(upsert, way.call) is None
    assert await stands(connect(case), upsert)
