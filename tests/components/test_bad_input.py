"""Bad input from source to board: each row ends in an outcome with a reason, none in a crash or a wrong request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.components.sync_run import SyncResult
from pipelines.delivery.errors import TableError
from pipelines.delivery.upsert import Outcome
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from pipelines.tables.frames import array_of
from tests.components import nasty
from tests.components.nasty import DAY, Ground
from tests.destinations.given import ACTUAL, stativate
from tests.examples import examples

REASON = 1_000
"""Characters that a reason, with all that it quotes, stays below."""


@pytest.fixture
def ground(home: Home, server: SandboxServer, tmp_path: Path) -> Iterator[Ground]:
    """A home, and an empty sandbox whose limits are those of its processor."""
    server.control.configure(dnsimple={"limit": None}, feedback_house={"limit": None})
    yield Ground(tmp_path, home, server.control)
    server.control.reset()


def settled(result: SyncResult, partition: str = DAY) -> dict[Outcome, int]:
    """The outcomes of a partition, in which every row is accounted for."""
    account = result.results[partition]
    assert account.gap == 0
    assert account.undelivered == 0, result.report.reasons
    assert all(len(reason) < REASON for some in result.report.reasons.values() for _, reason in some)
    return {outcome: number for outcome, number in account.counts.items() if number}


@pytest.mark.parametrize("name", nasty.COLUMNS)
def test_a_column_of_any_type_ends_in_valid_rows_or_in_the_quarantine(ground: Ground, name: str) -> None:
    """A type that nobody foresaw costs the rows that cannot be read, and no sync trips over the others."""
    column, content, broken = nasty.COLUMNS[name]
    spec = nasty.readings()
    facts = ground.extract(spec, nasty.table(**{column: content})).partitions[DAY]
    assert facts.failed is None
    assert (facts.extracted, facts.quarantined) == (len(content), broken)
    held = ground.store.read("kpis_quarantine", [DAY])
    assert all(reason.partition(":")[0] in {"team", "actual"} and len(reason) < REASON for reason in held["reasons"])
    frame = ground.valid(spec)
    for sync in nasty.TEXTUAL:
        nasty.accounted(sync.build(frame), frame)


@pytest.mark.parametrize("name", nasty.FILES)
def test_a_file_of_any_bytes_is_read_or_refused_in_words(ground: Ground, name: str) -> None:
    """A CSV file is read row by row, or refused with what is wrong with it; no row that can be read is lost."""
    content, expected = nasty.FILES[name]
    spec = nasty.readings("kpi.csv")
    if isinstance(expected, str):
        with pytest.raises(TableError, match=expected) as refused:
            ground.extract(spec, content)
        assert len(str(refused.value)) < REASON
        return
    found = ground.extract(spec, content)
    facts = found.partitions[DAY]
    assert (facts.extracted, facts.quarantined, found.undated.count) == expected
    assert all(len(str(row)) < REASON for row in found.undated.sample)


def test_a_time_with_the_name_of_a_zone_belongs_to_its_own_day(ground: Ground) -> None:
    """The name of a zone counts like an offset: a reading is never shown on the wrong day's board."""
    times = ["2024-03-11 03:30 UTC", "2024-03-10 23:30:00 America/New_York", "2024-03-11 05:30:00 UTC"]
    ground.extract(nasty.readings(), nasty.table(day=times))
    frame = ground.valid(nasty.readings())
    assert dict(zip(frame["team"], frame["partition"], strict=True)) == {"T0": DAY, "T1": DAY, "T2": nasty.DAYS[1]}


def test_numbers_arrive_as_they_are_written_or_not_at_all(ground: Ground) -> None:
    """Each number is on the floor exactly, and what is none, or would be rounded, is on no board."""
    teams = list(ground.control.state("valuestreamer")["teams"])[: len(nasty.NUMBERS)]
    source = nasty.table(value=list(nasty.NUMBERS), team_id=teams)
    ground.extract(nasty.readings(), source)
    outcomes = settled(ground.deliver(nasty.FLOOR, nasty.readings()))
    told = {team: value for team, value in zip(teams, nasty.NUMBERS.values(), strict=True) if value is not None}
    assert outcomes[Outcome.ACCEPTED] == len(told)
    held = ground.control.state("valuestreamer")["records"]
    assert {path.split("/")[1]: one["values"][ACTUAL] for path, one in held.items()} == told


def test_a_float32_is_the_number_that_it_is_written_as(ground: Ground) -> None:
    """0.1 from a column of 32 bits is 0.1 on the floor, not 0.10000000149011612."""
    ground.extract(nasty.readings(), nasty.table(value=pa.array([0.1], pa.float32())))
    assert settled(ground.deliver(nasty.FLOOR, nasty.readings())) == {Outcome.ACCEPTED: 1}
    (record,) = ground.control.state("valuestreamer")["records"].values()
    assert record["values"][ACTUAL] == 0.1


