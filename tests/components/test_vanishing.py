"""Rows that a source no longer has: what becomes of their keys, as a runner does it and as Dagster tells it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest

from pipelines.components.deployment import check_names
from pipelines.components.sync_run import Order, SyncResult, SyncRunner
from pipelines.delivery.errors import ConfigurationError, TableError
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.tables.extract import extract
from pipelines.tables.spec import TableSpec
from tests.components.conftest import Deploy
from tests.components.deploying import (
    BOARD,
    DAYS,
    FLOOR,
    ROWS,
    SAMPLE,
    Deployment,
    Reading,
    board,
    floor,
    higher,
    readings,
)

FREE: dict[str, Any] = {"ceilings": {"removed": None}}
"""No bound on removals: a day of four rows has few keys."""
FIRST, SECOND, THIRD, FOURTH = DAYS
NOW = "snapshot"
KPI, TEAM = "departures", "EWR-AA"

Source = Mapping[str, Sequence[Reading]]
"""Partition -> its rows."""


@dataclass(frozen=True, slots=True)
class Line:
    """A table and its sync without Dagster, over the files of a deployment."""

    deployment: Deployment
    table: TableSpec
    sync: SyncSpec

    def export(self, source: Source) -> None:
        """Write and extract partitions."""
        for partition, rows in source.items():
            self.deployment.export(partition, rows)
        now = datetime.now(UTC)
        extract(
            self.table, [*source], base=self.deployment.folder, store=self.deployment.store, environ=os.environ, now=now
        )

    def deliver(self, *partitions: str, **order: Any) -> SyncResult:
        """Run the sync over stored partitions."""
        runner = SyncRunner(self.sync, self.deployment.home, self.table, self.deployment.folder)
        return runner.run(Order("run", partitions, **order))

    def both(self, source: Source, **order: Any) -> SyncResult:
        """Export, extract and deliver partitions."""
        self.export(source)
        return self.deliver(*source, **order)

    def on_floor(self, day: str) -> int:
        """How many datasets of a day ValueStreamer's stand-in holds."""
        return sum(path.startswith(day) for path in self.deployment.floor())

    def on_board(self) -> set[str]:
        """The keys that Stativate's stand-in shows."""
        return set(self.deployment.board())


Build = Callable[..., Line]


@pytest.fixture
def line(deploy: Deploy) -> Build:
    """Build a line: `line(sync)`, or with another table."""

    def build(sync: SyncSpec, table: TableSpec | None = None) -> Line:
        return Line(deploy([table or readings()], [sync]), table or readings(), sync)

    return build


@pytest.fixture
def days(line: Build) -> Line:
    """Two days of four rows each on the shop floor, whose sync takes away what vanishes."""
    days = line(floor(vanished="remove", **FREE))
    days.both({FIRST: ROWS, SECOND: ROWS})
    assert len(days.deployment.floor()) == 8
    return days


def test_dataset_of_a_row_that_is_gone_is_taken_away(days: Line) -> None:
    """A day that lost a row loses its dataset, once; the other days keep theirs."""
    result = days.both({FIRST: ROWS[1:]})
    assert (result.results[FIRST].removed, result.results[FIRST].red) == (1, "")
    assert (days.on_floor(FIRST), days.on_floor(SECOND)) == (3, 4)
    assert days.deliver(FIRST).results[FIRST].removed == 0


def test_row_that_comes_back_is_delivered_again(days: Line) -> None:
    """The source has the very row again: so has the API."""
    days.both({FIRST: ROWS[1:]})
    result = days.both({FIRST: ROWS})
    assert result.results[FIRST].counts == Counter({Outcome.UNCHANGED: 3, Outcome.ACCEPTED: 1})
    assert days.on_floor(FIRST) == 4


def test_removals_are_counted_for_the_day_they_belong_to(days: Line) -> None:
    """In a run over several days each one has its own number."""
    result = days.both({FIRST: ROWS[3:], SECOND: ROWS[1:]})
    assert [result.results[day].removed for day in (FIRST, SECOND)] == [3, 1]


