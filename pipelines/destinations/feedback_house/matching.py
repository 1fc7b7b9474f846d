"""Which of the areas that stand there is which of the table's: by its key, else by its name and the areas above it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pipelines.delivery.upsert import Payload, Upsert
from pipelines.destinations.feedback_house.pages import Directory, key_of

_BY_NAME = "found by its name and the areas above it; whether it carries the key is not shown"


@dataclass(frozen=True, slots=True)
class Matched:
    """`ids`: key -> id. `loose`: keys that were found by name, and how. `unclear`: keys that several areas may have."""

    ids: dict[str, str] = field(default_factory=dict)
    loose: dict[str, str] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)


def match(directory: Directory, upserts: Sequence[Upsert], ids: Mapping[str, str]) -> Matched:
    """The areas of these upserts. `ids` are those that keys are known to have; the other areas are told by name.

    An area that shows another key, or is another key's, is nobody else's.
    """
    matched = Matched(dict(ids))
    taken = {*ids.values()}
    free = [one for one, entry in directory.by_id.items() if key_of(entry) is None and one not in taken]
    paths = {one: _path(directory, one) for one in free}
    by_name: dict[str, list[str]] = {}
    for one, path in paths.items():
        by_name.setdefault(path[-1], []).append(one)
    claims: dict[str, list[str]] = {}
    for upsert in upserts:
        if upsert.key not in matched.ids:
            alike = [one for one in by_name.get(upsert.payload["name"], ()) if _fits(upsert.payload, paths[one])]
            claims[upsert.key] = alike
    claimed = [one for alike in claims.values() for one in alike]
    for key, alike in claims.items():
        if len(alike) == 1 and claimed.count(alike[0]) == 1:
            matched.ids[key] = alike[0]
            matched.loose[key] = _BY_NAME
        elif alike:
            where = " > ".join(paths[alike[0]])
            matched.unclear[key] = f"{len(alike)} areas and {_claims(claims, alike)} keys are called {where!r}"
    return matched


def known_by(directory: Directory, ids: Mapping[str, str]) -> Directory:
    """The same areas, with these keys for their ids."""
    known = Directory(directory.entries, directory.after)
    for key, one in ids.items():
        known.ids[key], known.keys[one] = one, key
    return known


def path_of(directory: Directory, area: str) -> str:
    """An area's name below those of the areas above it, for people."""
    return " > ".join(_path(directory, area))


def _claims(claims: Mapping[str, Sequence[str]], alike: Sequence[str]) -> int:
    return sum(bool({*alike} & {*other}) for other in claims.values())


def _path(directory: Directory, area: str) -> tuple[str, ...]:
    """The names from the top down to the area."""
    names: list[str] = []
    seen: set[str] = set()
    at: str | None = area
    while at is not None and at in directory.by_id and at not in seen:
        seen.add(at)
        entry = directory.by_id[at]
        names.append(str(entry.get("name")))
        above = entry.get("parent")
        at = str(above) if above is not None else None
    return tuple(reversed(names))


def _fits(payload: Payload, path: tuple[str, ...]) -> bool:
    """Whether an area with this path can be the payload's, as far as the payload tells what stands above it."""
    if "parent" not in payload:
        return True
    if payload["parent"] is None:
        return len(path) == 1
    above = tuple(payload.get("above", ()))
    whole = payload.get("depth", 0) == len(above)
    wanted = (*above, payload["name"])
    if not above:  # its parent is none of the table's
        return len(path) > 1
    return path == wanted if whole else path[-len(wanted) :] == wanted
