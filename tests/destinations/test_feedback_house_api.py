from __future__ import annotations

import logging
from typing import Any

import pytest

from pipelines.delivery.destination import Found, Ordered
from pipelines.delivery.errors import AccountUnavailable, ConfigurationError, CredentialsRefused
from pipelines.delivery.messages import Exchange, Lost, NotSent, Request
from pipelines.delivery.upsert import Outcome, Upsert
from pipelines.destinations.feedback_house import FeedbackHouse
from tests.destinations.given import answer, upsert
from tests.destinations.given_feedback_house import (
    POST,
    QUERY,
    USERS,
    House,
    areas,
    deliver,
    destination,
    tree,
    upserts,
)

FLAT = tree(**dict.fromkeys("ABCDEFGH"))
MANAGER = {"id": "5d9b2f000000000000000001", "emails": ["Boss@x.de", "other@x.de"]}


def outcome(verdicts: dict[str, Any]) -> dict[str, Outcome]:
    """Key -> outcome."""
    return {key: verdict.outcome for key, verdict in verdicts.items()}


async def test_every_area_goes_with_its_key_name_and_flags() -> None:
    """What is left out on an update may fall back to a default, so that the flags always go; no field is made up."""
    call = House()
    frame = areas({"area_code": "A", "active": False, "tags": "x,y"})
    verdicts = await deliver(destination(), upserts(frame), call)
    assert verdicts["A"].outcome is Outcome.CREATED
    assert call.sent("A") == {
        "correlationID": "A",
        "name": "Area A",
        "active": False,
        "allowCandidatesApply": False,
        "tags": ["x", "y"],
    }
    assert call.requests[-1].repeatable
    assert dict(call.requests[-1].headers) == {"content-type": "application/json"}


async def test_an_accepted_area_tells_its_id() -> None:
    """The id is learned, never configured: it goes to the ledger."""
    call = House()
    verdicts = await deliver(destination(), upserts(FLAT), call)
    assert {key: verdict.remote_id for key, verdict in verdicts.items()} == {
        area["correlationID"]: one for one, area in call.held.items()
    }


async def test_areas_travel_together_up_to_the_batchs_size_and_bytes() -> None:
    """At most so many areas and bytes go in one request; one area that is larger travels alone."""
    call = House()
    frame = areas({"area_code": "A", "tags": "t" * 2000}, *({"area_code": code} for code in "BCDEF"))
    target = destination(batch_size=4, batch_bytes=200)
    await deliver(target, upserts(frame), call)
    assert call.batches() == [["A"], ["B", "C"], ["D"], ["E", "F"]]
    sizes = [len(request.body or b"") for request in call.requests if request.method == "POST"]
    assert max(sizes[1:]) <= 200 < sizes[0]


async def test_one_refused_area_blocks_only_itself() -> None:
    """Its batch was answered 200: the others are taken, and the batch is not sent again."""
    call = House()
    call.refused = {"C"}
    verdicts = await deliver(destination(), upserts(FLAT), call)
    assert outcome(verdicts).pop("C") is Outcome.REJECTED
    assert verdicts["C"].reason == "Invalid area"
    assert {verdict.outcome for key, verdict in verdicts.items() if key != "C"} == {Outcome.CREATED}
    assert len(call.batches()) == 1


@pytest.mark.parametrize("code", [500, 502, 504])
async def test_an_area_over_which_the_server_stumbles_stands_alone(code: int) -> None:
    """After 5xx the batch goes again in halves; never more failures in a row than the circuit breaker bears."""
    call = House()
    statuses: list[bool] = []

    def spoil(keys: list[str]) -> Exchange | None:
        statuses.append("A" in keys)
        return answer(code) if "A" in keys else None

    call.spoil = spoil
    verdicts = await deliver(destination(), upserts(FLAT), call)
    assert outcome(verdicts).pop("A") is Outcome.FAILED
    assert {verdict.outcome for key, verdict in verdicts.items() if key != "A"} <= {Outcome.CREATED, Outcome.UPDATED}
    assert set(call.parents()) == set("BCDEFGH")
    assert statuses == [True, True, False, True, False, True, False]


async def test_a_batch_that_is_refused_as_a_whole_is_the_engines_to_split() -> None:
    """413 for all of a batch: one request, and verdicts that make the engine halve it."""
    call = House()
    call.spoil = lambda keys: answer(413, {"message": "too large"}) if len(keys) > 2 else None
    whole = await destination().send(upserts(FLAT), call)
    assert {(verdict.outcome, verdict.status) for verdict in whole} == {(Outcome.REJECTED, 413)}
    assert len(call.batches()) == 1
    verdicts = await deliver(destination(), upserts(FLAT), call)
    assert set(outcome(verdicts).values()) == {Outcome.CREATED}