STILL_THERE: dict[str, Reading] = {
    "its value is no number": (TEAM, KPI, "n/a"),
    "it has no value": (TEAM, KPI, ""),
    "its value is no whole number": (TEAM, KPI, 1.5),
}


@pytest.mark.parametrize("row", STILL_THERE.values(), ids=STILL_THERE.keys())
def test_row_that_cannot_be_delivered_has_not_vanished(days: Line, row: Reading) -> None:
    """In quarantine or invalid, a row is there: its dataset stays as it was, while that of a row that is gone goes."""
    before = days.deployment.floor()
    result = days.both({FIRST: [row, *ROWS[2:]]})
    assert result.results[FIRST].removed == 1
    gone = before.keys() - days.deployment.floor().keys()
    assert days.deployment.floor() == {path: values for path, values in before.items() if path not in gone}
    assert days.on_floor(FIRST) == 3


KEYLESS: dict[str, Reading] = {
    "a team that is missing": ("", KPI, 10),
    "a team that the catalogue does not know": ("NO-WHERE", KPI, 10),
}


@pytest.mark.parametrize("row", KEYLESS.values(), ids=KEYLESS.keys())
def test_row_whose_key_nobody_knows_keeps_the_whole_day(days: Line, row: Reading) -> None:
    """Any key of the day might be its own: none is taken away, and a note says so. Other days are not concerned."""
    result = days.both({FIRST: [row, *ROWS[2:]], SECOND: ROWS[2:]})
    assert [result.results[day].removed for day in (FIRST, SECOND)] == [0, 2]
    assert (days.on_floor(FIRST), days.on_floor(SECOND)) == (4, 2)
    assert any(note.startswith(f"{FIRST}: vanished keys were kept") for note in result.report.notes)


def test_both_rows_of_a_duplicated_key_are_there(days: Line) -> None:
    """Nobody can say which is right, but the key has not vanished."""
    assert days.both({FIRST: [*ROWS, (TEAM, KPI, 99)]}).results[FIRST].removed == 0


def test_row_that_the_condition_leaves_out_has_vanished(line: Build) -> None:
    """The sync no longer wants it: it goes, while a row that is skipped because it is empty stays."""
    where = "actual IS NULL OR actual < 100"
    shop = line(floor(vanished="remove", on_null="skip", where=where, **FREE))
    shop.both({FIRST: ROWS})
    result = shop.both({FIRST: [(TEAM, KPI, 100), (TEAM, "on_time_pct", ""), *ROWS[2:]]})
    assert result.results[FIRST].counts == Counter({Outcome.NOT_SELECTED: 2, Outcome.UNCHANGED: 2})
    assert (result.results[FIRST].removed, shop.on_floor(FIRST)) == (1, 3)


def test_condition_says_nothing_about_what_could_not_be_read(line: Build) -> None:
    """A quarantined row has no value, so that the condition is not true of it: that does not make it vanish."""
    shop = line(floor(vanished="remove", where="actual < 100", **FREE))
    shop.both({FIRST: ROWS})
    assert shop.both({FIRST: [(TEAM, KPI, "n/a"), *ROWS[1:]]}).results[FIRST].removed == 0
    assert shop.on_floor(FIRST) == 4


def test_keys_are_kept_by_default(line: Build) -> None:
    """Nobody who did not ask for it loses a dataset."""
    shop = line(floor())
    shop.both({FIRST: ROWS})
    shop.both({FIRST: ROWS[3:]})
    assert shop.on_floor(FIRST) == 4


def test_dry_run_takes_nothing_away(days: Line) -> None:
    """It plans the removals and tells how many they would be."""
    result = days.both({FIRST: ROWS[1:]}, dry=True)
    assert any(note.startswith("dry: 1 keys have vanished") for note in result.report.notes)
    assert days.on_floor(FIRST) == 4


