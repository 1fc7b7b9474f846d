from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from pipelines.delivery.messages import Exchange, Lost, NotSent
from pipelines.delivery.upsert import Outcome, Verdict
from pipelines.destinations.feedback_house.replies import Reply, ids_in, read_reply
from tests.destinations.given import account, answer

A = {"correlationID": "A", "name": "Area A", "active": True}
B = {"correlationID": "B", "name": "Area B", "active": True}
C = {"correlationID": "C", "name": "Area A", "active": True, "parent": "1"}


def read(exchange: Exchange, *items: Any) -> Reply:
    """The reply to a batch of these items."""
    return read_reply(exchange, items or (A, B), account())


def ok(errors: Sequence[Any] = (), message: str = "", **more: Any) -> Exchange:
    """The documented answer."""
    return answer(200, {"status": "OK", "message": message, "errors": list(errors), **more})


def outcomes(reply: Reply) -> list[Outcome]:
    """The outcomes in order."""
    return [verdict.outcome for verdict in reply.verdicts]


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Created 2 | Updated 0 | Errors 0", Outcome.CREATED),
        ("Created 0 | Updated 2 | Errors 0", Outcome.UPDATED),
        ("Created 1 | Updated 1 | Errors 0", Outcome.ACCEPTED),
        ("Created 0 | Updated 0 | Errors 0", Outcome.ACCEPTED),
        ("", Outcome.ACCEPTED),
    ],
)
def test_the_counts_tell_of_each_area_only_where_all_fared_alike(message: str, expected: Outcome) -> None:
    """Created and updated stand in the message alone, for the batch: a mixed batch is accepted, no more is known."""
    reply = read(ok(message=message, data=[A, B]))
    assert outcomes(reply) == [expected, expected]
    assert not reply.divisible


def test_an_error_inside_ok_belongs_to_its_area() -> None:
    """The status says OK, the error echoes its object: that area is rejected in the API's words, the other is taken."""
    reply = read(
        ok([{"object": {**A, "extra": 1}, "message": "Missing name field"}], "Created 1 | Updated 0 | Errors 1")
    )
    assert list(reply.verdicts) == [
        Verdict(Outcome.REJECTED, "Missing name field", 200),
        Verdict(Outcome.CREATED, status=200),
    ]


@pytest.mark.parametrize(
    ("echo", "place"),
    [
        ({"name": "Area B", "active": True}, 1),
        ({"name": "Area B", "active": True, "seen": "2026"}, 1),
        ({"name": "Area A", "parent": "1", "tags": []}, 2),
        ({"name": "Area A", "parent": None, "managers": []}, 0),
        ({"name": "Area A"}, None),
        ({"name": "Area B", "active": False}, None),
        ({"active": True}, None),
        ({**B, "correlationID": "X"}, None),
    ],
)
def test_an_echo_without_a_key_is_matched_as_a_whole(echo: Any, place: int | None) -> None:
    """Where the server drops the key, the rest of the object may still be that of one area only."""
    for field in ("object", "data"):
        reply = read(ok([{field: echo, "message": "no"}]), A, B, C)
        expected = [Outcome.UNKNOWN if place is None else Outcome.ACCEPTED] * 3
        if place is not None:
            expected[place] = Outcome.REJECTED
        assert outcomes(reply) == expected


