"""Payloads side by side, field by field, for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipelines.delivery.upsert import Payload

ABSENT = "(absent)"


def flat(payload: Payload) -> dict[str, Any]:
    """The fields of a payload by path: `{"values": [{"id": "a", "value": 1}]}` as `{"values[a].value": 1}`.

    An object in a list is called by its first text, so that lists in another order are compared all the same; other
    lists are values.
    """
    return dict(_walk("", payload))


def differing(here: Payload, there: Payload) -> dict[str, tuple[Any, Any]]:
    """The fields in which two payloads differ, each with both values."""
    ours, theirs = flat(here), flat(there)
    names = [*ours, *(name for name in theirs if name not in ours)]
    pairs = {name: (ours.get(name, ABSENT), theirs.get(name, ABSENT)) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _walk(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _walk(f"{path}.{name}" if path else str(name), one)
    elif isinstance(value, Sequence) and not isinstance(value, str) and value and all(map(_is_object, value)):
        for at, one in enumerate(value):
            title, rest = _titled(one)
            for name, inner in rest.items():
                yield from _walk(f"{path}[{at if title is None else title}].{name}", inner)
    else:
        yield path, value


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def _titled(value: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    """An object's first text, and the other fields."""
    name = next((name for name, one in value.items() if isinstance(one, str)), None)
    if name is None:
        return None, value
    return value[name], {other: one for other, one in value.items() if other != name}
