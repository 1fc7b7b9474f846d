"""DNSimple's platform statuses, and what it takes to find the account.

Sources: the Statuses page of the platform API (https://developer.dnsimple.com/v2/platform/statuses/, private beta) and
the general rules of https://developer.dnsimple.com/v2/ for envelopes, errors, paging and rate limits.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from pipelines.sandbox.accounts import DNSIMPLE_ACCOUNT, DNSIMPLE_TOKEN
from pipelines.sandbox.api import Api
from pipelines.sandbox.limits import Limit, Standing
from pipelines.sandbox.sample import sample_rows
from pipelines.sandbox.settings import DnsimpleSettings
from pipelines.sandbox.state import Record
from pipelines.sandbox.web import Endpoint, Incoming, Refusal, Reply, json_reply

_RESOURCE = re.compile(r"[a-z_]+:\d+")
_STATES = ("ok", "error", "warning", "unknown")
_PER_PAGE, _PER_PAGE_MAX = 30, 100
_OWNER = {"owner_type": "OauthApplication", "owner_id": 1}
_TEXTS = ("context", "url", "title", "message")
_ACCOUNT = {"id": DNSIMPLE_ACCOUNT, "email": "sandbox@example.invalid", "name": "Sandbox"}
_BLANK = "can't be blank"
_EXAMPLE = {
    "resource": "domain:101",
    "state": "ok",
    "context": "page-a",
    "url": "https://yourapp.com/some/path",
    "title": "System OK",
    "message": "All systems are reporting OK.",
}
_ANSWERS = {
    401: "Authentication failed",
    404: "It does not exist, or not in this account",
    429: "quota exceeded; X-RateLimit-Reset says until when",
}
_PAGING = {"page": "Which page (1)", "per_page": "Its size (30, at most 100)"}


class Dnsimple(Api[DnsimpleSettings]):
    """Statuses by resource and context: one takes the place of the last. Each that comes in is a line of history."""

    name = "dnsimple"
    title = "DNSimple"
    prefix = "/dnsimple/v2"
    about = f"Platform statuses. `Authorization: Bearer {DNSIMPLE_TOKEN}`, account {DNSIMPLE_ACCOUNT}."
    credentials: ClassVar[Mapping[str, str]] = {
        "authorization": f"Bearer {DNSIMPLE_TOKEN}",
        "content-type": "application/json",
    }
    parameters: ClassVar[Mapping[str, str]] = {
        "account": str(DNSIMPLE_ACCOUNT),
        "status": "1",
        "resource": "domain:101",
    }

    def offer(self) -> Sequence[Endpoint]:
        """The endpoints that the product calls."""
        statuses = "/{account}/platform/statuses"
        page = {200: "A page", **_ANSWERS}
        created = {201: "The status", 400: "The validation failed: `message` and `errors` by field", **_ANSWERS}
        return (
            Endpoint("GET", "/whoami", self.whoami, "Who am I", {}, None, {200: "The account", **_ANSWERS}),
            Endpoint("GET", "/accounts", self.list_accounts, "List accounts", {}, None, {200: "", **_ANSWERS}),
            Endpoint("POST", statuses, self.create_status, "Create a status", {}, _EXAMPLE, created),
            Endpoint("GET", statuses, self.list_statuses, "List statuses", _PAGING, None, page),
            Endpoint("GET", statuses + "/{status}", self.show_status, "Show a status", {}, None, {200: "", **_ANSWERS}),
            Endpoint("GET", statuses + "/{resource}/history", self.show_history, "History", _PAGING, None, page),
        )

    def restart(self) -> None:
        """Index the statuses and their history; where no resource is known, take the sample's."""
        self._statuses = self.state.shelf("dnsimple/statuses")
        self._history = self.state.shelf("dnsimple/history")
        self._resources = self.state.shelf("dnsimple/resources")
        if len(self._resources) == 0:
            self.put_resources([row["dnsimple_resource"] for row in sample_rows("teams")])
        self._keys = {status["id"]: key for key, status in self._statuses.as_dict().items()}
        self._lines: dict[str, list[Record]] = {}
        for _, line in sorted(self._history.as_dict().items()):
            self._lines.setdefault(line["resource"], []).append(line)
        self._next_id = max((line["id"] for line in self._history.values()), default=0) + 1

    def put_resources(self, resources: Sequence[str], *, replace: bool = False) -> None:
        """Let resources exist; with `replace` only these."""
        if replace:
            for known in set(self._resources) - set(resources):
                self._resources.take(known)
        for resource in resources:
            self._resources.put(resource, {})

    def holds(self) -> dict[str, Any]:
        """The statuses, their history oldest first, and the resources that exist."""
        return {
            "statuses": list(self._statuses.values()),
            "history": [line for _, line in sorted(self._history.as_dict().items())],
            "resources": list(self._resources),
        }

    def authenticated(self, headers: Mapping[str, str]) -> bool:
        """The bearer token (https://developer.dnsimple.com/v2/#authentication)."""
        return headers.get("authorization") == f"Bearer {DNSIMPLE_TOKEN}"

    def refuse(self, refusal: Refusal) -> Reply:
        """`message`, and `errors` by field where a validation failed; 405 without a body, as in DNSimple's fixtures."""
        if refusal.status == 405:
            return Reply(405)
        message = "quota exceeded" if refusal.status == 429 else refusal.message
        return json_reply(refusal.status, {"message": message, **refusal.facts})

    def admit(self, incoming: Incoming) -> None:
        """The content type "must be explicitly specified in any HTTP request", also in one without a body
        (https://developer.dnsimple.com/v2/#content-types); which status its lack is answered with is not documented.
        """
        if incoming.media_type != "application/json":
            raise Refusal(415, "Content-Type must be application/json")

    def dress(self, reply: Reply, standing: Standing | None, limit: Limit | None) -> Reply:
        """The rate limit headers (https://developer.dnsimple.com/v2/#rate-limiting)."""
        if standing is None or limit is None:
            return reply
        reset = math.ceil(self.state.clock() + standing.reset_in)
        return reply.with_headers(
            (b"x-ratelimit-limit", b"%d" % limit.requests),
            (b"x-ratelimit-remaining", b"%d" % standing.remaining),
            (b"x-ratelimit-reset", b"%d" % reset),
        )

    def whoami(self, incoming: Incoming) -> Reply:
        """Shows the account of the token."""
        del incoming
        return self._enveloped(200, {"user": None, "account": _ACCOUNT})

    def list_accounts(self, incoming: Incoming) -> Reply:
        """Lists the accounts that the token can see."""
        del incoming
        return self._enveloped(200, [_ACCOUNT])

    def create_status(self, incoming: Incoming) -> Reply:
        """Creates a status; it takes the place of the one with the same resource and context."""
        self._check_account(incoming)
        fields = self._checked(incoming)
        resource = fields["resource"]
        if self.settings.resources == "known" and self._resources.get(resource) is None:
            raise _missing(f"Resource `{resource}`")
        key = f"{resource}/{fields['context']}"
        known = self._statuses.get(key)
        now = self._timestamp()
        status = {
            "id": known["id"] if known and self.settings.replaced_id == "keep" else self._next_id,
            **_OWNER,
            "account_id": DNSIMPLE_ACCOUNT,
            **{name: fields[name] for name in ("state", "context", "title", "message", "url")},
            "created_at": known["created_at"] if known else now,
            "updated_at": now,
            "resource": resource,
        }
        self._place(key, known, status)
        return self._enveloped(201, status)

    def list_statuses(self, incoming: Incoming) -> Reply:
        """Lists the statuses of the account by id."""
        self._check_account(incoming)
        return self._page(incoming, sorted(self._statuses.values(), key=lambda status: status["id"]))

    def show_status(self, incoming: Incoming) -> Reply:
        """Shows one status by its id."""
        self._check_account(incoming)
        given = incoming.params["status"]
        key = self._keys.get(int(given)) if given.isdecimal() else None
        status = self._statuses.get(key) if key else None
        if status is None:
            raise _missing(f"Status `{given}`")
        return self._enveloped(200, status)

    def show_history(self, incoming: Incoming) -> Reply:
        """Lists what was ever said of a resource, oldest first."""
        self._check_account(incoming)
        given, form = incoming.params["resource"], self.settings.history_resource
        lines: list[Record] | None = self._lines.get(given) if form != "number" else None
        if lines is None and given.isdecimal() and form != "text":
            of_number = [lines for name, lines in self._lines.items() if name.split(":")[1] == given]
            lines = sorted((line for lines in of_number for line in lines), key=lambda line: line["updated_at"])
        if not lines and self._resources.get(given) is None:
            raise _missing(f"Resource `{given}`")
        return self._page(incoming, lines or [])

    def _place(self, key: str, known: Record | None, status: Record) -> None:
        if known is not None:
            self._keys.pop(known["id"], None)
        if status["id"] == self._next_id:
            self._next_id += 1
        self._keys[status["id"]] = key
        self._statuses.put(key, status)
        line = dict(status)
        self._history.put(f"{len(self._history) + 1:012d}", line)
        self._lines.setdefault(status["resource"], []).append(line)

    def _check_account(self, incoming: Incoming) -> None:
        if incoming.params["account"] != str(DNSIMPLE_ACCOUNT):
            raise _missing(f"Account `{incoming.params['account']}`")

    def _checked(self, incoming: Incoming) -> dict[str, Any]:
        """The fields of a status. Others are passed over: DNSimple's own plugin sends an undocumented one."""
        body = incoming.json_object()
        errors = {name: [_BLANK] for name in self.settings.requires if body.get(name) in (None, "")}
        resource = body.get("resource") or ""
        if resource and not (isinstance(resource, str) and _RESOURCE.fullmatch(resource)):
            errors["resource"] = ["is invalid"]
        state = body.get("state") or "unknown"
        if state not in _STATES:
            errors["state"] = ["is not included in the list"]
        texts = {name: body.get(name) for name in _TEXTS}
        for name, text in texts.items():
            if text is not None and not isinstance(text, str):
                errors[name] = ["is invalid"]
        if errors:
            raise Refusal(400, "Validation failed", errors=errors)
        return {**texts, "resource": resource, "state": state, "context": texts["context"] or "default"}

    def _page(self, incoming: Incoming, entries: Sequence[Record]) -> Reply:
        page = _positive(incoming, "page", 1)
        size = min(_positive(incoming, "per_page", _PER_PAGE), _PER_PAGE_MAX)
        pagination = {
            "current_page": page,
            "per_page": size,
            "total_entries": len(entries),
            "total_pages": -(-len(entries) // size),
        }
        return self._enveloped(200, entries[(page - 1) * size : page * size], pagination=pagination)

    def _enveloped(self, status: int, value: Any, **more: Any) -> Reply:
        return json_reply(status, value if self.settings.envelope == "bare" else {"data": value, **more})

    def _timestamp(self) -> str:
        moment = datetime.fromtimestamp(self.state.clock(), UTC)
        if self.settings.timestamps == "iso":
            return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
        return moment.strftime("%a, %d %b %Y %H:%M:%S.%f") + "000 UTC +00:00"


def _missing(what: str) -> Refusal:
    return Refusal(404, f"{what} not found")


def _positive(incoming: Incoming, name: str, default: int) -> int:
    given = incoming.query.get(name, str(default))
    if not given.isdecimal() or int(given) < 1:
        raise Refusal(400, "Validation failed", errors={name: ["must be a positive number"]})
    return int(given)