async def test_a_refused_part_of_a_batch_is_split_here() -> None:
    """Where some areas of the batch fared otherwise, the engine does not split: the refused request is halved here."""
    call = House()
    call.spoil = lambda keys: answer(400, {"message": "no"}) if "C" in keys else None
    verdicts = await deliver(destination(batch_bytes=400), upserts(FLAT), call)
    assert len(call.batches()[0]) == 4
    assert outcome(verdicts) == {key: Outcome.REJECTED if key == "C" else Outcome.CREATED for key in "ABCDEFGH"}
    assert verdicts["C"].status == 400


async def test_children_held_back_do_not_keep_a_refused_batch_from_being_split() -> None:
    """A batch of which one area was not sent at all and the rest refused as a whole is split here too."""
    call = House()
    call.spoil = lambda keys: answer(400) if "B" in keys else None
    some = [*upserts(tree(A=None, B=None)), *upserts(tree(X="gone"))]
    verdicts = await destination().send(some, call)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.CREATED, Outcome.REJECTED, Outcome.NOT_SENT]


async def test_an_error_that_names_nobody_is_found_by_smaller_requests() -> None:
    """The API may echo nothing that can be matched: then areas go in halves until it is known whose error it is."""
    call = House()

    def spoil(keys: list[str]) -> Exchange | None:
        return answer(200, {"status": "OK", "errors": [{"message": "bad area"}]}) if "F" in keys else None

    call.spoil = spoil
    verdicts = await deliver(destination(), upserts(FLAT), call)
    assert (verdicts["F"].outcome, verdicts["F"].reason) == (Outcome.REJECTED, "bad area")
    assert {verdict.outcome for key, verdict in verdicts.items() if key != "F"} == {Outcome.CREATED}


async def test_a_refusal_that_names_its_areas_costs_one_more_request() -> None:
    """A 400 with errors by item is not split until the bad ones are found: they are named already."""
    call = House()

    def spoil(keys: list[str]) -> Exchange | None:
        errors = [{"object": {"correlationID": key}, "message": f"bad {key}"} for key in keys if key in "CF"]
        return answer(400, {"status": "ERROR", "errors": errors}) if errors else None

    call.spoil = spoil
    verdicts = await deliver(destination(), upserts(FLAT), call)
    assert {key: one.reason for key, one in verdicts.items() if one.outcome is Outcome.REJECTED} == {
        "C": "bad C",
        "F": "bad F",
    }
    assert call.batches() == [list("ABCDEFGH"), list("ABDEGH")]
    verdicts = await deliver(destination(), upserts(FLAT, "C", "F"), call)
    assert len(call.batches()) == 3


async def test_another_address_is_found_before_the_first_write() -> None:
    """Without /api there is no list of areas: the run ends with the setting to look at."""
    call = House()
    call.unread = answer(404, {"detail": "Not Found"})
    with pytest.raises(ConfigurationError, match=r"was answered 404 Not Found.* Check ACC_URL"):
        await destination().vet(upserts(FLAT), call)
    assert call.batches() == []


async def test_the_last_open_area_of_a_batch_is_asked_about_alone() -> None:
    """One error is matched, one is not: the area that is left over is sent once more, by itself."""
    call = House()
    errors = [{"object": {"correlationID": "A"}, "message": "no"}, {"message": "who?"}]
    call.spoil = lambda keys: answer(200, {"errors": errors}) if len(keys) == 2 else None
    verdicts = await deliver(destination(), upserts(tree(A=None, B=None)), call)
    assert outcome(verdicts) == {"A": Outcome.REJECTED, "B": Outcome.CREATED}
    assert call.batches() == [["A", "B"], ["B"]]


