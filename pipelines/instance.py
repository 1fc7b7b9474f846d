"""The Dagster instance of a home: its folder, with the `dagster.yaml` that ships with the package."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files

from pipelines.delivery.errors import ConfigurationError
from pipelines.home import Home

VARIABLE = "PIPELINES_DAGSTER_URL"
"""Where Dagster keeps its runs and events; without it in SQLite files in the home."""
_EVENT_BATCH = "DAGSTER_EVENT_BATCH_SIZE"
_EVENTS_AT_ONCE = "500"


def prepare_instance(home: Home, environ: Mapping[str, str] | None = None) -> None:
    """Make the instance's folder; a dagster.yaml that stands there already is the user's own and stays.

    Raises:
        ConfigurationError: the environment names a database, of which that file knows nothing.
    """
    wanted = has_database(os.environ if environ is None else environ)
    home.dagster.mkdir(parents=True, exist_ok=True)
    target = home.dagster / "dagster.yaml"
    if not target.exists():
        shipped = files("pipelines") / ("dagster-postgres.yaml" if wanted else "dagster.yaml")
        target.write_text(shipped.read_text(encoding="utf-8"), encoding="utf-8")
    elif wanted and VARIABLE not in target.read_text(encoding="utf-8"):
        raise ConfigurationError(
            f"{VARIABLE} names a database for Dagster, but {target} was written without one",
            do="Remove that file to have it written anew, or take `storage` from pipelines/dagster-postgres.yaml. "
            "Runs of the past stay where they are.",
            setting=VARIABLE,
        )


def has_database(environ: Mapping[str, str]) -> bool:
    """Whether Dagster is to keep its runs and events in PostgreSQL."""
    return bool(environ.get(VARIABLE))


def environment(home: Home, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of Dagster's processes for this home, in which events are written in batches."""
    made = {
        **(os.environ if environ is None else environ),
        "PIPELINES_HOME": str(home.path),
        "DAGSTER_HOME": str(home.dagster),
    }
    made.setdefault(_EVENT_BATCH, _EVENTS_AT_ONCE)
    if has_database(made):
        # dagster-postgres brings psycopg2 and speaks its dialect; SQLAlchemy 2.1 would take psycopg 3 for a bare URL.
        made[VARIABLE] = re.sub(r"^postgres(ql)?://", "postgresql+psycopg2://", made[VARIABLE])
    return made


@contextmanager
def surrounded_by(environ: Mapping[str, str]) -> Iterator[None]:
    """Give this process that environment meanwhile: what a dagster.yaml describes looks there."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
