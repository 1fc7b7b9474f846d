"""The plan, as a pure function."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.delivery import fingerprint
from pipelines.delivery.ledger import State
from pipelines.delivery.plan import make_plan
from pipelines.delivery.upsert import Payload, Upsert
from tests.delivery.fakes import upsert


def same(payload: Payload) -> Payload:
    return payload


def state(value: object, as_of: str = "2013-01-01", sync: str = "board", version: int = fingerprint.VERSION) -> State:
    payload = {"value": value}
    return State(sync, as_of, fingerprint.fingerprint(payload), version, payload)


def test_same_key_and_time_with_different_payloads_are_all_invalid() -> None:
    """A template that forgot a column is found out: never does "the latest" win silently."""
    plan = make_plan([upsert("a", 1), upsert("a", 2)], {}, sync="board", normalise=same)
    assert plan.to_send == []
    assert len(plan.invalid) == 2


def test_same_thing_said_twice_is_one_request() -> None:
    """Two upserts that agree are sent once, and both their rows are accounted for."""
    plan = make_plan([upsert("a", 1, rows=(0,)), upsert("a", 1, rows=(1,))], {}, sync="board", normalise=same)
    assert len(plan.to_send) == 1
    assert len(plan.unchanged) == 1


def test_fingerprint_of_an_older_release_is_compared_by_payload() -> None:
    """An upgrade resends nothing: an old fingerprint is no difference."""
    old = State("board", "2013-01-01", "another hash", 0, {"value": 1})
    plan = make_plan([upsert("a", 1)], {"a": old}, sync="board", normalise=same)
    assert plan.to_send == []


def test_month_sends_a_latest_only_key_once_with_its_newest_reading() -> None:
    """31 readings of one status are one request."""
    month = [upsert("a", day, f"2013-01-{day:02}") for day in range(1, 32)]
    plan = make_plan(month, {}, sync="board", normalise=same)
    assert [u.payload for u in plan.to_send] == [{"value": 31}]
    assert len(plan.superseded) == 30


upserts = st.lists(
    st.builds(
        lambda key, value, day: upsert(key, value, f"2013-01-{day:02}"),
        st.sampled_from("abcd"),
        st.integers(0, 3),
        st.integers(1, 9),
    ),
    max_size=40,
)
states = st.dictionaries(
    st.sampled_from("abcd"),
    st.builds(
        lambda value, day, sync: state(value, f"2013-01-{day:02}", sync),
        st.integers(0, 3),
        st.integers(1, 9),
        st.sampled_from(["board", "other"]),
    ),
)


@given(upserts, states)
def test_every_upsert_is_placed_once(given_upserts: list[Upsert], known: dict[str, State]) -> None:
    """Whatever is planned: nothing is lost, nothing is counted twice."""
    plan = make_plan(given_upserts, known, sync="board", normalise=same)
    placed = [*plan.create, *plan.update, *plan.unchanged, *plan.superseded]
    assert len(placed) + len(plan.invalid) == len(given_upserts)


@given(upserts, states)
def test_nothing_sent_is_older_than_what_stands_there(given_upserts: list[Upsert], known: dict[str, State]) -> None:
    """No sent upsert is older than the ledger's state or than another upsert of its key."""
    plan = make_plan(given_upserts, known, sync="board", normalise=same)
    for sent in plan.to_send:
        assert sent.key not in known or known[sent.key].as_of <= sent.as_of
        assert all(other.as_of <= sent.as_of for other in given_upserts if other.key == sent.key)
        assert sent.key not in known or known[sent.key].sync == "board"
