from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from pipelines.destinations.feedback_house.tree import NEAREST, Area, Place, places

KEYS = st.sampled_from("ABCDEFGHIJKL")
TABLES = st.dictionaries(KEYS, st.builds(Area, name=st.sampled_from(["North", "South"]), parent=KEYS | st.none()))


def walk(key: str, areas: Mapping[str, Area]) -> list[str]:
    """The keys above an area in its table, the nearest first; ends where it comes back to one that it met."""
    found: list[str] = []
    at = areas[key].parent
    while at is not None and at in areas and at not in found:
        found.append(at)
        at = areas[at].parent
    return found


def test_a_place_tells_depth_and_names() -> None:
    """How many areas stand above, and what they are called, from the top."""
    areas = {"C": Area("Low", "B"), "A": Area("Top", None), "B": Area("Mid", "A"), "X": Area("Lost", "gone")}
    found, circular = places(areas)
    assert found == {"A": Place(), "B": Place(1, ("Top",)), "C": Place(2, ("Top", "Mid")), "X": Place()}
    assert circular == frozenset()


def test_only_who_is_on_a_circle_is_circular() -> None:
    """Who merely hangs below a circle is not at fault; who is its own parent is."""
    areas = {"A": Area("A", "B"), "B": Area("B", "A"), "C": Area("C", "A"), "S": Area("S", "S"), "T": Area("T", None)}
    assert places(areas)[1] == {"A", "B", "S"}


@given(TABLES)
def test_depth_is_the_number_of_areas_above(areas: Mapping[str, Area]) -> None:
    """For every table: a place where no circle is above says the truth, and circles are found, all of them."""
    found, circular = places(areas)
    assert set(found) == set(areas)
    assert circular == {key for key in areas if key in walk(key, areas)}
    for key in areas:
        above = walk(key, areas)
        if not circular & {key, *above}:
            assert found[key] == (len(above), tuple(areas[one].name for one in reversed(above))[-NEAREST:])


def test_a_long_chain_needs_neither_stack_nor_memory() -> None:
    """A table that is one chain of 20,000 areas is placed: recursion would end, whole paths would fill the memory."""
    areas = {str(n): Area(f"Area {n}", str(n - 1) if n else None) for n in reversed(range(20_000))}
    found, circular = places(areas)
    assert found["19999"].depth == 19_999
    assert found["19999"].above == tuple(f"Area {n}" for n in range(19_999 - NEAREST, 19_999))
    assert not circular
