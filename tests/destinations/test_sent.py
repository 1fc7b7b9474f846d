"""What each sync says of the API's fields and of their columns, beside what it really sends."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any

import pandas as pd
import pytest

from pipelines.destinations.base import SyncSpec
from pipelines.destinations.sent import key_columns
from tests.destinations.given import TILE, dataset, rows, stativate, valuestreamer
from tests.destinations.given_dnsimple import dnsimple
from tests.destinations.given_feedback_house import areas
from tests.destinations.given_feedback_house import sync as feedback_house

OTHER = "99999999-8888-7777-6666-555555555555"
_COLOR = {"column": "actual", "steps": [{"for": {"kpi": "other"}, "below": 1000, "color": 1}], "otherwise": 5}

SYNCS: Mapping[str, tuple[SyncSpec, pd.DataFrame, Mapping[str, Any]]] = {
    "stativate": (
        stativate(
            label="{kpi} of {team_name}",
            description="{note}",
            value={"column": "actual", "format": {"by": "unit", "cases": {"%": "percent"}, "otherwise": "compact"}},
            color=_COLOR,
        ),
        rows({"actual": 12.5, "unit": "x", "team_name": "Blue", "note": "hello"}),
        {"actual": 99.0, "unit": "%", "team": "LGA-AA", "team_name": "Red", "note": "bye", "kpi": "other"},
    ),
    "valuestreamer": (
        valuestreamer(sub_tile_id="tile"),
        rows(dataset(tile=TILE, actual=91.0)),
        {
            "actual": 12.0,
            "target": 13.0,
            "unit": "Time",
            "whole_number": True,
            "valuestreamer_team_id": OTHER,
            "valuestreamer_kpi_id": OTHER,
            "valuestreamer_actual_id": OTHER,
            "valuestreamer_target_id": OTHER,
            "date": dt.date(2013, 2, 1),
            "tile": OTHER,
        },
    ),
    "dnsimple": (
        dnsimple(message="{note}", url="https://example.com/{team}"),
        rows({"actual": 12.5, "dnsimple_resource": "domain:1", "note": "hello"}),
        {"actual": 99.0, "dnsimple_resource": "record:2", "note": "bye", "team": "LGA-AA", "kpi": "other"},
    ),
    "feedback_house": (
        feedback_house(managers="managers", business_division="division"),
        areas({"area_code": "a", "area_name": "A", "tags": "x", "managers": "a@b.c", "division": "d"}),
        {
            "area_code": "b",
            "area_name": "B",
            "active": False,
            "tags": "y",
            "managers": "d@e.f",
            "division": "e",
            "parent_code": "p",
        },
    ),
}
CASES = pytest.mark.parametrize("name", SYNCS)


def said(sync: SyncSpec, frame: pd.DataFrame) -> dict[str, Any]:
    """Each part of the only upsert's key, and each field of its payload, under the API's name."""
    built = sync.build(frame)
    assert not built.dropped, built.dropped
    (upsert,) = built.upserts
    keys = [field.name for field in sync.sent() if field.key]
    # Of a status's key the resource holds no slash; of the others a single key is whole.
    parts = upsert.key.split("/") if len(keys) > 1 else [upsert.key]
    flat = dict(zip(keys, parts, strict=True))
    for field, value in upsert.payload.items():
        if field == "values":
            for at, one in enumerate(value):
                flat |= {f"values[{at}].{inner}": number for inner, number in one.items()}
        elif field not in {"depth", "above"}:  # names above an area, which are not sent
            flat[field] = value
    return flat


@CASES
def test_the_fields_are_those_that_are_sent(name: str) -> None:
    """Key and payload of an upsert have the fields that the sync names, and no others."""
    sync, frame, _ = SYNCS[name]
    assert set(said(sync, frame)) == {field.name for field in sync.sent()}


@CASES
def test_a_field_is_made_of_the_columns_that_it_names(name: str) -> None:
    """Another value in one column changes no field that does not name the column, and at least one that does."""
    sync, frame, others = SYNCS[name]
    before = said(sync, frame)
    for column, value in others.items():
        changed = frame.astype(object).assign(**{column: [value]})
        after = said(sync, changed)
        different = {field for field in {*before, *after} if before.get(field) != after.get(field)}
        naming = {field.name for field in sync.sent() if column in field.columns}
        assert different <= naming, column
        # Minutes are minutes and whole numbers whole, whatever the KPI takes.
        assert different or (name, column) in {("valuestreamer", "unit"), ("valuestreamer", "whole_number")}, column


@CASES
def test_every_column_that_a_sync_uses_makes_a_field(name: str) -> None:
    """Lineage forgets no column, and names none that is not used."""
    sync, _, others = SYNCS[name]
    used = {column for columns in sync.used().values() for column in columns}
    assert {column for field in sync.sent() for column in field.columns} == used == set(others)


@CASES
def test_the_key_comes_first_and_is_made_of_columns(name: str) -> None:
    """What identifies an upsert stands before what it says."""
    fields = SYNCS[name][0].sent()
    marks = [field.key for field in fields]
    assert marks == sorted(marks, reverse=True)
    assert key_columns(fields)


@CASES
def test_what_is_not_configured_is_not_a_field(name: str) -> None:
    """A sync with nothing but what it must have names no field that it does not send."""
    least: dict[str, SyncSpec] = {
        "stativate": stativate(),
        "valuestreamer": valuestreamer(target="none"),
        "dnsimple": dnsimple(title=None),
        "feedback_house": feedback_house(parent=None, tags=None),
    }
    fewer, more = ({field.name for field in sync.sent()} for sync in (least[name], SYNCS[name][0]))
    assert fewer < more


@CASES
def test_the_documentation_of_each_api_has_an_address(name: str) -> None:
    """People get from an asset to the pages that say what its API does."""
    assert re.fullmatch(r"https://\S+", SYNCS[name][0].documentation)
