from __future__ import annotations

import asyncio
import logging
import random
from typing import Any

import pytest

from pipelines.delivery.errors import AccountUnavailable, ConfigurationError, CredentialsRefused
from pipelines.delivery.messages import Exchange, Lost, NotSent, Request
from pipelines.delivery.upsert import ACCEPTED, Outcome
from pipelines.destinations.dnsimple import Dnsimple, Status
from tests.destinations.given import Script, account, answer, upsert
from tests.destinations.given_dnsimple import LIST, STATUSES, pages, status

POST = f"POST {STATUSES}"
WHOAMI = "GET /whoami"
KEY = "domain:7/default"
BODY = {"resource": "domain:7", "context": "default", "title": "Connection established", "state": "ok"}
SENT = ("state", "title")


def connected(compared: tuple[str, ...] = SENT) -> Dnsimple:
    """Account 1010, as a sync of states and titles sees it."""
    return Dnsimple(account(tenant="1010"), compared)


def enveloped(value: Any, wrapped: bool) -> Any:
    return {"data": value} if wrapped else value


@pytest.mark.parametrize("wrapped", [True, False])
async def test_a_status_is_created_by_one_post_whose_201_tells_no_creation(*, wrapped: bool) -> None:
    """The API answers 201 also where a status replaces another, so that it is accepted, with its id, in both forms."""
    call = Script({POST: answer(201, enveloped(status(164), wrapped))})
    dnsimple = connected()
    (verdict,) = await dnsimple.send([upsert(KEY, BODY)], call)
    assert (verdict.outcome, verdict.status, verdict.remote_id) == (Outcome.ACCEPTED, 201, "164")
    assert call.body() == BODY
    (request,) = call.requests
    assert dict(request.headers) == {"content-type": "application/json"}
    assert not request.repeatable
    assert not dnsimple.resend_is_safe
    assert dnsimple.batch_size == 1
    assert call.lines == [dnsimple.describe(upsert(KEY, BODY))]


async def test_every_request_says_its_content_type() -> None:
    """ "Must be explicitly specified in any HTTP request", and the documents' example of it has no body."""
    listed = pages([status(164)])
    call = Script({WHOAMI: answer(404), LIST: listed, f"{LIST}/164": answer(404), f"{LIST}/domain:7/history": listed})
    dnsimple = connected()
    with pytest.raises(ConfigurationError):
        await dnsimple.vet([upsert(KEY, BODY)], call)
    await dnsimple.statuses(call)
    await dnsimple.show("164", call)
    await dnsimple.history("domain:7", call)
    assert [dict(request.headers) for request in call.requests] == [{"content-type": "application/json"}] * 4


@pytest.mark.parametrize("body", [b"", b"[]", b'{"data": {"data": 1}}', b'{"data": null}', b'{"resource": 7}'])
async def test_an_acceptance_needs_no_particular_body(body: bytes) -> None:
    """The page promises a status and the API is in beta: what else a 201 holds is passed over."""
    (verdict,) = await connected().send([upsert(KEY, BODY)], Script({POST: answer(201, body)}))
    assert (verdict.outcome, verdict.remote_id) == (Outcome.ACCEPTED, None)


async def test_a_data_field_of_a_bare_status_is_no_envelope() -> None:
    """DNSimple's own plugin sends statuses with a `data` of their own, which may come back."""
    call = Script({POST: answer(201, status(164, data={"resource": "zone:1", "id": 9}))})
    (verdict,) = await connected().send([upsert(KEY, BODY)], call)
    assert verdict.remote_id == "164"


