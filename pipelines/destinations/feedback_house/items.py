"""An upsert -> the area as it travels, with server ids in place of the parent's key and the managers' e-mails."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from pipelines.delivery.messages import Call
from pipelines.delivery.upsert import ACCEPTED, Outcome, Upsert, Verdict
from pipelines.destinations.feedback_house.fields import FIELDS, KEY
from pipelines.destinations.feedback_house.pages import Unread
from pipelines.destinations.feedback_house.standing import Missing, Standing

_log = logging.getLogger(__name__)


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
    """Makes the items of one run. `verdicts` are those of the run so far, by key; `notes` what was left out."""

    def __init__(self, account: str, standing: Standing, verdicts: Mapping[str, Verdict]) -> None:
        self.notes: list[str] = []
        self._account = account
        self._standing = standing
        self._verdicts = verdicts

    async def make(self, upsert: Upsert, call: Call) -> Item | Verdict:
        """The item, or why it cannot be sent: its parent did not arrive, or has no id that is known.

        Raises:
            AccountStopped, AccountUnavailable: as the call does.
        """
        payload = upsert.payload
        area: dict[str, Any] = {
            KEY: upsert.key,
            **{field: payload[field] for field in FIELDS.values() if field in payload},
        }
        if payload.get("parent") is not None:
            parent = await self._parent(upsert, call)
            if isinstance(parent, Verdict):
                return parent
            area["parent"] = parent
        elif "parent" in payload and not await self._stands_below(upsert, call):
            del area["parent"]
        if area.get("managers"):
            managers = await self._managers(area.pop("managers"), call)
            if managers is not None:
                area["managers"] = managers
        return Item.of(upsert.key, payload.get("depth", 0), area)

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
        found = await self._standing.parent(key, payload.get("above", ()), payload.get("depth", 0), call)
        return Verdict(Outcome.NOT_SENT, f"parent {key}: {found.reason}") if isinstance(found, Missing) else found

    async def _stands_below(self, upsert: Upsert, call: Call) -> bool:
        """Whether an area of the top is known to have a parent, which must then be taken away.

        Null is sent only there: no page says that `parent` can be null, so that a new area goes without the field.
        """
        directory = await self._standing.directory(call)
        found = self._standing.id_in(directory, upsert.key, [upsert.payload["name"]])
        if isinstance(directory, Unread) or isinstance(found, Missing):
            return False
        return directory.by_id.get(found, {}).get("parent") is not None

    async def _managers(self, emails: Sequence[str], call: Call) -> list[str] | None:
        """The ids of the users with these e-mails; None, with a note, where one of them is not known."""
        found = await self._standing.users(emails, call)
        if isinstance(found, Unread):
            self.note(
                f"areas are sent without managers: the users cannot be read: {found.reason}. "
                "Once they can, send the areas again (resend: all)."
            )
            return None
        for email in emails:
            if email not in found:
                self.note(
                    f"areas managed by {email} are sent without managers: no user has that e-mail, or several have. "
                    "Once one has it, send them again (resend: all)."
                )
        return [found[email] for email in emails] if len(found) == len(emails) else None

    def note(self, what: str) -> None:
        """Say, once, what was left out."""
        note = f"account {self._account}: {what}"
        if note not in self.notes:
            self.notes.append(note)
            _log.warning("%s", note)
