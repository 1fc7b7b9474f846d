from __future__ import annotations

from importlib.resources import files
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.delivery.errors import ConfigurationError
from pipelines.destinations.feedback_house import FeedbackHouse
from tests.destinations.given import account, arrow, placed, reasons
from tests.destinations.given_feedback_house import areas, sync, tree, upserts


def sample() -> pd.DataFrame:
    """The sample's areas."""
    frame = pd.read_parquet(str(files("pipelines").joinpath("sample/areas.parquet")))
    return arrow(frame.assign(row=range(len(frame)), partition="snapshot", as_of="2026-01-01"))


def one(row: dict[str, Any], **fields: Any) -> Any:
    """The payload of the only row, or the reason why there is none."""
    built = sync(**fields).build(areas(row))
    return built.upserts[0].payload if built.upserts else reasons(built)[0]


def test_the_sample_becomes_areas_in_three_levels() -> None:
    """Every row is an area with its parent's key, its flag and its tags, without any setting."""
    built = sync().build(sample())
    assert built.dropped == []
    assert len(built.upserts) == 39
    payloads = {upsert.key: upsert.payload for upsert in built.upserts}
    assert payloads["NYC"] == {
        "name": "New York City airports",
        "active": True,
        "allowCandidatesApply": False,
        "parent": None,
        "tags": [],
    }
    assert payloads["EWR-OO"] == {
        "name": "SkyWest Airlines Inc. at EWR",
        "active": False,
        "allowCandidatesApply": False,
        "parent": "EWR",
        "tags": ["airport:EWR", "carrier:OO"],
        "depth": 2,
        "above": ["New York City airports", "Newark Liberty Intl"],
    }
    assert [key for key, payload in payloads.items() if not payload["active"]] == ["EWR-OO", "LGA-OO"]


def test_columns_and_templates_of_other_names_are_named() -> None:
    """A table of any shape can be sent; what is not there is not made up."""
    frame = areas(
        {
            "id": 7,
            "company": "acme",
            "title": "Sales",
            "boss": 3,
            "in_use": "yes",
            "open": 1,
            "mails": "A@x.de, b@x.de",
        },
        {"id": 3, "company": "acme", "title": "All", "boss": None, "in_use": "no", "open": 0, "mails": None},
    )
    built = sync(
        key="{company}-{id}",
        label="{title}",
        parent="{company}-{boss}",
        active="in_use",
        allow_candidates_apply="open",
        tags=["company:{company}", "boss:{boss}"],
        managers="mails",
        business_division="company",
    ).build(frame)
    first, second = built.upserts
    assert (first.key, first.payload) == (
        "acme-7",
        {
            "name": "Sales",
            "active": True,
            "allowCandidatesApply": True,
            "parent": "acme-3",
            "tags": ["company:acme", "boss:3"],
            "managers": ["a@x.de", "b@x.de"],
            "businessDivision": "acme",
            "depth": 1,
            "above": ["All"],
        },
    )
    assert (second.payload["parent"], second.payload["active"], second.payload["managers"]) == (None, False, [])
    assert second.payload["tags"] == ["company:acme"]


@pytest.mark.parametrize(
    ("value", "tags"),
    [("b, a ,,b", ["b", "a"]), (["b", None, " a"], ["b", "a"]), ([], []), ("", []), (" , ", []), (None, [])],
)
def test_tags_are_a_list_or_a_text_with_commas(value: object, tags: list[str]) -> None:
    """Each tag once, in the source's order; none is an empty list, so that tags can go away."""
    assert one({"area_code": "A", "tags": value})["tags"] == tags


def test_the_order_of_tags_and_managers_is_no_change() -> None:
    """A source that lists them otherwise today does not cause an update; one more does."""
    marks = {
        upserts(areas({"area_code": "A", "tags": tags, "m": mails}), managers="m")[0].fingerprint
        for tags, mails in (("a,b", "X@x.de,y@x.de"), ("b,a", "y@x.de,x@x.de"))
    }
    assert len(marks) == 1
    (fewer,) = upserts(areas({"area_code": "A", "tags": "a", "m": "x@x.de,y@x.de"}), managers="m")
    assert fewer.fingerprint not in marks


