"""feedback.house's area API: requests, answers, read-back, deactivation.

Sources: "Area API | Update or Create" (seed) and the pages website/docs/api/area/* and website/docs/api/user/* of
github.com/feedback-house/developer-portal.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from pipelines.delivery.destination import Found
from pipelines.delivery.errors import AccountStopped, AccountUnavailable
from pipelines.delivery.messages import Answer, Call, Request
from pipelines.delivery.upsert import ACCEPTED, Outcome, Payload, Upsert, Verdict
from pipelines.destinations.accounts import Account
from pipelines.destinations.answers import words
from pipelines.destinations.feedback_house.fields import FIELDS, KEY, compared_form
from pipelines.destinations.feedback_house.pages import AREAS, Directory, Entry, Unread, id_of
from pipelines.destinations.feedback_house.replies import read_reply
from pipelines.destinations.feedback_house.standing import Missing, Standing

UPSERT = "/planning/area/v1/update-or-create"
_FRAME = len(b'{"areas":[]}')
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Item:
    """An area as it travels: its key, its depth, the object and its JSON."""

    key: str
    depth: int
    area: Mapping[str, Any]
    text: bytes

    @property
    def size(self) -> int:
        """Bytes in the request, with the comma."""
        return len(self.text) + 1


class FeedbackHouse:
    """One account of feedback.house. Each area goes with its correlationID, so that it may be sent again.

    ("Idempotent: YES, using primary keys"; without a key every call would make a new area.) An area goes after its
    parent, whose id the request must hold; where the parent did not arrive or its id is not known, it is not sent.
    """

    resend_is_safe = True
    transient: frozenset[int] = frozenset()

    def __init__(
        self,
        account: Account,
        compared: Sequence[str] = tuple(FIELDS.values()),
        *,
        batch_size: int = 100,
        batch_bytes: int = 1_000_000,
    ) -> None:
        """`batch_size` and `batch_bytes`: at most so many areas and bytes in a request."""
        self.account = account.name
        self.batch_size = batch_size
        self.notes: list[str] = []
        """What was left out of requests, in sentences."""
        self._account = account
        self._compared = tuple(compared)
        self._batch_bytes = batch_bytes
        self._standing = Standing(account)
        self._verdicts: dict[str, Verdict] = {}

    def normalise(self, payload: Payload) -> Payload:
        """The compared fields."""
        return compared_form(payload, self._compared)

    def ranks(self, upserts: Sequence[Upsert]) -> Mapping[str, int]:
        """How many areas of the table stand above each: parents go before their children.

        Areas that are not sent count too: an area may move below one that stays where it is, but whose own parent only
        now leaves the area's branch; the other way round the API would see a circle.
        """
        return {upsert.key: upsert.payload.get("depth", 0) for upsert in upserts}

    async def vet(self, upserts: Sequence[Upsert], call: Call) -> Mapping[str, str]:
        """Learn ids from what stands there; nothing is held against an upsert here.

        What cannot be read is asked for again by those areas that need it.
        """
        directory = await self._standing.directory(call)
        if isinstance(directory, Unread):
            self._note(f"the areas cannot be read: {directory.reason}")
        emails = {email for upsert in upserts for email in upsert.payload.get("managers", ())}
        if emails:
            await self._managers(sorted(emails), call)
        return {}

    async def send(self, batch: Sequence[Upsert], call: Call) -> Sequence[Verdict]:
        """Update or create the areas, in as many requests as their size asks for.

        What fails with 5xx, and where an error belongs to nobody, is sent again in halves, so that an area which the
        server cannot bear stands alone. A batch that is refused as a whole is left to the engine to split; where only a
        part of it is, that part is split here.
        """
        items = [await self._item(upsert, call) for upsert in batch]
        verdicts = {item.key: item.verdict for item in items if isinstance(item, _Withheld)}
        requests = deque(_portions([item for item in items if isinstance(item, _Item)], self._batch_bytes))
        refused: list[Sequence[_Item]] = []
        while requests:
            try:
                reply = await self._post(requests[0], call)
            except (AccountStopped, AccountUnavailable) as stop:
                if verdicts.keys() <= self._withheld:
                    raise
                left = Verdict(Outcome.NOT_SENT, str(stop), stop.facts.get("status"))
                verdicts = {item.key: left for request in requests for item in request} | verdicts
                break
    async def _item(self, upsert: Upsert, call: Call) -> _Item | Verdict:
        """The area with server ids in place of the parent's key and the managers' e-mails; or why it is not sent."""
        payload, depth = upsert.payload, upsert.payload.get("depth", 0)
        area: dict[str, Any] = {KEY: upsert.key, **{field: payload[field] for field in FIELDS.values() if field in payload}}
        if payload.get("parent") is not None:
            parent = await self._parent(upsert, call)
            if isinstance(parent, Verdict):
                return parent
            area["parent"] = parent
        elif "parent" in payload and not await self._stands_below(upsert, call):
            del area["parent"]
        if area.get("managers"):
            found = await self._managers(payload["managers"], call)
            area["managers"] = found
            if found is None:
                del area["managers"]
        return _Item(upsert.key, depth, area, orjson.dumps(area))

    async def _parent(self, upsert: Upsert, call: Call) -> str | Verdict:
        key, payload = upsert.payload["parent"], upsert.payload
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
        """The ids of users; None, with a note, where one of them is not known."""
        found = await self._standing.managers(emails, call)
        if isinstance(found, Unread):
            self._note(f"areas are sent without managers: the users cannot be read: {found.reason}")
            return None
        for email in emails:
            if email not in found:
                self._note(f"areas that name {email} are sent without managers: not one user has that e-mail")
        return [found[email] for email in emails] if len(found) == len(emails) else None

    def _note(self, what: str) -> None:
        note = f"account {self.account}: {what}"
        if note not in self.notes:
            self.notes.append(note)
            _log.warning("%s", note)

    async def read_back(self, upsert: Upsert, call: Call) -> Found | None:
        """The area with the upsert's key; None where the API does not show which one that is."""
        directory = await self._standing.of_key(upsert.key, call)
        if isinstance(directory, Unread):
            return None
        area = self._standing.learned(upsert.key) or directory.ids.get(upsert.key)
        if area is None:
            return Found(None) if directory.shows_keys else None
        entry = directory.by_id.get(area)
        if entry is None:
            return Found(None)
        payload = self.normalise(await self._as_payload(entry, upsert, directory, call))
        if payload == self.normalise(upsert.payload):
            self._verdicts[upsert.key] = Verdict(Outcome.ACCEPTED, remote_id=area)
            self._standing.learn({upsert.key: area})
        return Found(payload, area)

    async def _as_payload(self, entry: Entry, upsert: Upsert, directory: Directory, call: Call) -> Payload:
        """The fields of an area that the sync sends, with keys and e-mails in place of ids."""
        payload = {field: entry.get(field) for field in FIELDS.values() if field in upsert.payload}
        if payload.get("parent") is not None:
            above = str(payload["parent"])
            payload["parent"] = self._standing.key_of(directory, above) or f"id {above}"
        if "managers" in payload:
            emails = upsert.payload["managers"]
            found = await self._standing.managers(emails, call) if emails else {}
            by_id = {} if isinstance(found, Unread) else {one: email for email, one in found.items()}
            payload["managers"] = [by_id.get(one, f"id {one}") for one in payload["managers"] or ()]
        payload["tags"] = payload.get("tags") or []
        return {field: value for field, value in payload.items() if field in upsert.payload}

    async def remove(self, key: str, payload: Payload, call: Call) -> Verdict:
        """Take the area out of use: an update to inactive that keeps everything else."""
        directory = await self._standing.of_key(key, call)
        known = self._standing.learned(key)
        if isinstance(directory, Directory) and directory.shows_keys and known is None and key not in directory.ids:
            return Verdict(Outcome.ACCEPTED, "nothing stood there")
        (verdict,) = await self.send([Upsert(key, "", {**payload, "active": False}, "", "", ())], call)
        return verdict

    def check(self) -> Request:
        """The smallest page of areas."""
        return Request("GET", AREAS, query={"limit": "1"}, repeatable=True)

    def describe(self, upsert: Upsert) -> str:
        """Method and path of the upsert's request, which other areas share."""
        del upsert
        return f"POST {UPSERT}"

    async def areas(self, call: Call) -> Sequence[Entry]:
        """All areas that stand there, as the API gives them.

        Raises:
            AccountUnavailable: no usable answer.
        """
        directory = await self._standing.directory(call, changed=[self._standing.writes])
        if isinstance(directory, Unread):
            raise self._unavailable("the areas", directory.reason)
        return directory.entries

    async def area(self, area_id: str, call: Call) -> Entry | None:
        """One area by its server id; None where there is none, which the API tells by an empty object.

        Raises:
            AccountUnavailable: no usable answer.
        """
        exchange = await call(Request("GET", f"{AREAS}/{area_id}", repeatable=True))
        body = exchange.json() if isinstance(exchange, Answer) and exchange.ok else None
        entry = body.get("area") if isinstance(body, dict) else None
        if not isinstance(entry, dict):
            raise self._unavailable(f"the area {area_id}", words(exchange, self._account))
        return entry if id_of(entry) is not None else None

    def _unavailable(self, what: str, why: str) -> AccountUnavailable:
        msg = f"account {self.account}: {what} cannot be read: {why}"
        return AccountUnavailable(msg, do="Try again later.", account=self.account)


def _portions(items: Sequence[_Item], most: int) -> Iterator[Sequence[_Item]]:
    """The items in requests of at most so many bytes; one that is larger travels alone."""
    portion: list[_Item] = []
    size = _FRAME
    for item in items:
        if portion and size + item.size > most:
            yield portion
            portion, size = [], _FRAME
        portion.append(item)
        size += item.size
    if portion:
        yield portion
