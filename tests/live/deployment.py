"""A user's own deployment in a folder, served by Dagster (webserver and daemon) with a sandbox beside it."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import httpx

import pipelines
from pipelines.home import Home
from pipelines.instance import environment, prepare_instance
from pipelines.sandbox.server import SandboxServer

SAMPLE = Path(pipelines.__file__).parent / "sample"
_PYPROJECT = """
[tool.dg]
directory_type = "project"
[tool.dg.project]
root_module = "livedeployment"
registry_modules = ["pipelines"]
"""
_DEFINITIONS = """
{first}
from pathlib import Path
import dagster as dg
from pipelines.components.deployment import load_deployment

@dg.definitions
def defs():
    return load_deployment(Path(__file__).parent)
"""
_START_S = 120.0
Row = tuple[str, str, float]
"""A reading of the sample: team, KPI, value."""


def sample_day(day: str) -> list[Row]:
    """The readings of one of the sample's days."""
    readings = str(SAMPLE / "kpi_readings.parquet")
    query = "select team_code, kpi_code, value from read_parquet(?) where reading_date = ? order by all"
    with duckdb.connect() as connection:
        return connection.execute(query, [readings, day]).fetchall()


def export_day(folder: Path, day: str, rows: Iterable[Row]) -> None:
    """Write the CSV file of a day, as `source: {files: "FOLDER/kpi_{date}.csv"}` reads it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"kpi_{day}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["reading_date", "team_code", "kpi_code", "value"])
        writer.writerows((day, *row) for row in rows)


def write_deployment(folder: Path, files: Mapping[str, str], first: str = "") -> Path:
    """Make the package `livedeployment` with these `defs.yaml` files; returns the deployment's folder.

    `first`: Python that is executed before the deployment is loaded.
    """
    package = folder / "livedeployment"
    (package / "defs").mkdir(parents=True)
    (folder / "pyproject.toml").write_text(_PYPROJECT)
    (package / "__init__.py").touch()
    (package / "defs" / "__init__.py").touch()
    (package / "definitions.py").write_text(_DEFINITIONS.format(first=first))
    shutil.copytree(SAMPLE, package / "sample")
    for name, text in files.items():
        (package / "defs" / name).mkdir()
        (package / "defs" / name / "defs.yaml").write_text(text)
    return package


@dataclass(frozen=True, slots=True)
class Live:
    """A served deployment."""

    url: str
    folder: Path
    home: Home
    sandbox: SandboxServer

    def query(self, text: str, **variables: Any) -> dict[str, Any]:
        """Ask Dagster's GraphQL."""
        answer = httpx.post(f"{self.url}/graphql", json={"query": text, "variables": variables}, timeout=60)
        body = answer.json()
        assert "errors" not in body, body
        return body["data"]

    def backfill(self, assets: list[str], partitions: list[str]) -> str:
        """Launch a backfill of a selection; returns its id."""
        data = self.query(
            """mutation($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
                 __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }""",
            params={"assetSelection": [{"path": [asset]} for asset in assets], "partitionNames": partitions},
        )["launchPartitionBackfill"]
        assert data["__typename"] == "LaunchBackfillSuccess", data
        return data["backfillId"]

    def retry_backfill(self, backfill: str) -> str:
        """Launch what failed in a backfill again, as the UI's button does; returns the new one's id."""
        data = self.query(
            """mutation($params: ReexecutionParams!) { reexecutePartitionBackfill(reexecutionParams: $params) {
                 __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }""",
            params={"parentRunId": backfill, "strategy": "FROM_FAILURE"},
        )["reexecutePartitionBackfill"]
        assert data["__typename"] == "LaunchBackfillSuccess", data
        return data["backfillId"]

    def cancel_backfill(self, backfill: str) -> None:
        """Let a backfill end before it is done."""
        self.query(
            """mutation($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }""", id=backfill
        )

    def backfill_status(self, backfill: str) -> str:
        """Where a backfill is."""
        text = """query($id: String!) { partitionBackfillOrError(backfillId: $id) {
                    ... on PartitionBackfill { status } } }"""
        return self.query(text, id=backfill)["partitionBackfillOrError"]["status"]

    def wait_for_backfill(self, backfill: str, seconds: float = 240) -> str:
        """The status in which the backfill ends."""
        return wait_for(lambda: ended(self.backfill_status(backfill)), seconds, "the end")

    def launch(self, job: str, tags: Mapping[str, str] = {}, config: Mapping[str, Any] = {}) -> str:
        """Launch a run of a job; returns its id."""
        location = {"repositoryName": "__repository__", "repositoryLocationName": "livedeployment.definitions"}
        data = self.query(
            """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            params={
                "selector": {**location, "jobName": job},
                "mode": "default",
                "runConfigData": dict(config),
                "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
            },
        )["launchRun"]
        assert data["__typename"] == "LaunchRunSuccess", data
        return data["run"]["runId"]

    def switch_on(self, kind: str, name: str) -> None:
        """Start a `schedule` or a `sensor`."""
        title = kind.capitalize()
        selector = {
            "repositoryName": "__repository__",
            "repositoryLocationName": "livedeployment.definitions",
            f"{kind}Name": name,
        }
        answer = self.query(
            f"mutation($of: {title}Selector!) {{ start{title}({kind}Selector: $of) {{ __typename }} }}", of=selector
        )
        assert "Error" not in answer[f"start{title}"]["__typename"], answer

    def partitions(self, asset: str) -> dict[str, str]:
        """The days of an asset that are not missing: key -> MATERIALIZED or FAILED."""
        text = """query($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
                    assetPartitionStatuses { ... on TimePartitionStatuses {
                      ranges { status startKey endKey } } } } } }"""
        ranges = self.query(text, key={"path": [asset]})["assetNodeOrError"]["assetPartitionStatuses"]["ranges"]
        found = {}
        for span in ranges:
            day, last = (date.fromisoformat(span[end]) for end in ("startKey", "endKey"))
            while day <= last:
                found[day.isoformat()] = span["status"]
                day += timedelta(days=1)
        return found

    def wait_for_runs(self, *runs: str, seconds: float = 240) -> list[str]:
        """The statuses in which runs end."""

        def ended() -> list[str] | None:
            status = {run["runId"]: run["status"] for run in self.runs()}
            found = [status[run] for run in runs]
            return found if all(one in {"SUCCESS", "FAILURE", "CANCELED"} for one in found) else None

        return wait_for(ended, seconds, "the runs' end")

    def runs(self, **tags: str) -> list[dict[str, Any]]:
        """The runs with these tags."""
        text = """query($filter: RunsFilter!) { runsOrError(filter: $filter) { ... on Runs { results {
                    runId status jobName assetSelection { path } creationTime startTime endTime
                    tags { key value } } } } }"""
        wanted = [{"key": key.replace("__", "/"), "value": value} for key, value in tags.items()]
        return self.query(text, filter={"tags": wanted})["runsOrError"]["results"]


def wait_for(look: Any, seconds: float, what: str) -> Any:
    """What `look` returns as soon as it is something."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = look()
        if found:
            return found
        time.sleep(1)
    raise TimeoutError(f"{what} did not come within {seconds:.0f} s")


