"""A small deployment in a test's own folder, its runs, and what they told Dagster."""

from __future__ import annotations

import csv
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

import pipelines
from pipelines.components.deployment import build_deployment
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home, SandboxCard
from pipelines.sandbox import Control
from pipelines.tables.spec import AnyTable, TableSpec
from pipelines.tables.store import PartitionStore
from tests.destinations.given import stativate, valuestreamer

PACKAGE = Path(pipelines.__file__).parent
SAMPLE = PACKAGE / "sample"
TABLE = "flight_kpis"
BOARD = "status_board"
FLOOR = "shop_floor"
API = {BOARD: "stativate", FLOOR: "valuestreamer"}
DAYS = ("2013-01-01", "2013-01-02", "2013-01-03", "2013-01-04")
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")

READS_YAML = [
    # Dagster 1.13 reads YAML with a deprecated function of pydantic,
    pytest.mark.filterwarnings("ignore:`parse_obj_as` is deprecated"),
    # the Python files beside it with functions of its own that are in preview,
    pytest.mark.filterwarnings("ignore:Function `load_definitions_from_modules?` is currently in preview"),
    # and gives each asset a link to its file, whose classes are in beta.
    pytest.mark.filterwarnings(
        "ignore:Class `(LocalFileCodeReference|CodeReferencesMetadataValue)` is currently in beta"
    ),
]
"""For tests that load a deployment's files: what Dagster warns of there is none of our doing."""

Reading = tuple[str, str, object]
"""Team, KPI and value, as they stand in a day's file."""
ROWS: Sequence[Reading] = (
    ("EWR-AA", "departures", 10),
    ("EWR-AA", "on_time_pct", 81.5),
    ("JFK-B6", "departures", 40),
    ("JFK-B6", "on_time_pct", 77.25),
)


def readings(**fields: Any) -> TableSpec:
    """The sample's table, read from a file per day in `exports/`, with some fields changed."""
    example = {
        "name": TABLE,
        "source": {"files": "exports/kpi_{date}.csv"},
        "catalogues": {name: str(SAMPLE / f"{name}s.parquet") for name in ("kpi", "team")},
        "start": DAYS[0],
        "timezone": "America/New_York",
        "columns": {"date": "reading_date", "team": "team_code", "kpi": "kpi_code", "actual": "value"},
    }
    return TableSpec.model_validate(example | fields)


def higher(by: float) -> Sequence[Reading]:
    """The usual rows with other values."""
    return [(team, kpi, float(str(value)) + by) for team, kpi, value in ROWS]


@dataclass(frozen=True, slots=True)
class Told:
    """What a run told Dagster."""

    result: dg.ExecuteInProcessResult

    @property
    def success(self) -> bool:
        """Whether the run ended well."""
        return self.result.success

    @property
    def failure(self) -> str:
        """The sentence of the `Failure` that ended the run; a run that fails otherwise has no sentence."""
        (data,) = [event.step_failure_data for event in self.result.all_node_events if event.is_step_failure]
        assert data.user_failure_data is not None, data.error
        return data.user_failure_data.description or ""

    def materialized(self, asset: str) -> dict[str | None, dict[str, Any]]:
        """The metadata of each materialization of an asset, by partition."""
        return _by_partition(
            event.step_materialization_data.materialization
            for event in self.result.all_node_events
            if event.is_step_materialization and event.asset_key == dg.AssetKey(asset)
        )

    def observed(self, asset: str) -> dict[str | None, dict[str, Any]]:
        """The metadata of each observation of an asset, by partition."""
        return _by_partition(
            event.asset_observation_data.asset_observation
            for event in self.result.all_node_events
            if event.is_asset_observation and event.asset_key == dg.AssetKey(asset)
        )

    def checks(self, asset: str) -> dict[str | None, dg.AssetCheckEvaluation]:
        """The verdict on each partition of an asset, which has one check."""
        found = [one for one in self.result.get_asset_check_evaluations() if one.asset_key == dg.AssetKey(asset)]
        assert len({one.partition for one in found}) == len(found)
        return {one.partition: one for one in found}

    def facts(self, asset: str) -> dict[str | None, dict[str, Any]]:
        """The metadata of each verdict, by partition."""
        return {partition: _plain(one.metadata) for partition, one in self.checks(asset).items()}

    def counts(self, sync: str) -> dict[str | None, dict[str, int]]:
        """Rows by outcome, and `extracted`, of each partition of a sync; what is 0 is left out."""
        named = {"extracted", *Outcome, "removed", "removal_failed", "removal_left"}
        return {
            partition: {name: facts[name] for name in facts if name in named and facts[name]}
            for partition, facts in self.facts(sync).items()
        }


