"""Stativate's status endpoints.

Sources: https://docs.stativate.de/api-docs/ (reference, authentication, HTTP API info, status identifiers) and
https://docs.stativate.de/concept/status/.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pipelines.sandbox.accounts import STATIVATE_API_KEY
from pipelines.sandbox.api import Api
from pipelines.sandbox.settings import StativateSettings
from pipelines.sandbox.state import Record
from pipelines.sandbox.stativate_fields import DEFAULTS, checked, invalid
from pipelines.sandbox.web import Endpoint, Incoming, Refusal, Reply, json_reply

_HISTORY_KEPT = 1000
_SHOWN = (
    "id",
    "shareId",
    "name",
    "value",
    "type",
    "accessType",
    "description",
    "colorNo",
    "accessTypeUserList",
    "accessTypeHistory",
)
_EXAMPLE = {
    "name": "Sales by Team 1",
    "type": "text",
    "value": "104K",
    "accessType": "private",
    "description": "Latest accumulated sales by team 1.",
    "colorNo": 3,
}
_ANSWERS = {
    400: "Malformed, an unknown property or an invalid value: `message` and `errorCode`",
    401: "No or wrong `stativate-api-key`",
    402: "A function that is not in the plan",
    404: "No such status; the answer has no body",
    409: "The edit overlaps another one of the same status",
}


class Stativate(Api[StativateSettings]):
    """Statuses by client key. All belong to the one user of the sandbox.

    Each record also keeps what the app shows but the API does not: `changes`, `valueChangedAt`, `history`, and in
    `notifications` how often subscribers would have been told. Every value that is sent is a change and a
    notification, also one that is equal to the old (https://docs.stativate.de/concept/status/).
    """

    name = "stativate"
    title = "Stativate"
    prefix = "/stativate/v1"
    about = "Status boards. Header `stativate-api-key: sandbox`."
    credentials: ClassVar[Mapping[str, str]] = {"stativate-api-key": STATIVATE_API_KEY}
    parameters: ClassVar[Mapping[str, str]] = {"status_key": "sales-kpi-status-100"}

    def offer(self) -> Sequence[Endpoint]:
        """The endpoints of the reference that the product calls."""
        by_key, by_id = "/status-keys/{status_key}", "/status/{status_id}"
        created = {200: "The status", 201: "The status, created, where `create_status` is 201"}
        return (
            Endpoint("POST", by_key, self.set_status, "Set a status", {}, _EXAMPLE, {**created, **_ANSWERS}),
            Endpoint("GET", by_key, self.show_by_key, "Get a status by key", {}, None, {200: "The status", **_ANSWERS}),
            Endpoint("DELETE", by_key, self.delete_status, "Delete a status", {}, None, {200: "It was", **_ANSWERS}),
            Endpoint("GET", by_id, self.show_by_id, "Get a status by id", {}, None, {200: "The status", **_ANSWERS}),
            Endpoint(
                "PATCH", by_id, self.patch_status, "Update a status", {}, {"value": "105K"}, {200: "It", **_ANSWERS}
            ),
            Endpoint("GET", "/user/status", self.list_statuses, "List own statuses", {}, None, {200: "Identifiers"}),
            Endpoint("GET", "/checkAuth", self.check_auth, "Test the API key", {}, None, {200: "It is right"}),
        )

    def restart(self) -> None:
        """Index the statuses by id."""
        self._statuses = self.state.shelf("stativate/statuses")
        self._keys = {status["id"]: key for key, status in self._statuses.as_dict().items()}

    def holds(self) -> dict[str, Any]:
        """The statuses by key."""
        return {"statuses": self._statuses.as_dict()}

    def authenticated(self, headers: Mapping[str, str]) -> bool:
        """The key's header (https://docs.stativate.de/api-docs/authentication/)."""
        return headers.get("stativate-api-key") == STATIVATE_API_KEY

    def refuse(self, refusal: Refusal) -> Reply:
        """`message` and perhaps `errorCode`; 404 without a body (https://docs.stativate.de/api-docs/http-api-info/)."""
        if refusal.status == 404:
            return Reply(404)
        return json_reply(refusal.status, {"message": refusal.message, **refusal.facts})

    def edits(self, incoming: Incoming) -> str | None:
        """The status of a POST, PATCH or DELETE: overlapping edits are answered with 409."""
        if incoming.method == "GET":
            return None
        return incoming.params.get("status_key") or self._keys.get(incoming.params.get("status_id", ""))

    def set_status(self, incoming: Incoming) -> Reply:
        """Creates the status of a key, or updates it. The value is turned to upper case; sending a value tells every
        subscriber, also when it is the same as before.
        """
        key, fields = incoming.params["status_key"], checked(incoming.json_object(), self.settings.plan)
        status = self._statuses.get(key)
        if status is None:
            for name in self.settings.create_requires:
                if name not in fields:
                    raise invalid(f'"{name}" is required')
            status = self._created(key)
            code = self.settings.create_status
        else:
            code = 200
            if self.settings.omitted_fields == "clear":
                fields = {**DEFAULTS, **fields}
        self._edit(key, status, fields)
        return json_reply(code, _shown(status))

    def patch_status(self, incoming: Incoming) -> Reply:
        """Updates the given properties, at least one."""
        key, status = self._by_id(incoming)
        fields = checked(incoming.json_object(), self.settings.plan)
        if not fields:
            raise invalid("The body must have at least one property")
        self._edit(key, status, fields)
        return json_reply(200, _shown(status))

    def show_by_key(self, incoming: Incoming) -> Reply:
        """Reads one status of the key's owner."""
        return json_reply(200, _shown(self._by_key(incoming)))

    def show_by_id(self, incoming: Incoming) -> Reply:
        """Reads one status by the id that the server gave it."""
        return json_reply(200, _shown(self._by_id(incoming)[1]))

    def delete_status(self, incoming: Incoming) -> Reply:
        """Deletes the status and returns it as it was. The key can be used again, for a new status."""
        status = self._by_key(incoming)
        self._statuses.take(status["key"])
        del self._keys[status["id"]]
        return json_reply(200, _shown(status))

    def list_statuses(self, incoming: Incoming) -> Reply:
        """Lists the identifiers of the statuses. No paging is documented."""
        del incoming
        listed = [
            {"statusId": status["id"], "statusKey": key, "shareId": status["shareId"], "name": status["name"]}
            for key, status in self._statuses.as_dict().items()
        ]
        return json_reply(200, {"status": listed} if self.settings.list_form == "wrapped" else listed)

    def check_auth(self, incoming: Incoming) -> Reply:
        """Tests the API key. The documents do not show the body; the sandbox answers an empty object."""
        del incoming
        return json_reply(200, {})

    def _by_key(self, incoming: Incoming) -> Record:
        status = self._statuses.get(incoming.params["status_key"])
        if status is None:
            raise Refusal(404)
        return status

    def _by_id(self, incoming: Incoming) -> tuple[str, Record]:
        key = self._keys.get(incoming.params["status_id"])
        status = self._statuses.get(key) if key is not None else None
        if key is None or status is None:
            raise Refusal(404)
        return key, status

    def _created(self, key: str) -> Record:
        status = {
            "id": _random(20, string.ascii_letters + string.digits),
            "shareId": _random(6, string.ascii_lowercase + string.digits),
            "key": key,
            **DEFAULTS,
            "createdAt": self.state.now(),
            "changes": 0,
            "notifications": 0,
            "valueChangedAt": None,
            "history": [],
        }
        self._keys[status["id"]] = key
        return status

    def _edit(self, key: str, status: Record, fields: Mapping[str, Any]) -> None:
        now = self.state.now()
        status.update(fields)
        status["updatedAt"] = now
        if fields.get("value") is not None:
            status["changes"] += 1
            status["notifications"] += 1
            status["valueChangedAt"] = now
            status["history"] = [*status["history"][1 - _HISTORY_KEPT :], {"at": now, "value": fields["value"]}]
        self._statuses.put(key, status)


def _shown(status: Record) -> dict[str, Any]:
    """A status as the API shows it: without key and times, and with "owners" where the request says "owner", as in
    the example of "Set a status"."""
    shown = {name: status[name] for name in _SHOWN}
    if shown["accessTypeUserList"] == "owner":
        shown["accessTypeUserList"] = "owners"
    return shown


def _random(length: int, alphabet: str) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
