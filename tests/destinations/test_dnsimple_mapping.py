from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.dnsimple import Dnsimple
from tests.destinations.given import account, placed, reasons, rows, sample
from tests.destinations.given_dnsimple import dnsimple

ROW = {"dnsimple_resource": "domain:123", "actual": 91.5}


def test_a_row_becomes_the_body_of_the_statuses_page() -> None:
    """Every field of the page's example can be said, and the key is resource and context."""
    spec = dnsimple(
        resource="domain:{id}", context="page-a", title="System OK", message="All {n} systems are reporting OK.",
        url="https://yourapp.com/{team}",
    )  # fmt: skip
    (upsert,) = spec.build(rows({"id": 123, "n": 3, "actual": 99.0})).upserts
    assert upsert.key == "domain:123/page-a"
    assert dict(upsert.payload) == {
        "resource": "domain:123",
        "state": "ok",
        "context": "page-a",
        "url": "https://yourapp.com/JFK-AA",
        "title": "System OK",
        "message": "All 3 systems are reporting OK.",
    }


def test_only_what_is_configured_is_sent() -> None:
    """Resource, context and state always go; no title, message or link is made up."""
    spec = dnsimple(title=None, context="default", state="warning")
    (upsert,) = spec.build(rows(ROW)).upserts
    assert dict(upsert.payload) == {"resource": "domain:123", "context": "default", "state": "warning"}


@pytest.mark.parametrize(
    ("actual", "state"),
    [(100, "ok"), (80, "ok"), (79.99, "warning"), (60.0, "warning"), (59.9, "error"), (-1, "error")],
)
def test_the_state_is_that_of_the_first_step_that_matches(actual: float, state: str) -> None:
    """Bounds belong to the step that says so; what matches none takes `otherwise`."""
    (upsert,) = dnsimple().build(rows({**ROW, "actual": actual})).upserts
    assert upsert.payload["state"] == state


def test_steps_can_be_for_some_rows_only() -> None:
    """One sync can hold KPIs of which high is good and others of which high is bad."""
    rule = {
        "column": "actual",
        "steps": [{"for": {"kpi": "cancelled"}, "above": 5, "state": "error"}, {"at_most": 0, "state": "unknown"}],
        "otherwise": "ok",
    }
    built = dnsimple(state=rule).build(
        rows({**ROW, "kpi": "cancelled"}, {**ROW, "kpi": "departures"}, {**ROW, "kpi": "delay", "actual": 0})
    )
    assert {one.payload["context"]: one.payload["state"] for one in built.upserts} == {
        "cancelled": "error",
        "departures": "ok",
        "delay": "unknown",
    }


@pytest.mark.parametrize("resource", ["dnsimple_resource", "{dnsimple_resource}", "domain:{number}", "domain:123"])
def test_a_resource_is_a_column_or_a_template(resource: str) -> None:
    """A bare name is a column, since every resource has a colon; numbers lose no digit and gain no point."""
    (upsert,) = dnsimple(resource=resource).build(rows({**ROW, "number": 123.0})).upserts
    assert upsert.key == "domain:123/on_time_pct"


@pytest.mark.parametrize("resource", ["domain:1", "record:123", "platform_connection:172"])
def test_the_documented_kinds_of_resource_are_sent(resource: str) -> None:
    """Domains, records and connections need no setting."""
    (upsert,) = dnsimple().build(rows({**ROW, "dnsimple_resource": resource})).upserts
    assert upsert.key == f"{resource}/on_time_pct"


