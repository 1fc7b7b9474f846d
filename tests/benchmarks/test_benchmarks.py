"""The benchmarks measure what they say: tiny runs, of which the counts are looked at and no time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.benchmarks import __main__ as command
from tests.benchmarks.parts.machine import here
from tests.benchmarks.parts.windows import allowance_used, busiest, over_limit, tightest
from tests.benchmarks.registry import found
from tests.components.deploying import READS_YAML


def figures(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    """What a benchmark prints."""
    with here():
        command.main(argv)
    last = capsys.readouterr().out.splitlines()[-1]
    return json.loads(last)


def test_every_benchmark_is_found_and_says_what_it_measures() -> None:
    """A module with `run` and `add_arguments` is a benchmark by its name, and its first line is the help."""
    benchmarks = found()
    assert {"area-batches", "backfill", "ledger", "million-readings", "paced", "single-upserts"} <= benchmarks.keys()
    assert all(benchmark.__doc__ for benchmark in benchmarks.values())


def test_single_upserts_reach_the_server_once_each(capsys: pytest.CaptureFixture[str]) -> None:
    """The first run's writes are all at the server, as many in flight as allowed, and the second run sends nothing."""
    told = figures(capsys, "single-upserts", "--rows", "200", "--in-flight", "8", "--loop-rows", "10")
    first, second = told["product"]["first"], told["product"]["second"]
    assert (first["outcomes"], first["writes_at_server"]) == ({"accepted": 200}, 200)
    assert first["most_in_flight"] == 8
    assert (second["outcomes"], second["requests"], second["writes_at_server"]) == ({"unchanged": 200}, 0, 0)
    assert told["peers"] is None
    assert told["ratios"]["to_best_peer"] is None
    assert told["ratios"]["of_transport"] > 0


def test_areas_travel_in_batches(capsys: pytest.CaptureFixture[str]) -> None:
    """Areas go in as many requests as batches need, rank after rank, and a second time not at all."""
    told = figures(capsys, "area-batches", "--rows", "300")
    first, second = told["product"]["first"], told["product"]["second"]
    assert (first["outcomes"], first["items_at_server"]) == ({"created": 300}, 300)
    assert first["writes_at_server"] == 1 + 3  # three at the top, then 297 below them
    assert (second["outcomes"], second["writes_at_server"]) == ({"unchanged": 300}, 0)


def test_the_pace_is_counted_by_the_server(capsys: pytest.CaptureFixture[str]) -> None:
    """Every request of two processes is in the server's log, and none is over the limit."""
    told = figures(
        capsys, "paced", "--limits", "40/1", "--spans", "1", "--seconds", "1", "--ledgers", "sqlite", "--processes", "2"
    )
    (two,) = told["measured"]
    assert (two["requests"], two["outcomes"]) == (60, [{"accepted": 30}] * 2)
    assert told["over_limit"] == two["over_limit"] == 0
    assert two["busiest"] <= 40
    assert two["tightest_seconds"] >= 1.0


def test_the_ledger_is_compared_with_plain_sql(capsys: pytest.CaptureFixture[str]) -> None:
    """Both databases hold the keys, and every way to look up and write is timed."""
    told = figures(capsys, "ledger", "--keys", "1000", "--touched", "500", "--rounds", "1")
    for database, ways in (("sqlite", {"executemany"}), ("postgresql", {"executemany", "copy"})):
        one = told[database]
        assert one["bytes_per_key"] > 100
        assert one["seconds"]["write"].keys() == {"product"} | ways
        assert one["ratios"].keys() == {"look_up", "write"}


def test_readings_are_measured_by_stage(capsys: pytest.CaptureFixture[str]) -> None:
    """What is changed is sent and nothing else, and every stage of the way has a time in every case."""
    told = figures(
        capsys, "million-readings", "--rows", "1000", "--days", "4", "--table-chunk", "4", "--sync-chunk", "2",
        "--changed", "0", "1", "100",
    )  # fmt: skip
    none, some, every = (told["changed"][name] for name in ("0 %", "1 %", "100 %"))
    assert (none["sync"]["outcomes"], none["writes_at_server"]) == ({"unchanged": 1000}, 0)
    assert (some["sync"]["outcomes"], some["writes_at_server"]) == ({"unchanged": 990, "accepted": 10}, 10)
    assert (every["sync"]["outcomes"], every["writes_at_server"]) == ({"accepted": 1000}, 1000)
    for case in (none, some, every):
        assert case["table"]["stages"].keys() == {"read", "contract", "join", "store", "other"}
        assert case["sync"]["stages"].keys() == {"load", "upserts", "keep upserts", "plan", "deliver", "other"}
        assert (len(case["table"]["peak_mb"]), len(case["sync"]["peak_mb"])) == (1, 2)
        assert case["to_plan_ratio"] > 0


@READS_YAML[0]
@READS_YAML[1]
@READS_YAML[2]
def test_a_backfills_floor_is_the_whole_work(capsys: pytest.CaptureFixture[str]) -> None:
    """Without Dagster the sample's days are extracted and delivered by every sync, so that nothing is left to it."""
    told = figures(capsys, "backfill", "--days", "2", "--storages")
    floor = told["without_dagster"]
    requests = {one["sync"]: one["requests"] for one in floor["syncs"]}
    assert requests.keys() == {"flight_statuses", "shop_floor", "status_board"}
    assert all(requests.values())
    assert (floor["seconds"], floor["cpu_seconds"]) > (0, 0)


@pytest.mark.parametrize(
    ("times", "over", "most"),
    [
        ([0.0, 0.1, 1.0, 1.1], 0, 2),  # a span is full until it is over, and not longer
        ([0.0, 0.1, 0.9, 1.0, 1.1], 3, 3),
        ([0.0, 0.5, 1.2], 0, 2),
    ],
)
def test_a_limit_holds_in_every_span(times: Sequence[float], over: int, most: int) -> None:
    """A request is over the limit where the span that ends with it held as many as allowed before it."""
    assert over_limit(times, 2, 1.0) == over
    assert busiest(times, 1.0) == most
    assert (tightest(times, 2) or 1.0) >= 1.0 or over


def test_only_whole_spans_tell_how_much_was_used() -> None:
    """What was used is counted from the first request on, without the span in which the work ended."""
    assert allowance_used([0.0, 0.1, 1.2, 2.0], 2, 1.0) == 0.75
    assert allowance_used([0.0, 0.1], 2, 1.0) is None
    assert allowance_used([], 2, 1.0) is None