def test_stopped_account_leaves_vanished_keys_and_the_day_red(days: Line) -> None:
    """After a 401 the key is left as it is, and no green day hides that."""
    rule = {"kind": "status", "times": None, "api": "valuestreamer", "params": {"code": 401}}
    days.deployment.control.add_faults(rule)
    account = days.both({FIRST: higher(1)[1:]}).results[FIRST]
    days.deployment.control.clear_faults()
    assert (account.removal_left, days.on_floor(FIRST)) == (1, 4)
    assert "1 vanished keys were left as they are" in account.red


def snapshot() -> TableSpec:
    """What is true right now, read from one file."""
    columns = {"team": "team_code", "kpi": "kpi_code", "actual": "value"}
    return readings(grain="snapshot", start=None, source={"files": f"exports/kpi_{NOW}.csv"}, columns=columns)


def test_snapshot_without_a_row_loses_its_status(line: Build) -> None:
    """A snapshot is the whole: a key that it lacks is taken away without any catalogue."""
    wall = line(board(vanished="remove", **FREE), snapshot())
    wall.both({NOW: ROWS})
    assert wall.both({NOW: ROWS[1:]}).results[NOW].removed == 1
    assert wall.on_board() == {f"{kpi}-{team}" for team, kpi, _ in ROWS[1:]}


def test_quarantined_row_of_a_snapshot_keeps_its_status(line: Build) -> None:
    """Its key is known, so that only others vanish; a row without a key keeps all."""
    wall = line(board(vanished="remove", **FREE), snapshot())
    wall.both({NOW: ROWS})
    wall.both({NOW: [(TEAM, KPI, "n/a"), *ROWS[2:]]})
    assert len(wall.on_board()) == 3
    wall.both({NOW: [("", KPI, 1), ROWS[3]]})
    assert len(wall.on_board()) == 3


def test_empty_snapshot_empties_no_board(line: Build) -> None:
    """A source without rows is refused; where the condition leaves none, the ceiling stops it, and it is red."""
    wall = line(board(vanished="remove", where="actual > 0"), snapshot())
    wall.both({NOW: ROWS})
    with pytest.raises(TableError, match="holds no row"):
        wall.export({NOW: []})
    result = wall.both({NOW: [(team, kpi, 0) for team, kpi, _ in ROWS]})
    assert "4 keys would be removed" in result.report.stopped
    assert "4 vanished keys were left as they are" in result.results[NOW].red
    assert len(wall.on_board()) == 4


def list_teams(wall: Line, *codes: str, **wrong: Any) -> None:
    """Let the catalogue have these teams only; `wrong`: columns of a further line."""
    teams = pd.read_parquet(SAMPLE / "teams.parquet")
    chosen = teams[teams["team_code"].isin(codes)]
    if wrong:
        chosen = pd.concat([chosen, pd.DataFrame([wrong])])
    chosen.to_parquet(wall.deployment.folder / "teams.parquet", index=False)


def by_teams() -> TableSpec:
    """The usual table with a catalogue of teams that a test can change."""
    return readings(catalogues={"kpi": str(SAMPLE / "kpis.parquet"), "team": "teams.parquet"})


@pytest.fixture
def wall(line: Build) -> Line:
    """Two days on a board whose sync takes away what the catalogue of teams no longer has."""
    wall = line(board(vanished="remove", keys_from="team", **FREE), by_teams())
    list_teams(wall, "EWR-AA", "JFK-B6")
    wall.both({FIRST: ROWS, SECOND: ROWS})
    assert len(wall.on_board()) == 4
    return wall


def test_status_of_a_team_that_is_no_longer_listed_is_taken_away(wall: Line) -> None:
    """The team left the catalogue and the newest day: its statuses go, told once, for the newest day of the run."""
    list_teams(wall, "JFK-B6")
    result = wall.both({THIRD: ROWS[2:], FOURTH: ROWS[2:]})
    assert [result.results[day].removed for day in (THIRD, FOURTH)] == [0, 2]
    assert wall.on_board() == {"departures-JFK-B6", "on_time_pct-JFK-B6"}


