from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.delivery.messages import Exchange, Lost
from pipelines.delivery.upsert import ACCEPTED, Outcome
from tests.destinations.given import answer
from tests.destinations.given_feedback_house import POST, QUERY, House, areas, deliver, destination, sync, tree, upserts

COMPANY = tree(TOP=None, WEST="TOP", EAST="TOP", W1="WEST", W2="WEST", E1="EAST", E2="EAST")
PARENTS = {"TOP": None, "WEST": "TOP", "EAST": "TOP", "W1": "WEST", "W2": "WEST", "E1": "EAST", "E2": "EAST"}
HOUSES = [{"data": data, "ids": ids, "keys": keys} for data in (1, 0) for ids in (1, 0) for keys in (1, 0)]


def outcome(verdicts: dict[str, Any]) -> dict[str, Outcome]:
    """Key -> outcome."""
    return {key: verdict.outcome for key, verdict in verdicts.items()}


@pytest.mark.parametrize("house", HOUSES, ids=str)
async def test_parents_go_first_whatever_the_answers_tell(house: dict[str, bool]) -> None:
    """Ids come from `data`, else from pages with keys, else from names: a new tree arrives whole in one run."""
    call = House(**house)
    verdicts = await deliver(destination(batch_size=2), upserts(COMPANY), call)
    assert set(outcome(verdicts).values()) == {Outcome.CREATED}
    assert call.parents() == PARENTS
    assert call.batches() == [["TOP"], ["WEST", "EAST"], ["W1", "W2"], ["E1", "E2"]]


@pytest.mark.parametrize("house", HOUSES, ids=str)
async def test_pages_are_read_once_per_run_or_once_per_rank(house: dict[str, bool]) -> None:
    """Answers that tell ids save every further query; without them there is one for each level that needs it."""
    call = House(**house)
    await deliver(destination(batch_size=2), upserts(COMPANY), call)
    queries = [request.query["skip"] for request in call.requests if str(request) == QUERY].count("0")
    assert queries == (1 if house["data"] and house["ids"] else 3)


@pytest.mark.parametrize("keys", [True, False])
async def test_a_parent_that_is_not_sent_is_found_where_it_stands(*, keys: bool) -> None:
    """A later run that sends one child needs its parent's id, which only the pages can tell."""
    call = House(keys=keys)
    await deliver(destination(), upserts(COMPANY), call)
    moved = tree(**{**PARENTS, "W1": "EAST"})
    verdicts = await deliver(destination(), upserts(moved, "W1"), call)
    assert outcome(verdicts) == {"W1": Outcome.UPDATED}
    assert call.parents() == {**PARENTS, "W1": "EAST"}


async def test_areas_of_one_name_are_told_apart_by_those_above_them() -> None:
    """Every site may have its Sales: with keys hidden, the names above decide."""
    frame = areas(
        *({"area_code": site, "area_name": site} for site in ("N", "S")),
        *({"area_code": f"{site}-s", "area_name": "Sales", "parent_code": site} for site in ("N", "S")),
        *({"area_code": f"{site}-s-1", "area_name": "Team", "parent_code": f"{site}-s"} for site in ("N", "S")),
    )
    call = House()
    await deliver(destination(), upserts(frame, "N", "S", "N-s", "S-s"), call)
    verdicts = await deliver(destination(), upserts(frame, "N-s-1", "S-s-1"), call)
    assert set(outcome(verdicts).values()) == {Outcome.CREATED}
    assert call.parents()["N-s-1"] == "N-s"
    assert call.parents()["S-s-1"] == "S-s"


async def test_a_name_that_several_have_is_no_proof() -> None:
    """An area that somebody made by hand under the same name is not taken for the parent; nor is ours guessed."""
    call = House()
    await deliver(destination(), upserts(tree(A=None)), call)
    call.put(None, name="Area A")
    verdicts = await deliver(destination(), upserts(tree(A=None, B="A"), "B"), call)
    assert verdicts["B"].outcome is Outcome.NOT_SENT
    assert verdicts["B"].reason == (
        "parent A: the API does not show which area has this key, and 2 areas are called 'Area A'"
    )
    assert call.parents() == {"A": None, None: None}


