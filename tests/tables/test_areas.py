"""Trees, forests and circles of areas."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tables.areas import tree_failures

CODES = st.sampled_from(["a", "b", "c", "d", "e"])


def positions(codes: list[str | None], parents: list[str | None]) -> tuple[list[int], list[int]]:
    """The rows without a parent in the table, and the rows on a circle."""
    table = pa.table({"area_code": pa.array(codes, pa.string()), "parent_code": pa.array(parents, pa.string())})
    missing, circular = tree_failures(table)
    return missing.positions.tolist(), circular.positions.tolist()


@given(st.dictionaries(CODES, st.one_of(st.none(), CODES, st.just("nowhere"))))
def test_exactly_the_areas_that_can_reach_themselves_are_circular(parent_of: dict[str, str | None]) -> None:
    """An area is on a circle if following the parents leads back to it; one that only leads into a circle is not."""
    missing, circular = positions(list(parent_of), list(parent_of.values()))
    for position, (code, parent) in enumerate(parent_of.items()):
        at, reached = parent, set[str | None]()
        while at is not None and at not in reached:
            reached.add(at)
            at = parent_of.get(at)
        assert (position in circular) == (code in reached)
        assert (position in missing) == (parent is not None and parent not in parent_of)


@given(st.lists(st.tuples(st.one_of(st.none(), CODES), st.one_of(st.none(), CODES))))
def test_doubled_and_missing_codes_do_no_harm(rows: list[tuple[str | None, str | None]]) -> None:
    """Codes that are missing or stand twice are other rules' affair; the tree is judged all the same."""
    missing, circular = positions([code for code, _ in rows], [parent for _, parent in rows])
    assert all(rows[at][1] not in {code for code, _ in rows} for at in missing)
    assert all(rows[at][0] is not None for at in circular)


def test_areas_without_parents_need_no_tree() -> None:
    """Where the source has no parents there is nothing to judge."""
    assert tree_failures(pa.table({"area_code": ["a"]})) == []
