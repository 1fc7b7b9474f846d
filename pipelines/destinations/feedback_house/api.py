"""feedback.house's area API: areas in batches, read-back, deactivation.

Sources: "Area API | Update or Create" (seed) and the pages website/docs/api/area/* and website/docs/api/user/* of
github.com/feedback-house/developer-portal.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from pipelines.delivery.destination import Effort, Found, Sighting, Stranger
from pipelines.delivery.errors import AccountUnavailable, ConfigurationError
from pipelines.delivery.messages import Answer, Call, Request
from pipelines.delivery.upsert import Outcome, Payload, Upsert, Verdict
from pipelines.destinations.accounts import Account, variable
from pipelines.destinations.answers import words
from pipelines.destinations.feedback_house.batches import UPSERT, Batches
from pipelines.destinations.feedback_house.fields import FIELDS, compared_form
from pipelines.destinations.feedback_house.items import Item, Items
from pipelines.destinations.feedback_house.managers import Managers
from pipelines.destinations.feedback_house.matching import known_by, match, path_of
from pipelines.destinations.feedback_house.pages import AREAS, PAGE, Directory, Entry, Unread, entries_of, id_of
from pipelines.destinations.feedback_house.past import Past
from pipelines.destinations.feedback_house.standing import Standing


class FeedbackHouse:
    """One account of feedback.house, during one run.

    Each area goes with its correlationID, so that it may be sent again ("Idempotent: YES, using primary keys"; without
    a key every call would make a new area). It goes after its parent, whose id the request must hold.
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
        self._account = account
        self._compared = tuple(compared)
        self._verdicts: dict[str, Verdict] = {}
        self._standing = Standing(account)
        self._past = Past()
        self._managers = Managers(account.name, self._standing)
        self._items = Items(self._standing, self._past, self._managers, self._verdicts)
        self._batches = Batches(account, self._standing, batch_bytes)

    @property
    def notes(self) -> Sequence[str]:
        """What was left out, in sentences."""
        return self._managers.notes

    def normalise(self, payload: Payload) -> Payload:
        """The compared fields."""
        return compared_form(payload, self._compared)

    def ranks(self, upserts: Sequence[Upsert]) -> Mapping[str, int]:
        """How many areas of the table stand above each: parents go before their children.

        Areas that are not sent count too: an area may move below one that stays where it is, but whose own parent only
        now leaves the area's branch. The other way round the API would see a circle.
        """
        return {upsert.key: upsert.payload.get("depth", 0) for upsert in upserts}

    async def vet(self, upserts: Sequence[Upsert], call: Call) -> Mapping[str, str]:
        """Learn ids from what stands there; nothing is held against an upsert here.

        What cannot be read is noted, and the areas that need it are not sent.

        Raises:
            ConfigurationError: there is no list of areas at the address.
        """
        if any(upsert.payload.get("managers") for upsert in upserts):
            await self._standing.users(call)
        if not all(self._is_there(upsert) for upsert in upserts):
            directory = await self._standing.directory(call)
            if isinstance(directory, Unread):
                self._refuse_other_address(directory)
                self._managers.note(f"the areas cannot be read: {directory.reason}")
        return {}

    def _refuse_other_address(self, unread: Unread) -> None:
        if unread.status != 404:
            return
        setting = variable(self.account, "url")
        msg = f"account {self.account}: GET {AREAS} of {self._account.url} was answered {unread.reason}"
        do = f"Check {setting}: feedback.house's own address ends with /api. Nothing was sent."
        raise ConfigurationError(msg, do=do, account=self.account, setting=setting)

    def sendable(self, upsert: Upsert) -> Payload:
        """The area with those of its managers that are users."""
        return self._managers.sendable(upsert.payload)

    def _is_there(self, upsert: Upsert) -> bool:
        """Whether nothing is left to send, since only managers that nobody knows are new."""
        accepted = self._past.accepted(upsert.key)
        return accepted is not None and self.normalise(self.sendable(upsert)) == self.normalise(accepted)

    def remember(self, accepted: Mapping[str, Found]) -> None:
        """Take over what was accepted before: ids that answers told, and fields that may have to be emptied."""
        self._past.remember(accepted)
        self._standing.remember({key: found.remote_id for key, found in accepted.items() if found.remote_id})

    async def send(self, batch: Sequence[Upsert], call: Call) -> Sequence[Verdict]:
        """Update or create the areas; one whose parent did not arrive, or has no known id, is not sent."""
        made = {upsert.key: await self._items.make(upsert, call) for upsert in batch}
        items = [item for item in made.values() if isinstance(item, Item)]
        self._verdicts |= {key: verdict for key, verdict in made.items() if isinstance(verdict, Verdict)}
        self._verdicts |= await self._batches.deliver(items, call, alone=len(items) == len(batch))
        return [self._verdicts[upsert.key] for upsert in batch]

    async def read_back(self, upsert: Upsert, call: Call) -> Found | None:
        """The area with the upsert's key; None where the API does not show which one that is."""
        self._past.attempt(upsert.key, upsert.payload)
        directory = await self._standing.of_key(upsert.key, call)
        if isinstance(directory, Unread):
            return None
        area = self._standing.known(directory, upsert.key)
        if area is None and not self._standing.is_absent(upsert.key, directory):
            return None
        entry = directory.by_id.get(area or "")
        if area is None or entry is None:
            return Found(None)
        payload = self.normalise(await self._as_payload(entry, upsert, directory, call))
        if payload == self.normalise(upsert.payload):
            # The engine counts it as accepted from here on, and its children may go.
            self._verdicts[upsert.key] = Verdict(Outcome.ACCEPTED, remote_id=area)
        return Found(payload, area)

    async def _as_payload(self, entry: Entry, upsert: Upsert, directory: Directory, call: Call) -> Payload:
        """The fields of an area that the upsert has, with keys and e-mails in place of ids."""
        payload = {field: entry.get(field) for field in FIELDS.values() if field in upsert.payload}
        if payload.get("parent") is not None:
            above = str(payload["parent"])
            payload["parent"] = self._standing.key_of(directory, above) or f"id {above}"
        if "managers" in payload:
            emails = upsert.payload["managers"]
            users = await self._standing.users(call) if emails else {}
            payload["managers"] = _emails(payload["managers"] or (), emails, {} if isinstance(users, Unread) else users)
        if "tags" in payload:
            payload["tags"] = [str(tag) for tag in payload["tags"] or ()]
        return payload

    async def remove(self, key: str, payload: Payload, call: Call) -> Verdict:
        """Take the area out of use: an update to inactive that keeps everything else, as far as it can be read."""
        directory = await self._standing.of_key(key, call)
        if self._standing.is_absent(key, directory):
            return Verdict(Outcome.ACCEPTED, "nothing stood there")
        area = self._standing.known(directory, key)
        entry = directory.by_id.get(area or "") if isinstance(directory, Directory) else None
        if entry is not None and entry.get("active") is False:
            return Verdict(Outcome.ACCEPTED, "it is out of use already")
        item = await self._items.retired(key, payload, area, entry, call)
        if isinstance(item, Verdict):
            return item
        return (await self._batches.deliver([item], call, alone=True))[key]

    def cost(self, upserts: Sequence[Upsert], *, removed: int, standing: int) -> Effort:
        """The pages of areas (and users), then the areas of each level in batches, and those out of use one by one."""
        if not upserts and not removed:
            return Effort(0, "nothing is read where nothing is sent")
        pages = max(1, math.ceil(standing / PAGE)) + any(upsert.payload.get("managers") for upsert in upserts)
        posts = self._batches.requests_for(upserts, self.batch_size)
        why = (
            f"{pages} to read what stands there in pages of {PAGE}, then the areas level by level, "
            f"at most {self.batch_size} in a request"
        )
        return Effort(pages + posts + removed, why)

    def effort(self, upserts: Sequence[Upsert]) -> Effort:
        """A request per page of areas, and of users where managers are compared."""
        pages = max(1, math.ceil(len(upserts) / PAGE)) + any(upsert.payload.get("managers") for upsert in upserts)
        return Effort(
            pages, f"the areas, and users if areas have managers, in pages of {PAGE}; more where there are more"
        )

    async def survey(self, upserts: Sequence[Upsert], call: Call) -> AsyncGenerator[Sighting, None]:
        """One list tells of all areas; those whose key it does not show are known by name and the areas above them."""
        directory = await self._standing.directory(call)
        if isinstance(directory, Unread):
            raise self._unavailable("the areas", directory.reason)
        told = {upsert.key: self._standing.known(directory, upsert.key) for upsert in upserts}
        matched = match(directory, upserts, {key: area for key, area in told.items() if area in directory.by_id})
        known = known_by(directory, matched.ids)
        found: dict[str, Found] = {}
        for upsert in upserts:
            area = matched.ids.get(upsert.key)
            payload = await self._as_payload(known.by_id[area], upsert, known, call) if area is not None else None
            found[upsert.key] = Found(None if payload is None else self.normalise(payload), area)
        others = [one for one in directory.by_id if one not in known.keys]
        strangers = [Stranger(directory.keys.get(one), path_of(directory, one)) for one in others]
        yield Sighting(found, loose=matched.loose, unclear=matched.unclear, strangers=strangers)

    def check(self) -> Request:
        """The smallest page of areas."""
        return Request("GET", AREAS, query={"limit": "1"}, repeatable=True)

    def objection(self, answer: Answer) -> str:
        """An answer without a list of areas is none of feedback.house, or one of its refusals with a 200."""
        if entries_of(answer, "areas") is not None:
            return ""
        return f"it is no page of areas: {words(answer, self._account)}"

    def describe(self, upsert: Upsert) -> str:
        """Method and path of the upsert's request, in which other areas travel too."""
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


def _emails(ids: Sequence[Any], wanted: Sequence[str], users: Mapping[str, str]) -> list[str]:
    """Ids of users as e-mails: of each user all the wanted ones that are his."""
    found = [[email for email in wanted if users.get(email) == one] or [f"id {one}"] for one in ids]
    return [email for emails in found for email in emails]
