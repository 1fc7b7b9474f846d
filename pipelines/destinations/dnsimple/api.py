"""DNSimple's platform statuses: requests, answers, read-back, removal.

Sources: the Statuses page of the platform API (seed, developer.dnsimple.com/v2/platform/statuses, private beta) and the
general rules of developer.dnsimple.com/v2 for errors.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import orjson

from pipelines.delivery.destination import Effort, Found, Sighting, Stranger
from pipelines.delivery.errors import AccountUnavailable, ConfigurationError
from pipelines.delivery.messages import Answer, Call, Exchange, Request
from pipelines.delivery.upsert import Outcome, Payload, Upsert, Verdict
from pipelines.destinations.accounts import Account, variable
from pipelines.destinations.answers import judge, judge_removal, words
from pipelines.destinations.dnsimple.statuses import HEADERS, PER_PAGE, Listing, Pages, Status, read_pages, unwrapped

FIELDS = ("state", "title", "message", "url")
"""What a status says; our words for its fields are the API's."""
_log = logging.getLogger(__name__)


def compared_form(payload: Payload, fields: Sequence[str]) -> Payload:
    """The given fields of a body; an empty text like none."""
    return {field: payload[field] for field in fields if payload.get(field) not in (None, "")}


class Dnsimple:
    """One account of DNSimple. A status takes the place of the one with its resource and context.

    Each POST is taken for a new line of history, which nothing takes back: it is never resent unseen. Two POSTs with
    one resource and context would race, so that there must never be two in flight.
    """

    batch_size = 1
    resend_is_safe = False
    transient: frozenset[int] = frozenset()

    def __init__(self, account: Account, compared: Sequence[str] = FIELDS) -> None:
        self.account = account.name
        self._account = account
        self._compared = tuple(compared)
        self._base = f"/{account.tenant or ':account'}/platform/statuses"
        self._writes = 0
        self._written: dict[str, int] = {}
        self._listing: Listing | Exchange | None = None
        self._reading = asyncio.Lock()

    def normalise(self, payload: Payload) -> Payload:
        """The compared fields."""
        return compared_form(payload, self._compared)

    async def vet(self, upserts: Sequence[Upsert], call: Call) -> Mapping[str, str]:
        """Compare the account in the paths with the token's own; the API has no catalogue of what it takes.

        `whoami` names the account of an account's token; a user's token may be of many accounts
        (developer.dnsimple.com/v2: authentication).

        Raises:
            ConfigurationError: the token belongs to another account, or there is no `whoami` at the address.
            AccountUnavailable: no usable answer.
        """
        del upserts
        exchange = await call(self.check())
        if not isinstance(exchange, Answer) or exchange.status == 429 or exchange.status >= 500:
            raise self._unavailable("the token's account (GET /whoami)", exchange)
        if exchange.status == 404:
            url, said = variable(self.account, "url"), words(exchange, self._account)
            msg = f"account {self.account}: GET /whoami of {self._account.url} was answered {said}"
            raise ConfigurationError(msg, do=f"Check {url}: it ends with /v2. Nothing was sent.", account=self.account)
        if objection := self.objection(exchange):
            _log.warning("account %s: not checked, since GET /whoami was answered %s", self.account, objection)
        return {}

    def objection(self, answer: Answer) -> str:
        """Whether an answer to `whoami` names no account, or another one than that of the paths.

        Raises:
            ConfigurationError: the token belongs to another account.
        """
        body = unwrapped(answer)
        if not isinstance(body, dict) or "account" not in body:
            return words(answer, self._account)
        own = body["account"].get("id") if isinstance(body["account"], dict) else None
        if own is not None and str(own) != self._account.tenant:
            setting = variable(self.account, "account")
            msg = f"account {self.account}: {setting} is {self._account.tenant}, but the token belongs to account {own}"
            do = f"Set {setting} to the token's account, or use a token of that account. Nothing was sent."
            raise ConfigurationError(msg, do=do, account=self.account, setting=setting)
        return ""

    async def send(self, batch: Sequence[Upsert], call: Call) -> Sequence[Verdict]:
        """Create each status, which replaces the one with its resource and context."""
        return [await self._create(upsert, call) for upsert in batch]

    async def _create(self, upsert: Upsert, call: Call) -> Verdict:
        exchange = await self._post(upsert.key, upsert.payload, call)
        verdict = _accepted(judge(exchange, self._account, self.transient))
        status = Status.parse(unwrapped(exchange))
        return replace(verdict, remote_id=status.id) if status is not None else verdict

    async def _post(self, key: str, body: Payload, call: Call) -> Exchange:
        try:
            return await call(Request("POST", self._base, body=orjson.dumps(body), headers=HEADERS))
        finally:
            self._writes += 1
            self._written[key] = self._writes

    async def read_back(self, upsert: Upsert, call: Call) -> Found | None:
        """The status at the key, out of the account's list; None where the list cannot be read.

        One list serves the read-backs of many keys, but none that was asked for before the key's last write had ended.
        """
        listing = await self._standing(upsert.key, call)
        if not isinstance(listing, Listing):
            return None
        forms = [(self.normalise(_body(status)), status.id) for status in listing.by_key.get(upsert.key, ())]
        if not forms:
            return Found(None)
        # Whether another application's status may stand beside ours under the same key is written nowhere.
        wanted = self.normalise(upsert.payload)
        form, remote_id = next((one for one in forms if one[0] == wanted), forms[-1])
        return Found(form, remote_id)

    async def _standing(self, key: str, call: Call) -> Listing | Exchange:
        """The list, asked for after the key's last write had ended; the answer, where that is none."""
        async with self._reading:
            if not isinstance(self._listing, Listing) or self._listing.after < self._written.get(key, 0):
                self._listing = await self._listed(call)
            return self._listing

    async def _listed(self, call: Call) -> Listing | Exchange:
        after = self._writes
        found = await read_pages(self._base, call)
        if isinstance(found, Pages) and found.torn:
            found = await read_pages(self._base, call)
        return Listing.of(found.statuses, after) if isinstance(found, Pages) else found

    async def remove(self, key: str, payload: Payload, call: Call) -> Verdict:
        """Set the state to `unknown`, all else as it was last accepted: the API deletes no status.

        Each POST is a line of history: none is made where the status says so already, or where there is none. What the
        list does not tell for the moment is not written over; where it never tells (4xx), the last payload does.
        """
        listing = await self._standing(key, call)
        if isinstance(listing, Listing):
            there = listing.by_key.get(key, ())
            if all(status.state == "unknown" for status in there):
                return Verdict(Outcome.ACCEPTED, "its state is unknown already" if there else "nothing stood there")
        elif payload.get("state") == "unknown":
            return Verdict(Outcome.ACCEPTED, "its state was unknown already")
        elif judge(listing, self._account).outcome is not Outcome.REJECTED:
            reason = f"what stands there cannot be read, so that nothing was sent: {words(listing, self._account)}"
            return Verdict(Outcome.NOT_SENT, reason)
        resource, _, context = key.partition("/")
        body = {**payload, "resource": resource, "context": context, "state": "unknown"}
        exchange = await self._post(key, body, call)
        # Where the account's list can be read, 404 is about the resource: nothing is left to be taken out of use.
        known = isinstance(listing, Listing)
        return _accepted((judge_removal if known else judge)(exchange, self._account, self.transient))

    async def statuses(self, call: Call) -> Sequence[Status]:
        """The account's statuses, one per resource and context.

        Raises:
            AccountUnavailable: no usable answer.
        """
        found = await read_pages(self._base, call)
        if not isinstance(found, Pages):
            raise self._unavailable("the list of statuses", found)
        return found.statuses

    async def show(self, status_id: str, call: Call) -> Status | None:
        """One status by its id; None where there is none.

        Raises:
            AccountUnavailable: no usable answer.
        """
        path = f"{self._base}/{quote(status_id, safe='')}"
        exchange = await call(Request("GET", path, headers=HEADERS, repeatable=True))
        if _answered(exchange, 404):
            return None
        status = Status.parse(unwrapped(exchange))
        if status is None:
            raise self._unavailable(f"the status {status_id}", exchange)
        return status

    async def history(self, resource: str, call: Call) -> Sequence[Status] | None:
        """What was ever said of a resource, in the API's order; None where it knows no such resource.

        The path takes the resource as `domain:123`, as all else does, or as the number alone, which the Statuses page
        has for its type: the second is tried where the first finds nothing.

        Raises:
            AccountUnavailable: no usable answer.
        """
        found = await self._history(resource, call)
        if not found.statuses if isinstance(found, Pages) else _answered(found, 400, 404):
            by_number = await self._history(resource.rpartition(":")[2], call)
            found = by_number if isinstance(by_number, Pages) or not isinstance(found, Pages) else found
        if isinstance(found, Pages):
            return [status for status in found.statuses if status.resource == resource]
        if _answered(found, 404):
            return None
        raise self._unavailable(f"the history of {resource}", found)

    async def _history(self, resource: str, call: Call) -> Pages | Exchange:
        return await read_pages(f"{self._base}/{quote(resource, safe=':')}/history", call)

    def cost(self, upserts: Sequence[Upsert], *, removed: int, standing: int) -> Effort:
        """A request per status, `whoami` before the first one, and the list where statuses are taken out of use."""
        pages = _pages(standing) if removed else 0
        why = "one for each status" + (", and one for the token's account" if upserts else "")
        if pages:
            why += f", and the statuses that stand there in pages of {PER_PAGE}"
        return Effort(len(upserts) + bool(upserts) + pages + removed, why)

    def effort(self, upserts: Sequence[Upsert]) -> Effort:
        """A request per page."""
        return Effort(
            _pages(len(upserts)), f"the account's statuses in pages of {PER_PAGE}; more where it has others than these"
        )

    async def survey(self, upserts: Sequence[Upsert], call: Call) -> AsyncGenerator[Sighting, None]:
        """One list tells of all keys."""
        listing = self._listing = await self._listed(call)
        if not isinstance(listing, Listing):
            raise self._unavailable("the list of statuses", listing)
        wanted = {upsert.key for upsert in upserts}
        standing = {upsert.key: await self.read_back(upsert, call) for upsert in upserts}
        strangers = [Stranger(key, some[-1].title or "") for key, some in listing.by_key.items() if key not in wanted]
        yield Sighting({key: one for key, one in standing.items() if one is not None}, strangers=strangers)

    def check(self) -> Request:
        """`whoami`, which tells whose the token is."""
        return Request("GET", "/whoami", headers=HEADERS, repeatable=True)

    def describe(self, upsert: Upsert) -> str:
        """Method and path of the upsert's request."""
        del upsert
        return f"POST {self._base}"

    def _unavailable(self, what: str, exchange: Exchange) -> AccountUnavailable:
        msg = f"account {self.account}: {what} cannot be read: {words(exchange, self._account)}"
        return AccountUnavailable(msg, do="Try again later.", account=self.account)


def _accepted(verdict: Verdict) -> Verdict:
    """A creation is always answered 201, also where it replaces: which of both it was is not told."""
    return replace(verdict, outcome=Outcome.ACCEPTED) if verdict.outcome is Outcome.CREATED else verdict


def _pages(statuses: int) -> int:
    return max(1, math.ceil(statuses / PER_PAGE))


def _body(status: Status) -> dict[str, Any]:
    return {field: getattr(status, field) for field in FIELDS}


def _answered(found: Pages | Exchange, *statuses: int) -> bool:
    return isinstance(found, Answer) and found.status in statuses
