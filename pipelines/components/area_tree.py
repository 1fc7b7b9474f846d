"""The areas that a plan touches, as the tree in which they will stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.components.changes import Change
from pipelines.delivery.compare import ABSENT
from pipelines.delivery.plan import Plan
from pipelines.delivery.upsert import Payload

_TOLD = ("name", "parent", "active")


@dataclass(slots=True)
class Branch:
    """An area with those below it.

    `said`: what would become of it, a few words each, such as `renamed: Ramp -> Ramp North`; nothing: it stands above
    one that is touched, and stays as it is.
    """

    key: str
    name: str
    said: list[str] = field(default_factory=list)
    below: list[Branch] = field(default_factory=list)


def areas_of(plan: Plan) -> dict[str, Payload]:
    """All areas of a plan, as the table has them. Of several upserts of one key the newest counts."""
    upserts = (*plan.superseded, *plan.unchanged, *plan.again, *plan.update, *plan.create)
    return {upsert.key: upsert.payload for upsert in upserts}


def areas_touched(changes: Sequence[Change], areas: Mapping[str, Payload]) -> list[Branch]:
    """The touched areas under those above them; one that is closed since it has vanished stands where it stood."""
    gone = {one.key: one.old for one in changes if one.new is None and one.old is not None}
    return _grown(changes, {**gone, **areas})


def _grown(changes: Iterable[Change], areas: Mapping[str, Payload]) -> list[Branch]:
    branches: dict[str, Branch] = {}
    tops: list[Branch] = []

    def branch(key: str) -> Branch:
        """The branch of an area, with those above it."""
        path = [key]
        while path[-1] not in branches and (above := _parent(areas, path[-1])) is not None and above not in path:
            path.append(above)
        for at in reversed(path):
            if at in branches:
                continue
            made, above = Branch(at, _name(areas, at)), _parent(areas, at)
            # Areas that stand below each other are refused elsewhere; here none of them may be lost.
            (branches[above].below if above in branches else tops).append(made)
            branches[at] = made
        return branches[key]

    for change in changes:
        branch(change.key).said.extend(_said(change, areas))
    return tops


def _said(change: Change, areas: Mapping[str, Payload]) -> Iterator[str]:
    fields = change.fields
    if change.new is None:
        yield "closed"
        return
    if change.old is None:
        yield "created" if change.new.get("active", True) else "created, closed"
        return
    if "name" in fields:
        yield f"renamed: {fields['name'][0]} -> {fields['name'][1]}"
    if "parent" in fields:
        old, new = (_called(areas, one) for one in fields["parent"])
        yield f"moved: {old} -> {new}"
    if "active" in fields:
        yield "reopened" if fields["active"][1] else "closed"
    for name, (old, new) in fields.items():
        if name not in _TOLD:
            yield f"{name}: {_short(old)} -> {_short(new)}"
    if not fields:
        yield "sent again"


def _called(areas: Mapping[str, Payload], key: Any) -> str:
    if key in (None, ABSENT):
        return "the top"
    return f"{_name(areas, key)} ({key})" if key in areas else str(key)


def _short(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _name(areas: Mapping[str, Payload], key: str) -> str:
    return str(areas[key]["name"]) if key in areas else "not in this plan"


def _parent(areas: Mapping[str, Payload], key: str) -> str | None:
    parent = areas.get(key, {}).get("parent")
    return parent if isinstance(parent, str) else None