@pytest.mark.parametrize(
    ("code", "body", "outcome", "reason"),
    [
        (
            400,
            {"message": "Validation failed", "errors": {"state": ["is not included in the list", "is odd"]}},
            Outcome.REJECTED,
            "400 Bad Request: Validation failed state: is not included in the list, is odd",
        ),
        (400, {"message": "No", "errors": {}}, Outcome.REJECTED, "400 Bad Request: No"),
        (404, {"message": "Resource not found"}, Outcome.REJECTED, "404 Not Found: Resource not found"),
        (402, {"message": "plan"}, Outcome.REJECTED, "402 Payment Required: plan"),
        (403, {"message": "scope"}, Outcome.REJECTED, "403 Forbidden: scope"),
        (412, {"message": "feature"}, Outcome.REJECTED, "412 Precondition Failed: feature"),
        (405, b"", Outcome.REJECTED, "405 Method Not Allowed"),
        (429, {"message": "quota exceeded"}, Outcome.FAILED, "429 Too Many Requests: quota exceeded"),
        (502, b"<html><body>Oops hush-hush</body></html>", Outcome.FAILED, "502 Bad Gateway: an HTML page"),
        (200, b"<html>Hello</html>", Outcome.UNKNOWN, "200 OK, but no JSON: an HTML page; did the API itself answer?"),
    ],
)
async def test_what_is_no_acceptance_keeps_the_words_of_the_api(
    code: int, body: Any, outcome: Outcome, reason: str
) -> None:
    """A missing resource, a validation, a plan and a sick gateway are told apart, whatever form the body has."""
    (verdict,) = await connected().send([upsert(KEY, BODY)], Script({POST: answer(code, body)}))
    assert (verdict.outcome, verdict.status, verdict.reason) == (outcome, code, reason)


@pytest.mark.parametrize("wrapped", [True, False])
async def test_a_read_back_finds_a_status_on_whatever_page_it_stands(*, wrapped: bool) -> None:
    """All pages of the largest size are read, in the order in which the API has them, none of them twice."""
    entries = [status(number) for number in range(1, 251)]
    random.Random(3).shuffle(entries)
    call = Script({LIST: pages(entries, wrapped=wrapped)})
    found = await connected().read_back(upsert(f"domain:{entries[-1]['id']}/default", BODY), call)
    assert found is not None
    assert found.payload == {"state": "ok", "title": "Connection established"}
    assert found.remote_id == str(entries[-1]["id"])
    assert [dict(request.query) for request in call.requests] == [
        {"page": str(page), "per_page": "100"} for page in (1, 2, 3)
    ]
    assert all(request.repeatable for request in call.requests)


@pytest.mark.parametrize(("entries", "requests"), [(0, 1), (1, 1), (99, 1), (100, 2), (101, 2), (150, 2)])
async def test_a_bare_list_ends_with_a_page_that_is_not_full(entries: int, requests: int) -> None:
    """Without pagination only a short page, or one that comes again, says that there is no more."""
    listed = [status(number) for number in range(entries)]
    call = Script({LIST: pages(listed, wrapped=False)})
    assert len(await connected().statuses(call)) == entries
    assert len(call.requests) == requests


async def test_smaller_pages_than_asked_for_are_read_to_the_last() -> None:
    """The pagination says how many pages there are, not their size."""
    call = Script(
        {
            LIST: [
                answer(200, {"data": [status(number)], "pagination": {"total_pages": 3, "total_entries": 3}})
                for number in (1, 2, 3)
            ]
        }
    )
    assert [one.id for one in await connected().statuses(call)] == ["1", "2", "3"]
    assert len(call.requests) == 3


async def test_a_list_that_knows_no_pages_is_read_once() -> None:
    """A server that gives everything at once, whatever page is asked for, is not asked for ever."""
    everything = answer(200, [status(number) for number in range(130)])
    call = Script({LIST: everything})
    assert len(await connected().statuses(call)) == 130
    assert len(call.requests) == 2


async def test_a_list_that_moved_while_it_was_read_is_read_again() -> None:
    """A status that slipped from the second page to the first must not be taken for one that never arrived."""
    entries = [status(number) for number in range(1, 151)]
    moved = [*entries[1:100], entries[100], entries[0], *entries[101:]]
    first, second, again = pages(entries), pages(moved), pages(moved)
    call = Script({LIST: [first, second, again, again]})
    found = await connected().read_back(upsert("domain:101/default", BODY), call)
    assert found is not None
    assert found.payload is not None
    assert len(call.requests) == 4


