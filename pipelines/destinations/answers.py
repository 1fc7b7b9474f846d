"""An exchange -> a verdict, for what HTTP APIs have in common."""

from __future__ import annotations

import re
from collections.abc import Collection
from http import HTTPStatus
from typing import Any

from pipelines.delivery.messages import Answer, Exchange, Lost, NotSent
from pipelines.delivery.upsert import Outcome, Verdict
from pipelines.destinations.accounts import Account

_HTML = re.compile(rb"\s*(<!doctype html|<html|<head|<body)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LIMIT = 300
_READ = 10_000


def judge(exchange: Exchange, account: Account, transient: Collection[int] = ()) -> Verdict:
    """What became of one upsert that travelled alone.

    2xx is accepted (201: created). A 2xx whose body is there but is no JSON is unknown: the APIs speak JSON only, so
    that somebody else answered, such as a proxy with a login page, or the answer was cut off. An empty 2xx is accepted.
    429, 5xx, 408 and what the API calls transient are failed (the engine has tried again before); other 4xx are
    rejected with the API's words. A redirect is failed: the account's address is not the API's.
    """
    if isinstance(exchange, NotSent):
        return Verdict(Outcome.NOT_SENT, account.redact(exchange.reason))
    if isinstance(exchange, Lost):
        return Verdict(Outcome.UNKNOWN, account.redact(exchange.reason))
    if exchange.ok:
        return _judge_success(exchange, account)
    status, reason = exchange.status, words(exchange, account)
    if status < 400:
        return Verdict(Outcome.FAILED, f"{reason} (a redirect: the account's URL is not the API's address)", status)
    passing = status in transient or status in (408, 429) or status >= 500
    return Verdict(Outcome.FAILED if passing else Outcome.REJECTED, reason, status)


def _judge_success(answer: Answer, account: Account) -> Verdict:
    if answer.body.strip() and answer.json() is None:
        reason = f"{named(answer.status)}, but no JSON: {excerpt(answer, account)}; did the API itself answer?"
        return Verdict(Outcome.UNKNOWN, reason, answer.status)
    return Verdict(Outcome.CREATED if answer.status == 201 else Outcome.ACCEPTED, status=answer.status)


def judge_removal(exchange: Exchange, account: Account, transient: Collection[int] = ()) -> Verdict:
    """What became of a removal: `accepted` also where nothing stood there (404)."""
    if isinstance(exchange, Answer) and exchange.status == 404:
        return Verdict(Outcome.ACCEPTED, "nothing stood there", exchange.status)
    return judge(exchange, account, transient)


def words(exchange: Exchange, account: Account) -> str:
    """What was said, without secrets: the status and the API's words, or why there is no answer.

    The API's words are `message`, `errorCode` and `errors` (by field, or a list) of its JSON, else the text, shortened.
    """
    if not isinstance(exchange, Answer):
        return account.redact(exchange.reason)
    body = exchange.json()
    said = (_said(body) if isinstance(body, dict) else "") or _excerpt(exchange)
    # Half a secret would not be found any more, so shortening comes last.
    text = shortened(account.redact(said))
    return f"{named(exchange.status)}: {text}" if text else named(exchange.status)


def excerpt(answer: Answer, account: Account) -> str:
    """The beginning of an answer's text, without secrets."""
    return shortened(account.redact(_excerpt(answer)))


def shortened(text: str) -> str:
    """At most 300 characters of a text, without those that no database keeps or no terminal should see."""
    text = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text[: _LIMIT + 1])
    return text if len(text) <= _LIMIT else f"{text[: _LIMIT - 1]}…"


def named(status: int) -> str:
    """The status with its name: 404 Not Found."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _said(body: dict[str, Any]) -> str:
    message, code, errors = body.get("message"), body.get("errorCode"), body.get("errors")
    parts = [message] if isinstance(message, str) else []
    if isinstance(code, str):
        parts.append(f"({code})")
    if isinstance(errors, dict):
        parts.extend(f"{field}: {_joined(texts)}" for field, texts in errors.items())
    if isinstance(errors, list):
        told = [error.get("message") if isinstance(error, dict) else error for error in errors]
        parts.extend(dict.fromkeys(one for one in told if isinstance(one, str)))
    return " ".join(parts)


def _joined(texts: object) -> str:
    return ", ".join(map(str, texts)) if isinstance(texts, list) else str(texts)


def is_page(answer: Answer) -> bool:
    """Whether the answer is an HTML page, which no API sends for a success: a proxy's login, or another server."""
    return _HTML.match(answer.body) is not None


def _excerpt(answer: Answer) -> str:
    return "an HTML page" if is_page(answer) else answer.text(_READ)
