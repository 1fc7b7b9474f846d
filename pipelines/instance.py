"""The Dagster instance of a home: its folder, with the `dagster.yaml` that ships with the package."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from importlib.resources import as_file, files

from pipelines.home import Home


def prepare_instance(home: Home) -> None:
    """Make the instance's folder; a dagster.yaml that stands there already is the user's own and stays."""
    home.dagster.mkdir(parents=True, exist_ok=True)
    target = home.dagster / "dagster.yaml"
    if not target.exists():
        with as_file(files("pipelines") / "dagster.yaml") as shipped:
            shutil.copyfile(shipped, target)


def environment(home: Home, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of Dagster's processes for this home."""
    return {
        **(os.environ if environ is None else environ),
        "PIPELINES_HOME": str(home.path),
        "DAGSTER_HOME": str(home.dagster),
    }