@contextmanager
def served(
    folder: Path, home: Home, module: str = "livedeployment.definitions", environ: Mapping[str, str] = {}
) -> Iterator[Live]:
    """Start the sandbox and Dagster from Python, not through a shell: a background job of a shell ignores SIGINT.

    `environ`: variables that Dagster's processes have beside this one's.
    """
    whole = {**os.environ, **environ}
    prepare_instance(home, whole)
    port = _free_port()
    env = environment(home, whole) | {
        "PYTHONPATH": os.pathsep.join([str(folder.parent), os.environ.get("PYTHONPATH", "")])
    }
    command = [sys.executable, "-m", "dagster", "dev", "-m", module, "-h", "127.0.0.1", "-p", str(port)]
    log = home.path / "dagster.log"
    with SandboxServer.start(home, port=0) as sandbox, log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder.parent, env=env, stdout=output, stderr=output, start_new_session=True
        )
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(lambda: _answers(process, url, log), _START_S, "Dagster's UI")
            yield Live(url, folder, home, sandbox)
        finally:
            _stop(process)


def _answers(process: subprocess.Popen[bytes], url: str, log: Path) -> bool:
    assert process.poll() is None, log.read_text(errors="replace")[-3000:]
    try:
        return httpx.get(f"{url}/server_info", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ended(status: str) -> str | None:
    """The status of a backfill, if it is one in which it ends."""
    return status if status.startswith(("COMPLETED", "FAILED", "CANCELED")) else None


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
