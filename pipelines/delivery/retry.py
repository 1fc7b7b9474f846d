"""Whether and when a request is sent again: a pure decision, without waiting or sending."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from pipelines.delivery.messages import Answer, Exchange, Lost, Request

RETRIED = frozenset({429, 502, 503, 504})
"""Too many requests, and a gateway or server that is not well: the same request may succeed later."""
FINAL = frozenset({400, 401, 402, 403, 404, 412, 415})
"""The same request would be refused again, whatever an account calls transient; 401s would drain a login's quota."""

_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how long: times in seconds.

    A request is sent at most `attempts` times. The n-th wait is `base_s * factor**(n - 1)`, at most `cap_s`, and by
    chance down to half of it, so that workers do not return in step. A server may ask for a longer wait up to
    `budget_s`; no retry is started whose wait, with those before it, would exceed `budget_s`.
    """

    attempts: int = 5
    base_s: float = 0.5
    factor: float = 2.0
    cap_s: float = 60.0
    budget_s: float = 300.0


def wait_before_retry(
    exchange: Exchange,
    attempt: int,
    *,
    request: Request,
    transient: frozenset[int],
    policy: RetryPolicy,
    jitter: float,
    now: float,
    waited_s: float = 0.0,
) -> float | None:
    """Seconds until the request is sent again; None: what came of it is final.

    Args:
        exchange: what came of the request's last sending.
        attempt: how many times it was sent so far, from 1.
        request: a write that is not `repeatable` is not sent again after `Lost`.
        transient: statuses that this API adds to `RETRIED`.
        policy: how often and how long.
        jitter: a random number in [0, 1).
        now: epoch seconds, for a Retry-After that is a date.
        waited_s: seconds that the request was made to wait already.
    """
    if attempt >= policy.attempts or not _may_succeed(exchange, request, transient):
        return None
    # The exponent is bounded lest a large number of attempts overflows.
    backoff = min(policy.cap_s, policy.base_s * policy.factor ** min(attempt - 1, 64)) * (0.5 + jitter / 2)
    asked = retry_after_s(exchange.headers, now) if isinstance(exchange, Answer) else None
    wait = max(backoff, asked or 0.0)
    return wait if waited_s + wait <= policy.budget_s else None


def _may_succeed(exchange: Exchange, request: Request, transient: frozenset[int]) -> bool:
    if isinstance(exchange, Answer):
        return exchange.status not in FINAL and (exchange.status in RETRIED or exchange.status in transient)
    if isinstance(exchange, Lost):
        return request.repeatable or request.method == "GET"
    return True


def retry_after_s(headers: Mapping[str, str], now: float) -> float | None:
    """The wait that an answer's Retry-After asks for, in seconds; None where it has none or none that can be read.

    A date is read against the answer's own Date, so that no clock has to be right, and against `now` without one.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    until = _date(text)
    if until is None:
        return None
    served = served_at(headers)
    return max(0.0, until - (now if served is None else served))


def served_at(headers: Mapping[str, str]) -> float | None:
    """When the server answered, by its own clock: the Date header in epoch seconds."""
    return _date(headers.get("date", ""))


def _date(text: str) -> float | None:
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    # HTTP's dates are in GMT, said or not.
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
