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


def state(
    value: object,
    as_of: str = "2013-01-01",
    sync: str = "board",
    version: int = fingerprint.VERSION,
    *,
    accepted_at: float = 0.0,
    removed: bool = False,
) -> State:
    payload = {"value": value}
    mark = fingerprint.fingerprint(payload)
    return State(sync, as_of, mark, version, payload, accepted_at, removed)


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


def test_what_another_run_has_read_later_is_up_to_that_run() -> None:
    """A run that read a day before it was corrected changes and brings back nothing there."""
    known = {"a": state(2), "b": state(2, removed=True)}
    stale = [upsert("a", 1), upsert("b", 2), upsert("c", 1), upsert("d", 1, "2013-01-02")]
    plan = make_plan(stale, known, sync="board", normalise=same, read_later={"2013-01-01": True})
    assert [one.key for one in plan.superseded] == ["a", "b", "c"]
    assert [one.key for one in plan.to_send] == ["d"]
    plan = make_plan(stale, known, sync="board", normalise=same, read_later={"2013-01-01": False})
    assert ([one.key for one in plan.late], plan.superseded) == (["a", "b", "c"], [])


def test_same_value_read_earlier_is_unchanged() -> None:
    """Two runs that agree supersede nothing, whoever read first."""
    plan = make_plan([upsert("a", 1)], {"a": state(1)}, sync="board", normalise=same, read_later={"2013-01-01": False})
    assert len(plan.unchanged) == 1


def test_key_in_doubt_is_sent() -> None:
    """Where nobody knows what stands there, the value that was accepted last is sent as well."""
    doubt = State("board", "2013-01-01", "", fingerprint.VERSION, {"value": 1})
    assert len(make_plan([upsert("a", 1)], {"a": doubt}, sync="board", normalise=same).update) == 1
    old = State("board", "2013-01-01", "", 0, {"value": 1})
    assert len(make_plan([upsert("a", 1)], {"a": old}, sync="board", normalise=same).update) == 1


def test_resend_all_is_once_over_retries() -> None:
    """A retry of the run sends what the first try left, not again what was accepted since it was asked for."""
    known = {"a": state(1, accepted_at=50.0), "b": state(1, accepted_at=150.0)}
    given_upserts = [upsert("a", 1), upsert("b", 1)]
    plan = make_plan(given_upserts, known, sync="board", normalise=same, resend_before=100.0)
    assert [one.key for one in plan.again] == ["a"]
    assert [one.key for one in plan.unchanged] == ["b"]
    assert [one.key for one in plan.to_send] == ["a"]
    assert plan.update == []


def test_resend_all_keeps_the_stale_guard() -> None:
    """Asked for everything, a plan still sends nothing over a newer reading, of the ledger or of the store."""
    known = {"a": state(1, "2013-01-02")}
    old = [upsert("a", 1, "2013-01-01"), upsert("b", 1, "2013-01-01")]
    plan = make_plan(old, known, sync="board", normalise=same, newest={"b": "2013-01-02"}, resend_before=100.0)
    assert (plan.to_send, len(plan.superseded)) == ([], 2)


def test_resend_all_does_not_take_a_key_from_another_sync() -> None:
    """A key belongs to one sync, whatever the run was asked for."""
    plan = make_plan([upsert("a", 1)], {"a": state(1, sync="floor")}, sync="board", normalise=same, resend_before=9.0)
    assert (plan.to_send, len(plan.invalid)) == ([], 1)


def test_what_is_left_out_of_a_plan_stands_in_no_list_of_it() -> None:
    """Without some keys a plan sends the others, and what was not to be sent is as it was."""
    known = {"b": state(0), "c": state(1), "d": state(1, accepted_at=500.0)}
    everything = [upsert(key, 1) for key in "abcd"]
    plan = make_plan(everything, known, sync="board", normalise=same, resend_before=100.0).without({"a", "b", "d"})
    assert [one.key for one in plan.to_send] == ["c"]
    assert [one.key for one in plan.unchanged] == ["d"]


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
        lambda value, day, sync, removed: state(value, f"2013-01-{day:02}", sync, removed=removed),
        st.integers(0, 3),
        st.integers(1, 9),
        st.sampled_from(["board", "other"]),
        st.booleans(),
    ),
)


read_later = st.dictionaries(st.builds("2013-01-{:02}".format, st.integers(1, 9)), st.booleans())
resends = st.sampled_from([None, 1.0])


@given(upserts, states, read_later, resends)
def test_every_upsert_is_placed_once(
    given_upserts: list[Upsert], known: dict[str, State], late: dict[str, bool], resend_before: float | None
) -> None:
    """Whatever is planned: nothing is lost, nothing is counted twice."""
    plan = make_plan(given_upserts, known, sync="board", normalise=same, read_later=late, resend_before=resend_before)
    placed = [*plan.create, *plan.update, *plan.again, *plan.unchanged, *plan.superseded, *plan.late]
    assert len(placed) + len(plan.invalid) == len(given_upserts)


@given(upserts, states, read_later, resends)
def test_nothing_sent_is_older_than_what_stands_there(
    given_upserts: list[Upsert], known: dict[str, State], late: dict[str, bool], resend_before: float | None
) -> None:
    """No sent upsert is older than the state or than another upsert of its key, and nobody has read its day later."""
    plan = make_plan(given_upserts, known, sync="board", normalise=same, read_later=late, resend_before=resend_before)
    for sent in plan.to_send:
        assert all(other.as_of <= sent.as_of for other in given_upserts if other.key == sent.key)
        if sent.key in known:
            there = known[sent.key]
            assert there.as_of <= sent.as_of
            assert there.sync == "board" or there.removed
            same_again = there.fingerprint == sent.fingerprint and not there.removed
            assert same_again or sent.partition not in late
