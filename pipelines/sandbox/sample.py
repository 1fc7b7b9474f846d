"""The sample tables, as far as the sandbox knows what is in them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any, Literal

import pyarrow.parquet as pq


@cache
def sample_rows(table: Literal["kpis", "teams"]) -> list[dict[str, Any]]:
    """The rows of a sample table."""
    with files("pipelines").joinpath(f"sample/{table}.parquet").open("rb") as file:
        return pq.read_table(file).to_pylist()