@pytest.mark.parametrize("prefixes", [["zone"], ["domain:", "zone:"]])
def test_zones_are_sent_by_those_who_ask_for_it(prefixes: list[str]) -> None:
    """The undocumented kind is invalid unless it is named; the colon may be written."""
    frame = rows({**ROW, "dnsimple_resource": "zone:5"})
    built = dnsimple().build(frame)
    assert reasons(built) == [
        "resource 'zone:5' is none like domain:123, record:123, platform_connection:123 (resource_prefixes)"
    ]
    (upsert,) = dnsimple(resource_prefixes=prefixes).build(frame).upserts
    assert upsert.payload["resource"] == "zone:5"


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"dnsimple_resource": None}, "dnsimple_resource is empty"),
        ({"dnsimple_resource": ""}, "resource '' is none like domain:123"),
        ({"dnsimple_resource": "example.com"}, "resource 'example.com' is none like"),
        ({"dnsimple_resource": "domain:example.com"}, "is none like"),
        ({"dnsimple_resource": "domain:1\n"}, "is none like"),
        ({"dnsimple_resource": "domain:01"}, "is none like"),
        ({"dnsimple_resource": "domain:1/2"}, "is none like"),
        ({"dnsimple_resource": "domain:٣"}, "is none like"),
        ({"dnsimple_resource": "Domain:1"}, "is none like"),
        ({"kpi": "a b"}, "context 'a b' is empty or does not match context_pattern: [A-Za-z0-9_-]{1,64}"),
        ({"kpi": ""}, "context '' is empty or does not match"),
        ({"kpi": "x" * 65}, "does not match context_pattern"),
        ({"kpi": None}, "kpi is empty"),
        ({"actual": None}, "actual is empty"),
        ({"actual": float("nan")}, "actual is empty"),
        ({"actual": float("inf")}, "actual: inf is no finite number"),
        ({"link": "yourapp.com"}, "url 'yourapp.com' is no http(s) address"),
        ({"link": "javascript:alert(1)"}, "is no http(s) address"),
        ({"link": "https://a b"}, "is no http(s) address"),
        ({"link": "https://"}, "is no http(s) address"),
    ],
)
def test_a_row_that_cannot_be_sent_is_invalid_and_says_why(columns: dict[str, object], reason: str) -> None:
    """Nothing is guessed or cut; the other row goes its way."""
    good = {**ROW, "name": "A name", "link": "https://a.example/?q=1#x"}
    spec = dnsimple(title="{name} {actual:percent}", url="{link}")
    built = spec.build(rows({**good, **columns}, {**good, "kpi": "fine"}))
    assert [upsert.key for upsert in built.upserts] == ["domain:123/fine"]
    (dropped,) = built.dropped
    assert reason in dropped.reason
    assert dropped.outcome is Outcome.INVALID
    unkeyed = columns.keys() & {"dnsimple_resource", "kpi"}
    assert dropped.key == (None if unkeyed else "domain:123/on_time_pct")


@pytest.mark.parametrize("nothing", [None, "", " "])
def test_an_optional_text_without_anything_to_say_is_left_out(nothing: str | None) -> None:
    """A status needs no title, message or link; an empty one might be refused as blank."""
    spec = dnsimple(title="{name}", message="{name}", url="{link}")
    (upsert,) = spec.build(rows({**ROW, "name": nothing, "link": nothing})).upserts
    assert upsert.payload == {"resource": "domain:123", "context": "on_time_pct", "state": "ok"}
    partly = dnsimple(title="{name} {actual}", message="{name}: {kpi}").build(rows({**ROW, "name": nothing})).upserts
    assert ("title" in partly[0].payload, "message" in partly[0].payload) == (nothing is not None,) * 2


def test_an_empty_text_is_compared_like_none() -> None:
    """What an earlier release sent as an empty text is not sent again for its absence."""
    spec = dnsimple(title="{name}")
    (upsert,) = spec.build(rows({**ROW, "name": None})).upserts
    assert spec.normalise({**upsert.payload, "title": ""}) == spec.normalise(upsert.payload)


def test_a_title_does_not_hide_a_missing_value() -> None:
    """A value that only a text shows is a value all the same: its row is invalid, as `on_null` says."""
    (dropped,) = dnsimple(state="ok", title="{actual}").build(rows({**ROW, "actual": None})).dropped
    assert (dropped.outcome, dropped.reason) == (Outcome.INVALID, "actual is empty")


@pytest.mark.parametrize("field", ["dnsimple_resource", "kpi", "name"])
def test_half_a_character_is_invalid(field: str) -> None:
    """A lone surrogate, as broken exports have it, is no text that JSON can carry, whatever the pattern allows."""
    frame = rows({**ROW, "name": "a"}, {**ROW, "name": "b", "kpi": "fine"})
    frame[field] = pd.Series(["x\ud800", frame[field][1]], dtype=object)
    built = dnsimple(title="{name}", context_pattern="(?s:.*)").build(frame)
    assert [upsert.key for upsert in built.upserts] == ["domain:123/fine"]
    assert "holds half a character" in reasons(built)[0]


