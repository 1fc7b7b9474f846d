"""Items -> requests of a bearable size, halved where a request fares badly, so that a bad item stands alone."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from pipelines.delivery.errors import AccountStopped, AccountUnavailable
from pipelines.delivery.messages import Call, Request
from pipelines.delivery.upsert import ACCEPTED, Outcome, Upsert, Verdict
from pipelines.destinations.accounts import Account
from pipelines.destinations.feedback_house.fields import FIELDS, KEY
from pipelines.destinations.feedback_house.items import Item
from pipelines.destinations.feedback_house.replies import Reply, read_reply
from pipelines.destinations.feedback_house.standing import Standing

UPSERT = "/planning/area/v1/update-or-create"
_FRAME = len(b'{"areas":[]}')
_COMMA = 1


class Batches:
    """Sends items; ids that answers tell go to `standing`."""

    def __init__(self, account: Account, standing: Standing, most_bytes: int) -> None:
        self._account = account
        self._standing = standing
        self._most_bytes = most_bytes

    async def deliver(self, items: Sequence[Item], call: Call, *, alone: bool) -> dict[str, Verdict]:
        """A verdict per key.

        What fails with 5xx, and what an error without a name may be about, is sent again in halves, the larger requests
        first: so a sick server is noticed after a few, and one that stumbles over an item bears all the others. Items
        refused as a whole (4xx) are halved as well, unless all of them are and no other stands beside them (`alone`):
        those are the engine's to split.

        Raises:
            AccountStopped, AccountUnavailable: as the call does, before anything was answered.
        """
        verdicts: dict[str, Verdict] = {}
        requests, refused = deque(self._requests(items)), deque[Sequence[Item]]()
        while requests or refused:
            if not requests:
                if alone and all(_refused_whole(verdict) for verdict in verdicts.values()):
                    break
                requests.extend(half for part in refused for half in _halves(part))
                refused.clear()
                continue
            try:
                reply = await self._post(requests[0], call)
            except (AccountStopped, AccountUnavailable) as stop:
                if not verdicts:
                    raise
                _leave(verdicts, [*requests, *refused], stop)
                break
            part = requests.popleft()
            verdicts |= dict(zip((item.key for item in part), reply.verdicts, strict=True))
            if len(part) == 1:
                continue
            if _refused_whole(reply.verdicts[0]):
                refused.append(part)
            elif reply.divisible:
                requests.extend(_smaller(part, reply))
        areas = {item.key: item.area for item in items}
        return {key: _hinting(self._with_id(key, verdict), areas[key]) for key, verdict in verdicts.items()}

    def requests_for(self, upserts: Sequence[Upsert], batch_size: int) -> int:
        """How many requests the areas need, those of each level by themselves.

        With keys and e-mails in place of ids, and without what only answers tell: areas of one name travel apart where
        answers show no keys.
        """
        levels: dict[int, list[Item]] = {}
        for upsert in upserts:
            depth = upsert.payload.get("depth", 0)
            fields = {field: upsert.payload[field] for field in FIELDS.values() if field in upsert.payload}
            levels.setdefault(depth, []).append(Item.of(upsert.key, depth, {KEY: upsert.key, **fields}))
        return sum(
            len(list(_portions(level[start : start + batch_size], self._most_bytes)))
            for level in levels.values()
            for start in range(0, len(level), batch_size)
        )

    async def _post(self, items: Sequence[Item], call: Call) -> Reply:
        body = b'{"areas":[' + b",".join(item.text for item in items) + b"]}"
        headers = {"content-type": self._account.media_type}
        try:
            exchange = await call(Request("POST", UPSERT, body=body, headers=headers, repeatable=True))
        finally:
            self._standing.wrote({item.key: item.depth for item in items})
        reply = read_reply(exchange, [item.area for item in items], self._account)
        self._standing.learn(reply.ids, shows_keys=reply.shows_keys)
        return reply

    def _requests(self, items: Sequence[Item]) -> Iterator[Sequence[Item]]:
        parts = [items] if self._standing.shows_keys else _without_namesakes(items)
        for part in parts:
            yield from _portions(part, self._most_bytes)

    def _with_id(self, key: str, verdict: Verdict) -> Verdict:
        return replace(verdict, remote_id=self._standing.learned(key)) if verdict.outcome in ACCEPTED else verdict


def _leave(
    verdicts: dict[str, Verdict], parts: Iterable[Sequence[Item]], stop: AccountStopped | AccountUnavailable
) -> None:
    """The account was stopped: what had no verdict of its own yet was not sent."""
    left = Verdict(Outcome.NOT_SENT, str(stop), stop.facts.get("status"))
    for item in (one for part in parts for one in part):
        if item.key not in verdicts or _refused_whole(verdicts[item.key]):
            verdicts[item.key] = left


def _hinting(verdict: Verdict, area: Mapping[str, Any]) -> Verdict:
    emptied = " and ".join(field for field, value in area.items() if value is None)
    if verdict.outcome is not Outcome.REJECTED or not emptied:
        return verdict
    hint = f"({emptied} was sent as null, to be taken away: no document of feedback.house says how)"
    return replace(verdict, reason=f"{verdict.reason} {hint}")


def _refused_whole(verdict: Verdict) -> bool:
    return verdict.outcome is Outcome.REJECTED and (verdict.status or 0) >= 400


def _smaller(part: Sequence[Item], reply: Reply) -> Iterable[Sequence[Item]]:
    """The requests by which to try again those that are not settled."""
    unsettled = [item for item, one in zip(part, reply.verdicts, strict=True) if one.outcome is not Outcome.REJECTED]
    return _halves(unsettled) if len(unsettled) == len(part) else [unsettled]


def _halves(items: Sequence[Item]) -> list[Sequence[Item]]:
    middle = len(items) // 2
    return [half for half in (items[:middle], items[middle:]) if half]


def _without_namesakes(items: Sequence[Item]) -> list[list[Item]]:
    """The items in parts of which none has two areas of one name below one parent.

    Answers that show no keys tell such areas' ids only where they travel apart; without an id no child can follow.
    """
    parts: list[list[Item]] = []
    alike: Counter[tuple[Any, Any]] = Counter()
    for item in items:
        name = item.area["name"], item.area.get("parent")
        if alike[name] == len(parts):
            parts.append([])
        parts[alike[name]].append(item)
        alike[name] += 1
    return parts


def _portions(items: Iterable[Item], most_bytes: int) -> Iterator[Sequence[Item]]:
    """The items in requests of at most so many bytes; one that is larger travels alone."""
    portion: list[Item] = []
    size = _FRAME
    for item in items:
        if portion and size + len(item.text) + _COMMA > most_bytes:
            yield portion
            portion, size = [], _FRAME
        portion.append(item)
        size += len(item.text) + _COMMA
    if portion:
        yield portion