def test_backfill_does_not_bring_back_what_is_no_longer_listed(wall: Line) -> None:
    """The old days still have the team's rows: they are not selected, and the run says why; nothing flaps."""
    list_teams(wall, "JFK-B6")
    wall.both({THIRD: ROWS[2:]})
    wall.deployment.control.reset_counts()
    result = wall.deliver(FIRST, SECOND, THIRD)
    assert wall.deployment.requests(BOARD) == 0
    assert [result.results[day].counts[Outcome.NOT_SELECTED] for day in (FIRST, SECOND, THIRD)] == [2, 2, 0]
    assert all(not account.gap for account in result.results.values())
    ((_, why),) = [found for found in result.report.reasons[FIRST] if found[0] is Outcome.NOT_SELECTED]
    assert "EWR-AA is no longer in the catalogue team" in why
    assert len(wall.on_board()) == 2


def test_team_that_is_still_in_the_newest_day_is_kept(wall: Line) -> None:
    """Catalogue and readings disagree: nothing is taken away on the word of one of them."""
    list_teams(wall, "JFK-B6")
    wall.both({THIRD: higher(1)})
    assert len(wall.on_board()) == 4
    assert wall.deployment.board()["departures-EWR-AA"] == "11"


def test_team_that_is_listed_again_is_shown_again(wall: Line) -> None:
    """Its newest stored reading comes back with the next run over its day."""
    list_teams(wall, "JFK-B6")
    wall.both({THIRD: ROWS[2:]})
    list_teams(wall, "EWR-AA", "JFK-B6")
    wall.deliver(SECOND)
    assert len(wall.on_board()) == 4


def test_day_without_a_listed_teams_rows_takes_nothing_away(wall: Line) -> None:
    """One day is a window: a team that has no reading in it is a team all the same."""
    assert wall.both({THIRD: ROWS[2:]}).results[THIRD].removed == 0
    assert len(wall.on_board()) == 4


def test_catalogue_that_cannot_be_read_takes_nothing_away(wall: Line) -> None:
    """Neither a missing file nor an invalid line says that a team is gone."""
    wall.export({THIRD: ROWS[2:]})
    (wall.deployment.folder / "teams.parquet").unlink()
    assert any("the catalogue cannot be read" in note for note in wall.deliver(THIRD).report.notes)
    list_teams(wall, "JFK-B6", team_code=None)
    assert any("1 rows of the catalogue team are invalid" in note for note in wall.deliver(THIRD).report.notes)
    assert len(wall.on_board()) == 4


def test_catalogue_that_lost_most_of_its_lines_is_stopped_by_the_ceiling(line: Build) -> None:
    """A catalogue that is half loaded would empty half of the board."""
    wall = line(board(vanished="remove", keys_from="team"), by_teams())
    list_teams(wall, "EWR-AA", "JFK-B6")
    wall.both({FIRST: ROWS})
    list_teams(wall, "JFK-B6")
    result = wall.both({SECOND: ROWS[2:]})
    assert "2 keys would be removed" in result.report.stopped
    assert len(wall.on_board()) == 4


def test_runner_without_its_table_concludes_nothing_from_a_window(wall: Line) -> None:
    """In Python as in YAML: where nobody says which keys there are, the run is refused before anything is sent."""
    wall.deployment.control.reset_counts()
    alone = board(vanished="remove", **FREE)
    for sync in (alone, alone.model_copy(update={"keys_from": "team"})):
        with pytest.raises(ConfigurationError, match="keys_from"):
            SyncRunner(sync, wall.deployment.home).run(Order("run", [FIRST]))
    with pytest.raises(ConfigurationError, match="needs keys_from"):
        SyncRunner(alone, wall.deployment.home, by_teams()).run(Order("run", [FIRST]))
    assert wall.deployment.requests(BOARD) == 0


WRONG: dict[str, tuple[SyncSpec, str]] = {
    "a window says nothing about the keys": (board(vanished="remove"), "vanished: remove needs keys_from"),
    "a catalogue that does not exist": (
        board(vanished="remove", keys_from="teams"),
        'there is no catalogue "teams". Did you mean team?',
    ),
}


