"""What the product is measured against: the transport alone, a plain loop, and reading and hashing rows alone."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from httpx_aiohttp import AiohttpTransport

from tests.benchmarks.parts.machine import Timed

Raw = tuple[str, str, bytes]
"""Method, URL and body."""


def dataset_requests(url: str, rows: pa.Table) -> list[Raw]:
    """The PUT of each row of `flat_readings`."""
    return [("PUT", f"{url}{path_of(row)}", orjson.dumps(body_of(row))) for row in rows.to_pylist()]


def area_requests(url: str, rows: pa.Table, size: int) -> list[Raw]:
    """The POSTs of so many areas each."""
    areas = [
        {"correlationID": row["area_code"], "name": row["area_name"], "active": row["active"], "tags": [row["tags"]]}
        for row in rows.to_pylist()
    ]
    starts = range(0, len(areas), size)
    bodies = [orjson.dumps({"areas": areas[start : start + size]}) for start in starts]
    return [("POST", f"{url}/planning/area/v1/update-or-create", body) for body in bodies]


def path_of(row: Mapping[str, Any]) -> str:
    """Where a dataset stands."""
    return f"/exchange/kpi-data/{row['date']}/{row['team_id']}/{row['kpi_id']}"


def body_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The dataset itself."""
    return {"values": [{"kpiValueId": row["value_id"], "value": row["value"]}]}


def flat_readings(folder: Path) -> pa.Table:
    """The readings with the ids of their catalogues, one row per dataset: what a peer is given to send."""
    readings = pq.read_table(folder / "readings.parquet")
    kpis, teams = (pq.read_table(folder / f"{name}.parquet").to_pylist() for name in ("kpis", "teams"))
    kpi = {row["kpi_code"]: row for row in kpis}
    team = {row["team_code"]: row["valuestreamer_team_id"] for row in teams}
    codes = readings["kpi_code"].to_pylist()
    return pa.table(
        {
            "date": readings["reading_date"].cast(pa.string()),
            "team_id": [team[code] for code in readings["team_code"].to_pylist()],
            "kpi_id": [kpi[code]["valuestreamer_kpi_id"] for code in codes],
            "value_id": [kpi[code]["valuestreamer_actual_id"] for code in codes],
            "value": readings["value"],
        }
    )


def bare_transport(requests: Sequence[Raw], in_flight: int) -> tuple[float, float]:
    """Requests built once and handed to the transport by so many workers: wall and CPU seconds."""
    return asyncio.run(_bare_transport(requests, in_flight))


async def _bare_transport(requests: Sequence[Raw], in_flight: int) -> tuple[float, float]:
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    built = [httpx.Request(method, url, headers=headers, content=body) for method, url, body in requests]

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=in_flight)
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    async with AiohttpTransport(client=session) as transport:
        rest = iter(built)

        async def work() -> None:
            for request in rest:
                response = await transport.handle_async_request(request)
                await response.aread()
                await response.aclose()

        with Timed() as timed:
            await asyncio.gather(*(work() for _ in range(in_flight)))
    return timed.wall, timed.cpu


def plain_loop(requests: Sequence[Raw]) -> tuple[float, float]:
    """One request after the other over one httpx client: wall and CPU seconds."""
    with httpx.Client() as client, Timed() as timed:
        for method, url, body in requests:
            client.request(method, url, content=body).raise_for_status()
    return timed.wall, timed.cpu


def read_and_hash(folder: Path) -> tuple[float, float]:
    """Every row of the folder's Parquet files as a dict, as canonical JSON, hashed: wall and CPU seconds."""
    with Timed() as timed:
        for path in sorted(folder.glob("*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(10_000):
                for row in batch.to_pylist():
                    blake2b(orjson.dumps(row, option=orjson.OPT_SORT_KEYS), digest_size=16).digest()
    return timed.wall, timed.cpu