async def test_a_parent_that_cannot_be_found_costs_few_queries() -> None:
    """However many areas and batches miss it: pages are read anew only for what was written further up."""
    call = House()
    for _ in range(2):
        call.put(None, name="Area A")
    lost = {f"B{n}": "A" for n in range(20)}
    good = {f"C{n}": "T" for n in range(20)}
    lost_some, good_some = upserts(tree(A=None, **lost), *lost), upserts(tree(T=None, **good))
    pairs = [one for pair in zip(lost_some, good_some[1:], strict=True) for one in pair]
    verdicts = await deliver(destination(batch_size=2), [good_some[0], *pairs], call)
    assert {verdicts[key].outcome for key in lost} == {Outcome.NOT_SENT}
    assert {verdicts[key].outcome for key in good} == {Outcome.CREATED}
    queries = [request.query["skip"] for request in call.requests if str(request) == QUERY].count("0")
    assert queries == 2


async def test_an_id_that_belongs_to_another_key_is_not_taken_by_name() -> None:
    """What an answer said of an id outweighs a name."""
    call = House()
    target = destination()
    await deliver(target, upserts(areas({"area_code": "X", "area_name": "Area A"})), call)
    verdicts = await deliver(target, upserts(tree(A=None, B="A"), "B"), call)
    assert verdicts["B"].reason.endswith("and 0 areas are called 'Area A'")


OUTSIDE = "it is not among the valid rows of this sync"


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        (True, f"parent GONE: {OUTSIDE}, and feedback.house has no such area"),
        (
            False,
            f"parent GONE: {OUTSIDE}, and the API does not show which area has this key",
        ),
    ],
)
async def test_a_parent_that_nobody_knows_keeps_its_children_back(*, keys: bool, reason: str) -> None:
    """A parent that the sync leaves out is found by its key only; without it the child is not sent."""
    call = House(keys=keys)
    call.put("OTHER")
    some = upserts(tree(A="GONE", B="A", C=None))
    verdicts = await deliver(destination(), some, call)
    assert outcome(verdicts) == {"A": Outcome.NOT_SENT, "B": Outcome.NOT_SENT, "C": Outcome.CREATED}
    assert verdicts["A"].reason == reason
    assert verdicts["B"].reason == "parent A was not sent"


async def test_a_parent_beyond_the_filter_is_found_by_its_key() -> None:
    """A sync of a part of the tree hangs it below what another sync or a person has put there."""
    call = House(keys=True)
    call.put("TOP")
    built = sync(where="area_code like 'W%'").build(COMPANY)
    assert set(outcome(await deliver(destination(), built.upserts, call)).values()) == {Outcome.CREATED}
    assert call.parents() == {key: PARENTS[key] for key in ("TOP", "WEST", "W1", "W2")}


@pytest.mark.parametrize(
    ("spoiled", "outcome_of_parent", "reason"),
    [
        (None, Outcome.REJECTED, "parent WEST was rejected: Invalid area"),
        (answer(500, {"message": "oops"}), Outcome.FAILED, "parent WEST failed: 500 Internal Server Error: oops"),
        (Lost("broke"), Outcome.UNKNOWN, "parent WEST was sent, and what became of it is unknown"),
    ],
)
async def test_below_a_failed_parent_nothing_is_sent_and_beside_it_everything(
    spoiled: Exchange | None, outcome_of_parent: Outcome, reason: str
) -> None:
    """Children of a parent that did not arrive are not sent, and say why; its siblings and theirs are delivered."""
    call = House()
    if spoiled is None:
        call.refused = {"WEST"}
    call.spoil = lambda keys: spoiled if keys == ["WEST"] else None
    frame = tree(**PARENTS, W11="W1")
    verdicts = await deliver(destination(batch_size=1), upserts(frame), call)
    assert outcome(verdicts) == {
        "TOP": Outcome.CREATED, "WEST": outcome_of_parent, "EAST": Outcome.CREATED, "W1": Outcome.NOT_SENT,
        "W2": Outcome.NOT_SENT, "E1": Outcome.CREATED, "E2": Outcome.CREATED, "W11": Outcome.NOT_SENT,
    }  # fmt: skip
    assert verdicts["W1"].reason == verdicts["W2"].reason == reason
    assert verdicts["W11"].reason == "parent W1 was not sent"
    assert ["W1"] not in call.batches()


