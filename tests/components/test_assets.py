"""The assets in real runs over real HTTP: days, ranges, a broken day, retries, corrections, dry runs."""

from __future__ import annotations

import pytest

from pipelines.destinations.base import CeilingsSpec, Threshold
from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, FLOOR, ROWS, TABLE, Deployment, board, deployed, floor, higher

DAYS = ("2013-01-01", "2013-01-02", "2013-01-03")
RAW, VALID, QUARANTINE = TABLE, f"{TABLE}_valid", f"{TABLE}_quarantine"
ASSETS = (RAW, VALID, QUARANTINE)
BROKEN = DAYS[1]
WELL = {"why": "all is well", "extracted": 4, "quarantined": 0, "rules": "none"}
GOOD = tuple(day for day in DAYS if day != BROKEN)


def break_file(deployment: Deployment, day: str) -> None:
    """Put something into a day's file that is no CSV."""
    deployment.export(day).write_bytes(b"\x00\x01 this is not the file you want \xff\xfe")


@pytest.fixture
def whole(deploy: Deploy) -> Deployment:
    """Three days in their files."""
    deployment = deploy()
    for number, day in enumerate(DAYS):
        deployment.export(day, higher(number))
    return deployment


@pytest.fixture
def partly_broken(whole: Deployment) -> Deployment:
    """Three days, of which one has a broken file, after the run that extracts them."""
    break_file(whole, BROKEN)
    assert not whole.extract(DAYS[0], DAYS[-1]).success
    return whole


def test_a_day_goes_from_its_file_to_both_boards(whole: Deployment) -> None:
    """One partition: every asset and check tells the day with its counts, and the boards show its values."""
    extracted = whole.extract(DAYS[0])
    assert extracted.success
    for asset, rows in ((RAW, 4), (VALID, 4), (QUARANTINE, 0)):
        (facts,) = extracted.materialized(asset).values()
        counts = {"dagster/partition_row_count": rows, "rows_in": 4, "valid": 4, "quarantined": 0}
        assert facts.items() >= counts.items()
    assert extracted.facts(VALID) == {DAYS[0]: WELL}

    for told, sync in zip(whole.both(DAYS[0]), (BOARD, FLOOR), strict=True):
        assert told.success
        assert told.counts(sync) == {DAYS[0]: {"extracted": 4, "accepted": 4}}
        assert set(told.materialized(f"{sync}_upserts")) == set(told.materialized(sync)) == {DAYS[0]}
        assert told.materialized(sync)[DAYS[0]].items() >= {"mode": "sandbox", "accepted": 4}.items()
        assert told.materialized(sync)[DAYS[0]]["requests"] == whole.requests(sync) >= 4
    assert whole.board() == {
        "departures-EWR-AA": "10",
        "on_time_pct-EWR-AA": "81.5",
        "departures-JFK-B6": "40",
        "on_time_pct-JFK-B6": "77.25",
    }
    assert sorted(map(sorted, whole.floor().values())) == [[10], [40], [77.25, 80], [80, 81.5]]


def test_a_range_is_one_run_and_told_by_day(whole: Deployment) -> None:
    """A range: materializations and verdicts per day, and a verdict knows which materialization it is about."""
    extracted = whole.extract(DAYS[0], DAYS[-1])
    told = {VALID: extracted, **dict(zip((BOARD, FLOOR), whole.both(DAYS[0], DAYS[-1]), strict=True))}
    for asset, run in told.items():
        assert run.success
        assert set(run.materialized(asset)) == set(DAYS)
        assert {day: one.passed for day, one in run.checks(asset).items()} == dict.fromkeys(DAYS, True)
        about = {day: one.target_materialization_data for day, one in run.checks(asset).items()}
        assert {day: one and one.run_id for day, one in about.items()} == dict.fromkeys(DAYS, run.result.run_id)
    assert told[FLOOR].counts(FLOOR) == dict.fromkeys(DAYS, {"extracted": 4, "accepted": 4})