@pytest.mark.parametrize(("sync", "said"), WRONG.values(), ids=WRONG.keys())
def test_names_that_do_not_fit_are_refused_at_load(sync: SyncSpec, said: str) -> None:
    """The sentence names the sync and the field, and says what there is."""
    with pytest.raises(ConfigurationError) as failed:
        check_names([readings()], [sync])
    assert f"sync {BOARD}" in str(failed.value)
    assert said in str(failed.value)


def test_what_fits_is_accepted_at_load() -> None:
    """A dated sync needs no catalogue, a snapshot neither, and a window one that exists."""
    check_names([readings()], [board(vanished="remove", keys_from="team"), floor(vanished="remove")])
    check_names([snapshot()], [board(vanished="remove")])


IMPOSSIBLE: dict[str, tuple[Callable[..., SyncSpec], dict[str, str]]] = {
    "Stativate deactivates nothing": (board, {"vanished": "deactivate"}),
    "ValueStreamer deactivates nothing": (floor, {"vanished": "deactivate"}),
    "a dated key needs no catalogue": (floor, {"vanished": "remove", "keys_from": "team"}),
    "kept keys need no catalogue": (board, {"keys_from": "team"}),
}


@pytest.mark.parametrize(("build", "fields"), IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_what_an_api_cannot_do_is_refused(build: Callable[..., SyncSpec], fields: dict[str, str]) -> None:
    """The fields of a sync that contradict its API or each other are no configuration."""
    with pytest.raises(ValueError, match=r"vanished|keys_from"):
        build(**fields)


@pytest.fixture
def deployed(deploy: Deploy) -> Deployment:
    """A day of four rows on the shop floor, with ceilings as they come."""
    deployment = deploy(syncs=[floor(vanished="remove")])
    deployment.export(FIRST)
    deployment.extract(FIRST)
    assert deployment.deliver(FLOOR, FIRST).success
    return deployment


def test_partition_tells_how_many_keys_were_taken_away(deployed: Deployment) -> None:
    """It is green, and both its metadata and its check have the number."""
    deployed.export(FIRST, ROWS[1:])
    deployed.extract(FIRST)
    told = deployed.deliver(FLOOR, FIRST)
    assert told.materialized(FLOOR)[FIRST]["removed"] == told.facts(FLOOR)[FIRST]["removed"] == 1
    assert deployed.statuses(FLOOR) == {FIRST: "MATERIALIZED"}


def test_ceiling_makes_the_partition_red_until_somebody_gives_a_reason(deployed: Deployment) -> None:
    """A day that would lose too much is left alone, and says what to do; with a reason it goes through."""
    deployed.export(FIRST, ROWS[2:])
    deployed.extract(FIRST)
    told = deployed.deliver(FLOOR, FIRST)
    assert not told.success
    assert len(deployed.floor()) == 4
    assert "2 vanished keys were left as they are" in told.failure
    assert "override_ceilings" in told.failure
    assert told.facts(FLOOR)[FIRST]["removal_left"] == 2
    assert not told.checks(FLOOR)[FIRST].passed
    assert deployed.deliver(FLOOR, FIRST, override_ceilings="half of them were closed").success
    assert len(deployed.floor()) == 2


def test_removal_that_fails_makes_the_partition_red(deployed: Deployment) -> None:
    """Its day is red until the API takes it, and then told as removed."""
    rule = {"kind": "status", "times": None, "api": "valuestreamer", "method": "DELETE", "params": {"code": 400}}
    deployed.control.add_faults(rule)
    deployed.export(FIRST, ROWS[1:])
    deployed.extract(FIRST)
    told = deployed.deliver(FLOOR, FIRST)
    assert not told.success
    assert "1 vanished keys could not be taken away" in told.failure
    assert told.facts(FLOOR)[FIRST]["removal_failed"] == 1
    deployed.control.clear_faults()
    assert deployed.deliver(FLOOR, FIRST).facts(FLOOR)[FIRST]["removed"] == 1