async def test_a_parent_that_fails_also_keeps_back_children_that_know_its_id() -> None:
    """An update of a parent that is refused leaves it in another state than the children's table says."""
    call = House()
    await deliver(destination(), upserts(COMPANY), call)
    call.refused = {"WEST"}
    renamed = areas(*({"area_code": k, "parent_code": p, "area_name": f"New {k}"} for k, p in PARENTS.items()))
    verdicts = await deliver(destination(), upserts(renamed, "WEST", "W1", "E1"), call)
    assert outcome(verdicts)["W1"] is Outcome.NOT_SENT


async def test_an_unknown_parent_that_reads_back_lets_its_children_go() -> None:
    """The engine settles a lost answer by reading back: from then on the parent counts as arrived."""
    call, target = House(keys=True), destination()
    parent, child = upserts(tree(A=None, B="A"))
    call.lose = True
    (verdict,) = await target.send([parent], call)
    assert verdict.outcome is Outcome.UNKNOWN
    call.lose = False
    assert await target.read_back(parent, call) is not None
    (verdict,) = await target.send([child], call)
    assert verdict.outcome is Outcome.CREATED
    assert call.parents() == {"A": None, "B": "A"}


async def test_an_error_among_parents_costs_one_query_and_not_their_children() -> None:
    """An answer with errors has no `data` in the documents' example: the ids of those taken come from the pages."""
    call = House()
    call.refused = {"EAST"}
    verdicts = await deliver(destination(), upserts(COMPANY), call)
    assert outcome(verdicts)["W1"] is Outcome.CREATED
    assert verdicts["E1"].reason == "parent EAST was rejected: Invalid area"
    assert call.lines.count(POST) == 3


@pytest.mark.parametrize(("keys", "queries"), [(True, 1), (False, 2)])
async def test_children_of_a_renamed_parent_are_found_below_its_new_name(*, keys: bool, queries: int) -> None:
    """Renaming above and moving below in one run: names are looked up after the rename has arrived, keys before."""
    call = House(ids=False, keys=keys)
    await deliver(destination(), upserts(COMPANY), call)
    frame = areas(
        {"area_code": "TOP", "area_name": "Head"},
        {"area_code": "WEST", "parent_code": "TOP"},
        {"area_code": "EAST", "parent_code": "TOP"},
        {"area_code": "W1", "parent_code": "EAST"},
    )
    call.requests.clear()
    verdicts = await deliver(destination(), upserts(frame, "TOP", "W1"), call)
    assert outcome(verdicts) == {"TOP": Outcome.UPDATED, "W1": Outcome.UPDATED}
    assert call.parents() == {**PARENTS, "W1": "EAST"}
    assert [request.query["skip"] for request in call.requests if str(request) == QUERY].count("0") == queries


async def test_parents_that_exchange_their_names_are_not_mixed_up() -> None:
    """With ids told nowhere, the pages of before the exchange would lead each child to the wrong parent."""
    call = House(ids=False)
    before = areas({"area_code": "P", "area_name": "One"}, {"area_code": "Q", "area_name": "Two"})
    await deliver(destination(), upserts(before), call)
    after = areas(
        {"area_code": "P", "area_name": "Two"},
        {"area_code": "Q", "area_name": "One"},
        {"area_code": "C", "parent_code": "P"},
    )
    await deliver(destination(), upserts(after), call)
    assert call.parents()["C"] == "P"


@pytest.mark.parametrize("keys", [True, False])
async def test_an_area_that_moves_to_the_top_loses_its_parent(*, keys: bool) -> None:
    """Null goes only to an area that has a parent; a new one and one at the top go without the field."""
    call = House(keys=keys)
    await deliver(destination(), upserts(COMPANY), call)
    assert "parent" not in call.sent("TOP")
    frame = tree(**{**PARENTS, "WEST": None})
    await deliver(destination(), upserts(frame, "TOP", "WEST"), call)
    assert "parent" not in call.sent("TOP")
    assert call.sent("WEST")["parent"] is None
    assert call.parents()["WEST"] is None