def test_a_renamed_parent_is_no_change_of_its_children() -> None:
    """Names and depths above an area help to find ids and ranks; they are not what the area says."""
    before = upserts(areas({"area_code": "A", "area_name": "Old"}, {"area_code": "B", "parent_code": "A"}), "B")
    after = upserts(areas({"area_code": "A", "area_name": "New"}, {"area_code": "B", "parent_code": "A"}), "B")
    assert before[0].payload != after[0].payload
    assert before[0].fingerprint == after[0].fingerprint


@pytest.mark.parametrize("change", [{"area_name": "N"}, {"parent_code": None}, {"active": False}, {"tags": "t"}])
def test_every_field_counts_unless_some_are_chosen(change: dict[str, Any]) -> None:
    """What `send_when` does not name is sent with the next change only."""
    top, row = {"area_code": "P"}, {"area_code": "A", "parent_code": "P"}
    before, after = areas(top, row), areas(top, {**row, **change})
    assert upserts(before, "A")[0].fingerprint != upserts(after, "A")[0].fingerprint
    chosen = {"send_when": ["managers"], "managers": "area_code"}
    assert upserts(before, "A", **chosen)[0].fingerprint == upserts(after, "A", **chosen)[0].fingerprint


@pytest.mark.parametrize(
    ("row", "fields", "reason"),
    [
        ({"area_code": None}, {}, "area_code is empty"),
        ({"area_code": " "}, {}, "key is empty"),
        ({"area_code": "A", "area_name": None}, {}, "area_name is empty for area_code 'A'"),
        ({"area_code": "A", "area_name": " "}, {}, "name is empty"),
        ({"area_code": "A", "active": None}, {}, "active is empty for area_code 'A'"),
        ({"area_code": "A", "open": "perhaps"}, {"allow_candidates_apply": "open"}, "open: 'perhaps' is neither true"),
        ({"area_code": "A", "tags": 5.5}, {}, "tags: 5.5 is neither a text nor a list of texts"),
        ({"area_code": "A", "parent_code": "A"}, {}, "parent 'A' leads back to the area itself"),
    ],
)
def test_a_row_that_is_no_area_is_invalid_with_its_reason(row: dict[str, Any], fields: Any, reason: str) -> None:
    """Nothing is guessed: an area without a key would be made anew with every call, one without a flag put in use."""
    assert one(row, **fields).startswith(reason)


def test_half_a_character_in_any_text_is_invalid() -> None:
    """JSON cannot carry lone surrogates, which frames from Python can hold."""
    frame = pd.DataFrame([{"row": 0, "partition": "s", "as_of": "x", "area_code": "A", "area_name": "N"}])
    frame = frame.assign(parent_code=None, active=True, tags=None, mail=None).astype(object)
    for column in ("area_code", "area_name", "parent_code", "tags", "mail"):
        broken = frame.assign(**{column: pd.Series(["bad \ud800"], dtype=object)})
        built = sync(managers="mail", business_division="mail").build(broken)
        assert "half a character" in reasons(built)[0]


def test_those_on_a_circle_are_refused_and_those_below_it_are_not_blamed() -> None:
    """A circle of parents makes its own areas invalid, each with its reason; the rest of the table goes on."""
    built = sync().build(tree(A="B", B="A", C="A", T=None))
    assert {one.key: one.reason for one in built.dropped} == {
        "A": "parent 'B' leads back to the area itself",
        "B": "parent 'A' leads back to the area itself",
    }
    assert [upsert.key for upsert in built.upserts] == ["C", "T"]


def test_a_key_made_twice_says_which_template_lacks_a_column() -> None:
    """Two areas with one key are both refused, as the API would let one overwrite the other."""
    built = sync().build(areas({"area_code": "A", "area_name": "X"}, {"area_code": "A", "area_name": "Y"}))
    assert built.upserts == []
    assert reasons(built) == [
        'area A is made by 2 rows that differ: does the template key: "{area_code}" lack a column?'
    ]


