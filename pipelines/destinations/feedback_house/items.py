"""An upsert -> the area as it travels, with server ids in place of the parent's key and the managers' e-mails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pipelines.delivery.messages import Call
from pipelines.delivery.upsert import ACCEPTED, Outcome, Payload, Upsert, Verdict
from pipelines.destinations.feedback_house.fields import FIELDS, KEY
from pipelines.destinations.feedback_house.managers import Managers
from pipelines.destinations.feedback_house.pages import Entry, Unread
from pipelines.destinations.feedback_house.past import Past
from pipelines.destinations.feedback_house.standing import Missing, Standing

_EMPTIED = ("parent", "businessDivision")
"""Fields of one id, which null takes away; lists are emptied by an empty list."""


@dataclass(frozen=True, slots=True)
class Item:
    """An area as it travels: its key, how deep it stands, the object, and its JSON."""

    key: str
    depth: int
    area: Mapping[str, Any]
    text: bytes

    @classmethod
    def of(cls, key: str, depth: int, area: Mapping[str, Any]) -> Item:
        """The item of an object."""
        return cls(key, depth, area, orjson.dumps(area))


class Items:
    """Makes the items of one run. `verdicts` are those of the run so far, by key."""

    def __init__(self, standing: Standing, past: Past, managers: Managers, verdicts: Mapping[str, Verdict]) -> None:
        self._standing = standing
        self._past = past
        self._managers = managers
        self._verdicts = verdicts

    async def make(self, upsert: Upsert, call: Call) -> Item | Verdict:
        """The item, or why it cannot be sent: its parent did not arrive, or has no id that is known.

        Raises:
            AccountStopped, AccountUnavailable: as the call does.
        """
        payload = upsert.payload
        adopted = self._standing.unkeyed(await self._standing.directory(call), upsert.key)
        area: dict[str, Any] = {
            **({} if adopted is None else {"id": adopted}),
            KEY: upsert.key,
            **{field: payload[field] for field in FIELDS.values() if field in payload},
        }
        if payload.get("parent") is not None:
            parent = await self._parent(upsert, call)
            if isinstance(parent, Verdict):
                return parent
            area["parent"] = parent
        for field in _EMPTIED:
            if field in area and area[field] is None:
                empties = await self._empties(upsert, field, call)
                if isinstance(empties, Verdict):
                    return empties
                if not empties:
                    del area[field]
        if area.get("managers"):
            managers = await self._managers.ids(area.pop("managers"), call)
            if managers is not None:
                area["managers"] = managers
        return Item.of(upsert.key, payload.get("depth", 0), area)

    async def retired(
        self, key: str, payload: Payload, area: str | None, entry: Entry | None, call: Call
    ) -> Item | Verdict:
        """The item that takes an area out of use, with its id where that is known.

        What an update makes of fields that it leaves out is not documented, so that all go along: as they stand
        (`entry`), or as they were last accepted.

        Raises:
            AccountStopped, AccountUnavailable: as the call does.
        """
        known = {} if area is None else {"id": area}
        stands = _as_it_stands(entry) if entry is not None else None
        if stands is None:
            made = await self.make(Upsert(key, "", {**payload, "active": False}, "", "", ()), call)
            return made if isinstance(made, Verdict) else Item.of(key, made.depth, {**known, **made.area})
        always = {"name": payload["name"], "allowCandidatesApply": payload["allowCandidatesApply"]}
        fields = {**known, KEY: key, **always, **stands, "active": False}
        return Item.of(key, payload.get("depth", 0), fields)

    async def _parent(self, upsert: Upsert, call: Call) -> str | Verdict:
        payload = upsert.payload
        key = payload["parent"]
        before = self._verdicts.get(key)
        if before is not None and before.outcome not in ACCEPTED:
            why = {
                Outcome.REJECTED: f"was rejected: {before.reason}",
                Outcome.FAILED: f"failed: {before.reason}",
                Outcome.UNKNOWN: "was sent, and what became of it is unknown",
            }.get(before.outcome, "was not sent")
            return Verdict(Outcome.NOT_SENT, f"parent {key} {why}")
        above = payload.get("above", ())
        found = await self._standing.parent(key, above, payload.get("depth", 0), call)
        if not isinstance(found, Missing):
            return found
        outside = "" if above else "it is not among the valid rows of this sync, and "
        return Verdict(Outcome.NOT_SENT, f"parent {key}: {outside}{found.reason}")

    async def _empties(self, upsert: Upsert, field: str, call: Call) -> bool | Verdict:
        """Whether the area has, or may have, something in the field, which must then be taken away.

        Null is sent only there: no page says that a field can be null, so that other areas go without it. What an
        update makes of a field that it leaves out is not documented either: leaving it out takes nothing away.
        """
        directory = await self._standing.directory(call)
        known = self._standing.known(directory, upsert.key)
        if isinstance(directory, Unread):
            had = self._past.had(upsert.key, field)
        else:
            area = known or self._standing.id_in(directory, upsert.key, [upsert.payload["name"]])
            entry = {} if isinstance(area, Missing) else directory.by_id.get(area)
            if known is not None and entry is not None and field in entry:
                return entry[field] is not None
            had = self._past.had(upsert.key, field) or (entry or {}).get(field) is not None
            if entry:
                return had
        if had or field != "parent" or self._past.tells(upsert.key, field):
            return had
        why = directory.reason if isinstance(directory, Unread) else "the pages do not show which area has its key"
        reason = f"it moves to the top, and whether it has a parent to be taken away cannot be known: {why}"
        return Verdict(Outcome.NOT_SENT, reason)


def _as_it_stands(entry: Entry) -> dict[str, Any] | None:
    """The fields of an area as its page shows them, in the form in which they can be sent; None: it has another one."""
    fields = {field: entry[field] for field in FIELDS.values() if entry.get(field) is not None}
    return fields if all(_FORMS[field](value) for field, value in fields.items()) else None


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


_TEXT, _FLAG = (lambda value: isinstance(value, str)), (lambda value: isinstance(value, bool))
_FORMS = {
    "name": _TEXT,
    "parent": _TEXT,
    "active": _FLAG,
    "allowCandidatesApply": _FLAG,
    "tags": _texts,
    "managers": _texts,
    "businessDivision": _TEXT,
}