async def test_a_read_back_tells_nothing_there_from_another_state() -> None:
    """A key without a status is nothing; another context of the resource is another key."""
    listed = [status(7, state="error"), status(8, resource="domain:7", context="page-a"), {"resource": None}]
    call = Script({LIST: pages(listed)})
    dnsimple = connected()
    other = await dnsimple.read_back(upsert(KEY, BODY), call)
    assert other is not None
    assert other.payload == {"state": "error", "title": "Connection established"}
    nothing = await dnsimple.read_back(upsert("domain:7/page-b", BODY), call)
    assert nothing is not None
    assert nothing.payload is None


async def test_a_status_without_a_context_is_that_of_the_default_context() -> None:
    """The context defaults to `default`."""
    call = Script({LIST: pages([status(7, context=None)])})
    found = await connected().read_back(upsert(KEY, BODY), call)
    assert found is not None
    assert found.payload is not None


@pytest.mark.parametrize("order", [1, -1])
async def test_of_two_statuses_of_one_key_ours_is_the_one_that_says_the_same(order: int) -> None:
    """Whether another application's status can stand beside ours is unknown; it must not hide ours."""
    listed = [status(7), status(8, resource="domain:7", state="error")][::order]
    call = Script({LIST: pages(listed)})
    found = await connected().read_back(upsert(KEY, BODY), call)
    assert found is not None
    assert found.remote_id == "7"
    assert len(call.requests) == 1


async def test_one_list_serves_the_read_backs_of_many_keys() -> None:
    """What an earlier run left behind is settled by one reading of the list, also by several workers at once."""
    script = Script({LIST: pages([status(number) for number in range(1, 120)])})

    async def call(request: Request) -> Exchange:
        await asyncio.sleep(0)
        return await script(request)

    dnsimple = connected()
    founds = await asyncio.gather(
        *(dnsimple.read_back(upsert(f"domain:{number}/default", BODY), call) for number in range(1, 120))
    )
    assert {found.remote_id for found in founds if found} == {str(number) for number in range(1, 120)}
    assert len(script.requests) == 2


async def test_a_list_from_before_a_write_proves_nothing_about_it() -> None:
    """After a write of a key its read-back asks anew; the list still serves keys that were not written since."""
    other = "domain:8/default"
    before, after = [status(7, state="error"), status(8)], [status(7), status(8)]
    call = Script({LIST: [pages(before), pages(after)], POST: Lost("broke")})
    dnsimple = connected()
    await dnsimple.read_back(upsert(KEY, BODY), call)
    await dnsimple.send([upsert(KEY, BODY)], call)
    await dnsimple.read_back(upsert(other, BODY), call)
    assert call.lines == [LIST, POST]
    found = await dnsimple.read_back(upsert(KEY, BODY), call)
    assert found is not None
    assert found.payload == dnsimple.normalise(BODY)
    assert call.lines == [LIST, POST, LIST]
    await dnsimple.remove(KEY, BODY, call)
    await dnsimple.read_back(upsert(KEY, BODY), call)
    assert call.lines == [LIST, POST, LIST, POST, LIST]


@pytest.mark.parametrize("held", ["POST", "GET"])
async def test_a_list_asked_for_before_a_write_ended_proves_nothing_about_it(held: str) -> None:
    """Only a list that was asked for when the write had ended can hold what it wrote, however long both took."""
    released = asyncio.Event()
    script = Script({LIST: pages([status(8)]), POST: Lost("broke")})

    async def call(request: Request) -> Exchange:
        exchange = await script(request)
        if request.method == held:
            await released.wait()
        return exchange

    dnsimple = connected()
    write, listing = dnsimple.send([upsert(KEY, BODY)], call), dnsimple.read_back(upsert("domain:8/x", BODY), call)
    longer, shorter = (write, listing) if held == "POST" else (listing, write)
    task = asyncio.create_task(longer)
    await asyncio.sleep(0)
    await shorter
    released.set()
    await task
    await dnsimple.read_back(upsert(KEY, BODY), call)
    assert script.lines == ([POST, LIST, LIST] if held == "POST" else [LIST, POST, LIST])


