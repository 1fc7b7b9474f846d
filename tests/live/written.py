"""Files of a deployment, to be formatted: `more` is further lines of its attributes, each indented by two."""

from __future__ import annotations

TABLE = """
type: pipelines.KpiTable
attributes:
  name: {name}
  source: {{files: "exports/{folder}/kpi_{{date}}.csv"}}
  catalogues: {{kpi: "sample/kpis.parquet", team: "sample/teams.parquet"}}
  start: "{start}"
  columns: {{date: reading_date, team: team_code, kpi: kpi_code, actual: value}}
{more}
"""
BOARD = """
type: pipelines.StativateSync
attributes:
  name: {name}
  table: {table}
  account: {account}
  mode: sandbox
  key: "{prefix}{{kpi}}-{{team}}"
  label: "{{kpi_name}} {{team}}"
  value: {{column: actual, format: compact}}
{more}
"""
FLOOR = """
type: pipelines.ValueStreamerSync
attributes:
  name: {name}
  table: {table}
  account: {account}
  mode: sandbox
  where: kpi = 'departures'
  fail_above: {{count: 0}}
{more}
  team_id: valuestreamer_team_id
  kpi_id: valuestreamer_kpi_id
  actual: {{column: actual, id: valuestreamer_actual_id}}
  target: {{column: target, id: valuestreamer_target_id}}
  unit: unit
  whole_number: whole_number
"""
OPERATIONS = """
type: pipelines.Operations
attributes:
  webhook_env: HOOK
  alerts: true
  morning: {{at: "{at}"}}
"""