@pytest.mark.parametrize("link", ["https://a.example", "HTTP://A:8080/ü?q=%20#x", "http://127.0.0.1/"])
def test_a_link_is_any_http_address(link: str) -> None:
    """What a browser can follow is sent as it is."""
    (upsert,) = dnsimple(url="{link}").build(rows({**ROW, "link": link})).upserts
    assert upsert.payload["url"] == link


def test_a_wider_context_pattern_is_taken_but_never_an_empty_context() -> None:
    """Which contexts the API takes is unknown, so the pattern is a setting; an empty one would be the default's."""
    built = dnsimple(context_pattern=".*").build(rows({**ROW, "kpi": "a/b ü"}, {**ROW, "kpi": ""}))
    assert [upsert.key for upsert in built.upserts] == ["domain:123/a/b ü"]
    assert len(built.dropped) == 1


def test_a_row_without_a_value_can_be_skipped() -> None:
    """`on_null: skip` is about what the state is made of; a missing resource stays invalid."""
    frame = rows({**ROW, "actual": None}, {**ROW, "dnsimple_resource": None})
    outcomes = {"not_selected", "invalid"}
    assert {one.outcome.value for one in dnsimple(on_null="skip").build(frame).dropped} == outcomes
    fixed = dnsimple(on_null="skip", state="ok").build(frame)
    assert {one.outcome.value for one in fixed.dropped} == outcomes
    (shown,) = dnsimple(on_null="skip", state="ok", title="{actual}").build(rows({**ROW, "actual": None})).dropped
    assert shown.outcome is Outcome.NOT_SELECTED
    (upsert,) = dnsimple(on_null="skip", state="ok", title=None).build(rows({**ROW, "actual": None})).upserts
    assert upsert.payload["state"] == "ok"


def test_rows_of_one_resource_and_context_that_differ_are_all_invalid() -> None:
    """A context that forgot the KPI is told, with the templates, instead of letting the last row win."""
    built = dnsimple(context="default").build(rows(ROW, {**ROW, "kpi": "cancelled", "actual": 3}))
    assert built.upserts == []
    (reason,) = reasons(built)
    assert reason == (
        "the status domain:123/default is made by 2 rows that differ: does resource: 'dnsimple_resource' "
        "or context: 'default' lack a column?"
    )


def test_the_compared_fields_are_those_that_are_sent() -> None:
    """What the sync does not send may say what it likes; `send_when` narrows it further; the destination agrees."""
    body = {"resource": "domain:1", "context": "c", "state": "ok", "title": "T", "message": "", "url": "https://x"}
    assert dnsimple(title=None).normalise(body) == {"state": "ok"}
    assert dnsimple(message="{kpi}", url="https://x").normalise(body) == {
        "state": "ok", "title": "T", "url": "https://x",
    }  # fmt: skip
    spec = dnsimple(message="{kpi}", send_when=["state"])
    assert spec.normalise(body) == {"state": "ok"}
    connected = spec.connect(account())
    assert isinstance(connected, Dnsimple)
    assert connected.normalise(body) == {"state": "ok"}


def test_a_change_of_a_compared_field_alone_changes_the_fingerprint() -> None:
    """With `send_when: [state]` a new title is not worth a line of history."""
    frames = [rows({**ROW, "actual": value}) for value in (90.0, 95.0)]
    marks = [dnsimple().build(frame).upserts[0].fingerprint for frame in frames]
    assert marks[0] != marks[1]
    marks = [dnsimple(send_when=["state"]).build(frame).upserts[0].fingerprint for frame in frames]
    assert marks[0] == marks[1]


