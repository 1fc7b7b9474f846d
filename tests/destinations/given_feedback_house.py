"""What the tests of feedback.house start from: tables of areas, the sync, and a stand-in for the server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

import orjson
import pandas as pd

from pipelines.delivery.messages import Exchange, Lost, Request
from pipelines.delivery.upsert import Outcome, Upsert, Verdict
from pipelines.destinations.feedback_house import FeedbackHouse, FeedbackHouseSpec
from tests.destinations.given import account, answer, arrow

POST = "POST /planning/area/v1/update-or-create"
QUERY = "GET /planning/area/v1/query"
USERS = "GET /common/user/v1/users"
_PAGE = 3


def areas(*given: Mapping[str, Any], **everywhere: Any) -> pd.DataFrame:
    """A snapshot of areas, as the tables layer hands it over; `area_name` follows the code unless it is given."""
    usual = {"partition": "snapshot", "as_of": "2026-01-01T04:30:00.000000Z", "parent_code": None, "active": True}
    named = [{"area_name": f"Area {one.get('area_code')}", "tags": None, **usual, **everywhere, **one} for one in given]
    return arrow(pd.DataFrame([{"row": number, **one} for number, one in enumerate(named)]))


def tree(**parents: str | None) -> pd.DataFrame:
    """A snapshot out of code -> parent."""
    return areas(*({"area_code": code, "parent_code": parent} for code, parent in parents.items()))


def sync(**fields: Any) -> FeedbackHouseSpec:
    """The sync of the sample, with some fields changed."""
    example = {"name": "org_units", "table": "areas", "account": "feedback_house", "mode": "sandbox"}
    return FeedbackHouseSpec.model_validate(example | fields)


def upserts(frame: pd.DataFrame, *keys: str, **fields: Any) -> list[Upsert]:
    """The upserts of a snapshot, or those with these keys."""
    built = sync(**fields).build(frame)
    assert built.dropped == []
    return [one for one in built.upserts if one.key in keys or not keys]


def destination(**options: Any) -> FeedbackHouse:
    """A destination with a secret."""
    return FeedbackHouse(account(), **options)


async def deliver(target: FeedbackHouse, some: Sequence[Upsert], call: House) -> dict[str, Verdict]:
    """Send as the engine does: vetted, rank after rank, in batches, batches that are refused as a whole in halves."""
    refused = await target.vet(some, call)
    assert refused == {}
    ranks = target.ranks(some)
    verdicts: dict[str, Verdict] = {}
    for rank in sorted(set(ranks.values())):
        level = [one for one in some if ranks[one.key] == rank]
        for start in range(0, len(level), target.batch_size):
            verdicts |= await _split(target, level[start : start + target.batch_size], call)
    return verdicts


async def _split(target: FeedbackHouse, batch: Sequence[Upsert], call: House) -> dict[str, Verdict]:
    verdicts = await target.send(batch, call)
    if len(batch) > 1 and all(one.outcome is Outcome.REJECTED and (one.status or 0) >= 400 for one in verdicts):
        middle = len(batch) // 2
        return {**await _split(target, batch[:middle], call), **await _split(target, batch[middle:], call)}
    return dict(zip((one.key for one in batch), verdicts, strict=True))


class House:
    """A `Call` that keeps areas as the documents describe it; where they disagree or are silent it can be either way.

    `refused` are keys whose items end in `errors`; `spoil` may answer a batch otherwise, by its keys; with `lose` the
    answers to batches do not arrive.
    """

    def __init__(self, *, data: bool = True, ids: bool = True, keys: bool = False) -> None:
        self.data, self.ids, self.keys = data, ids, keys
        self.held: dict[str, dict[str, Any]] = {}
        self.users: list[dict[str, Any]] = []
        self.refused: set[str] = set()
        self.spoil: Callable[[list[str]], Exchange | None] = lambda _: None
        self.lose = False
        self.unread: Exchange | None = None
        self.requests: list[Request] = []
        self._numbers = count(1)

    async def __call__(self, request: Request) -> Exchange:
        self.requests.append(request)
        if str(request) == POST:
            items = orjson.loads(request.body or b"")["areas"]
            done = self.spoil([item["correlationID"] for item in items]) or self._take(items)
            return Lost("broke") if self.lose else done
        if self.unread is not None:
            return self.unread
        if str(request) == USERS:
            return self._page("users", self.users, request)
        hidden = () if self.keys else ("correlationID",)
        shown = [{name: value for name, value in one.items() if name not in hidden} for one in self.held.values()]
        return self._page("areas", shown, request)

    @property
    def lines(self) -> list[str]:
        """The requests as "METHOD /path"."""
        return [str(request) for request in self.requests]

    def batches(self) -> list[list[str]]:
        """The keys of each batch."""
        bodies = [orjson.loads(request.body) for request in self.requests if request.body]
        return [[item["correlationID"] for item in body["areas"]] for body in bodies]

    def sent(self, key: str) -> dict[str, Any]:
        """The last item with this key."""
        bodies = [orjson.loads(request.body) for request in self.requests if request.body]
        return [item for body in bodies for item in body["areas"] if item["correlationID"] == key][-1]

    def parents(self) -> dict[str, str | None]:
        """Key -> the parent's key."""
        keys = {one: area["correlationID"] for one, area in self.held.items()}
        return {area["correlationID"]: keys.get(area["parent"]) for area in self.held.values()}

    def area(self, key: str) -> dict[str, Any]:
        """The area with this key."""
        return next(one for one in self.held.values() if one["correlationID"] == key)

    def put(self, key: str | None, **fields: Any) -> str:
        """Let an area stand there; returns its id."""
        one = f"{next(self._numbers):024x}"
        self.held[one] = {"id": one, "correlationID": key, "name": f"Area {key}", "parent": None, **fields}
        return one

    def _take(self, items: Sequence[Mapping[str, Any]]) -> Exchange:
        done, errors, created = [], [], 0
        for item in items:
            why = self._why_not(item)
            if why:
                errors.append({"object": item, "message": why})
                continue
            known = [one for one, area in self.held.items() if area["correlationID"] == item["correlationID"]]
            created += not known
            one = known[0] if known else self.put(item["correlationID"])
            self.held[one] |= item
            done.append({name: value for name, value in self.held[one].items() if name != "id" or self.ids})
        message = f"Created {created} | Updated {len(done) - created} | Errors {len(errors)}"
        body = {"status": "OK", "message": message, "errors": errors}
        return answer(200, {**body, "data": done} if self.data and not errors else body)

    def _why_not(self, item: Mapping[str, Any]) -> str:
        if item["correlationID"] in self.refused:
            return "Invalid area"
        above, seen = item.get("parent"), set()
        while above is not None:
            if above not in self.held:
                return f"Parent {above} not found"
            if self.held[above]["correlationID"] == item["correlationID"] or above in seen:
                return "Circular reference in parent"
            seen.add(above)
            above = self.held[above]["parent"]
        return ""

    def _page(self, name: str, entries: Sequence[Mapping[str, Any]], request: Request) -> Exchange:
        skip = int(request.query["skip"])
        page = entries[skip : skip + _PAGE]
        return answer(200, {name: page, "pageInfo": {"hasNextPage": skip + _PAGE < len(entries)}})
