"""What DNSimple's answers hold: envelopes, pages, statuses.

Sources: the Statuses page of the platform API (seed, developer.dnsimple.com/v2/platform/statuses) and the general rules
of developer.dnsimple.com/v2. The former shows bare objects, the latter wrap everything in `data`: both are read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.delivery.messages import Answer, Call, Exchange, Request

DEFAULT_CONTEXT = "default"
"""The context of a status that names none (seed: "Create Status")."""
HEADERS = {"content-type": "application/json"}
"""Of every request, also of one without a body: the type "must be explicitly specified in any HTTP request", and the
example of it is a GET (developer.dnsimple.com/v2: content types)."""
PER_PAGE = 100
"""The largest page (developer.dnsimple.com/v2: paging)."""


@dataclass(frozen=True, slots=True)
class Status:
    """A status as the API shows it. The documents disagree about the form of times: they are kept as text."""

    id: str | None
    resource: str
    context: str
    state: str | None = None
    title: str | None = None
    message: str | None = None
    url: str | None = None
    created_at: str | None = None
    updated_at: str | None = None

    @classmethod
    def parse(cls, body: Any) -> Status | None:
        """The status that a JSON value is; None where it is none."""
        if not isinstance(body, Mapping) or not isinstance(body.get("resource"), str):
            return None
        return cls(
            id=None if body.get("id") is None else str(body["id"]),
            resource=body["resource"],
            context=body.get("context") or DEFAULT_CONTEXT,
            **{name: body.get(name) for name in ("state", "title", "message", "url", "created_at", "updated_at")},
        )

    @property
    def key(self) -> str:
        """The key of the upsert that makes such a status."""
        return status_key(self.resource, self.context)


@dataclass(frozen=True, slots=True)
class Pages:
    """A list over all of its pages. `total`: the entries there are, where the API tells."""

    statuses: tuple[Status, ...]
    total: int | None

    @property
    def torn(self) -> bool:
        """Whether entries moved from page to page while they were read, so that some may be missing."""
        return self.total is not None and len({(status.id, status.key) for status in self.statuses}) < self.total


@dataclass(frozen=True, slots=True)
class Listing:
    """An account's statuses by key. `after`: how many writes had ended when it was asked for."""

    after: int
    by_key: Mapping[str, Sequence[Status]]

    @classmethod
    def of(cls, statuses: Iterable[Status], after: int) -> Listing:
        """The statuses by key, each key's in the order of the list."""
        by_key: dict[str, list[Status]] = {}
        for status in statuses:
            by_key.setdefault(status.key, []).append(status)
        return cls(after, by_key)


def status_key(resource: str, context: str) -> str:
    """Resource and context in one text: a resource holds no slash."""
    return f"{resource}/{context}"


def unwrapped(exchange: Exchange) -> Any:
    """The JSON of a success, out of its envelope if it has one; None where there is none."""
    body = exchange.json() if isinstance(exchange, Answer) and exchange.ok else None
    # DNSimple's own plugin for CoreDNS sends statuses with a `data` of their own.
    return body["data"] if isinstance(body, dict) and "data" in body and "id" not in body else body


async def read_pages(path: str, call: Call) -> Pages | Exchange:
    """A list of statuses, page by page; the first answer that is no page where there is one.

    No order is asked for. Where nothing is said of pages, a full page has another one behind it, unless that is the
    same one again.
    """
    entries: list[Any] = []
    last: list[Any] | None = None
    page = 1
    while True:
        query = {"page": str(page), "per_page": str(PER_PAGE)}
        exchange = await call(Request("GET", path, query=query, headers=HEADERS, repeatable=True))
        part = unwrapped(exchange)
        if not isinstance(part, list) or not all(isinstance(entry, dict) for entry in part):
            return exchange
        total, pages = _pagination(exchange)
        if part != last:
            entries += part
        if part == last or (page >= pages if pages is not None else len(part) < PER_PAGE):
            return Pages(_statuses(entries), total)
        page, last = page + 1, part


def _statuses(entries: Iterable[Any]) -> tuple[Status, ...]:
    return tuple(status for entry in entries if (status := Status.parse(entry)) is not None)


def _pagination(exchange: Exchange) -> tuple[int | None, int | None]:
    """Entries and pages in all, as far as the answer tells."""
    body = exchange.json() if isinstance(exchange, Answer) else None
    told = body.get("pagination") if isinstance(body, dict) else None
    numbers = (told.get(name) if isinstance(told, dict) else None for name in ("total_entries", "total_pages"))
    total, pages = (one if isinstance(one, int) else None for one in numbers)
    return total, pages