@pytest.mark.parametrize(
    "reply",
    [
        answer(500),
        answer(200, b"<html>"),
        answer(200, [1]),
        answer(200, {"data": {}}),
        answer(204),
        answer(404, {"message": "not found"}),
        answer(403),
        Lost("x"),
        NotSent("x"),
    ],
)
async def test_a_list_that_cannot_be_read_is_no_empty_list(reply: Exchange) -> None:
    """Nobody knows what stands there then, and the next read-back asks again; the error quotes the answer."""
    dnsimple = connected()
    call = Script({LIST: [reply, pages([status(7)])]})
    assert await dnsimple.read_back(upsert(KEY, BODY), call) is None
    assert await dnsimple.read_back(upsert(KEY, BODY), call) is not None
    with pytest.raises(AccountUnavailable, match="account acc: the list of statuses cannot be read: "):
        await connected().statuses(Script({LIST: reply}))


async def test_a_page_that_fails_makes_the_list_unreadable() -> None:
    """Half a list must not look like all of it."""
    entries = [status(number) for number in range(1, 151)]
    call = Script({LIST: [pages(entries), answer(503)]})
    assert await connected().read_back(upsert("domain:140/default", BODY), call) is None


def test_only_the_fields_that_count_are_compared() -> None:
    """An empty text is like none; resource, context, times and owner belong to no comparison."""
    full = status(7, title="", message="m", url="https://example.com")
    assert Dnsimple(account()).normalise(full) == {"state": "ok", "message": "m", "url": "https://example.com"}
    assert connected(("state",)).normalise(full) == {"state": "ok"}


async def test_removing_sets_the_state_to_unknown_and_keeps_the_rest() -> None:
    """There is no delete: what the key said last stays readable, without a claim about its state."""
    call = Script({LIST: pages([status(7, context="page-a")]), POST: answer(201, status(7))})
    verdict = await connected().remove("domain:7/page-a", {**BODY, "context": "page-a"}, call)
    assert verdict.outcome is Outcome.ACCEPTED
    assert call.body() == {**BODY, "context": "page-a", "state": "unknown"}
    assert not call.requests[-1].repeatable


@pytest.mark.parametrize("there", [[], [status(7, state="unknown")], [status(7, context="other")]])
async def test_removing_makes_no_line_of_history_for_nothing(there: list[Any]) -> None:
    """Where no status stands, or one that says unknown, nothing is posted; one list serves many removals."""
    call, dnsimple = Script({LIST: pages(there)}), connected()
    for key in (KEY, "domain:8/default"):
        assert (await dnsimple.remove(key, BODY, call)).outcome is Outcome.ACCEPTED
    assert call.lines == [LIST]


@pytest.mark.parametrize("listed", [answer(503), answer(200, b"<html>"), Lost("broke"), NotSent("down")])
async def test_removing_waits_where_the_list_cannot_be_read_now(listed: Exchange) -> None:
    """A status that may say unknown already is not written over blindly; a later run looks again."""
    verdict = await connected().remove(KEY, BODY, Script({LIST: listed}))
    assert verdict.outcome is Outcome.NOT_SENT
    assert verdict.reason.startswith("what stands there cannot be read, so that nothing was sent: ")


@pytest.mark.parametrize(("state", "posts"), [("ok", 1), ("unknown", 0)])
async def test_removing_goes_by_what_was_accepted_where_nothing_is_listed_for_good(state: str, posts: int) -> None:
    """A token that may not read the list can still take a status out of use."""
    call = Script({LIST: answer(403), POST: answer(201)})
    verdict = await connected().remove(KEY, {**BODY, "state": state}, call)
    assert (verdict.outcome, call.lines.count(POST)) == (Outcome.ACCEPTED, posts)


async def test_removing_from_an_account_that_is_not_there_is_not_done() -> None:
    """404 for list and write alike is about the account, not about the resource."""
    verdict = await connected().remove(KEY, BODY, Script({LIST: answer(404), POST: answer(404)}))
    assert (verdict.outcome, verdict.status) == (Outcome.REJECTED, 404)


async def test_a_removal_takes_its_key_from_nowhere_else() -> None:
    """Also where nothing is known but the key, the right status is taken out of use."""
    there = status(9, resource="record:9", context="a/b")
    call = Script({LIST: pages([there]), POST: answer(201)})
    await connected().remove("record:9/a/b", {}, call)
    assert call.body() == {"resource": "record:9", "context": "a/b", "state": "unknown"}


