"""Red partitions that somebody puts up with: they hide no new ones, and come back by themselves."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import dagster as dg
import pytest

from pipelines.components.operations.messages import alert, morning
from pipelines.components.operations.news import Change, news
from pipelines.components.operations.rendering import accepted, markdown
from pipelines.components.operations.screen import Watched, read_screen, red_partitions
from pipelines.components.operations.status import Colour, Screen
from pipelines.delivery.ledger import Ledger
from pipelines.delivery.ledger.people import acknowledge, all_acknowledged, who, withdraw
from tests.components.conftest import Deploy
from tests.components.deploying import DAYS, FLOOR, TABLE, Deployment, floor, higher, move_sandbox, readings
from tests.components.operations.situations import AT_NINE, SCHEDULE, kinds, switch_on

WATCHED = Watched([readings(schedule=SCHEDULE)], [floor()])


@pytest.fixture
def deployment(deploy: Deploy) -> Deployment:
    """Four days, whose table's schedule is on; the first three are extracted."""
    made = deploy([*WATCHED.tables], [*WATCHED.syncs])
    switch_on(made.instance, f"{TABLE}_schedule")
    for number, day in enumerate(DAYS):
        made.export(day, higher(number))
    made.extract(DAYS[0], DAYS[2])
    return made


def seen(deployment: Deployment) -> Screen:
    """The screen as it is at nine."""
    return read_screen(WATCHED, deployment.home.ledger_url, deployment.instance, AT_NINE)


def red(deployment: Deployment) -> dict[str, str]:
    """What could be acknowledged."""
    return red_partitions(WATCHED, deployment.home.ledger_url, deployment.instance, AT_NINE, FLOOR)


def put_up_with(deployment: Deployment, *days: str) -> None:
    """Acknowledge red days."""
    found = red(deployment)
    with closing(Ledger(deployment.home.ledger_url)) as ledger, ledger.engine.begin() as connection:
        chosen = {day: found[day] for day in days}
        acknowledge(ledger, connection, FLOOR, chosen, reason="the plant was sold", now=AT_NINE.timestamp() - 7200)


def fail(deployment: Deployment, *days: str) -> None:
    """Deliver while the API is away."""
    card = deployment.home.read_card()
    assert card is not None
    move_sandbox(deployment.home)
    for day in days:
        assert not deployment.deliver(FLOOR, day).success
    deployment.home.write_card(card)


def test_an_acknowledged_day_is_listed_and_hides_nothing(deployment: Deployment) -> None:
    """Neither it nor its keys are red any more; the next day that fails turns the sync red, by its own reason alone."""
    fail(deployment, DAYS[0])
    deployment.deliver(FLOOR, DAYS[1], DAYS[2])
    deployment.extract(DAYS[3])
    deployment.deliver(FLOOR, DAYS[3])
    assert list(red(deployment)) == [DAYS[0]]
    put_up_with(deployment, DAYS[0])
    screen = seen(deployment)
    assert screen.colour is Colour.GREEN
    (told,) = accepted(screen)
    assert told == f"{FLOOR}: {DAYS[0]}: the plant was sold ({who()}, 2 h ago)"
    assert f"#### Acknowledged\n\n- {told}" in markdown(screen)
    assert f"acknowledged: {told}" in morning(screen).text
    message = alert(screen, [Change(FLOOR, Colour.RED, Colour.GREEN)])
    assert message.title == f"🟢 pipelines: {FLOOR} acknowledged"
    assert f"acknowledged: {DAYS[0]}" in message.text
    _, before = news({}, screen)
    deployment.export(DAYS[1], higher(50))
    deployment.extract(DAYS[1])
    fail(deployment, DAYS[1])
    screen = seen(deployment)
    assert {day for one in screen.syncs[0].problems for day in one.partitions} == {DAYS[1]}
    assert [change.colour for change in news(before, screen)[0]] == [Colour.RED]


