"""Where each area of a table stands in its tree: how deep, under which names, and which ones run in a circle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

NEAREST = 8
"""So many names above an area are kept: enough to tell areas of one name apart."""


class Area(NamedTuple):
    """An area as its row says it: its name, and the key of the area above; None: it stands at the top."""

    name: str
    parent: str | None


class Place(NamedTuple):
    """How many areas of the table stand above an area, and the names of the nearest of them, from the top."""

    depth: int = 0
    above: tuple[str, ...] = ()


def places(areas: Mapping[str, Area]) -> tuple[dict[str, Place], frozenset[str]]:
    """The place of each area by key, and the keys on a circle; a parent that is not in the table counts as none."""
    found: dict[str, Place] = {}
    circular: set[str] = set()
    for start in areas:
        path, at = _upwards(start, areas, found)
        if at in path:
            circle = list(path)[list(path).index(at) :]
            circular.update(circle)
            found.update(dict.fromkeys(circle, Place()))
        for key in reversed(path):
            if key not in found:
                found[key] = _below(areas[key].parent, areas, found)
    return found, frozenset(circular)


def _upwards(start: str, areas: Mapping[str, Area], found: Mapping[str, Place]) -> tuple[dict[str, None], str | None]:
    """The keys from `start` upwards whose place is not known yet, and the one at which the way ended."""
    path: dict[str, None] = {}
    at: str | None = start
    while at is not None and at in areas and at not in found and at not in path:
        path[at] = None
        at = areas[at].parent
    return path, at


def _below(parent: str | None, areas: Mapping[str, Area], found: Mapping[str, Place]) -> Place:
    if parent is None or parent not in areas:
        return Place()
    depth, above = found[parent]
    return Place(depth + 1, (*above, areas[parent].name)[-NEAREST:])