def test_a_status_is_sent_once_with_its_newest_value(whole: Deployment) -> None:
    """Of a range of days a latest-only key gets one request: the newest day's; the older days are superseded."""
    whole.extract(DAYS[0], DAYS[-1])
    told = whole.deliver(BOARD, DAYS[0], DAYS[-1])
    assert told.counts(BOARD) == {
        **dict.fromkeys(DAYS[:-1], {"extracted": 4, "superseded": 4}),
        DAYS[-1]: {"extracted": 4, "accepted": 4},
    }
    assert whole.requests(BOARD) == 4
    assert whole.board()["departures-EWR-AA"] == "12"


def test_a_broken_file_fails_its_day_alone(whole: Deployment) -> None:
    """Good days are materialized and checked; the bad one is red, and the sentence says day, file and what to do."""
    break_file(whole, BROKEN)
    told = whole.extract(DAYS[0], DAYS[-1])
    assert not told.success
    for asset in ASSETS:
        assert set(told.materialized(asset)) == set(GOOD)
        assert whole.statuses(asset) == {**dict.fromkeys(GOOD, "MATERIALIZED"), BROKEN: "FAILED"}
    (why,) = told.facts(VALID)[BROKEN].values()
    assert told.facts(VALID) == {**dict.fromkeys(GOOD, WELL), BROKEN: {"why": why}}
    assert told.observed(RAW) == {BROKEN: {"why": why}}
    assert f"kpi_{BROKEN}.csv" in why
    assert f"table {TABLE}: 1 partition(s) failed.\n{BROKEN}: " in told.failure
    assert f"kpi_{BROKEN}.csv" in told.failure
    assert told.failure.endswith("Mend the source, then retry the failed ones.")


def test_the_good_days_of_a_partly_failed_range_are_delivered(partly_broken: Deployment) -> None:
    """A sync over the whole range delivers what is stored; of the other day it says which table to select."""
    for told, sync in zip(partly_broken.both(DAYS[0], DAYS[-1]), (BOARD, FLOOR), strict=True):
        assert not told.success
        assert set(told.materialized(sync)) == set(GOOD)
        assert {day: one.passed for day, one in told.checks(sync).items()} == {
            **dict.fromkeys(GOOD, True),
            BROKEN: False,
        }
        assert partly_broken.statuses(sync) == {**dict.fromkeys(GOOD, "MATERIALIZED"), BROKEN: "FAILED"}
        assert f"{BROKEN}: the table {TABLE} was never extracted for it" in told.failure
        assert f"select {TABLE} as well" in told.failure
    assert len(partly_broken.floor()) == 4 * len(GOOD)


def test_a_day_whose_table_failed_stays_missing_on_the_syncs(partly_broken: Deployment) -> None:
    """Delivered stretch by stretch, as sensors and backfills do, the syncs are green beside a day that is missing."""
    for first, last in ((GOOD[0], GOOD[0]), (GOOD[1], GOOD[-1])):
        assert all(told.success for told in partly_broken.both(first, last))
    for sync in (BOARD, FLOOR):
        assert partly_broken.statuses(sync) == dict.fromkeys(GOOD, "MATERIALIZED")


def test_a_chain_whose_table_fails_reaches_no_api(whole: Deployment) -> None:
    """Table and syncs in one run, and the table's day fails: the syncs are not tried."""
    break_file(whole, BROKEN)
    everything = whole.defs.resolve_implicit_global_asset_job_def()
    result = everything.execute_in_process(instance=whole.instance, partition_key=BROKEN, raise_on_error=False)
    assert not result.success
    started = {event.step_key for event in result.all_node_events if event.is_step_start}
    assert started & {TABLE, BOARD, FLOOR} == {TABLE}
    assert whole.control.counts()["requests"] == 0


def test_a_run_is_tagged_with_the_modes_of_its_syncs(deploy: Deploy) -> None:
    """Whoever looks at a run of several syncs sees every mode in which it sent."""
    deployment = deploy(syncs=[board(), floor(mode="dry")])
    deployment.export(DAYS[0])
    everything = deployment.defs.resolve_implicit_global_asset_job_def()
    result = everything.execute_in_process(instance=deployment.instance, partition_key=DAYS[0])
    run = deployment.instance.get_run_by_id(result.run_id)
    assert run is not None
    assert run.tags["pipelines/mode"] == "dry, sandbox"


