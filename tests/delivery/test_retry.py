from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery.messages import Answer, Exchange, Lost, NotSent, Request
from pipelines.delivery.retry import RetryPolicy, retry_after_s, served_at, wait_before_retry

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
IN_A_MINUTE = "Tue, 14 Nov 2023 22:14:20 GMT"

READ = Request("GET", "/x")
SAFE = Request("PUT", "/x", repeatable=True)
RISKY = Request("POST", "/x")
SAFE_READ_RISKY = (SAFE, READ, RISKY)


def answer(status: int, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, b"", 0.1)


def wait(exchange: Exchange, attempt: int = 1, **changes: Any) -> float | None:
    return wait_before_retry(
        exchange,
        attempt,
        **{
            "request": SAFE,
            "transient": frozenset(),
            "policy": RetryPolicy(),
            "jitter": 0.5,
            "now": NOW,
            **changes,
        },
    )


@pytest.mark.parametrize(
    ("exchange", "transient", "again"),
    [
        # what was answered, what the API adds, whether (a repeatable write, a read, any other write) is sent again
        (answer(200), (), "---"),
        (answer(201), (), "---"),
        (answer(204), (), "---"),
        (answer(302), (), "---"),
        (answer(400), (), "---"),
        (answer(401), (), "---"),
        (answer(402), (), "---"),
        (answer(403), (), "---"),
        (answer(404), (), "---"),
        (answer(408), (), "---"),
        (answer(409), (), "---"),
        (answer(412), (), "---"),
        (answer(413), (), "---"),
        (answer(415), (), "---"),
        (answer(422), (), "---"),
        (answer(429), (), "yyy"),
        (answer(500), (), "---"),
        (answer(501), (), "---"),
        (answer(502), (), "yyy"),
        (answer(503), (), "yyy"),
        (answer(504), (), "yyy"),
        (answer(409), (409,), "yyy"),
        (answer(500), (409, 500), "yyy"),
        (answer(409), (500,), "---"),
        (answer(400), (400,), "---"),
        (answer(401, retry_after="1"), (401,), "---"),
        (answer(403), (403,), "---"),
        (answer(415), (415,), "---"),
        (NotSent("no such host"), (), "yyy"),
        (NotSent("refused", refused=True), (), "yyy"),
        (Lost("cut"), (), "yy-"),
    ],
    ids=str,
)
def test_what_is_sent_again(exchange: Exchange, transient: tuple[int, ...], again: str) -> None:
    """What can succeed later is sent again, and what may have been acted upon only where nobody would notice."""
    waits = [wait(exchange, request=request, transient=frozenset(transient)) for request in SAFE_READ_RISKY]
    assert "".join("-" if seconds is None else "y" for seconds in waits) == again


@pytest.mark.parametrize(
    ("attempt", "jitter", "seconds"),
    [
        (1, 0.0, 0.25),
        (1, 0.5, 0.375),
        (1, 0.999, 0.49975),
        (2, 0.0, 0.5),
        (3, 0.0, 1.0),
        (4, 0.5, 3.0),
        (8, 0.0, 30.0),
        (9, 0.5, 45.0),
        (999_999, 0.5, 45.0),
    ],
)
def test_waits_grow_to_a_cap(attempt: int, jitter: float, seconds: float) -> None:
    """Each wait doubles the one before, up to a minute, and chance takes up to a half off."""
    policy = RetryPolicy(attempts=10**9)
    assert wait(answer(503), attempt, jitter=jitter, policy=policy) == pytest.approx(seconds)


@pytest.mark.parametrize(("attempt", "again"), [(1, True), (4, True), (5, False), (6, False)])
def test_attempts_end(attempt: int, again: bool) -> None:
    """The last attempt's result is final."""
    assert (wait(answer(503), attempt) is not None) is again


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("0", 0.375),
        ("7", 7.0),
        ("0.2", 0.375),
        (IN_A_MINUTE, 60.0),
        ("Tue, 14 Nov 2023 22:13:00 GMT", 0.375),
        ("soon", 0.375),
        ("300", 300.0),
        ("301", None),
        ("Wed, 15 Nov 2023 22:14:20 GMT", None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_server_says_how_long(status: int, asked: str, seconds: float | None) -> None:
    """Retry-After is waited out where it is longer than our own wait, and beyond the budget the request is given up."""
    assert wait(answer(status, retry_after=asked)) == (None if seconds is None else pytest.approx(seconds))


def test_waits_together_stay_within_the_budget() -> None:
    """A request that was made to wait already is given up when the next wait would exceed the budget."""
    assert wait(answer(429, retry_after="100"), 3, waited_s=200.0) == 100.0
    assert wait(answer(429, retry_after="100"), 3, waited_s=200.1) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after": ""}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "1, 2"}, None),
        ({"retry-after": IN_A_MINUTE}, 60.0),
        ({"retry-after": "Tuesday, 14-Nov-23 22:14:20 GMT"}, 60.0),
        ({"retry-after": "Tue Nov 14 22:14:20 2023"}, 60.0),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:20 -0000"}, 60.0),
        ({"retry-after": "Tue, 14 Nov 2023 23:14:20 +0100"}, 60.0),
        ({"retry-after": "Mon, 13 Nov 2023 22:14:20 GMT"}, 0.0),
        ({"retry-after": "Tue, 99 Nov 2023 22:14:20 GMT"}, None),
        ({"retry-after": IN_A_MINUTE, "date": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30.0),
        ({"retry-after": IN_A_MINUTE, "date": "yesterday"}, 60.0),
        ({"retry-after": "5", "date": "Tue, 14 Nov 2023 22:13:50 GMT"}, 5.0),
    ],
)
def test_retry_after_is_read_in_both_forms(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds and every form of an HTTP date are understood, a date against the server's own clock."""
    assert retry_after_s(headers, NOW) == seconds


@given(st.text(max_size=40) | st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} Nov \d{1,6} \d\d:\d\d:\d\d [+-]?\w{1,6}"))
def test_no_header_breaks_the_reading(text: str) -> None:
    """Whatever a server writes there is a wait of finite length, or none."""
    seconds = retry_after_s({"retry-after": text, "date": text}, NOW)
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))
    when = served_at({"date": text})
    assert when is None or math.isfinite(when)
