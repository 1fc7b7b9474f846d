"""drt: `rows.parquet` of this folder, in a DuckDB, to its REST destination.

    python drt_rows.py URL datasets|areas

Its URL is not made of the row, so that every dataset goes to one path; its default limit of 10 requests a second is
lifted.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import duckdb

DATASET = '{"values": [{"kpiValueId": "{{ row.value_id }}", "value": {{ row.value }}}]}'
AREAS = (
    '{"areas": [{% for row in rows %}{"correlationID": "{{ row.area_code }}", "name": "{{ row.area_name }}", '
    '"active": true, "tags": ["{{ row.tags }}"]}{{ "" if loop.last else "," }}{% endfor %}]}'
)
HOW = {
    "datasets": ("PUT", "/exchange/kpi-data/2025-01-01/team/kpi", f"  body_template: '{DATASET}'"),
    "areas": (
        "POST",
        "/planning/area/v1/update-or-create",
        f"  body_mode: batch\n  max_records_per_request: 100\n  batch_template: '{AREAS}'",
    ),
}

url, kind = sys.argv[1:]
method, path, body = HOW[kind]
here = Path.cwd()
database = here / "rows.duckdb"
database.unlink(missing_ok=True)
with duckdb.connect(str(database)) as connection:
    connection.execute("create table rows as from 'rows.parquet'")

os.environ |= {"HOME": str(here), "DRT_NO_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
for name, text in {
    ".drt/profiles.yml": f"bench:\n  type: duckdb\n  database: {database}\n",
    "drt_project.yml": 'name: bench\nversion: "0.1"\nprofile: bench\n',
    "syncs/rows.yml": f"""\
name: rows
model: ref('rows')
destination:
  type: rest_api
  url: "{url}{path}"
  method: {method}
  headers: {{Content-Type: application/json}}
{body}
sync:
  mode: full
  batch_size: 20000
  rate_limit: {{requests_per_second: 0}}
  on_error: fail
""",
}.items():
    (here / name).parent.mkdir(exist_ok=True)
    (here / name).write_text(text)

from drt.cli.main import app  # noqa: E402

sys.argv = ["drt", "run"]
app()
