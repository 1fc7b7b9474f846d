from __future__ import annotations

from typing import Any

import dagster as dg
import pytest
from pydantic import ValidationError

from pipelines.delivery.upsert import Outcome
from pipelines.destinations.stativate import StativateSpec
from pipelines.destinations.valuestreamer import ValueStreamerSpec

# Dagster 1.13 reads YAML with a deprecated function of pydantic.
pytestmark = pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated")


class _NoDefs(dg.Component, dg.Resolvable):
    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        return dg.Definitions()


class StativateSync(_NoDefs, StativateSpec):
    """A component as `pipelines.components` makes it."""


class ValueStreamerSync(_NoDefs, ValueStreamerSpec):
    """A component as `pipelines.components` makes it."""


COMMON = {"name": "board", "table": "flight_kpis", "account": "acc", "mode": "sandbox"}


def test_a_specs_fields_are_the_components_fields() -> None:
    """The YAML of the example resolves through Dagster, `for` steps and per-row formats included."""
    sync = StativateSync.resolve_from_yaml("""
name: status_board
table: flight_kpis
account: stativate
mode: sandbox
key: "{kpi}-{team}"
label: "{kpi_name} {team}"
value: {column: actual, format: {by: unit, cases: {Time: time, "%": percent}, otherwise: compact}}
color:
  column: actual
  steps: [{for: {kpi: [on_time_pct, x]}, below: 80, color: 1}, {below: 90, color: 3}]
  otherwise: 5
send_when: [value, color]
warn_above: {percent: 5}
fail_above: {rejected: {count: 0}, quarantined: {percent: 5}}
""")
    assert sync.used()["color"] == ("actual", "kpi")
    assert sync.compared() == ("value", "colorNo")
    assert sync.warn_above is not None
    assert sync.fail_above is not None
    counts = {Outcome.QUARANTINED: 6}
    assert sync.warn_above.crossed(counts, 100) == ["6 quarantined of 100 rows, more than {percent: 5} allows"]
    said = ["6 quarantined of 100 rows, more than {quarantined: {percent: 5}} allows"]
    assert sync.fail_above.crossed(counts, 100) == said


def test_the_shop_floor_yaml_resolves() -> None:
    """Nested columns and the words keep and none pass through Dagster."""
    text = """
name: shop_floor
table: flight_kpis
account: valuestreamer
mode: dry
team_id: t
kpi_id: k
actual: {column: actual, id: a}
"""
    assert ValueStreamerSync.resolve_from_yaml(text).target == "keep"
    named = ValueStreamerSync.resolve_from_yaml(text + "target: {column: target, id: b}\n")
    assert named.used()["target"] == ("target", "b")


@pytest.mark.parametrize(
    ("line", "said"), [("mode: prod", "mode"), ("label: '{kpi'", "label"), ("colour: 5", "colour")]
)
def test_a_mistake_in_the_yaml_is_found_when_it_is_loaded(line: str, said: str) -> None:
    """Our own checks also hold behind Dagster, whose schema lets a wrong Literal pass."""
    fields: dict[str, Any] = {**COMMON, "key": "k", "label": "'{kpi}'", "value": "'{actual}'"}
    fields.pop(line.partition(":")[0], None)
    text = "\n".join([*(f"{name}: {value}" for name, value in fields.items()), line])
    with pytest.raises(ValidationError, match=said):
        StativateSync.resolve_from_yaml(text)
