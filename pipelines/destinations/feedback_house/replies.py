"""The answer to a batch -> a verdict per area, and the ids that it tells.

Source: "Area API | Update or Create" (seed, github.com/feedback-house/developer-portal,
website/docs/api/area/api-area-update-or-create.md), section "Response and Error reporting": `status` is "OK" also where
areas were refused; `errors` repeats each refused object with a message; `data` may be missing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.delivery.messages import Answer, Exchange
from pipelines.delivery.upsert import Outcome, Verdict
from pipelines.destinations.accounts import Account
from pipelines.destinations.answers import excerpt, judge, named, shortened
from pipelines.destinations.feedback_house.fields import FIELDS, KEY
from pipelines.destinations.feedback_house.pages import id_of, key_of

Item = Mapping[str, Any]
"""An area as it stands in the request."""

_ACCOUNTS = frozenset({402, 403})
"""These are about the account's plan and rights: the engine counts them."""
_COUNTS = {name: re.compile(rf"{name}\s+(\d+)") for name in ("Created", "Updated", "Errors")}


@dataclass(frozen=True, slots=True)
class Reply:
    """A verdict per item, in order; the ids that the answer tells, by key, and whether it shows keys.

    `divisible`: the same items in smaller requests may fare better, or be told apart.
    """

    verdicts: Sequence[Verdict]
    ids: Mapping[str, str] = field(default_factory=dict)
    shows_keys: bool = False
    divisible: bool = False


def read_reply(exchange: Exchange, items: Sequence[Item], account: Account) -> Reply:
    """What became of each item.

    A 2xx is judged by what it says of errors, never by its `status`: an error belongs to the item with the key in its
    object, else to the only one that its object can repeat. Where one belongs to nobody, all others are unknown, except
    for an item that travelled alone. A body that says nothing of errors leaves everything unknown.

    Another answer is about the whole request, unless it has such errors as well: then it is about the areas that they
    belong to, and the others may be sent again without them. No document says which status an error has.
    """
    if not isinstance(exchange, Answer):
        return Reply([judge(exchange, account)] * len(items))
    body = exchange.json()
    if not exchange.ok:
        return _refusal(exchange, body, items, account)
    if not isinstance(body, dict):
        return Reply([_says_nothing(exchange, account)] * len(items))
    return _read(exchange, body, items, account)


def _refusal(answer: Answer, body: Any, items: Sequence[Item], account: Account) -> Reply:
    whole = judge(answer, account)
    errors = body.get("errors") if isinstance(body, dict) else None
    refused: dict[int, Any] = {}
    if whole.outcome is Outcome.REJECTED and answer.status not in _ACCOUNTS and isinstance(errors, list):
        refused = {at: error for error in errors if (at := _place(error, items)) is not None}
    if not refused:
        return Reply([whole] * len(items), divisible=answer.status >= 500)
    # Without a status: with one the engine would take the batch for refused as a whole, and split it.
    other = Verdict(Outcome.UNKNOWN, f"sent together with areas that were refused: {whole.reason}")
    verdicts = [
        Verdict(Outcome.REJECTED, _words(refused[at], account)) if at in refused else other for at in range(len(items))
    ]
    return Reply(verdicts, divisible=len(refused) < len(items))


def _read(answer: Answer, body: Mapping[str, Any], items: Sequence[Item], account: Account) -> Reply:
    errors, data = body.get("errors"), body.get("data")
    entries = [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
    refused_whole = body.get("status") == "ERROR"
    if not isinstance(errors, list):
        if not refused_whole and len(entries) < len(items):
            return Reply([_says_nothing(answer, account)] * len(items))
        errors = []
    refused = {at: error for error in errors if (at := _place(error, items)) is not None}
    nobodys = [error for error in errors if _place(error, items) is None]
    message = body.get("message")
    counted = {name: int(m[1]) for name, one in _COUNTS.items() if (m := one.search(str(message)))}
    doubtful = bool(nobodys) or refused_whole or counted.get("Errors", 0) > len(errors)
    if doubtful and len(items) == 1 and not refused:
        refused, doubtful = {0: nobodys[0] if nobodys else body}, False
    taken = len(items) - len(refused)
    verdicts = []
    for at in range(len(items)):
        if at in refused:
            verdicts.append(Verdict(Outcome.REJECTED, _words(refused[at], account), answer.status))
        elif doubtful:
            reason = f"some area of the batch was refused, and not said which: {_words((*nobodys, body)[0], account)}"
            verdicts.append(Verdict(Outcome.UNKNOWN, reason, answer.status))
        else:
            verdicts.append(Verdict(_outcome(counted, taken), status=answer.status))
    shows_keys = any(key_of(entry) is not None for entry in entries)
    return Reply(verdicts, ids_in(entries, items), shows_keys, divisible=doubtful and taken > 0)


def _outcome(counted: Mapping[str, int], taken: int) -> Outcome:
    """Created and updated are counted for the batch alone: they tell of each area only where all fared alike."""
    created, updated = counted.get("Created"), counted.get("Updated")
    if (created, updated) == (taken, 0):
        return Outcome.CREATED
    return Outcome.UPDATED if (created, updated) == (0, taken) else Outcome.ACCEPTED


def _place(error: Any, items: Sequence[Item]) -> int | None:
    """The position of the item that an error is about; other endpoints say `data` for `object`."""
    thing = error.get("object", error.get("data")) if isinstance(error, dict) else None
    if not isinstance(thing, dict):
        return None
    places = [at for at, item in enumerate(items) if _is_echo(thing, item)]
    return places[0] if len(places) == 1 else None


def _is_echo(thing: Mapping[str, Any], item: Item) -> bool:
    """Whether an object repeats an item: its key, or without one no other value for any field."""
    key = key_of(thing)
    if key is not None:
        return key == item[KEY]
    told = [field for field in FIELDS.values() if field in thing]
    return all((thing[field] or None) == (item.get(field) or None) for field in told)


def _words(error: Any, account: Account) -> str:
    said = error.get("message") if isinstance(error, dict) else error
    return shortened(account.redact(str(said or "refused without a word")))


def _says_nothing(answer: Answer, account: Account) -> Verdict:
    judged = judge(answer, account)
    if judged.outcome is Outcome.UNKNOWN:
        return judged
    said = excerpt(answer, account) or "an empty body"
    return Verdict(Outcome.UNKNOWN, f"{named(answer.status)}, but no word on errors: {said}", answer.status)


def ids_in(entries: Sequence[Mapping[str, Any]], items: Sequence[Item]) -> dict[str, str]:
    """Key -> id, as far as entries can be told apart: by their key, else by name and parent.

    Whether the answer shows keys and ids, and all items in order, is not documented.
    """
    keys = {item[KEY] for item in items}
    pairs: list[tuple[str, str]] = []
    by_name: dict[Any, list[Item]] = {}
    for item in items:
        by_name.setdefault(item["name"], []).append(item)
    for entry in entries:
        one, key = id_of(entry), key_of(entry)
        if one is None:
            continue
        if key is not None:
            pairs += [(key, one)] if key in keys else []
            continue
        alike = [item for item in by_name.get(entry.get("name"), ()) if _same_parent(item, entry)]
        pairs += [(item[KEY], one) for item in alike]
    told_keys, told_ids = Counter(key for key, _ in pairs), Counter(one for _, one in pairs)
    return {key: one for key, one in pairs if told_keys[key] == told_ids[one] == 1}


def _same_parent(item: Item, entry: Mapping[str, Any]) -> bool:
    return "parent" not in entry or entry["parent"] == item.get("parent")
