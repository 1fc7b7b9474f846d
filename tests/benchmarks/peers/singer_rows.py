"""singer-sdk: `rows.parquet` of this folder as a Singer stream to a target with a sink of its own.

python singer_rows.py URL datasets|areas
"""

from __future__ import annotations

import io
import json
import sys
from typing import Any, ClassVar

import pyarrow.parquet as pq
import requests
from singer_sdk import typing as th
from singer_sdk.sinks import BatchSink, RecordSink
from singer_sdk.target_base import Target

url, kind = sys.argv[1:]
session = requests.Session()


class DatasetSink(RecordSink):
    """One request per dataset."""

    def process_record(self, record: dict[str, Any], context: dict[str, Any]) -> None:
        path = f"/exchange/kpi-data/{record['date']}/{record['team_id']}/{record['kpi_id']}"
        body = {"values": [{"kpiValueId": record["value_id"], "value": float(record["value"])}]}
        session.put(url + path, json=body).raise_for_status()


class AreaSink(BatchSink):
    """One request for 100 areas."""

    MAX_SIZE_DEFAULT = 100

    def process_batch(self, context: dict[str, Any]) -> None:
        areas = [
            {"correlationID": row["area_code"], "name": row["area_name"], "active": True, "tags": [row["tags"]]}
            for row in context["records"]
        ]
        session.post(f"{url}/planning/area/v1/update-or-create", json={"areas": areas}).raise_for_status()


class ApiTarget(Target):
    """The target."""

    name = "target-api"
    config_jsonschema: ClassVar[dict[str, Any]] = th.PropertiesList().to_dict()
    default_sink_class = AreaSink if kind == "areas" else DatasetSink


found = pq.read_table("rows.parquet").to_pylist()
types = {str: "string", float: "number", bool: "boolean", type(None): ["string", "null"]}
key = "area_code" if kind == "areas" else "date"
properties = {name: {"type": ["null", "string", "number", "boolean"]} for name in found[0]}
lines = [{"type": "SCHEMA", "stream": "rows", "key_properties": [], "schema": {"properties": properties}}]
lines += [{"type": "RECORD", "stream": "rows", "record": row} for row in found]
ApiTarget(config={}).listen(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)))