def test_texts_arrive_as_the_board_shows_them_or_not_at_all(ground: Ground) -> None:
    """A value is on the board exactly, in capitals; one that would be too long in capitals, or broken, is invalid."""
    codes = [f"K{at}" for at in range(len(nasty.VALUES))]
    ground.extract(nasty.readings(), nasty.table(kpi=codes, text=list(nasty.VALUES)))
    outcomes = settled(ground.deliver(nasty.BOARD, nasty.readings()))
    told = {code: value for code, value in zip(codes, nasty.VALUES.values(), strict=True) if value is not None}
    held = ground.control.state("stativate")["statuses"]
    assert {key: one["value"] for key, one in held.items()} == told
    assert outcomes == {Outcome.ACCEPTED: len(told), Outcome.INVALID: len(codes) - len(told)}

    again = settled(ground.deliver(nasty.BOARD, nasty.readings()))
    assert again == {Outcome.UNCHANGED: len(told), Outcome.INVALID: len(codes) - len(told)}


def test_a_key_addresses_its_own_status_and_no_other(ground: Ground) -> None:
    """Whatever characters of paths and addresses a key holds, it arrives as it is; one of dots alone is not sent."""
    ground.extract(nasty.readings(), nasty.table(kpi=list(nasty.KEYS), text=["1"] * len(nasty.KEYS)))
    outcomes = settled(ground.deliver(nasty.BOARD, nasty.readings()))
    assert set(ground.control.state("stativate")["statuses"]) == {key for key, fit in nasty.KEYS.items() if fit}
    assert outcomes[Outcome.INVALID] == list(nasty.KEYS.values()).count(False)


def test_contexts_and_messages_arrive_letter_by_letter(ground: Ground) -> None:
    """DNSimple gets what the row says, whatever it is; a message with NUL is invalid."""
    texts = [text for text in nasty.VALUES if text and len(text) < REASON]
    codes = [f"{at}-{key}" for at, key in zip(range(len(texts)), list(nasty.KEYS) * 2, strict=False)]
    ground.extract(nasty.readings(), nasty.table(kpi=codes, text=texts))
    outcomes = settled(ground.deliver(nasty.STATUSES, nasty.readings()))
    told = {code: text for code, text in zip(codes, texts, strict=True) if "\0" not in text}
    held = ground.control.state("dnsimple")["statuses"]
    assert {one["context"]: one["message"] for one in held} == told
    assert outcomes == {Outcome.ACCEPTED: len(told), Outcome.INVALID: 1}


def test_one_broken_text_costs_no_other_row(ground: Ground) -> None:
    """Keys that no ledger could hold, too long or with NUL, are invalid alone; all others arrive."""
    spec = nasty.readings()
    sync = stativate(table="kpis", key="{text}", key_pattern="(?s).+")
    ground.extract(spec, nasty.table(text=["a" * nasty.LONG, "b" * 501, "c\0", "d" * 500, "e"]))
    assert settled(ground.deliver(sync, spec)) == {Outcome.INVALID: 3, Outcome.ACCEPTED: 2}
    assert set(ground.control.state("stativate")["statuses"]) == {"d" * 500, "e"}


@pytest.mark.parametrize("length", [1, 2, 3, 1_000])
def test_areas_on_a_circle_are_quarantined_however_long_it_is(ground: Ground, length: int) -> None:
    """Who is his own ancestor is in the quarantine; whoever stands beside, or below it, is not blamed."""
    circle: dict[str, str | None] = {f"C{at}": f"C{(at + 1) % length}" for at in range(length)}
    source = nasty.tree({**circle, "below": "C0", "beside": None, "orphan": "nobody"})
    facts = ground.extract(nasty.areas(), source).partitions["snapshot"]
    assert (facts.extracted, facts.quarantined) == (length + 3, length + 1)
    frame = ground.valid(nasty.areas())
    assert sorted(frame["area_code"]) == ["below", "beside"]
    nasty.accounted(nasty.AREAS.build(frame), frame)


def test_a_chain_of_ten_thousand_areas_is_no_trap(ground: Ground) -> None:
    """Depth costs neither stack nor time, whichever end of the chain the table begins with."""
    codes = [f"A{at}" for at in range(10_000)]
    chain = dict(zip(codes, [None, *codes], strict=False))
    facts = ground.extract(nasty.areas(), nasty.tree(dict(reversed(chain.items())))).partitions["snapshot"]
    assert facts.quarantined == 0
    built = nasty.AREAS.build(ground.valid(nasty.areas()))
    assert {one.key: one.payload.get("depth", 0) for one in built.upserts} == {
        code: at for at, code in enumerate(codes)
    }
    assert max(len(str(one.payload)) for one in built.upserts) < REASON