def test_the_sample_becomes_one_status_per_team() -> None:
    """Every team of the sample has a resource, and the rows of the other KPIs are accounted for."""
    built = dnsimple(where="kpi = 'on_time_pct'", context="on-time").build(sample())
    assert {one.outcome for one in built.dropped} == {Outcome.NOT_SELECTED}
    assert placed(built) == sorted(zip(sample()["partition"], sample()["row"], strict=True))
    first_day = {upsert.key: upsert.payload for upsert in built.upserts if upsert.partition == "2013-01-01"}
    assert first_day["domain:102/on-time"] == {
        "resource": "domain:102",
        "context": "on-time",
        "title": "EWR-AA: 60%",
        "state": "warning",
    }


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"state": "fine"}, "state"),
        ({"state": None}, "state"),
        ({"state": {"column": "actual", "steps": [{"below": 5, "state": "bad"}], "otherwise": "ok"}}, "state"),
        ({"state": {"column": "actual", "steps": []}}, "otherwise"),
        (
            {"state": {"column": "a", "steps": [{"below": 5, "above": 4, "state": "ok"}], "otherwise": "ok"}},
            "one bound",
        ),
        ({"resource": "{dnsimple_resource"}, "resource: the template"),
        ({"resource": ""}, "resource: the template"),
        ({"context": "{kpi"}, "context: the template"),
        ({"title": "{actual:percnt}"}, "Did you mean percent"),
        ({"context_pattern": "["}, "context_pattern is no regular expression"),
        ({"resource_prefixes": []}, "name at least one"),
        ({"resource_prefixes": ["domain:123"]}, "'domain:123' is no kind of resource"),
        ({"resource_prefixes": [".*"]}, "is no kind of resource"),
        ({"send_when": ["message"]}, "send_when names message, which the sync does not send"),
        ({"send_when": ["resource"]}, "send_when"),
        ({"data": {}}, "data"),
    ],
)
def test_a_mistake_of_the_mapping_is_named_when_the_yaml_is_read(fields: dict[str, object], said: str) -> None:
    """States, templates, patterns and kinds are checked before any row."""
    with pytest.raises(ValidationError, match=said):
        dnsimple(**fields)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"resource": "dnsimple_resorce"}, "resource"),
        ({"context": "{kp}"}, "context"),
        ({"state": {"column": "actul", "steps": [], "otherwise": "ok"}}, "state"),
        ({"state": {"column": "actual", "steps": [{"for": {"x": 1}, "state": "ok"}], "otherwise": "ok"}}, "state"),
        ({"message": "{nothing}"}, "message"),
        ({"url": "https://{host}"}, "url"),
    ],
)
def test_a_misspelt_column_names_its_field(fields: dict[str, Any], field: str) -> None:
    """Every field's columns are checked against those there are."""
    with pytest.raises(ConfigurationError, match=f"sync statuses, {field}: there is no column"):
        dnsimple(**fields).check(["kpi", "team", "actual", "dnsimple_resource"])


texts = st.none() | st.sampled_from(["a", "b", "", "a/b", "domain:1", "domain:2", "zone:1"]) | st.text(max_size=6)
numbers = st.none() | st.floats() | st.sampled_from([0.0, 59.9, 60.0, 80.0])
partitions = st.sampled_from(["2013-01-05", "2013-01-06"])
readings = st.lists(
    st.fixed_dictionaries({"dnsimple_resource": texts, "kpi": texts, "actual": numbers, "partition": partitions}),
    min_size=1,
    max_size=12,
)


@settings(max_examples=60)
@given(
    readings,
    st.sampled_from(["{kpi}", "fixed"]),
    st.sampled_from([None, "{actual:percent}"]),
    st.sampled_from(["invalid", "skip"]),
    st.sampled_from([None, "actual > 10"]),
)
def test_every_row_is_accounted_for(
    given_rows: list[dict[str, Any]], context: str, title: str | None, on_null: str, where: str | None
) -> None:
    """Whatever the data, each row stands in exactly one upsert or dropped record, and each upsert under its own key."""
    frame = rows(*({**one, "as_of": one["partition"]} for one in given_rows))
    built = dnsimple(context=context, title=title, on_null=on_null, where=where).build(frame)
    assert placed(built) == sorted(zip(frame["partition"], frame["row"], strict=True))
    identities = [(upsert.key, upsert.as_of) for upsert in built.upserts]
    assert len(set(identities)) == len(identities)
    for upsert in built.upserts:
        assert upsert.key == f"{upsert.payload['resource']}/{upsert.payload['context']}"
        assert upsert.payload["state"] in {"ok", "warning", "error", "unknown"}