@pytest.mark.parametrize(
    "error",
    [{"message": "bad"}, {"object": None, "message": "bad"}, {"object": {"name": "X"}, "message": "bad"}, "bad", None],
)
def test_an_error_that_names_nobody_leaves_all_others_open(error: Any) -> None:
    """It may be about any of them: none counts as taken, and smaller requests will tell."""
    reply = read(ok([{"object": A, "message": "no"}, error]), A, B, C)
    assert outcomes(reply) == [Outcome.REJECTED, Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert reply.divisible


@pytest.mark.parametrize(
    "exchange",
    [
        ok([{"message": "bad"}]),
        ok(message="Created 0 | Updated 0 | Errors 1"),
        answer(200, {"status": "ERROR", "message": "bad"}),
        answer(200, {"status": "ERROR", "message": "bad", "errors": []}),
    ],
)
def test_an_error_of_a_lone_area_is_its_own(exchange: Exchange) -> None:
    """Alone in its request, an area needs no echo to be rejected; in company nobody is taken for accepted."""
    assert outcomes(read(exchange, A)) == [Outcome.REJECTED]
    together = read(exchange, A, B)
    assert outcomes(together) == [Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert together.divisible


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"status":"OK"}', b'{"status":"OK","data":[{"name":"Area A"}]}'])
def test_a_success_that_says_nothing_of_errors_is_unknown(body: bytes) -> None:
    """`status` is OK with errors too, so that without a list of errors nothing is known."""
    reply = read(answer(200, body))
    assert outcomes(reply) == [Outcome.UNKNOWN, Outcome.UNKNOWN]
    assert "no word on errors" in reply.verdicts[0].reason
    assert not reply.divisible


def test_all_areas_in_data_are_as_good_as_no_errors() -> None:
    """An answer that lists every area has taken them."""
    assert outcomes(read(answer(200, {"status": "OK", "data": [A, B]}))) == [Outcome.ACCEPTED, Outcome.ACCEPTED]


@pytest.mark.parametrize(
    ("exchange", "outcome", "divisible"),
    [
        (answer(413, {"message": "too large"}), Outcome.REJECTED, False),
        (answer(400, {"message": "no"}), Outcome.REJECTED, False),
        (answer(500), Outcome.FAILED, True),
        (answer(504), Outcome.FAILED, True),
        (answer(429), Outcome.FAILED, False),
        (answer(302), Outcome.FAILED, False),
        (answer(200, b"<html>log in</html>"), Outcome.UNKNOWN, False),
        (Lost("broke"), Outcome.UNKNOWN, False),
        (NotSent("refused"), Outcome.NOT_SENT, False),
    ],
)
def test_what_is_no_success_holds_for_the_whole_batch(exchange: Exchange, outcome: Outcome, *, divisible: bool) -> None:
    """Statuses are judged as everywhere; only 5xx may be for one area's sake."""
    reply = read(exchange)
    assert (outcomes(reply), reply.divisible) == ([outcome, outcome], divisible)
    assert {verdict.status for verdict in reply.verdicts} == {getattr(exchange, "status", None)}


def test_no_reason_holds_a_secret_or_fills_the_ledger() -> None:
    """What the server repeats is redacted, then shortened."""
    reply = read(ok([{"object": A, "message": "hush-hush " * 100}]))
    assert "hush" not in reply.verdicts[0].reason
    assert len(reply.verdicts[0].reason) <= 300


@pytest.mark.parametrize("name", ["id", "_id"])
def test_ids_are_learned_by_key(name: str) -> None:
    """Where `data` shows keys, names and order play no part; a stranger's key is passed over."""
    entries = [{name: "2", "correlationID": "B"}, {name: "1", "correlationId": "A"}, {name: "3", "correlationID": "X"}]
    assert ids_in(entries, [A, B]) == {"A": "1", "B": "2"}


def test_ids_are_learned_by_name_and_parent_where_these_tell_areas_apart() -> None:
    """Two areas of one name under different parents are two; what two areas could be is nobody's."""
    entries = [{"id": "3", "name": "Area A", "parent": "1"}, {"id": "1", "name": "Area A", "parent": None}]
    assert ids_in(entries, [A, C]) == {"A": "1", "C": "3"}
    assert ids_in([{"id": "1", "name": "Area A"}, {"id": "2", "name": "Area B"}], [A, B, C]) == {"B": "2"}
    assert ids_in([{"id": "1", "name": "Area B"}, {"id": "2", "name": "Area B"}, {"name": "Area A"}], [A, B]) == {}


@pytest.mark.parametrize("status", [400, 409, 422])
def test_an_error_in_a_refusal_belongs_to_its_area_as_well(status: int) -> None:
    """Whatever the status: the area is rejected in the API's words, the other goes again without it."""
    errors = [{"object": A, "message": "Missing name field"}]
    reply = read(answer(status, {"status": "ERROR", "message": "Created 0 | Errors 1", "errors": errors}))
    assert reply.verdicts[0] == Verdict(Outcome.REJECTED, "Missing name field")
    assert (reply.verdicts[1].outcome, reply.divisible) == (Outcome.UNKNOWN, True)
    both = read(answer(status, {"errors": [*errors, {"object": B, "message": "Bad tags"}]}))
    assert [one.reason for one in both.verdicts] == ["Missing name field", "Bad tags"]
    assert {one.status for one in both.verdicts} == {None}
    assert not both.divisible


@pytest.mark.parametrize("status", [402, 403, 500])
def test_a_refusal_of_the_account_is_not_about_areas(status: int) -> None:
    """Plan, rights and failures are the whole request's; the words of its errors are told all the same."""
    errors = [{"object": A, "message": "no licence"}]
    reply = read(answer(status, {"message": "refused", "errors": errors}))
    assert {one.status for one in reply.verdicts} == {status}
    assert all(one.reason.endswith("refused no licence") for one in reply.verdicts)


def test_a_refusal_that_names_nobody_is_about_the_whole_request() -> None:
    """Nobody knows whose error it is: the engine splits such a batch."""
    reply = read(answer(400, {"errors": [{"message": "some area is bad"}]}))
    assert set(reply.verdicts) == {Verdict(Outcome.REJECTED, "400 Bad Request: some area is bad", 400)}