def test_each_snapshot_has_a_tree_of_its_own() -> None:
    """Rows of two partitions are two states of the tree, not one tree with areas that stand twice."""
    first = areas({"area_code": "A", "parent_code": "B"}, {"area_code": "B"}, partition="1", as_of="1")
    second = areas({"area_code": "A"}, {"area_code": "B", "parent_code": "A"}, partition="2", as_of="2")
    built = sync().build(pd.concat([first, second]))
    assert [(u.partition, u.key, u.payload.get("depth", 0)) for u in built.upserts] == [
        ("1", "A", 1), ("1", "B", 0), ("2", "A", 0), ("2", "B", 1),
    ]  # fmt: skip


def test_without_parents_or_tags_the_fields_stay_away() -> None:
    """What the sync does not send it does not touch: no empty tags, no parent taken away."""
    payload = one({"area_code": "A", "parent_code": "B", "tags": "x"}, parent=None, tags=None, active=True)
    assert payload == {"name": "Area A", "active": True, "allowCandidatesApply": False}


def test_on_null_is_about_the_name() -> None:
    """With `on_null: skip` a row without a name is left out on purpose."""
    built = sync(on_null="skip").build(areas({"area_code": "A", "area_name": None}))
    assert reasons(built) == ["area_name is empty (on_null: skip)"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"send_when": ["tags"], "tags": None}, "send_when names tags, which the sync does not send"),
        ({"send_when": ["managers"]}, "send_when names managers, which the sync does not send"),
        ({"key": "{area_code"}, "key: the template"),
        ({"tags": ["{"]}, "tags: the template"),
        ({"active": False}, "active"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_bytes": 10_000_000}, "batch_bytes"),
    ],
)
def test_a_mistake_in_the_yaml_is_found_when_it_is_read(fields: dict[str, Any], said: str) -> None:
    """The error names the field."""
    with pytest.raises(ValidationError, match=said):
        sync(**fields)


@pytest.mark.parametrize("field", ["key", "label", "parent", "active", "tags", "managers", "business_division"])
def test_a_column_that_does_not_exist_is_named(field: str) -> None:
    """Every field that uses a column is checked against the table before anything is built."""
    text = "{nowhere}" if field in ("key", "label", "parent") else "nowhere"
    with pytest.raises(ConfigurationError, match=f'sync org_units, {field}: there is no column "nowhere"'):
        sync(**{field: text}).build(areas({"area_code": "A"}))


def test_the_sizes_of_batches_are_the_syncs() -> None:
    """`batch_size` reaches the engine; without it 100 areas travel together."""
    assert (sync(batch_size=7).connect(account()).batch_size, FeedbackHouse(account()).batch_size) == (7, 100)


CODES = st.sampled_from(["A", "B", "C", "D", " ", None])
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "area_code": CODES,
            "area_name": st.sampled_from(["North", "South", "", None]),
            "parent_code": CODES,
            "active": st.sampled_from([True, False, None]),
            "tags": st.sampled_from(["a,b", ",", None]),
        }
    ),
    min_size=1,
    max_size=8,
)


@given(ROWS, st.sampled_from(["invalid", "skip"]))
def test_every_row_stands_somewhere_once(given_rows: list[dict[str, Any]], on_null: str) -> None:
    """Whatever the rows hold, each ends in one upsert or one dropped record, and ranks put parents first."""
    frame = areas(*given_rows).astype({"active": "bool[pyarrow]", "area_code": "string[pyarrow]"})
    built = sync(on_null=on_null).build(frame)
    assert placed(built) == [("snapshot", at) for at in range(len(frame))]
    ranks = FeedbackHouse(account()).ranks(built.upserts)
    for upsert in built.upserts:
        assert ranks[upsert.key] > ranks.get(upsert.payload["parent"], -1) or upsert.payload["parent"] is None
