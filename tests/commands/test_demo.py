"""`pipelines demo`: once, for real, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipelines.commands.demo import Pass
from pipelines.delivery.upsert import Outcome
from tests.components.conftest import SETTINGS
from tests.components.deploying import SAMPLE

PROMISED = (
    "destination", "pass", "partitions", "extracted", "quarantined", "not_selected", "invalid", "unchanged",
    "superseded", "created", "updated", "accepted", "rejected", "failed", "unknown", "not_sent", "requests", "seconds",
)  # fmt: skip
DESTINATIONS = ("valuestreamer", "stativate", "dnsimple", "feedback_house")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.CompletedProcess[str]]:
    """The command's run, in a home where a user keeps things."""
    home = tmp_path_factory.mktemp("home")
    (home / "ledger.db").write_text("the user's own")
    # The demo must not send to accounts of the user's, whatever the environment names.
    accounts = {"STATIVATE_URL": "http://127.0.0.1:9/", "VALUESTREAMER_URL": "http://127.0.0.1:9/"}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    yield subprocess.run(
        [Path(sys.executable).with_name("pipelines"), "demo", "--json"],
        check=False,
        env={**kept, **accounts, "PIPELINES_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert (home / "ledger.db").read_text() == "the user's own"


@pytest.fixture(scope="module")
def passes(ran: subprocess.CompletedProcess[str]) -> dict[tuple[str, int], dict[str, Any]]:
    """The figures by destination and pass; standard output is one JSON object and nothing else."""
    figures = json.loads(ran.stdout)
    assert list(figures) == ["passes"]
    found = {(one["destination"], one["pass"]): one for one in figures["passes"]}
    assert len(found) == len(figures["passes"])
    return found


def test_the_demo_succeeds_and_says_how_to_go_on(ran: subprocess.CompletedProcess[str]) -> None:
    """Exit 0; what is for people stands on standard error, with the command that opens the UI."""
    assert ran.returncode == 0, ran.stderr
    assert "pipelines dev --demo" in ran.stderr


def test_the_figures_have_the_promised_names(passes: dict[tuple[str, int], dict[str, Any]]) -> None:
    """Every pass of every destination has each figure that `--json` promises."""
    assert set(passes) == {(destination, number) for destination in DESTINATIONS for number in (1, 2)}
    for one in passes.values():
        assert set(one) == set(PROMISED)


def test_the_figures_are_those_of_the_sample(passes: dict[tuple[str, int], dict[str, Any]]) -> None:
    """Extracted is what pandas counts in the files for January 2013; statuses are the newest reading of each key."""
    readings = pd.read_parquet(SAMPLE / "kpi_readings.parquet")
    january = readings[readings["reading_date"].astype(str).str.startswith("2013-01-")]
    keys = january.groupby(["team_code", "kpi_code"]).ngroups
    for destination in DESTINATIONS[:3]:
        for number in (1, 2):
            assert passes[destination, number]["partitions"] == 31
            assert passes[destination, number]["extracted"] == len(january) == 4872
    assert passes["valuestreamer", 1]["accepted"] == passes["valuestreamer", 2]["unchanged"] == len(january)
    assert passes["stativate", 1]["accepted"] == passes["stativate", 1]["requests"] == keys
    assert passes["feedback_house", 1]["extracted"] == len(pd.read_parquet(SAMPLE / "areas.parquet"))


def test_every_row_is_accounted_for(passes: dict[tuple[str, int], dict[str, Any]]) -> None:
    """The outcomes add up to what was extracted, and nothing is left open."""
    for one in passes.values():
        assert sum(one[str(outcome)] for outcome in Outcome) == one["extracted"], one
        assert one["rejected"] == one["failed"] == one["unknown"] == one["not_sent"] == 0


def test_the_second_pass_makes_no_request(passes: dict[tuple[str, int], dict[str, Any]]) -> None:
    """Nothing had changed, so the server counted nothing."""
    for destination in DESTINATIONS:
        assert passes[destination, 1]["requests"] > 0
        assert passes[destination, 2]["requests"] == 0


def delivery(number: int = 2, *, requests: int = 0, succeeded: bool = True, **rows: int) -> Pass:
    """The figures of a delivery."""
    one = Pass("stativate", number, requests=requests, succeeded=succeeded)
    one.rows.update(rows)
    return one


@pytest.mark.parametrize(
    ("one", "lost"),
    [
        (delivery(extracted=3, unchanged=3), ""),
        (delivery(1, extracted=3, accepted=3, requests=3), ""),
        (delivery(extracted=3, unchanged=2), "1 rows are not accounted for"),
        (delivery(1, extracted=3, accepted=2, failed=1), "1 rows were not delivered"),
        (delivery(1, extracted=3, accepted=3, succeeded=False), "its run failed"),
        (delivery(extracted=3, unchanged=3, requests=1), "nothing had changed, and 1 requests were made"),
    ],
)
def test_a_loss_is_noticed(one: Pass, lost: str) -> None:
    """The demo's exit status and its red lines rest on this: rows gone, rows open, a failed run, needless requests."""
    assert one.lost == lost