def test_it_is_over_with_the_next_try(deployment: Deployment) -> None:
    """A run over the day, even one that fails as before, brings it back; one that delivers it mends it for good."""
    fail(deployment, DAYS[0])
    put_up_with(deployment, DAYS[0])
    assert DAYS[0] not in red(deployment)
    fail(deployment, DAYS[0])
    assert DAYS[0] in red(deployment)
    assert not seen(deployment).syncs[0].acknowledged
    put_up_with(deployment, DAYS[0])
    assert deployment.deliver(FLOOR, DAYS[0]).success
    assert not seen(deployment).syncs[0].acknowledged
    assert DAYS[0] not in red(deployment)


def test_a_day_of_which_nothing_was_extracted_may_be_acknowledged(deployment: Deployment) -> None:
    """A missing one, until somebody tries it; one whose table failed, until somebody extracts it again."""
    deployment.deliver(FLOOR, DAYS[0], DAYS[2])
    assert kinds(seen(deployment).syncs[0].problems) == [("missing", "red")]
    put_up_with(deployment, DAYS[3])
    assert seen(deployment).colour is Colour.GREEN
    deployment.export(DAYS[3]).write_text("reading_date\n")
    deployment.extract(DAYS[3])
    assert kinds(seen(deployment).syncs[0].problems) == [("table failed", "red")]
    put_up_with(deployment, DAYS[3])
    assert seen(deployment).colour is Colour.GREEN
    deployment.extract(DAYS[3])
    assert kinds(seen(deployment).syncs[0].problems) == [("table failed", "red")]


def test_a_snapshot_may_be_acknowledged(deploy: Deploy) -> None:
    """Its only partition, until the next run."""
    columns = {"team": "team_code", "kpi": "kpi_code", "actual": "value"}
    table = readings(grain="snapshot", start=None, source={"files": "exports/kpi_now.csv"}, columns=columns)
    deployment, watched = deploy([table], [floor()]), Watched([table], [floor()])
    url = deployment.home.ledger_url
    deployment.extract()
    found = red_partitions(watched, url, deployment.instance, AT_NINE, FLOOR)
    assert list(found) == ["snapshot"]
    with closing(Ledger(url)) as ledger, ledger.engine.begin() as connection:
        acknowledge(ledger, connection, FLOOR, found, reason="no file yet", now=0.0)
    assert read_screen(watched, url, deployment.instance, AT_NINE).colour is Colour.GREEN
    deployment.extract()
    assert read_screen(watched, url, deployment.instance, AT_NINE).colour is Colour.RED


def test_an_acknowledgement_is_a_decision_and_can_be_taken_back(tmp_path: Path) -> None:
    """The ledger tells who put up with what, and who did no longer."""
    with closing(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger, ledger.engine.begin() as connection:
        acknowledge(ledger, connection, FLOOR, {DAYS[0]: "run", DAYS[1]: ""}, reason="sold", now=1.0)
        acknowledge(ledger, connection, FLOOR, {DAYS[1]: "run-2"}, reason="closed", now=2.0)
        noted = all_acknowledged(connection)[FLOOR]
        assert [(one.partition, one.tried, one.reason) for one in noted] == [
            (DAYS[0], "run", "sold"),
            (DAYS[1], "run-2", "closed"),
        ]
        assert withdraw(connection, FLOOR, DAYS[1:], 3.0) == [DAYS[1]]
        assert withdraw(connection, FLOOR, DAYS[1:], 4.0) == []
        said = connection.exec_driver_sql("select what, reason from decisions order by id").fetchall()
    assert said == [
        ("acknowledge", f"2 partitions, {DAYS[0]} to {DAYS[1]}: sold"),
        ("acknowledge", f"{DAYS[1]}: closed"),
        ("withdraw", DAYS[1]),
    ]


def test_nothing_is_acknowledged_of_what_was_never_run(deploy: Deploy, instance: dg.DagsterInstance) -> None:
    """A deployment without a run or a ledger has nothing red to put up with."""
    deployment = deploy()
    assert red_partitions(WATCHED, deployment.home.ledger_url, None, AT_NINE, FLOOR) == {}
    assert red_partitions(WATCHED, deployment.home.ledger_url, instance, AT_NINE, FLOOR) == {}
