from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.delivery.errors import ConfigurationError
from pipelines.destinations.stativate.mapping import utf16_length
from tests.destinations.given import reasons, rows, sample, stativate


def test_the_tutorials_kpis_become_the_tutorials_statuses() -> None:
    """The four KPIs of the tutorial "Status create or update" give its keys and bodies."""
    frame = rows(
        {"kpiId": 100, "kpiName": "Sales by Team 1", "actual": 104000},
        {"kpiId": 101, "kpiName": "Sales by Team 2", "actual": 112000},
        {"kpiId": 102, "kpiName": "Sold Bags", "actual": 2420},
        {"kpiId": 103, "kpiName": "Sold Shoes", "actual": 2530},
    )
    spec = stativate(
        key="sales-kpi-status-{kpiId}",
        label="{kpiName}",
        description="Latest accumulated {kpiName}.",
        color=3,
    )
    built = spec.build(frame)
    assert built.dropped == []
    assert {upsert.key: upsert.payload["value"] for upsert in built.upserts} == {
        "sales-kpi-status-100": "104K",
        "sales-kpi-status-101": "112K",
        "sales-kpi-status-102": "2420",
        "sales-kpi-status-103": "2530",
    }
    assert dict(built.upserts[0].payload) == {
        "name": "Sales by Team 1",
        "type": "text",
        "value": "104K",
        "accessType": "private",
        "description": "Latest accumulated Sales by Team 1.",
        "colorNo": 3,
    }


def test_the_sample_fits_on_a_board() -> None:
    """Every row of the sample becomes a status, each KPI in the form of its unit."""
    spec = stativate(
        label="{kpi_name} {team}",
        value={"column": "actual", "format": {"by": "unit", "cases": {"Time": "time", "%": "percent"}}},
        color={
            "column": "actual",
            "steps": [{"for": {"unit": "%"}, "below": 80, "color": 1}, {"for": {"unit": "%"}, "color": 3}],
            "otherwise": 5,
        },
    )
    built = spec.build(sample())
    assert built.dropped == []
    assert sum(len(upsert.rows) for upsert in built.upserts) == len(sample())
    first_day = {upsert.key: upsert.payload for upsert in built.upserts if upsert.partition == "2013-01-01"}
    assert first_day["first_departure-EWR-AA"]["value"] == "06:06"
    assert first_day["on_time_pct-EWR-AA"] == {
        "name": "Departed on time EWR-AA",
        "type": "text",
        "value": "60%",
        "accessType": "private",
        "colorNo": 1,
    }
    assert first_day["departures-EWR-AA"]["colorNo"] == 5


def test_only_what_is_configured_is_sent() -> None:
    """No description and no colour means that the API's own stay as they are."""
    (upsert,) = stativate(access="public").build(rows({"actual": 1.0})).upserts
    assert dict(upsert.payload) == {
        "name": "on_time_pct JFK-AA",
        "type": "text",
        "value": "1",
        "accessType": "public",
    }


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"team": "a b"}, "the status key 'on_time_pct-a b' does not match key_pattern: [A-Za-z0-9_-]{1,64}"),
        ({"team": "../x"}, "does not match key_pattern"),
        ({"team": "x\0"}, "does not match key_pattern"),
        ({"team": "x\n"}, "does not match key_pattern"),
        ({"team": "é"}, "does not match key_pattern"),
        ({"team": "x" * 53}, "does not match key_pattern"),
        ({"name": "ab"}, "name 'ab' has 2 characters, the API takes 3 to 42"),
        ({"name": "x" * 43}, "has 43 characters"),
        ({"name": "🙂" * 22}, "has 44 characters"),
        ({"shown": ""}, "value '' has 0 characters, the API takes 1 to 10"),
        ({"shown": "x" * 11}, "value 'xxxxxxxxxxx' has 11 characters"),
        ({"shown": "ß" * 6}, "has 12 characters"),
        ({"shown": "🙂" * 6}, "has 12 characters"),
        ({"shown": "e\u0301" * 6}, "has 12 characters"),
        ({"shown": None}, "shown is empty for team 'JFK-AA'"),
        ({"more": "x" * 401}, "has 401 characters, the API takes 0 to 400"),
        ({"number": float("inf")}, "number: inf is no finite number"),
        ({"number": 1e300}, "number: 1e+300 has no compact form of at most 10 characters"),
        ({"number": None}, "number is empty"),
    ],
)
def test_what_the_api_would_refuse_is_invalid_before_it_is_sent(columns: dict[str, object], reason: str) -> None:
    """Nothing is cut, rounded away or made up: the row is invalid, and the reason shows what is wrong."""
    good = {"name": "A name", "shown": "ok", "more": "", "number": 5.0}
    spec = stativate(
        label="{name}",
        value={"column": "number"} if "number" in columns else "{shown}",
        description="{more}",
    )
    built = spec.build(rows({**good, **columns}, {**good, "team": "fine"}))
    assert [upsert.key for upsert in built.upserts] == ["on_time_pct-fine"]
    assert reason in reasons(built)[0]


