from __future__ import annotations

import pytest

from pipelines.delivery.errors import AccountUnavailable
from pipelines.delivery.messages import Exchange, Lost, NotSent
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.stativate import Listed, Stativate
from tests.destinations.given import Script, account, answer, upsert

BODY = {"name": "Sales by Team 1", "type": "text", "value": "104k", "accessType": "private", "colorNo": 3}
STATUS = {**BODY, "id": "SPbi7", "shareId": "7v7x3e", "value": "104K", "accessTypeUserList": "owners"}
SALES = "/status-keys/sales-100"


async def test_a_status_is_set_with_its_full_body() -> None:
    """One POST to the key's path, with the whole body, which is never to be repeated unseen."""
    call = Script({f"POST {SALES}": answer(200, STATUS)})
    stativate = Stativate(account())
    (verdict,) = await stativate.send([upsert("sales-100", BODY)], call)
    assert verdict.outcome is Outcome.ACCEPTED
    assert call.body() == BODY
    (request,) = call.requests
    assert dict(request.headers) == {"content-type": "application/json"}
    assert not request.repeatable
    assert not stativate.resend_is_safe


async def test_one_rejected_status_leaves_the_others_alone() -> None:
    """Each upsert of a batch has its own verdict, in order."""
    refused = answer(400, {"message": "value too long", "errorCode": "validationError"})
    call = Script({"POST /status-keys/a": answer(201, STATUS), "POST /status-keys/b": refused})
    verdicts = await Stativate(account()).send([upsert("b", BODY), upsert("a", BODY)], call)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.REJECTED, Outcome.CREATED]
    assert verdicts[0].reason == "400 Bad Request: value too long (validationError)"


async def test_an_edit_conflict_is_no_rejection() -> None:
    """409 may come from parallel edits: the engine may try again, and at last the upsert is failed, not refused."""
    call = Script({f"POST {SALES}": answer(409, {"message": "edit conflict"})})
    (verdict,) = await Stativate(account()).send([upsert("sales-100", BODY)], call)
    assert verdict.outcome is Outcome.FAILED
    assert 409 in Stativate.transient


@pytest.mark.parametrize(
    ("key", "path"), [("a/b", "a%2Fb"), ("a b?#", "a%20b%3F%23"), ("ü", "%C3%BC"), ("a%2Fb", "a%252Fb")]
)
async def test_a_key_is_one_segment_of_the_path(key: str, path: str) -> None:
    """Whatever a wider key pattern lets through cannot reach another resource."""
    call = Script({f"POST /status-keys/{path}": answer(200, STATUS), f"DELETE /status-keys/{path}": answer(200)})
    stativate = Stativate(account())
    await stativate.send([upsert(key, BODY)], call)
    await stativate.remove(key, BODY, call)
    assert stativate.describe(upsert(key, BODY)) == f"POST /status-keys/{path}"


async def test_a_read_back_compares_as_the_server_keeps_values() -> None:
    """What stands there equals what was sent in small letters, and brings the server's id."""
    stativate = Stativate(account())
    found = await stativate.read_back(upsert("sales-100", BODY), Script({f"GET {SALES}": answer(200, STATUS)}))
    assert found is not None
    assert found.payload == stativate.normalise(BODY)
    assert found.remote_id == "SPbi7"


async def test_a_read_back_notices_another_value() -> None:
    """A status that says something else is not taken for ours."""
    other = {**STATUS, "value": "103K"}
    stativate = Stativate(account(), ["value"])
    found = await stativate.read_back(upsert("sales-100", BODY), Script({f"GET {SALES}": answer(200, other)}))
    assert found is not None
    assert found.payload == {"value": "103K"}


async def test_a_read_back_leaves_out_what_the_sync_does_not_send() -> None:
    """A colour that somebody chose in the app is no difference to a sync that sends none; one that it sends is."""
    colorless = {field: value for field, value in BODY.items() if field != "colorNo"}
    stativate = Stativate(account())
    call = Script({f"GET {SALES}": answer(200, {**STATUS, "colorNo": 12})})
    for body, same in ((colorless, True), ({**BODY, "colorNo": 3}, False)):
        found = await stativate.read_back(upsert("sales-100", body), call)
        assert found is not None
        assert (found.payload == stativate.normalise(body)) is same


async def test_nothing_at_the_key_is_told_from_no_answer() -> None:
    """404, which has no body, means that nothing stands there; all else means that nobody knows."""
    found = await Stativate(account()).read_back(upsert("sales-100", BODY), Script({f"GET {SALES}": answer(404)}))
    assert found is not None
    assert found.payload is None
    replies: list[Exchange] = [
        answer(500),
        answer(200, b"<html>"),
        answer(200, [1]),
        answer(403),
        answer(204),
        Lost("x"),
    ]
    for reply in [*replies, NotSent("x")]:
        call = Script({f"GET {SALES}": reply})
        assert await Stativate(account()).read_back(upsert("sales-100", BODY), call) is None


async def test_removing_what_is_not_there_is_done() -> None:
    """A DELETE that finds nothing has reached its aim; one that is refused has not."""
    stativate = Stativate(account())
    gone = Script({f"DELETE {SALES}": [answer(200, STATUS), answer(404)]})
    assert (await stativate.remove("sales-100", BODY, gone)).outcome is Outcome.ACCEPTED
    assert (await stativate.remove("sales-100", BODY, gone)).outcome is Outcome.ACCEPTED
    refused = Script({f"DELETE {SALES}": answer(403, {"message": "not yours"})})
    verdict = await stativate.remove("sales-100", BODY, refused)
    assert (verdict.outcome, verdict.status) == (Outcome.REJECTED, 403)


@pytest.mark.parametrize("wrapped", [True, False])
async def test_the_list_is_read_in_both_documented_forms(*, wrapped: bool) -> None:
    """The page shows an object in its table and a bare array in its example; `statusKey` may be null."""
    entries = [
        {"statusId": "1", "statusKey": "sales-100", "shareId": "x", "name": "Sales"},
        {"statusId": "2", "statusKey": None, "shareId": "y", "name": "By hand"},
    ]
    call = Script({"GET /user/status": answer(200, {"status": entries} if wrapped else entries)})
    assert await Stativate(account()).statuses(call) == [
        Listed("1", "sales-100", "x", "Sales"),
        Listed("2", None, "y", "By hand"),
    ]


@pytest.mark.parametrize("reply", [answer(500), answer(200, {"statuses": []}), answer(200, b"<html>"), Lost("broke")])
async def test_a_list_that_cannot_be_read_is_no_empty_list(reply: Exchange) -> None:
    """An unusable answer must not look like an account without statuses."""
    with pytest.raises(AccountUnavailable, match="the list of statuses cannot be read"):
        await Stativate(account()).statuses(Script({"GET /user/status": reply}))


async def test_nothing_is_asked_before_sending() -> None:
    """The API has no catalogue, so that vetting costs no request."""
    assert await Stativate(account()).vet([upsert("sales-100", BODY)], Script({})) == {}


def test_the_key_is_tested_by_its_own_endpoint() -> None:
    """The check is a read that changes nothing."""
    assert str(Stativate(account()).check()) == "GET /checkAuth"