@pytest.mark.parametrize(("code", "outcome"), [(404, Outcome.ACCEPTED), (403, Outcome.REJECTED), (500, Outcome.FAILED)])
async def test_removing_from_a_resource_that_is_gone_is_done(code: int, outcome: Outcome) -> None:
    """Where the resource no longer exists there is nothing to take out of use; a refusal is none of that."""
    verdict = await connected().remove(
        KEY, BODY, Script({LIST: pages([status(7)]), POST: answer(code, {"message": "no"})})
    )
    assert verdict.outcome is outcome


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize("number", [1010, "1010"])
async def test_the_tokens_own_account_passes(wrapped: bool, number: object) -> None:
    """One `whoami` before the first write, whatever its envelope; nothing is held against any upsert."""
    call = Script({WHOAMI: answer(200, enveloped({"user": None, "account": {"id": number}}, wrapped))})
    assert await connected().vet([upsert(KEY, BODY)], call) == {}
    assert call.lines == [WHOAMI]


async def test_another_account_than_the_tokens_stops_before_the_first_write() -> None:
    """The error names both numbers and the variable."""
    call = Script({WHOAMI: answer(200, {"data": {"user": None, "account": {"id": 2020}}})})
    with pytest.raises(ConfigurationError) as caught:
        await connected().vet([upsert(KEY, BODY)], call)
    assert "ACC_ACCOUNT is 1010, but the token belongs to account 2020" in str(caught.value)


async def test_a_users_token_names_no_account() -> None:
    """A user's token may be of many accounts, so that nothing can be compared."""
    call = Script({WHOAMI: answer(200, {"data": {"user": {"id": 1}, "account": None}})})
    assert await connected().vet([upsert(KEY, BODY)], call) == {}


async def test_an_address_without_whoami_is_not_the_apis() -> None:
    """A forgotten /v2 is told at once, and not as so many resources that do not exist."""
    with pytest.raises(ConfigurationError, match=r"404 Not Found.*Check ACC_URL: it ends with /v2"):
        await connected().vet([upsert(KEY, BODY)], Script({WHOAMI: answer(404)}))


@pytest.mark.parametrize("reply", [answer(403), answer(200), answer(200, b"<html>Hi</html>"), answer(200, {"ok": 1})])
async def test_a_whoami_that_tells_nothing_is_noted(reply: Exchange, caplog: pytest.LogCaptureFixture) -> None:
    """A token that may not ask is no reason to send nothing; the log says what was not checked."""
    with caplog.at_level(logging.WARNING):
        assert await connected().vet([upsert(KEY, BODY)], Script({WHOAMI: reply})) == {}
    assert "account acc: not checked, since GET /whoami was answered" in caplog.text


@pytest.mark.parametrize("reply", [answer(503), answer(429), Lost("broke"), NotSent("refused")])
async def test_an_api_that_is_down_is_not_written_to_unchecked(reply: Exchange) -> None:
    """Without an answer nothing was compared."""
    with pytest.raises(AccountUnavailable, match=r"the token's account \(GET /whoami\) cannot be read"):
        await connected().vet([upsert(KEY, BODY)], Script({WHOAMI: reply}))


async def test_refused_credentials_count_as_the_end_of_a_write() -> None:
    """What the engine raises passes through, and a list from before is not trusted afterwards."""
    dnsimple = connected()
    script = Script({LIST: pages([])})

    async def call(request: Request) -> Exchange:
        if request.method == "POST":
            raise CredentialsRefused("401")
        return await script(request)

    await dnsimple.read_back(upsert(KEY, BODY), call)
    with pytest.raises(CredentialsRefused):
        await dnsimple.send([upsert(KEY, BODY)], call)
    await dnsimple.read_back(upsert(KEY, BODY), call)
    assert script.lines == [LIST, LIST]