def test_areas_arrive_by_name_below_their_parents(ground: Ground) -> None:
    """Names and codes of any letters arrive as they are, each area below its own parent; broken ones do not."""
    codes = ["../..", "ß", "ẞ", "é", "e\u0301", "😀", "a b", "null", "0", "\u202ex"]
    parents: dict[str, str | None] = dict(zip(codes, [None, *codes], strict=False))
    names = [f"N {code}" for code in codes]
    more: dict[str, str | None] = {"self": "self", "lost": "nobody", "": None, "a\0b": None, "x" * 256: None}
    source = nasty.tree(parents | more, area_name=[*names, *("y" for _ in more)])
    ground.extract(nasty.areas(), source)
    outcomes = settled(ground.deliver(nasty.AREAS, nasty.areas()), "snapshot")
    assert outcomes[Outcome.QUARANTINED] == len(more)
    held = ground.control.state("feedback_house")["areas"]
    by_id = {one: area["correlationID"] for one, area in held.items()}
    told = {area["correlationID"]: (area["name"], by_id.get(area["parent"])) for area in held.values()}
    assert told == {code: (name, parents[code]) for code, name in zip(codes, names, strict=True)}


def test_columns_that_only_the_case_tells_apart_are_refused(ground: Ground) -> None:
    """DuckDB knows no capitals: which of both columns would be read is not left to it."""
    source = nasty.table(value=[1.0]).append_column("VALUE", pa.array([2.0]))
    with pytest.raises(TableError, match="has two columns named 'value'"):
        ground.extract(nasty.readings(), source)


def test_a_condition_finds_its_rows_whatever_the_columns_are_called(ground: Ground) -> None:
    """No column of a source takes the place of one that a condition needs by itself."""
    ground.extract(nasty.readings(), nasty.table(value=[1.0, 2.0]).append_column("__AT", pa.array(["x", "y"])))
    (upsert,) = nasty.FLOOR.model_copy(update={"where": "actual = 2"}).build(ground.valid(nasty.readings())).upserts
    assert upsert.rows == (1,)


texts = st.sampled_from([text[:300] for text in (*nasty.VALUES, *nasty.KEYS, *nasty.NUMBERS)]) | st.text(
    st.characters(exclude_categories=()), max_size=8
)
far = st.datetimes() | st.datetimes(timezones=st.timezones()) | st.dates()
anything = st.one_of(
    st.none(), texts, st.floats(), st.integers(-(2**70), 2**70), st.booleans(), st.decimals(), st.binary(max_size=4),
    far, st.times(), st.timedeltas(), st.lists(texts, max_size=2), st.dictionaries(texts, texts, max_size=1),
)  # fmt: skip
day = st.sampled_from([*nasty.DAYS, "2024-03-11T03:30:00Z", "9999-12-31", "soon", dt.date(1, 1, 1), None])
row = st.fixed_dictionaries({"day": day, "team": anything, "kpi": anything, "value": anything, "text": anything})


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(row, min_size=1, max_size=8))
def test_every_row_of_any_table_is_accounted_for(ground: Ground, rows: list[dict[str, Any]]) -> None:
    """Columns of mixed values: each row is valid or quarantined, or without a date, and stands once in each sync."""
    spec = nasty.readings()
    columns = {name: array_of([one[name] for one in rows]) for name in rows[0]}
    plain = {name: column for name, column in columns.items() if not pa.types.is_null(column.type)}
    source = nasty.table(**({"value": pa.nulls(len(rows))} | plain))
    try:
        found = ground.extract(spec, source)
    except TableError:  # no row has a date, or the column of dates holds none at all
        return
    facts = found.partitions.values()
    assert all(one.failed is None and one.extracted == one.valid + one.quarantined for one in facts)
    frame = ground.valid(spec)
    for sync in nasty.TEXTUAL:
        nasty.accounted(sync.build(frame), frame)


@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["a", "b", "c", "g", "", None]), anything), max_size=8
    ).filter(bool)
)
def test_every_row_of_any_tree_is_accounted_for(ground: Ground, rows: list[tuple[str, str | None, Any]]) -> None:
    """Doubled codes, circles, orphans and fields of anything: each area is valid or quarantined, and stands once."""
    codes, parents, some = zip(*rows, strict=True)
    anything_else = {name: array_of(some) for name in ("area_name", "active", "tags")}
    columns = {"area_code": pa.array(codes), "parent_code": pa.array(parents, pa.string()), **anything_else}
    facts = ground.extract(nasty.areas(), pa.table(columns)).partitions["snapshot"]
    assert facts.extracted == facts.valid + facts.quarantined == len(rows)
    frame = ground.valid(nasty.areas())
    nasty.accounted(nasty.AREAS.build(frame), frame)


def test_a_reason_stays_short_however_long_the_value_is(ground: Ground) -> None:
    """Ten megabytes in one cell fill neither ledger nor page: each reason quotes the beginning."""
    spec = nasty.readings()
    ground.extract(spec, nasty.table(text=["é" * nasty.LONG]))
    frame = ground.valid(spec)
    for sync in nasty.TEXTUAL:
        nasty.accounted(sync.build(frame), frame)