class Stops(House):
    """A call that stops the account at the n-th batch."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self._at = at

    async def __call__(self, request: Request) -> Exchange:
        if request.method == "POST" and len(self.batches()) == self._at:
            raise CredentialsRefused("the key was revoked", status=401)
        return await super().__call__(request)


async def test_what_was_answered_before_the_account_was_stopped_counts() -> None:
    """Requests of one batch that were taken stay taken; the rest is not sent, with the reason."""
    call = Stops(at=1)
    verdicts = await deliver(destination(batch_bytes=400), upserts(FLAT), call)
    assert outcome(verdicts) == {key: Outcome.CREATED if key in "ABCD" else Outcome.NOT_SENT for key in "ABCDEFGH"}
    assert (verdicts["E"].reason, verdicts["E"].status) == ("the key was revoked.", 401)


async def test_a_refused_request_that_could_not_be_split_is_not_blamed_on_its_areas() -> None:
    """The account was stopped before it was known which area was refused: none is called rejected."""
    call = Stops(at=2)
    call.spoil = lambda keys: answer(400) if "C" in keys else None
    verdicts = await deliver(destination(batch_bytes=400), upserts(FLAT), call)
    assert {verdicts[key].outcome for key in "ABCD"} == {Outcome.NOT_SENT}
    assert {verdicts[key].outcome for key in "EFGH"} == {Outcome.CREATED}


async def test_an_account_that_is_stopped_at_once_is_the_engines_matter() -> None:
    """Before anything was answered the error goes through."""
    with pytest.raises(CredentialsRefused):
        await destination().send(upserts(FLAT), Stops(at=0))


async def test_managers_go_by_id_and_are_looked_up_once() -> None:
    """E-mails of any case are found on whichever page; two areas cost one look-up."""
    call = House()
    call.users = [{"id": f"{n:024x}", "emails": [f"u{n}@x.de"]} for n in range(5)] + [MANAGER]
    frame = areas(
        {"area_code": "A", "m": "BOSS@x.de,u4@x.de"}, {"area_code": "B", "m": None}, {"area_code": "C", "m": "u0@x.de"}
    )
    await deliver(destination(), upserts(frame, managers="m"), call)
    assert call.sent("A")["managers"] == [MANAGER["id"], f"{4:024x}"]
    assert call.sent("B")["managers"] == []
    assert call.lines.count(USERS) == 2


UNKNOWN = "areas managed by {} are sent without that manager: no user has that e-mail, or several have"


@pytest.mark.parametrize(
    ("users", "sent", "said"),
    [
        ([], None, [UNKNOWN.format("boss@x.de"), UNKNOWN.format("deputy@x.de")]),
        ([MANAGER, {**MANAGER, "id": "2"}], None, [UNKNOWN.format("boss@x.de"), UNKNOWN.format("deputy@x.de")]),
        ([{"id": "1", "emails": None}, {"emails": ["boss@x.de"]}], None, [UNKNOWN.format("boss@x.de")]),
        ([{"id": "1", "emails": ["boss@x.de"]}], ["1"], [UNKNOWN.format("deputy@x.de")]),
        (None, None, ["areas are sent without managers: the users cannot be read: 503 Service Unavailable"]),
    ],
)
async def test_an_unknown_manager_costs_himself_and_not_the_area(
    users: Any, sent: list[str] | None, said: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The area goes with the managers that are known, or without the field; a warning names the others, once each."""
    call, target = House(), destination()
    call.users = users or []
    frame = areas({"area_code": "A", "m": "boss@x.de,deputy@x.de"}, {"area_code": "B", "m": "boss@x.de"})

    async def answering(request: Request) -> Exchange:
        return answer(503) if users is None and str(request) == USERS else await call(request)

    with caplog.at_level(logging.WARNING):
        verdicts = await target.send(upserts(frame, managers="m"), answering)
    assert {verdict.outcome for verdict in verdicts} == {Outcome.CREATED}
    assert call.sent("A").get("managers") == sent
    assert all(any(one in note for note in target.notes) for one in said)
    assert caplog.messages == list(target.notes)
    assert len(set(target.notes)) == len(target.notes)


async def test_two_e_mails_of_one_user_are_one_manager() -> None:
    """A user may have several addresses: his id goes once, and reads back as all of them."""
    call, target = House(keys=True), destination()
    call.users = [MANAGER]
    (one,) = upserts(areas({"area_code": "A", "m": "boss@x.de,other@x.de"}), managers="m")
    await deliver(target, [one], call)
    assert call.sent("A")["managers"] == [MANAGER["id"]]
    found = await target.read_back(one, call)
    assert found is not None
    assert found.payload == target.normalise(one.payload)


@pytest.mark.parametrize("keys", [True, False])
async def test_a_read_back_needs_the_key_in_the_pages(*, keys: bool) -> None:
    """Where the pages hide keys, nobody knows which area is ours; else it is read, or known to be none."""
    frame = areas({"area_code": "A", "m": "boss@x.de", "tags": "b,a"}, {"area_code": "B", "parent_code": "A"})
    some = upserts(frame, managers="m")
    call = House(keys=keys)
    call.users = [MANAGER]
    found = await destination().read_back(some[0], call)
    assert found is not None
    assert found.payload is None
    await deliver(destination(), some, call)
    target = destination()
    for one in some:
        found = await target.read_back(one, call)
        assert (found is not None) is keys
        if found is not None:
            assert found.payload == target.normalise(one.payload)
            assert found.remote_id == call.area(one.key)["id"]
    assert call.lines[-call.lines[::-1].index(POST) :].count(QUERY) == 1