@pytest.mark.parametrize("wrapped", [True, False])
async def test_a_status_is_shown_by_its_id(*, wrapped: bool) -> None:
    """Both forms are read; times stay the text they are."""
    call = Script({f"GET {STATUSES}/164": answer(200, enveloped(status(164), wrapped))})
    shown = await connected().show("164", call)
    assert shown == Status(
        id="164",
        resource="domain:164",
        context="default",
        state="ok",
        title="Connection established",
        message="Your connection has been established.",
        created_at="Wed, 29 Jun 2010 12:45:04.967902000 UTC +00:00",
        updated_at="Wed, 29 Jun 2010 12:45:04.967902000 UTC +00:00",
    )


async def test_no_status_of_an_id_is_told_from_no_answer() -> None:
    """404 is nothing there; all else that is no status is an error with the API's words."""
    line = f"GET {STATUSES}/1%2F2"
    assert await connected().show("1/2", Script({line: answer(404)})) is None
    for reply in (answer(500), answer(200, []), Lost("broke")):
        with pytest.raises(AccountUnavailable, match="the status 1/2 cannot be read"):
            await connected().show("1/2", Script({line: reply}))


async def test_a_history_is_read_over_all_pages() -> None:
    """Lines of one status share its id and are all there, in the API's order."""
    lines = [status(7, state="ok" if at % 2 else "error", updated_at=str(at)) for at in range(130)]
    found = await connected().history("domain:7", Script({f"GET {STATUSES}/domain:7/history": pages(lines)}))
    assert found is not None
    assert [line.updated_at for line in found] == [str(at) for at in range(130)]


@pytest.mark.parametrize("refused", [400, 404])
async def test_a_history_is_asked_for_by_number_where_the_name_is_refused(refused: int) -> None:
    """The page calls the resource of that path an integer; lines of another kind with that number are left out."""
    call = Script(
        {
            f"GET {STATUSES}/domain:7/history": answer(refused, {"message": "no"}),
            f"GET {STATUSES}/7/history": pages([status(7), status(8, resource="record:7")]),
        }
    )
    found = await connected().history("domain:7", call)
    assert found is not None
    assert [line.resource for line in found] == ["domain:7"]


@pytest.mark.parametrize(("by_number", "lines"), [(pages([status(7)]), 1), (pages([]), 0), (answer(404), 0)])
async def test_an_empty_history_by_name_is_looked_for_by_number(by_number: Any, lines: int) -> None:
    """A server that reads a number out of the path may know the name and find nothing; a known resource stays known."""
    call = Script({f"GET {STATUSES}/domain:7/history": pages([]), f"GET {STATUSES}/7/history": by_number})
    found = await connected().history("domain:7", call)
    assert found is not None
    assert len(found) == lines


async def test_a_resource_without_a_history_is_told_from_no_answer() -> None:
    """404 in both forms: the API knows no such resource. All else is an error."""
    paths = [f"GET {STATUSES}/{form}/history" for form in ("domain:7", "7")]
    assert await connected().history("domain:7", Script(dict.fromkeys(paths, answer(404)))) is None
    for reply in (answer(400, {"message": "odd"}), answer(500), Lost("broke"), answer(200, b"<html>")):
        with pytest.raises(AccountUnavailable, match="the history of domain:7 cannot be read"):
            await connected().history("domain:7", Script(dict.fromkeys(paths, reply)))


def test_the_check_and_the_paths_of_a_dry_sync() -> None:
    """`whoami` proves address and token; without settings the path names what will stand there."""
    assert str(connected().check()) == WHOAMI
    assert Dnsimple(account(mode="dry")).describe(upsert(KEY, BODY)) == "POST /:account/platform/statuses"


async def test_each_upsert_of_a_batch_has_its_own_verdict() -> None:
    """One missing resource leaves the others alone."""

    def reply(request: Request) -> Exchange:
        return answer(404, {"message": "gone"}) if b"domain:8" in (request.body or b"") else answer(201, status(7))

    batch = [upsert(f"domain:{one}/default", {**BODY, "resource": f"domain:{one}"}) for one in (7, 8, 9)]
    verdicts = await connected().send(batch, Script({POST: reply}))
    assert [verdict.outcome in ACCEPTED for verdict in verdicts] == [True, False, True]
