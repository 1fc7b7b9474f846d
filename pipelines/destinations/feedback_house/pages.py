"""What stands at feedback.house: its areas and users, read page by page.

Sources: github.com/feedback-house/developer-portal, website/docs/api/area/api-area-get.md and
website/docs/api/user/api-user-get.md: `skip`, `limit` (100) and `pageInfo`. Neither page lists the correlationID among
the fields of an area, so that areas may have to be told apart by their names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.delivery.messages import Answer, Call, Exchange, Request
from pipelines.destinations.accounts import Account
from pipelines.destinations.answers import words
from pipelines.destinations.feedback_house.fields import KEY

AREAS = "/planning/area/v1/query"
USERS = "/common/user/v1/users"
PAGE = 100
"""The documented default; the largest page is documented nowhere."""

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unread:
    """Why pages could not be read, without secrets; `after`: when so many writes of this run had ended.

    `status` is that of the answer, if one came.
    """

    reason: str
    after: int = 0
    status: int | None = None


async def read_pages(path: str, name: str, call: Call, account: Account) -> list[Entry] | Unread:
    """All entries of a paged list. A server may give fewer than asked for: what counts is what came.

    Raises:
        AccountStopped, AccountUnavailable: as the call does.
    """
    found: dict[str, Entry] = {}
    while True:
        query = {"skip": str(len(found)), "limit": str(PAGE)}
        exchange = await call(Request("GET", path, query=query, repeatable=True))
        page = _page(exchange, name)
        if page is None:
            return Unread(words(exchange, account), status=exchange.status if isinstance(exchange, Answer) else None)
        entries, more = page
        known = len(found)
        found |= {one: entry for entry in entries if (one := id_of(entry)) is not None}
        # A server that repeats a page, or promises more and gives nothing, has told all that it will.
        if not more or len(found) == known:
            return list(found.values())


def _page(exchange: Exchange, name: str) -> tuple[Sequence[Entry], bool] | None:
    """The entries of a page and whether there are more; None where it is no page."""
    entries = entries_of(exchange, name)
    if entries is None:
        return None
    info = exchange.json().get("pageInfo") if isinstance(exchange, Answer) else None
    more = info.get("hasNextPage") if isinstance(info, dict) else None
    more = more if isinstance(more, bool) else len(entries) >= PAGE
    return entries, more


def entries_of(exchange: Exchange, name: str) -> list[Entry] | None:
    """The entries of a page; None where it is no page."""
    body = exchange.json() if isinstance(exchange, Answer) and exchange.ok else None
    entries = body.get(name) if isinstance(body, dict) else None
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else None


def id_of(entry: Entry) -> str | None:
    """The server's id of an entry; the documents' examples call it `id`, one of them `_id`."""
    found = entry.get("id", entry.get("_id"))
    return found if isinstance(found, str) and found else None


def key_of(entry: Entry) -> str | None:
    """The correlationID of an area, where the answer shows it."""
    found = entry.get(KEY, entry.get("correlationId"))
    return found if isinstance(found, str) and found else None


def id_by_email(users: Iterable[Entry]) -> dict[str, str]:
    """E-mail in small letters -> the id of the only user that has it."""
    owners: dict[str, set[str]] = {}
    for user in users:
        emails, one = user.get("emails"), id_of(user)
        for email in emails if isinstance(emails, list) and one is not None else ():
            if isinstance(email, str):
                owners.setdefault(email.strip().lower(), set()).add(str(one))
    return {email: next(iter(ids)) for email, ids in owners.items() if len(ids) == 1}


@dataclass(slots=True)
class Directory:
    """The areas that stand there, as they were when so many writes of this run had ended (`after`)."""

    entries: Sequence[Entry]
    after: int
    by_id: dict[str, Entry] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    """correlationID -> id, of the areas that show one."""
    keys: dict[str, str] = field(default_factory=dict)
    """The same the other way round."""
    _named: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in self.entries:
            one = id_of(entry)
            if one is None:
                continue
            self.by_id[one] = entry
            self._named.setdefault(str(entry.get("name")), []).append(one)
            key = key_of(entry)
            if key is not None:
                self.ids[key], self.keys[one] = one, key

    @property
    def shows_keys(self) -> bool:
        """Whether a key that is not in `ids` stands nowhere."""
        return bool(self.ids) or not self.by_id

    def called(self, names: Sequence[str]) -> list[str]:
        """The ids of the areas with the last of these names, under areas with the others."""
        return [one for one in self._named.get(names[-1], ()) if self._stands_under(one, names[:-1])] if names else []

    def _stands_under(self, area: str, names: Sequence[str]) -> bool:
        at = self.by_id[area]
        for name in reversed(names):
            above = self.by_id.get(str(at.get("parent")))
            if above is None or above.get("name") != name:
                return False
            at = above
        return True
