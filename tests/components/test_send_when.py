"""Other fields that count (`send_when`): what the API was told is compared over them, and only what differs is sent."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.components.sync_run import Order, SyncResult, SyncRunner
from pipelines.delivery.ledger import Ledger, schema
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.tables.extract import extract
from tests.components.conftest import Deploy
from tests.components.deploying import DAYS, ROWS, Deployment, Reading, board, readings

COLOR = {"column": "actual", "steps": [{"below": 50, "color": 1}], "otherwise": 5}
FIELDS: dict[str, Any] = {"color": COLOR}
FIRST, SECOND, *_ = DAYS


def deliver(deployment: Deployment, sync: SyncSpec, day: str) -> SyncResult:
    return SyncRunner(sync, deployment.home).run(Order(f"run-of-{day}", [day]))


def store(deployment: Deployment, day: str, rows: list[Reading]) -> None:
    deployment.export(day, rows)
    extract(
        readings(), [day], base=deployment.folder, store=deployment.store, environ=os.environ, now=datetime.now(UTC)
    )


@pytest.fixture
def deployment(deploy: Deploy) -> Deployment:
    """A day on the board, delivered by a sync that compares values and colours."""
    deployment = deploy([readings()], [board()])
    store(deployment, FIRST, [*ROWS])
    before = deliver(deployment, board(**FIELDS, send_when=["value", "color"]), FIRST)
    assert before.report.total(Outcome.ACCEPTED) == len(ROWS)
    deployment.control.reset_counts()
    return deployment


@pytest.mark.parametrize("fields", [["value"], ["value", "color", "label"], None], ids=["fewer", "more", "all"])
@pytest.mark.parametrize("ceilings", [{}, {"ceilings": {"changed": {"count": 0}}}], ids=["unbounded", "bounded"])
def test_other_fields_alone_send_nothing(
    deployment: Deployment, fields: list[str] | None, ceilings: dict[str, Any]
) -> None:
    """Nothing that the API shows differs from the source, so no request is made, and no ceiling is in the way."""
    sync = board(**FIELDS, **ceilings, send_when=fields)
    result = deliver(deployment, sync, FIRST)
    assert result.report.total(Outcome.UNCHANGED) == len(ROWS)
    assert deployment.control.counts("stativate")["requests"] == 0
    ledger = Ledger(deployment.home.ledger_url)
    with ledger.reading() as connection:
        marks = dict(map(tuple, connection.execute(schema.state.select().with_only_columns(*_MARKS))))
    ledger.close()
    built = sync.build(deployment.store.read("flight_kpis_valid", [FIRST])).upserts
    assert marks == {upsert.key: upsert.fingerprint for upsert in built}


_MARKS = (schema.state.c.key, schema.state.c.fingerprint)


def test_a_field_that_counts_from_now_on_is_sent_where_it_differs(deployment: Deployment) -> None:
    """While only values counted, one colour went astray; when colours count again, that one is sent and no other."""
    other = board(color={**COLOR, "otherwise": 7}, send_when=["value"])
    assert deliver(deployment, other, FIRST).report.total(Outcome.UNCHANGED) == len(ROWS)
    counting = other.model_copy(update={"send_when": ["value", "color"]})
    result = deliver(deployment, counting, FIRST)
    above = sum(float(str(value)) >= 50 for _, _, value in ROWS)
    assert 0 < above < len(ROWS)
    assert result.report.total(Outcome.ACCEPTED) == above
    assert deployment.control.counts("stativate")["requests"] == above


def test_a_newer_day_with_the_same_values_is_not_sent(deployment: Deployment) -> None:
    """Unchanged and newer, and compared over other fields than before: seen at its time without a request."""
    store(deployment, SECOND, [*ROWS])
    sync = board(**FIELDS, send_when=["value"])
    result = deliver(deployment, sync, SECOND)
    assert result.report.total(Outcome.UNCHANGED) == len(ROWS)
    store(deployment, FIRST, [(team, kpi, 1) for team, kpi, _ in ROWS])
    assert deliver(deployment, sync, FIRST).report.total(Outcome.SUPERSEDED) == len(ROWS)
    assert deployment.control.counts("stativate")["requests"] == 0
