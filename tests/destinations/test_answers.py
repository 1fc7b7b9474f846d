from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.delivery.messages import Answer, Lost, NotSent
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.answers import judge, judge_removal
from tests.destinations.given import account, answer


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, Outcome.ACCEPTED), (201, Outcome.CREATED), (202, Outcome.ACCEPTED), (204, Outcome.ACCEPTED),
        (301, Outcome.FAILED), (304, Outcome.FAILED), (400, Outcome.REJECTED), (402, Outcome.REJECTED),
        (403, Outcome.REJECTED), (404, Outcome.REJECTED), (408, Outcome.FAILED), (409, Outcome.REJECTED),
        (422, Outcome.REJECTED), (429, Outcome.FAILED), (500, Outcome.FAILED), (503, Outcome.FAILED),
        (599, Outcome.FAILED),
    ],
)  # fmt: skip
def test_the_status_decides_and_is_kept(status: int, outcome: Outcome) -> None:
    """Every status has one meaning for an upsert, and the engine sees the number."""
    verdict = judge(answer(status), account())
    assert (verdict.outcome, verdict.status) == (outcome, status)


def test_what_an_api_calls_passing_is_failed_and_not_rejected() -> None:
    """Stativate's 409 is no fault of the upsert."""
    assert judge(answer(409), account(), {409}).outcome is Outcome.FAILED


def test_a_request_that_never_left_is_not_sent_and_a_lost_one_unknown() -> None:
    """The two ways of getting no answer are told apart, with their reasons."""
    assert judge(NotSent("refused"), account()).outcome is Outcome.NOT_SENT
    lost = judge(Lost("broke"), account())
    assert (lost.outcome, lost.reason) == (Outcome.UNKNOWN, "broke")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"message": "too long", "errorCode": "validationError"}, "400 Bad Request: too long (validationError)"),
        ({"message": "Validation failed", "errors": {"state": ["is bad", "is odd"]}},
         "400 Bad Request: Validation failed state: is bad, is odd"),
        ({"message": 7}, '400 Bad Request: {"message":7}'),
        (b"plain  words\n here", "400 Bad Request: plain words here"),
        (b"<!DOCTYPE html><html><title>Oops</title>", "400 Bad Request: an HTML page"),
        (b"", "400 Bad Request"),
        (b"\xff\xfe{", "400 Bad Request: \ufffd\ufffd{"),
        ([1, 2], "400 Bad Request: [1,2]"),
    ],
)  # fmt: skip
def test_the_reason_holds_the_apis_own_words(body: object, reason: str) -> None:
    """message, errorCode and errors of the JSON, else the text in one line."""
    assert judge(answer(400, body), account()).reason == reason


@pytest.mark.parametrize("body", [b"<html>Please log in</html>", b'{"id": "SPbi7', b"OK"])
def test_a_success_that_is_no_json_is_unknown(body: bytes) -> None:
    """A proxy's login page with status 200 does not pass for an acceptance, nor does an answer that was cut off."""
    verdict = judge(answer(200, body), account())
    assert verdict.outcome is Outcome.UNKNOWN
    assert verdict.reason.startswith("200 OK, but no JSON: ")


def test_a_secret_in_an_answer_is_in_no_reason() -> None:
    """An API that echoes a key does not get it into the ledger, not even as Base64 or where the text is shortened."""
    token = base64.b64encode(b"user:hush-hush").decode()
    for said in ("key hush-hush refused", f"Basic {token} refused", "x" * 295 + "hush-hush"):
        for exchange in (answer(400, {"message": said}), answer(200, said.encode()), Lost(said), NotSent(said)):
            reason = judge(exchange, account()).reason
            assert "hush" not in reason
            assert token not in reason


def test_a_removal_of_nothing_is_accepted() -> None:
    """404 after a DELETE means that the entry is gone, as was wanted."""
    assert judge_removal(answer(404), account()).outcome is Outcome.ACCEPTED
    assert judge_removal(answer(204), account()).outcome is Outcome.ACCEPTED
    assert judge_removal(answer(403), account()).outcome is Outcome.REJECTED
    assert judge_removal(Lost("broke"), account()).outcome is Outcome.UNKNOWN


@settings(deadline=None)
@given(st.integers(200, 599), st.binary(max_size=400))
def test_no_answer_crashes_the_judge_and_no_reason_is_long(status: int, body: bytes) -> None:
    """Any status with any bytes gives a verdict with a reason of bounded length."""
    verdict = judge(Answer(status, {}, body, 0.0), account())
    assert len(verdict.reason) < 420


def test_no_control_character_gets_into_a_reason() -> None:
    """What an API says goes to databases and terminals: PostgreSQL refuses NUL, a terminal obeys escapes."""
    verdict = judge(answer(400, {"message": "bad\0 name \x1b[31m"}), account())
    assert verdict.reason == "400 Bad Request: bad\ufffd name \ufffd[31m"