@dataclass(frozen=True, slots=True)
class Deployment:
    """Tables and syncs over a folder, an instance of their own, and the sandbox that they deliver to."""

    defs: dg.Definitions
    instance: dg.DagsterInstance
    home: Home
    folder: Path
    control: Control

    @property
    def store(self) -> PartitionStore:
        """What was stored."""
        return PartitionStore(self.home.store_url)

    def export(self, day: str, rows: Sequence[Reading] = ROWS) -> Path:
        """Write a day's file."""
        path = self.folder / "exports" / f"kpi_{day}.csv"
        path.parent.mkdir(exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["reading_date", "team_code", "kpi_code", "value"])
            writer.writerows((day, *row) for row in rows)
        return path

    def extract(self, first: str = "", last: str = "", table: str = TABLE) -> Told:
        """Run a table's job over a day, a range, or without partitions."""
        return self.run(f"{table}_extract", first, last)

    def deliver(self, sync: str, first: str = "", last: str = "", tags: Mapping[str, str] = {}, **config: Any) -> Told:
        """Run a sync's job; `config` is its run configuration."""
        run_config = {"ops": {sync: {"config": config}}} if config else None
        return self.run(f"{sync}_deliver", first, last, run_config, tags)

    def both(self, first: str, last: str = "") -> tuple[Told, Told]:
        """Deliver to Stativate and to ValueStreamer."""
        return self.deliver(BOARD, first, last), self.deliver(FLOOR, first, last)

    def run(
        self, job: str, first: str = "", last: str = "", run_config: Any = None, tags: Mapping[str, str] = {}
    ) -> Told:
        """Run a job; with two dates as the one run over a range that a backfill or a schedule starts."""
        span = dict(zip(RANGE, (first, last), strict=True)) if last else {}
        result = self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance,
            partition_key=first if first and not last else None,
            tags={**tags, **span},
            run_config=run_config,
            raise_on_error=False,
        )
        return Told(result)

    def statuses(self, asset: str, days: Sequence[str] = DAYS) -> dict[str, str]:
        """MATERIALIZED or FAILED, as the UI colours each partition; the missing ones are left out."""
        key = dg.AssetKey(asset)
        partitions = self.defs.resolve_asset_graph().get(key).partitions_def
        assert partitions is not None
        found = self.instance.get_status_by_partition(key, days, partitions) or {}
        return {day: status.value for day, status in found.items() if status is not None}

    def verdicts(self, asset: str, check: str = "delivery") -> dict[str, set[str]]:
        """SUCCEEDED, FAILED and so on, as the UI colours each partition of a check; the missing ones are left out."""
        key = dg.AssetCheckKey(dg.AssetKey(asset), check)
        partitions = self.defs.resolve_asset_graph().get(key.asset_key).partitions_def
        state = self.instance.event_log_storage.get_asset_check_state([(key, partitions)])[key]
        found: dict[str, set[str]] = {}
        for status, subset in state.subsets.items():
            for day in [] if subset.is_empty else subset.subset_value.get_partition_keys():
                found.setdefault(day, set()).add(status.value)
        return found

    def requests(self, sync: str) -> int:
        """Requests that the sync's API has counted since the test began."""
        return self.control.counts(API[sync])["requests"]

    def board(self) -> dict[str, str]:
        """Value by key, as Stativate's stand-in shows them."""
        return {key: one["value"] for key, one in self.control.state("stativate")["statuses"].items()}

    def floor(self) -> dict[str, list[float]]:
        """Values by path, as ValueStreamer's stand-in holds them."""
        return {
            key: list(one["values"].values()) for key, one in self.control.state("valuestreamer")["records"].items()
        }


def deployed(
    tables: Sequence[AnyTable] = (),
    syncs: Sequence[SyncSpec] | None = None,
    *,
    folder: Path,
    **parts: Any,
) -> Deployment:
    """The usual table with a sync to each API, or other ones."""
    chosen = [board(), floor()] if syncs is None else syncs
    defs = build_deployment(tables or [readings()], chosen, folder=folder)
    return Deployment(defs, folder=folder, **parts)


def board(**fields: Any) -> SyncSpec:
    """The sync to Stativate, with some fields changed."""
    return stativate(**fields)


def floor(**fields: Any) -> SyncSpec:
    """The sync to ValueStreamer, with some fields changed."""
    return valuestreamer(**fields)


def move_sandbox(home: Home) -> str:
    """Let the home's card say that the sandbox is where nothing listens; returns that address."""
    card = home.read_card()
    assert card is not None
    with socket.socket() as closed_again:
        closed_again.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed_again.getsockname()[1]}"
    accounts = {
        api: {name: value.replace(card.url, url) for name, value in settings.items()}
        for api, settings in card.accounts.items()
    }
    home.write_card(SandboxCard(card.id, url, accounts))
    return url


def _by_partition(events: Any) -> dict[str | None, dict[str, Any]]:
    found = list(events)
    assert len({one.partition for one in found}) == len(found), "a partition was told twice"
    return {one.partition: _plain(one.metadata) for one in found}


def _plain(metadata: Mapping[str, dg.MetadataValue[Any]]) -> dict[str, Any]:
    return {name: value.value for name, value in metadata.items()}
