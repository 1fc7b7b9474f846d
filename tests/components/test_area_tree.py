"""The tree of the areas that a plan touches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipelines.components.area_tree import Branch, areas_of, areas_touched
from pipelines.components.changes import Change, Verb
from pipelines.delivery.plan import Plan
from pipelines.delivery.upsert import Upsert

KEYS = "ABCDEF"


def area(key: str, **fields: Any) -> Upsert:
    """An area of the table."""
    return Upsert(key, "2013", {"name": f"Area {key}", "parent": None, "active": True, **fields}, "", "snapshot", (0,))


def changed(one: Upsert, fields: Mapping[str, tuple[Any, Any]]) -> Change:
    """An update of it."""
    return Change(one.key, one.partition, Verb.UPDATE, fields, {}, one.payload)


def walk(branches: Sequence[Branch]) -> Iterator[Branch]:
    """All of them."""
    for one in branches:
        yield one
        yield from walk(one.below)


@given(
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from([None, *KEYS, "elsewhere"])), st.sets(st.sampled_from(KEYS))
)
def test_no_touched_area_is_lost(parents: Mapping[str, str | None], touched: set[str]) -> None:
    """Whatever stands above what, also in a circle or above the table, each touched area stands in the tree once."""
    areas = {key: area(key, parent=parent) for key, parent in parents.items()}
    changes = [changed(areas[key], {"name": ("Old", "New")}) for key in sorted(touched & areas.keys())]
    found = list(walk(areas_touched(changes, areas_of(Plan(unchanged=[*areas.values()])))))
    assert sorted(one.key for one in found if one.said) == sorted(touched & areas.keys())
    assert len({one.key for one in found}) == len(found)


def test_all_that_can_become_of_an_area() -> None:
    """Each kind of change is said in words; a parent that the table does not have is called by its key."""
    one = area("A", parent="X", tags=["a", "b"])
    fields = {"parent": (None, "X"), "active": (False, True), "tags": (["a"], ["a", "b"])}
    (above,) = areas_touched([changed(one, fields)], areas_of(Plan(update=[one])))
    assert (above.key, above.name, above.said) == ("X", "not in this plan", [])
    assert above.below[0].said == ["moved: the top -> X", "reopened", "tags: a -> a, b"]
    (again,) = areas_touched([changed(area("B"), {})], areas_of(Plan(again=[area("B")])))
    assert again.said == ["sent again"]
    made = area("C", active=False)
    (created,) = areas_touched(
        [Change("C", "snapshot", Verb.CREATE, {}, None, made.payload)], areas_of(Plan(create=[made]))
    )
    assert created.said == ["created, closed"]
