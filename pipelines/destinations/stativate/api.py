"""Stativate's API: settings, requests, answers, read-back, removal.

Sources: "Set a status" of docs.stativate.de (seed) and its pages api-docs/{authentication, http-api-info, reference/*}.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

import orjson
from pydantic import Field, SecretStr, field_validator

from pipelines.delivery.destination import Effort, Found, Sighting, Stranger
from pipelines.delivery.errors import AccountUnavailable
from pipelines.delivery.messages import Answer, Call, Request
from pipelines.delivery.upsert import Payload, Upsert, Verdict
from pipelines.destinations.accounts import Account, Settings, header_safe
from pipelines.destinations.answers import judge, judge_removal, words
from pipelines.destinations.surveying import read_each

FIELDS: Mapping[str, str] = {
    "label": "name",
    "value": "value",
    "color": "colorNo",
    "description": "description",
    "access": "accessType",
}
"""Our word for a field -> the API's. The body also has type, which is always "text"."""


class StativateSettings(Settings):
    """STATIVATE_API_KEY (required) and STATIVATE_URL of the account `stativate`."""

    api: ClassVar[str] = "stativate"

    url: str = Field(default="https://api.stativate.de/v1", description="Base address of the API.")
    api_key: SecretStr = Field(description="Key made in the app under Account Settings, API Keys.")

    @field_validator("api_key")
    @classmethod
    def _usable(cls, key: SecretStr) -> SecretStr:
        return header_safe(key)

    def headers(self) -> Mapping[str, str]:
        """The key in the header `stativate-api-key` (docs.stativate.de/api-docs/authentication)."""
        return {"stativate-api-key": self.api_key.get_secret_value(), "accept": "application/json"}

    def secrets(self) -> tuple[str, ...]:
        """The key."""
        return (self.api_key.get_secret_value(),)


def compared_form(payload: Payload, fields: Sequence[str]) -> dict[str, Any]:
    """The given fields of a body; the value in upper case, and an empty description like none."""
    form = {field: payload[field] for field in fields if payload.get(field) not in (None, "")}
    if isinstance(form.get("value"), str):
        form["value"] = form["value"].upper()
    return form


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry of the list of one's own statuses; `status_key` is None where the status has none."""

    status_id: str
    status_key: str | None
    share_id: str | None
    name: str | None


class Stativate:
    """One account of Stativate. A POST notifies people even if nothing changed, so it is never resent unseen."""

    batch_size = 1
    resend_is_safe = False
    transient = frozenset({409})
    """Edit conflict, "may come from parallel or too frequent updates" (docs.stativate.de/api-docs/http-api-info)."""

    def __init__(self, account: Account, compared: Sequence[str] = tuple(FIELDS.values())) -> None:
        self.account = account.name
        self._account = account
        self._compared = tuple(compared)

    def normalise(self, payload: Payload) -> Payload:
        """The compared fields, the value in upper case."""
        return compared_form(payload, self._compared)

    async def vet(self, upserts: Sequence[Upsert], call: Call) -> Mapping[str, str]:
        """Nothing: the API has no catalogue to check against."""
        del upserts, call
        return {}

    async def send(self, batch: Sequence[Upsert], call: Call) -> Sequence[Verdict]:
        """Set each status by its key."""
        return [await self._set(upsert, call) for upsert in batch]

    async def _set(self, upsert: Upsert, call: Call) -> Verdict:
        headers = {"content-type": self._account.media_type}
        request = Request("POST", _path(upsert.key), body=orjson.dumps(upsert.payload), headers=headers)
        return judge(await call(request), self._account, self.transient)

    async def read_back(self, upsert: Upsert, call: Call) -> Found | None:
        """The fields of the status at the key that the upsert has as well; None where the answer cannot be used."""
        exchange = await call(Request("GET", _path(upsert.key), repeatable=True))
        if not isinstance(exchange, Answer):
            return None
        if exchange.status == 404:
            return Found(None)
        body = exchange.json() if exchange.ok else None
        if not isinstance(body, dict):
            return None
        remote_id = body.get("id")
        # What the sync does not send is not its own: a colour that somebody chose in the app is no difference.
        own = {field: body[field] for field in upsert.payload if field in body}
        return Found(self.normalise(own), remote_id if isinstance(remote_id, str) else None)

    async def remove(self, key: str, payload: Payload, call: Call) -> Verdict:
        """Delete the status by its key."""
        del payload
        exchange = await call(Request("DELETE", _path(key), repeatable=True))
        return judge_removal(exchange, self._account, self.transient)

    async def statuses(self, call: Call) -> list[Listed]:
        """The statuses that the key's user owns.

        The documented answer is an object with `status` in the page's table, and a bare array in its example.

        Raises:
            AccountUnavailable: no usable answer.
        """
        exchange = await call(Request("GET", "/user/status", repeatable=True))
        body = exchange.json() if isinstance(exchange, Answer) and exchange.ok else None
        entries = body.get("status") if isinstance(body, dict) else body
        if not isinstance(entries, list):
            msg = f"account {self.account}: the list of statuses cannot be read: {words(exchange, self._account)}"
            raise AccountUnavailable(msg, do="Try again later.", account=self.account)
        return [_listed(entry) for entry in entries if isinstance(entry, dict)]

    def cost(self, upserts: Sequence[Upsert], *, removed: int, standing: int) -> Effort:
        """A request per status."""
        del standing
        return Effort(len(upserts) + removed, "one for each status")

    def effort(self, upserts: Sequence[Upsert]) -> Effort:
        """The list, and a request for each key that stands there."""
        return Effort(1 + len(upserts), "the list of statuses, then each key that is in it")

    async def survey(self, upserts: Sequence[Upsert], call: Call) -> AsyncGenerator[Sighting, None]:
        """The list tells which keys there are, and which statuses have none, since they were made by hand."""
        listed = await self.statuses(call)
        keys, wanted = {one.status_key for one in listed}, {upsert.key for upsert in upserts}
        strangers = [Stranger(one.status_key, one.name or "") for one in listed if one.status_key not in wanted]
        absent = {upsert.key: Found(None) for upsert in upserts if upsert.key not in keys}
        yield Sighting(absent, strangers=strangers)
        there = [upsert for upsert in upserts if upsert.key in keys]
        async for part in read_each(self, there, call, self._account.limits.in_flight):
            yield part

    def check(self) -> Request:
        """Test of the key (docs.stativate.de/api-docs/authentication)."""
        return Request("GET", "/checkAuth", repeatable=True)

    def describe(self, upsert: Upsert) -> str:
        """Method and path of the upsert's request."""
        return f"POST {_path(upsert.key)}"


def _listed(entry: Mapping[str, Any]) -> Listed:
    return Listed(str(entry.get("statusId")), entry.get("statusKey"), entry.get("shareId"), entry.get("name"))


def _path(key: str) -> str:
    return f"/status-keys/{quote(key, safe='')}"
