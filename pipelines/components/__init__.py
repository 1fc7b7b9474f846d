"""Dagster's face: YAML fields -> assets, checks, jobs, schedules. Thin; what is delivered how is decided below."""