def test_a_retry_of_the_mended_day_alone_makes_all_green(partly_broken: Deployment) -> None:
    """After the file is mended a run of that day alone suffices, and nothing that stands is sent again."""
    partly_broken.both(DAYS[0], DAYS[-1])
    shown, held = partly_broken.board(), partly_broken.floor()
    partly_broken.export(BROKEN, higher(1))
    partly_broken.control.reset_counts()

    assert partly_broken.extract(BROKEN).success
    on_board, on_floor = partly_broken.both(BROKEN)
    assert on_board.counts(BOARD) == {BROKEN: {"extracted": 4, "superseded": 4}}
    assert partly_broken.requests(BOARD) == 0
    assert on_floor.counts(FLOOR) == {BROKEN: {"extracted": 4, "accepted": 4}}
    for asset in (*ASSETS, BOARD, FLOOR):
        assert partly_broken.statuses(asset) == dict.fromkeys(DAYS, "MATERIALIZED")
    assert partly_broken.board() == shown
    assert len(partly_broken.floor()) == len(held) + 4


def test_a_second_run_makes_no_request(whole: Deployment) -> None:
    """Unchanged data: extracted again and delivered again, it is all unchanged or superseded, and no API is asked."""
    whole.extract(DAYS[0], DAYS[-1])
    whole.both(DAYS[0], DAYS[-1])
    whole.control.reset_counts()
    assert whole.extract(DAYS[0], DAYS[-1]).success
    on_board, on_floor = whole.both(DAYS[0], DAYS[-1])
    assert on_board.success
    assert on_floor.success
    assert whole.control.counts()["requests"] == 0
    assert on_floor.counts(FLOOR) == dict.fromkeys(DAYS, {"extracted": 4, "unchanged": 4})
    assert on_board.counts(BOARD)[DAYS[-1]] == {"extracted": 4, "unchanged": 4}


def test_a_correction_of_an_old_day_reaches_the_dated_board_only(whole: Deployment) -> None:
    """An older reading never overwrites a newer one: ValueStreamer gets the corrected dataset, Stativate nothing."""
    whole.extract(DAYS[0], DAYS[-1])
    whole.both(DAYS[0], DAYS[-1])
    shown, held = whole.board(), whole.floor()
    whole.export(DAYS[0], [("EWR-AA", "departures", 99), *ROWS[1:]])
    whole.control.reset_counts()

    assert whole.extract(DAYS[0]).success
    on_board, on_floor = whole.both(DAYS[0])
    assert on_board.counts(BOARD) == {DAYS[0]: {"extracted": 4, "superseded": 4}}
    assert whole.requests(BOARD) == 0
    assert whole.board() == shown
    assert on_floor.counts(FLOOR) == {DAYS[0]: {"extracted": 4, "accepted": 1, "unchanged": 3}}
    changed = {key: values for key, values in whole.floor().items() if values != held[key]}
    assert list(changed.values()) == [[99]]
    assert next(iter(changed)).startswith(DAYS[0])


def test_a_day_is_superseded_by_a_newer_one_that_is_stored_but_was_never_delivered(whole: Deployment) -> None:
    """A backfill in chunks sends each status once: also against newer rows that only the store knows yet."""
    whole.extract(DAYS[0], DAYS[-1])
    assert whole.deliver(BOARD, DAYS[0], DAYS[1]).counts(BOARD) == dict.fromkeys(
        DAYS[:2], {"extracted": 4, "superseded": 4}
    )
    assert whole.requests(BOARD) == 0


def test_resend_all_sends_everything_once(whole: Deployment) -> None:
    """`resend: all` repeats what the API already accepted, each once; older values stay superseded all the same."""
    whole.extract(DAYS[0], DAYS[1])
    whole.both(DAYS[0], DAYS[1])
    whole.control.reset_counts()
    on_board = whole.deliver(BOARD, DAYS[0], DAYS[1], resend="all")
    on_floor = whole.deliver(FLOOR, DAYS[0], DAYS[1], resend="all")
    assert on_board.counts(BOARD) == {
        DAYS[0]: {"extracted": 4, "superseded": 4},
        DAYS[1]: {"extracted": 4, "accepted": 4},
    }
    assert on_floor.counts(FLOOR) == dict.fromkeys(DAYS[:2], {"extracted": 4, "accepted": 4})
    assert whole.requests(BOARD) == 4
    assert {record["writes"] for record in whole.control.state("valuestreamer")["records"].values()} == {2}


