"""dlt: `rows.parquet` of this folder to a custom destination.

    python dlt_rows.py URL datasets|areas [--files ROWS --workers N]

As it comes, one file holds all rows and one request is in flight; `--files` cuts them, and workers send side by side.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

parser = argparse.ArgumentParser()
parser.add_argument("url")
parser.add_argument("kind", choices=("datasets", "areas"))
parser.add_argument("--files", type=int)
parser.add_argument("--workers", type=int)
given = parser.parse_args()

# Settings of dlt, read at its import.
os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
os.environ["DLT_DATA_DIR"] = str(Path.cwd() / "dlt")
if given.files:
    os.environ["DATA_WRITER__FILE_MAX_ITEMS"] = str(given.files)
    os.environ["DATA_WRITER__BUFFER_MAX_ITEMS"] = str(given.files)
if given.workers:
    os.environ["LOAD__WORKERS"] = str(given.workers)

import dlt  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import requests  # noqa: E402

session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=64))


@dlt.resource(name="rows")
def rows() -> Iterator[list[dict[str, Any]]]:
    """The rows, in slices where they are cut into files."""
    found = pq.read_table("rows.parquet").to_pylist()
    size = given.files or len(found)
    for start in range(0, len(found), size):
        yield found[start : start + size]


def put(items: list[dict[str, Any]]) -> None:
    """One request per dataset."""
    for row in items:
        path = f"/exchange/kpi-data/{row['date']}/{row['team_id']}/{row['kpi_id']}"
        body = {"values": [{"kpiValueId": row["value_id"], "value": row["value"]}]}
        session.put(given.url + path, json=body).raise_for_status()


def post(items: list[dict[str, Any]]) -> None:
    """One request for all."""
    areas = [
        {"correlationID": row["area_code"], "name": row["area_name"], "active": row["active"], "tags": [row["tags"]]}
        for row in items
    ]
    session.post(f"{given.url}/planning/area/v1/update-or-create", json={"areas": areas}).raise_for_status()


@dlt.destination(batch_size=100 if given.kind == "areas" else 10, name="api")
def api(items: list[dict[str, Any]], table: Any) -> None:
    """What dlt calls with each batch."""
    (post if given.kind == "areas" else put)(items)


pipeline = dlt.pipeline(f"benchmark_{given.kind}", destination=api, pipelines_dir=str(Path.cwd() / "pipelines"))
pipeline.run(rows()).raise_on_failed_jobs()
