"""feedback.house's areas, and the users that can manage them.

Sources: the Area and User pages of https://github.com/feedback-house/developer-portal (website/docs/api) and its
"Getting Started" (10 MB a request, 10 requests a second). How a key is sent and which HTTP statuses errors have is
nowhere documented: the header and the statuses are the sandbox's own.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pipelines.sandbox.accounts import FEEDBACK_HOUSE_AUTH_HEADER, FEEDBACK_HOUSE_AUTH_VALUE
from pipelines.sandbox.api import Api
from pipelines.sandbox.feedback_house_items import DEFAULTS, FLAGS, RESETTABLE, ItemError, checked
from pipelines.sandbox.settings import FeedbackHouseSettings
from pipelines.sandbox.state import Record
from pipelines.sandbox.web import Endpoint, Incoming, Refusal, Reply, json_reply

_ID = re.compile(r"[0-9a-f]{24}")
_LIMIT = 100
_EXAMPLE = {"areas": [{"correlationID": "EWR", "name": "Newark", "active": True, "allowCandidatesApply": False}]}
_PAGING = {"skip": "How many to pass over (0)", "limit": "How many to show (100)"}
_ANSWERS = {401: "No or wrong key", 413: "More than 10 MB", 429: "More than 10 requests in a second"}
_SAMPLE_USERS = (
    {"id": "5d9b2f000000000000000001", "name": "Sandbox Manager", "emails": ["manager@example.invalid"]},
    {"id": "5d9b2f000000000000000002", "name": "Sandbox Deputy", "emails": ["deputy@example.invalid"]},
)


class FeedbackHouse(Api[FeedbackHouseSettings]):
    """Areas by server id, each with the client's `correlationID`, if it has one."""

    name = "feedback_house"
    title = "feedback.house"
    prefix = "/feedback-house/api"
    about = (
        f"Areas. The documents do not say how a key is sent: the header `{FEEDBACK_HOUSE_AUTH_HEADER}: "
        f"{FEEDBACK_HOUSE_AUTH_VALUE}` is this sandbox's choice, not a fact of the API."
    )
    credentials: ClassVar[Mapping[str, str]] = {FEEDBACK_HOUSE_AUTH_HEADER: FEEDBACK_HOUSE_AUTH_VALUE}
    parameters: ClassVar[Mapping[str, str]] = {"id": "5d9b2f000000000000000001"}

    def offer(self) -> Sequence[Endpoint]:
        """The endpoints that the product calls."""
        query, users = "/planning/area/v1/query", "/common/user/v1/users"
        found = {200: "The area, or an empty object", **_ANSWERS}
        return (
            Endpoint(
                "POST", "/planning/area/v1/update-or-create", self.update_or_create, "Update or create areas",
                {}, _EXAMPLE, {200: "`errors` has the items that were refused; `status` stays OK", **_ANSWERS},
            ),
            Endpoint("GET", query, self.list_areas, "List areas", _PAGING, None, {200: "A page", **_ANSWERS}),
            Endpoint("GET", query + "/{id}", self.show_area, "Show an area", {}, None, found),
            Endpoint("DELETE", query + "/{id}", self.delete_area, "Delete an area", {}, None, {200: "", **_ANSWERS}),
            Endpoint("GET", users, self.list_users, "List users", _PAGING, None, {200: "A page", **_ANSWERS}),
            Endpoint("GET", users + "/{id}", self.show_user, "Show a user", {}, None, {200: "", **_ANSWERS}),
        )  # fmt: skip

    def restart(self) -> None:
        """Index the areas by correlationID; where there are no users, make two."""
        self._areas = self.state.shelf("feedback_house/areas")
        self._users = self.state.shelf("feedback_house/users")
        if len(self._users) == 0:
            self.put_users(_SAMPLE_USERS)
        self._ids = {area["correlationID"]: area["id"] for area in self._areas.values() if area["correlationID"]}

    def put_users(self, users: Sequence[Mapping[str, Any]]) -> None:
        """Let users exist, each with `id`, `name` and `emails`."""
        for user in users:
            self._users.put(user["id"], {**user, "active": True})

    def holds(self) -> dict[str, Any]:
        """The areas and users by id."""
        return {"areas": self._areas.as_dict(), "users": self._users.as_dict()}

    def authenticated(self, headers: Mapping[str, str]) -> bool:
        """The key in the header that the switches name."""
        return headers.get(self.settings.auth_header.lower()) == self.settings.auth_value

    def admit(self, incoming: Incoming) -> None:
        """Requests are JSON ("Getting Started"); which status another media type is answered with is not documented."""
        if incoming.method == "POST" and incoming.media_type != "application/json":
            raise Refusal(415, "Content-Type must be application/json")

    def refuse(self, refusal: Refusal) -> Reply:
        """`status` and `message`, as the documents show them for an invalid query."""
        return json_reply(refusal.status, {"status": "ERROR", "message": refusal.message})

    def update_or_create(self, incoming: Incoming) -> Reply:
        """Takes each item by itself: updates the area that has its id or correlationID, or else creates one. Without
        a key every call creates another area. `status` is OK even when all items failed.
        """
        size = len(incoming.body) + sum(len(name) + len(value) + 4 for name, value in incoming.headers.items())
        if size > self.settings.max_bytes:
            raise Refusal(413, f"The request has {size} bytes, more than {self.settings.max_bytes}")
        items = incoming.json_object().get("areas")
        if not isinstance(items, list):
            raise Refusal(400, 'The body must be {"areas": [...]}')
        done: list[Record] = []
        errors: list[dict[str, Any]] = []
        created = 0
        for item in items:
            try:
                area, new = self._take(item)
            except ItemError as error:
                errors.append({"object": item, "message": str(error)})
            else:
                done.append(self._in_answer(area))
                created += new
        answer: dict[str, Any] = {
            "status": "OK",
            "message": f"Created {created} | Updated {len(done) - created} | Errors {len(errors)}",
        }
        if not errors or self.settings.data_with_errors:
            answer["data"] = done
        return json_reply(200, {**answer, "errors": errors})

    def list_areas(self, incoming: Incoming) -> Reply:
        """Lists the areas, a page at a time."""
        return self._page(incoming, "areas", [self._shown(area) for area in self._areas.values()])

    def show_area(self, incoming: Incoming) -> Reply:
        """Shows one area by its server id; an empty object where there is none."""
        area = self._areas.get(incoming.params["id"])
        return json_reply(200, {"area": self._shown(area) if area else {}})

    def delete_area(self, incoming: Incoming) -> Reply:
        """Deletes one area. An area that is a parent is not deleted; the documents do not speak of that."""
        given = incoming.params["id"]
        area = self._areas.get(given)
        if area is None:
            return _not_deleted(given, "Area not found" if _ID.fullmatch(given) else "Invalid id")
        if any(other["parent"] == given for other in self._areas.values()):
            return _not_deleted(given, "Area is the parent of other areas")
        self._areas.take(given)
        if area["correlationID"]:
            del self._ids[area["correlationID"]]
        return json_reply(200, {"status": "OK", "area": given})

    def list_users(self, incoming: Incoming) -> Reply:
        """Lists the users, a page at a time."""
        return self._page(incoming, "users", list(self._users.values()))

    def show_user(self, incoming: Incoming) -> Reply:
        """Shows one user."""
        user = self._users.get(incoming.params["id"])
        if user is None:
            return json_reply(200, {"status": "ERROR", "message": "User not found", "user": None})
        return json_reply(200, {"status": "OK", "user": user})

    def _take(self, item: Any) -> tuple[Record, bool]:
        """Update or create the area of one item; says whether it is new."""
        fields = checked(item)
        self._check_readings(fields)
        area = self._found(fields)
        if "name" not in fields and (area is None or "id" not in fields):
            raise ItemError("Missing name field")
        self._check_links(fields, area)
        now = self.state.now()
        new = area is None
        if area is None:
            area = {"id": secrets.token_hex(12), **DEFAULTS, "createdAt": now, "writes": 0}
        elif self.settings.omitted_on_update != "keep":
            reset = FLAGS if self.settings.omitted_on_update == "defaults" else RESETTABLE
            fields = {name: DEFAULTS[name] for name in reset} | fields
        self._index(area, fields.get("correlationID"))
        area.update({name: value for name, value in fields.items() if name != "id"})
        area["updatedAt"] = now
        area["writes"] += 1
        self._areas.put(area["id"], area)
        return area, new

    def _found(self, fields: Mapping[str, Any]) -> Record | None:
        by_id = self._areas.get(fields["id"]) if "id" in fields else None
        if "id" in fields and by_id is None and self.settings.unknown_id == "error":
            raise ItemError("Area not found")
        key = self._ids.get(fields.get("correlationID", ""))
        by_key = self._areas.get(key) if key else None
        if by_id is not None and by_key is not None and by_id is not by_key:
            raise ItemError("id and correlationID belong to different areas")
        return by_id or by_key

    def _check_readings(self, fields: Mapping[str, Any]) -> None:
        """What only one reading of the documents refuses."""
        empty = [name for name in ("parent", "businessDivision") if fields.get(name, "") is None]
        if empty and self.settings.null_links == "refuse":
            raise ItemError(f"Invalid {empty[0]} field")
        managers = fields.get("managers", ())
        if len(set(managers)) < len(managers) and self.settings.repeated_managers == "refuse":
            raise ItemError("Repeated managers")

    def _check_links(self, fields: Mapping[str, Any], area: Record | None) -> None:
        for manager in fields.get("managers", ()):
            if self._users.get(manager) is None:
                raise ItemError(f"Manager {manager} not found")
        above = fields.get("parent")
        while above is not None:
            if area is not None and above == area["id"]:
                raise ItemError("Circular reference in parent")
            parent = self._areas.get(above)
            if parent is None:
                raise ItemError(f"Parent {above} not found")
            above = parent["parent"]

    def _index(self, area: Record, correlation_id: str | None) -> None:
        if correlation_id is not None and correlation_id != area["correlationID"]:
            self._ids.pop(area["correlationID"], None)
            self._ids[correlation_id] = area["id"]

    def _in_answer(self, area: Record) -> dict[str, Any]:
        shown = {**self._shown(area), "correlationID": area["correlationID"]}
        hidden = {"id": not self.settings.data_ids, "correlationID": not self.settings.data_keys}
        return {name: value for name, value in shown.items() if not hidden.get(name)}

    def _shown(self, area: Record) -> dict[str, Any]:
        hidden = {"createdAt", "updatedAt", "writes"}
        if not self.settings.correlation_visible:
            hidden.add("correlationID")
        return {name: value for name, value in area.items() if name not in hidden}

    def _page(self, incoming: Incoming, name: str, entries: Sequence[Mapping[str, Any]]) -> Reply:
        skip = _natural(incoming, "skip", 0)
        limit = min(_natural(incoming, "limit", _LIMIT), self.settings.max_limit)
        info = {
            "hasNextPage": skip + limit < len(entries),
            "hasPreviousPage": skip > 0,
            "limit": limit,
            "skip": skip,
            "totalCount": len(entries),
        }
        return json_reply(200, {name: entries[skip : skip + limit], "pageInfo": info})


def _natural(incoming: Incoming, name: str, default: int) -> int:
    given = incoming.query.get(name, str(default))
    if not given.isdecimal():
        raise Refusal(400, "Invalid search query")
    return int(given)


def _not_deleted(given: str, why: str) -> Reply:
    return json_reply(200, {"error": {"data": given, "message": why}, "status": "ERROR", "area": None})