def test_a_dry_run_sends_nothing_and_turns_nothing_green(whole: Deployment) -> None:
    """`dry_run` plans: observations say what would be sent; no request, no materialization, no verdict."""
    whole.extract(DAYS[0])
    told = whole.deliver(BOARD, DAYS[0], dry_run=True)
    assert told.success
    assert told.materialized(BOARD) == told.materialized(f"{BOARD}_upserts") == told.checks(BOARD) == {}
    (facts,) = told.observed(BOARD).values()
    assert facts.items() >= {"dry": True, "not_sent": 4, "requests": 0}.items()
    assert "dry: would create" in facts["reasons"]
    assert facts.items() >= {"would_create": 4, "would_update": 0, "run_expected_requests": 4}.items()
    assert '| departures-EWR-AA | create |  |  | {"name":"' in facts["changes"]
    assert facts["run_verdict"] == "nothing stands in the way"
    assert "| removed | 0 | 100 keys and 10 % of the keys delivered so far | 100 |" in facts["run_ceilings"]
    assert whole.statuses(BOARD) == {}
    assert whole.control.counts()["requests"] == 0
    assert whole.deliver(BOARD, DAYS[0]).counts(BOARD) == {DAYS[0]: {"extracted": 4, "accepted": 4}}


def test_a_dry_run_shows_the_changes_of_each_day(whole: Deployment) -> None:
    """Each partition is observed with its own changes, old and new; what is about the run says so, and stands once."""
    for day, value in (DAYS[0], 10), (DAYS[1], 12):
        whole.export(day, [("EWR-AA", "departures", value)])
        whole.extract(day)
        if day == DAYS[0]:
            whole.deliver(BOARD, day)
    ceilings = CeilingsSpec(changed=Threshold(count=0))
    parts = {"folder": whole.folder, "instance": whole.instance, "home": whole.home, "control": whole.control}
    strict = deployed(syncs=[board(ceilings=ceilings)], **parts)
    told = strict.deliver(BOARD, DAYS[0], DAYS[1], dry_run=True).observed(BOARD)
    assert (told[DAYS[0]]["changes"], told[DAYS[0]]["would_update"]) == ("none", 0)
    assert (told[DAYS[1]]["would_update"], told[DAYS[0]]["superseded"]) == (1, 1)
    assert "| departures-EWR-AA | update | value | 10 | 12 |" in told[DAYS[1]]["changes"]
    of_run = {day: {name for name in facts if name.startswith("run_")} for day, facts in told.items()}
    assert of_run[DAYS[0]] == {"run_verdict"}
    assert all("override_ceilings" in facts["run_verdict"] for facts in told.values())
    newest = told[DAYS[1]]
    assert newest.items() >= {"run_partitions": 2, "run_would_update": 1, "run_expected_requests": 1}.items()
    assert of_run[DAYS[1]] > {"run_ceilings", "run_expected_pace", "run_expected_requests_rest_on"}
    left = {"verdict", "ceilings", "areas", "notes", "expected_requests", "expected_seconds", "expected_pace"}
    assert not any(left & facts.keys() for facts in told.values())


def test_a_sync_in_mode_dry_needs_no_account(deploy: Deploy) -> None:
    """`mode: dry` reports what it would do without any account, and leaves its partitions missing."""
    deployment = deploy(syncs=[floor(mode="dry", account="nowhere")])
    deployment.export(DAYS[0])
    deployment.extract(DAYS[0])
    told = deployment.deliver(FLOOR, DAYS[0])
    assert told.success
    assert told.observed(FLOOR)[DAYS[0]]["not_sent"] == 4
    assert deployment.statuses(FLOOR) == {}