@pytest.mark.parametrize(
    "change",
    [{"name": "X"}, {"active": False}, {"parent": None}, {"parent": "f" * 24}, {"tags": ["z"]}, {"managers": []}],
)
async def test_a_read_back_tells_what_differs(change: dict[str, Any]) -> None:
    """Whatever else stands in a field that the sync sends, the area is not as it should be."""
    frame = areas({"area_code": "P"}, {"area_code": "A", "parent_code": "P", "m": "boss@x.de"})
    call, some = House(keys=True), upserts(frame, managers="m")
    call.users = [MANAGER]
    await deliver(destination(), some, call)
    call.area("A").update(change)
    target = destination()
    found = await target.read_back(some[1], call)
    assert found is not None
    assert found.payload != target.normalise(some[1].payload)


async def test_an_area_of_the_top_that_stands_below_a_stranger_differs() -> None:
    """A parent whose key nobody knows is a parent all the same."""
    call, (one,) = House(keys=True), upserts(tree(A=None))
    await deliver(destination(), [one], call)
    call.area("A")["parent"] = call.put(None)
    target = destination()
    found = await target.read_back(one, call)
    assert found is not None
    assert found.payload != target.normalise(one.payload)


async def test_a_read_back_looks_anew_after_a_write_and_only_then() -> None:
    """Pages are kept for the run, but not beyond a write of the key that they are asked about."""
    call, target = House(keys=True), destination()
    first, second, *_ = upserts(FLAT)
    for one in (first, second):
        found = await target.read_back(one, call)
        assert found is not None
        assert found.payload is None
    assert call.lines == [QUERY]
    await target.send([first], call)
    found = await target.read_back(first, call)
    assert found is not None
    assert found.payload == target.normalise(first.payload)
    await target.read_back(second, call)
    assert call.lines == [QUERY, POST, QUERY]


async def test_an_id_from_the_answer_finds_the_area_in_pages_that_hide_keys() -> None:
    """Within the run that sent it an area can be read back by its id."""
    call, target = House(keys=False), destination()
    (one,) = upserts(tree(A=None))
    await target.send([one], call)
    call.area("A")["name"] = "Changed"
    found = await target.read_back(one, call)
    assert found is not None
    assert found.payload == {**target.normalise(one.payload), "name": "Changed"}
    call.held.clear()
    await target.send([upsert("Z", one.payload)], call)
    found = await target.read_back(upsert("Z", one.payload), call)
    assert found is not None
    assert found.payload is not None


@pytest.mark.parametrize(
    "reply", [answer(503), answer(200, b"<html>"), answer(200, {"areas": None}), Lost("x"), NotSent("x")]
)
async def test_pages_that_cannot_be_read_say_nothing(reply: Exchange) -> None:
    """No answer is not "nothing there"; the delivery goes on without them, and says so."""
    call, target = House(), destination()
    call.unread = reply
    (one,) = upserts(tree(A=None))
    assert await target.read_back(one, call) is None
    assert outcome(await deliver(target, [one], call)) == {"A": Outcome.CREATED}
    assert "the areas cannot be read" in target.notes[0]


@pytest.mark.parametrize("keys", [True, False])
async def test_removing_takes_an_area_out_of_use_and_keeps_the_rest(*, keys: bool) -> None:
    """The API's way to retire an area is an update to inactive; parent, tags and name go along as they were."""
    call = House(keys=keys)
    frame = areas({"area_code": "P"}, {"area_code": "A", "parent_code": "P", "tags": "x"})
    some = upserts(frame)
    await deliver(destination(), some, call)
    before = dict(call.area("A"))
    verdict = await destination().remove("A", some[1].payload, call)
    assert verdict.outcome is Outcome.UPDATED
    assert call.area("A") == {**before, "active": False}


async def test_removing_sends_all_that_stands_there_by_id_and_key() -> None:
    """An update may reset what it leaves out: what a person has set since stays, also in fields that nobody syncs."""
    call, target = House(keys=True), destination()
    (one,) = upserts(tree(A=None))
    await deliver(target, [one], call)
    above = call.put("OTHER")
    by_hand = {"name": "By hand", "parent": above, "managers": ["m"], "businessDivision": "d", "tags": ["t"]}
    call.area("A").update(by_hand)
    later = destination()
    await later.remove("A", one.payload, call)
    own = {"id": call.area("A")["id"], "correlationID": "A", "allowCandidatesApply": False, "active": False}
    assert call.sent("A") == {**own, **by_hand}