async def test_an_area_may_move_below_one_that_stays_in_a_branch_which_leaves() -> None:
    """X > Q > P becomes Q > P > X: Q must have left X before X goes below P, though P itself is not sent."""
    call = House()
    await deliver(destination(), upserts(tree(X=None, Q="X", P="Q")), call)
    verdicts = await deliver(destination(), upserts(tree(X="P", Q=None, P="Q"), "X", "Q"), call)
    assert set(outcome(verdicts).values()) == {Outcome.UPDATED}
    assert call.parents() == {"Q": None, "P": "Q", "X": "P"}


async def test_a_circle_that_the_api_sees_is_the_areas_own_error() -> None:
    """Where somebody else's areas close a circle, the API says so and the area is rejected."""
    call = House(keys=True)
    await deliver(destination(), upserts(tree(A=None)), call)
    call.put("OTHER", parent=call.area("A")["id"])
    verdicts = await deliver(destination(), upserts(tree(A="OTHER")), call)
    assert (verdicts["A"].outcome, verdicts["A"].reason) == (Outcome.REJECTED, "Circular reference in parent")


async def test_a_tree_of_two_hundred_levels_arrives() -> None:
    """Depth costs requests, nothing else."""
    chain = {f"L{n}": f"L{n - 1}" if n else None for n in range(200)}
    call = House()
    verdicts = await deliver(destination(), upserts(tree(**chain)), call)
    assert set(outcome(verdicts).values()) == {Outcome.CREATED}
    assert call.parents() == chain


@st.composite
def trees(draw: st.DrawFn) -> dict[str, str | None]:
    """Code -> parent, without circles, in any order of rows."""
    size = draw(st.integers(1, 25))
    deep = draw(st.booleans())
    parents: dict[str, str | None] = {"A0": None}
    for n in range(1, size):
        above = n - 1 if deep else draw(st.integers(-1, n - 1))
        parents[f"A{n}"] = f"A{above}" if above >= 0 else None
    order = draw(st.permutations(list(parents)))
    return {key: parents[key] for key in order}


@settings(max_examples=60)
@given(
    trees(),
    st.sampled_from(HOUSES),
    st.integers(1, 5),
    st.sets(st.integers(0, 24), max_size=3),
    st.sampled_from(["refused", 413, 500, "nameless"]),
)
async def test_any_tree_arrives_but_for_the_bad_areas_and_what_is_below_them(
    parents: dict[str, str | None], house: dict[str, bool], size: int, bad: set[int], how: str | int
) -> None:
    """Whatever the tree, the API's habits and its way to refuse: each area has one verdict, the bad ones end badly, all
    below them are not sent, and everything else stands where the table says.
    """
    spoilers = {f"A{n}" for n in bad} & set(parents)
    call = House(**house)
    if how == "refused":
        call.refused = spoilers
    nameless = answer(200, {"status": "OK", "errors": [{"message": "some area is bad"}]})
    spoiled = nameless if how == "nameless" else answer(how) if isinstance(how, int) else None
    call.spoil = lambda keys: spoiled if spoilers & set(keys) else None
    verdicts = await deliver(destination(batch_size=size), upserts(tree(**parents)), call)
    assert set(verdicts) == set(parents)
    lost = {key for key in parents if spoilers & {*_above(key, parents)}}
    assert {key for key, one in verdicts.items() if one.outcome in ACCEPTED} == set(parents) - lost - spoilers
    assert {key for key, one in verdicts.items() if one.outcome is Outcome.NOT_SENT} == lost
    assert call.parents() == {key: parents[key] for key in call.parents()}
    assert set(call.parents()) == set(parents) - lost - spoilers


def _above(key: str, parents: dict[str, str | None]) -> list[str]:
    above = parents[key]
    return [above, *_above(above, parents)] if above else []