def test_half_a_character_is_invalid() -> None:
    """A lone surrogate, as broken exports have it, is no text that JSON can carry."""
    frame = rows({"shown": "a"}, {"shown": "b", "team": "fine"}, actual=1.0)
    frame["shown"] = pd.Series(["abc\ud800", "abcd"], dtype=object)
    built = stativate(label="{shown}").build(frame)
    assert [upsert.key for upsert in built.upserts] == ["on_time_pct-fine"]
    assert "holds half a character" in reasons(built)[0]
    built = stativate(key="{shown}", key_pattern=".*").build(frame)
    assert [upsert.key for upsert in built.upserts] == ["abcd"]


@pytest.mark.parametrize("value", ["ß" * 5, "🙂" * 5, "e\u0301" * 5, "x" * 10, " "])
def test_ten_characters_as_the_strictest_server_counts_them_are_taken(value: str) -> None:
    """Length is counted in UTF-16 units after turning to upper case."""
    (upsert,) = stativate(value="{shown}").build(rows({"shown": value})).upserts
    assert upsert.payload["value"] == value
    assert utf16_length(value.upper()) <= 10


def test_a_wider_key_pattern_is_taken_but_never_a_path_of_dots() -> None:
    """Which keys the API takes is unknown, so the pattern is a setting; a key of dots would be another resource."""
    spec = stativate(key="{team}", key_pattern=".+")
    built = spec.build(rows({"team": "a/b ü"}, {"team": ".."}, {"team": "."}, actual=1.0))
    assert [upsert.key for upsert in built.upserts] == ["a/b ü"]
    assert [one.key for one in built.dropped] == ["..", "."]


def test_the_compared_form_is_what_the_server_keeps() -> None:
    """Values are compared in upper case, other fields as they are, and only those of send_when."""
    body = {"name": "Name", "type": "text", "value": "on time", "accessType": "private", "colorNo": 3}
    assert stativate(color=3).normalise(body) == {
        "name": "Name", "value": "ON TIME", "colorNo": 3, "accessType": "private",
    }  # fmt: skip
    assert stativate(color=3, send_when=["value", "color"]).normalise(body) == {"value": "ON TIME", "colorNo": 3}
    assert stativate(send_when=["label"]).normalise(body) == {"name": "Name"}


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["name", "value", "description", "colorNo"]), st.text() | st.integers()))
def test_comparing_twice_is_comparing_once(body: dict[str, object]) -> None:
    """What was read back is compared in the same form as what was sent."""
    spec = stativate()
    assert spec.normalise(spec.normalise(body)) == spec.normalise(body)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"color": 13}, "13 is no colour"),
        ({"color": {"column": "actual", "steps": [{"color": 0}], "otherwise": 5}}, "0 is no colour"),
        ({"color": {"column": "actual", "steps": [], "otherwise": 13}}, "13 is no colour"),
        ({"key": "{kpi"}, "key: the template"),
        ({"value": {"column": "actual", "format": "compct"}}, "Did you mean compact"),
        ({"value": "{actual:compct}"}, "Did you mean compact"),
        ({"key_pattern": "["}, "key_pattern is no regular expression"),
        ({"access": "owner"}, "access"),
        ({"send_when": ["description"]}, "send_when names description, which the sync does not send"),
    ],
)
def test_a_mistake_of_the_mapping_is_named_when_the_yaml_is_read(fields: dict[str, object], said: str) -> None:
    """Templates, formats, colours and patterns are checked before any row."""
    with pytest.raises(ValidationError, match=said):
        stativate(**fields)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"value": {"column": "actul"}}, "value"),
        ({"value": {"column": "actual", "format": {"by": "unt", "cases": {}}}}, "value"),
        ({"color": {"column": "actual", "steps": [{"for": {"kp": "a"}, "color": 1}], "otherwise": 2}}, "color"),
        ({"description": "{nothing}"}, "description"),
    ],
)
def test_a_misspelt_column_names_its_field(fields: dict[str, object], field: str) -> None:
    """Also the columns that formats and colour steps look at are checked."""
    with pytest.raises(ConfigurationError, match=f"sync status_board, {field}: there is no column"):
        stativate(**fields).check(["kpi", "team", "actual"])


def test_a_template_without_the_actual_skips_nothing_silently() -> None:
    """`on_null: skip` is about the value; a name without an entry stays invalid."""
    spec = stativate(value="{actual:compact} {sign}", on_null="skip")
    built = spec.build(rows({"actual": None, "sign": "h"}, {"actual": 5.0, "sign": None}))
    assert [one.outcome.value for one in built.dropped] == ["not_selected", "invalid"]