async def test_removing_goes_by_what_was_accepted_where_nothing_can_be_read() -> None:
    """An answer of an earlier run told the id; the rest is as it was last accepted."""
    call, target = House(), destination()
    (one,) = upserts(areas({"area_code": "A", "tags": "x"}))
    (accepted,) = (await deliver(destination(), [one], call)).values()
    call.unread = answer(403)
    target.remember({"A": Found(one.payload, accepted.remote_id)})
    assert (await target.remove("A", one.payload, call)).outcome is Outcome.UPDATED
    assert call.sent("A") == {
        "id": accepted.remote_id,
        "correlationID": "A",
        "name": "Area A",
        "active": False,
        "allowCandidatesApply": False,
        "tags": ["x"],
    }


@pytest.mark.parametrize("gone", [True, False])
async def test_removing_an_area_that_is_gone_or_out_of_use_sends_nothing(*, gone: bool) -> None:
    """An update would make it anew: with keys hidden the id that was once told shows what became of it."""
    call, target = House(), destination()
    (one,) = upserts(tree(A=None))
    (accepted,) = (await deliver(destination(), [one], call)).values()
    if gone:
        call.held.clear()
    else:
        call.area("A")["active"] = False
    call.requests.clear()
    target.remember({"A": Found(one.payload, accepted.remote_id)})
    assert (await target.remove("A", one.payload, call)).outcome is Outcome.ACCEPTED
    assert call.batches() == []


async def test_removing_what_does_not_stand_there_makes_nothing() -> None:
    """An update would create the area, inactive: where the pages show that it is not there, nothing is sent."""
    call = House(keys=True)
    call.put("other")
    (one,) = upserts(tree(A=None))
    assert (await destination().remove("A", one.payload, call)).outcome is Outcome.ACCEPTED
    assert call.batches() == []


async def test_one_area_is_shown_by_its_id() -> None:
    """An empty object is no area; an unusable answer is not taken for one."""
    replies = {"a": answer(200, {"area": {"id": "a"}}), "b": answer(200, {"area": {}}), "c": answer(200, b"<html>")}

    async def call(request: Request) -> Exchange:
        return replies[request.path.rpartition("/")[2]]

    assert await destination().area("a", call) == {"id": "a"}
    assert await destination().area("b", call) is None
    with pytest.raises(AccountUnavailable, match="the area c cannot be read"):
        await destination().area("c", call)


async def test_all_areas_are_listed_over_all_pages() -> None:
    """A page may be smaller than asked for; after a write the list is read anew; an unusable one is no empty list."""
    call, target = House(), destination()
    await deliver(target, upserts(FLAT), call)
    assert [area["name"] for area in await target.areas(call)] == [f"Area {code}" for code in "ABCDEFGH"]
    assert [request.query["skip"] for request in call.requests[-3:]] == ["0", "3", "6"]
    with pytest.raises(AccountUnavailable, match="the areas cannot be read"):
        await destination().areas(Broken())


class Broken(House):
    """A server without pages."""

    async def __call__(self, request: Request) -> Exchange:
        del request
        return answer(500)


@pytest.mark.parametrize("info", [None, {}, {"hasNextPage": True}, {"hasNextPage": "yes"}])
async def test_a_server_that_repeats_itself_ends_the_list(info: Any) -> None:
    """Whatever `pageInfo` says or lacks, reading pages comes to an end."""
    page = [{"id": str(n), "name": "x"} for n in range(100)]
    asked: list[Request] = []

    async def call(request: Request) -> Exchange:
        asked.append(request)
        return answer(200, {"areas": page, "pageInfo": info})

    assert len(await destination().areas(call)) == 100
    assert len(asked) == 2


def test_the_cheapest_read_is_one_area() -> None:
    """The check is a read that changes nothing; a batch shows as its endpoint."""
    check = destination().check()
    assert (str(check), dict(check.query)) == (QUERY, {"limit": "1"})
    assert destination().describe(upsert("A", {})) == POST


def test_areas_build_on_each_other_and_may_be_sent_again() -> None:
    """The engine asks for ranks, and resends what has a key."""
    assert isinstance(destination(), Ordered)
    assert FeedbackHouse.resend_is_safe
    assert isinstance(upserts(FLAT)[0], Upsert)
