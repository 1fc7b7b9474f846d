"""Keys that the source no longer has: which are taken away, which are not, and what the ledger knows afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.delivery.messages import Exchange, Lost, Request
from pipelines.delivery.upsert import Built, Outcome, Upsert
from tests.delivery.fakes import Bench, Died, FakeDestination, Fault, Left, lost_before, refused, status, upsert


def removals(bench: Bench) -> list[str]:
    """The paths that were asked to be taken away, in order."""
    return [request.path for request in bench.port.requests if request.method == "DELETE"]


async def test_vanished_key_is_taken_away_once(bench: Bench) -> None:
    """It is gone from the API, told in report and history with what stood there, and not asked for again."""
    await bench.deliver(upsert("a", 1), upsert("b", 2))
    report = await bench.deliver(upsert("a", 1), vanishing=Left("a"))
    assert bench.port.held == {"/a": {"value": 1}}
    assert (report.removed.total(), report.total(Outcome.UNCHANGED)) == (1, 1)
    last = bench.rows("deliveries")[-1]
    assert (last["key"], last["outcome"], last["old"], last["new"]) == ("b", "removed", '{"value":2}', "null")
    report = await bench.deliver(upsert("a", 1), vanishing=Left("a"))
    assert removals(bench) == ["/b"]
    assert report.removed.total() == 0


async def test_keys_are_kept_without_being_told_otherwise(bench: Bench) -> None:
    """A run that does not say which keys there are takes none away."""
    await bench.deliver(upsert("a", 1), upsert("b", 2))
    await bench.deliver(upsert("a", 1))
    assert removals(bench) == []


async def test_only_keys_of_the_partitions_in_question_can_have_vanished(bench: Bench) -> None:
    """A day's run says nothing about the keys of other days."""
    await bench.deliver(upsert("a", 1, "2013-01-01"), upsert("b", 1, "2013-01-01"), upsert("c", 1, "2013-01-02"))
    report = await bench.deliver(upsert("a", 1, "2013-01-01"), vanishing=Left("a", partitions=["2013-01-01"]))
    assert removals(bench) == ["/b"]
    assert report.removed == {"2013-01-01": 1}


async def test_keys_of_another_sync_do_not_vanish(bench: Bench) -> None:
    """What one sync's source lacks may be another one's."""
    await bench.deliver(upsert("a", 1), sync="floor")
    await bench.deliver(upsert("b", 1))
    await bench.deliver(upsert("b", 1), vanishing=Left("b"))
    assert removals(bench) == []


async def test_dry_run_counts_vanished_keys_and_takes_none_away(bench: Bench) -> None:
    """It tells how many would go; API and ledger stay as they are."""
    await bench.deliver(upsert("a", 1), upsert("b", 2))
    report = await bench.deliver(upsert("a", 1), vanishing=Left("a"), dry=True)
    assert removals(bench) == []
    assert "dry: 1 keys have vanished from the source and would be taken away" in report.notes
    assert report.removal_left.total() == 0


BACK = {
    "an older reading": ("2013-01-01", 1, Outcome.SUPERSEDED),
    "the reading that stood there": ("2013-01-02", 1, Outcome.ACCEPTED),
    "another one of the same time": ("2013-01-02", 5, Outcome.ACCEPTED),
    "a newer reading": ("2013-01-03", 1, Outcome.ACCEPTED),
}


@pytest.mark.parametrize(("as_of", "value", "outcome"), BACK.values(), ids=BACK.keys())
async def test_what_brings_a_removed_key_back(bench: Bench, as_of: str, value: int, outcome: Outcome) -> None:
    """What was taken away stays away from older readings; what the source says again of that time or later is sent."""
    await bench.deliver(upsert("a", 1, "2013-01-02"))
    await bench.deliver(vanishing=Left())
    assert bench.port.held == {}
    report = await bench.deliver(upsert("a", value, as_of))
    assert report.total(outcome) == 1
    assert bench.port.held == ({"/a": {"value": value}} if outcome is Outcome.ACCEPTED else {})
    again = await bench.deliver(upsert("a", value, as_of))
    assert again.total(Outcome.UNCHANGED if outcome is Outcome.ACCEPTED else outcome) == 1


async def test_run_that_read_before_a_removal_does_not_bring_the_key_back(bench: Bench) -> None:
    """It waited for its turn with a row that the source has lost since: the removal read later, and stands."""
    await bench.deliver(upsert("a", 1))
    late = bench.delivery()
    await bench.deliver(vanishing=Left(), partitions=["2013-01-01"])
    report = await late.deliver(Built([upsert("a", 1)]))
    assert bench.port.held == {}
    assert report.total(Outcome.SUPERSEDED) == 1


async def test_removed_key_is_free_for_another_sync(bench: Bench) -> None:
    """A key belongs to one sync only while it stands."""
    await bench.deliver(upsert("a", 1))
    await bench.deliver(vanishing=Left())
    assert (await bench.deliver(upsert("a", 2), sync="floor")).total(Outcome.ACCEPTED) == 1


@pytest.mark.parametrize(
    "fault", [status(400), status(503), lost_before, refused], ids=["refused with 400", "sick", "lost", "not connected"]
)
async def test_removal_that_fails_is_open_until_a_later_run_succeeds(bench: Bench, fault: Fault) -> None:
    """It is an open outcome with its payload and counted as failed; the next run tries again and closes it."""
    await bench.deliver(upsert("a", 1))
    bench.port.always = fault
    report = await bench.deliver(vanishing=Left())
    assert (report.removed.total(), report.removal_failed.total()) == (0, 1)
    (row,) = bench.rows("open_outcomes")
    assert (row["key"], row["outcome"], row["payload"], row["tries"]) == ("a", "removal_failed", '{"value":1}', 1)
    await bench.deliver(vanishing=Left())
    assert [row["tries"] for row in bench.rows("open_outcomes")] == [2]
    assert report.notes[-1].startswith("a could not be taken away: ")
    bench.port.always = None
    report = await bench.deliver(vanishing=Left())
    assert (report.removed.total(), bench.port.held, bench.rows("open_outcomes")) == (1, {}, [])


async def test_key_that_came_back_closes_its_failed_removal(bench: Bench) -> None:
    """The source has the key again and the API still shows it: nothing is open, and nothing was sent."""
    await bench.deliver(upsert("a", 1))
    bench.port.faults = [status(400)]
    await bench.deliver(vanishing=Left())
    await bench.deliver(upsert("a", 1), vanishing=Left("a"))
    assert bench.rows("open_outcomes") == []
    assert bench.port.writes == ["/a"]


async def test_removal_without_an_answer_leaves_nobody_sure(bench: Bench) -> None:
    """It was carried out unseen and the key came back unchanged: it is sent, since the ledger's value may be gone."""
    await bench.deliver(upsert("a", 1))

    def drop_after(request: Request) -> Exchange:
        bench.port.act(request)
        return Lost("connection dropped")

    bench.port.always = drop_after
    await bench.deliver(vanishing=Left())
    bench.port.always = None
    report = await bench.deliver(upsert("a", 1), vanishing=Left("a"))
    assert report.total(Outcome.ACCEPTED) == 1
    assert bench.port.held == {"/a": {"value": 1}}


async def kill_while_removing(bench: Bench, *, after: bool) -> None:
    """Take everything away, and die with the first request: before or after it was carried out."""

    def die(request: Request) -> Exchange:
        if after:
            bench.port.act(request)
        raise Died

    bench.port.faults = [die]
    with pytest.raises(Died):
        await bench.deliver(vanishing=Left())


@pytest.mark.parametrize("after", [True, False], ids=["carried out", "not carried out"])
async def test_run_killed_between_a_removal_and_its_record_is_settled_by_the_next(bench: Bench, *, after: bool) -> None:
    """Where the key is still gone from the source it is taken away (again), and is on record once."""
    await bench.deliver(upsert("a", 1))
    await kill_while_removing(bench, after=after)
    report = await bench.deliver(vanishing=Left())
    assert (report.removed.total(), bench.port.held) == (1, {})
    assert [row["outcome"] for row in bench.rows("deliveries")] == ["accepted", "removed"]


@pytest.mark.parametrize("after", [True, False], ids=["carried out", "not carried out"])
async def test_key_that_came_back_after_a_killed_removal_is_shown(bench: Bench, *, after: bool) -> None:
    """Nobody knows whether it was taken away: the unchanged value is sent."""
    await bench.deliver(upsert("a", 1))
    await kill_while_removing(bench, after=after)
    await bench.deliver(upsert("a", 1), vanishing=Left("a"))
    assert bench.port.held == {"/a": {"value": 1}}
    bench.port.requests.clear()
    await bench.deliver(upsert("a", 1), vanishing=Left("a"))
    assert bench.port.requests == []


async def test_stopped_account_keeps_its_vanished_keys(bench: Bench) -> None:
    """After a 401 nothing is taken away: the keys are left, and the run counts them and says why."""
    everything = [upsert(f"k{n}", n) for n in range(8)]
    await bench.deliver(*everything)
    bench.port.always = status(401)
    report = await bench.deliver(upsert("k0", -1), *everything[1:4], vanishing=Left("k0", "k1", "k2", "k3"))
    assert removals(bench) == []
    assert report.removal_left.total() == 4
    assert "401" in report.stopped
    assert any("4 vanished keys were left as they are" in note for note in report.notes)
    bench.port.always = None
    report = await bench.deliver(upsert("k0", -1), *everything[1:4], vanishing=Left("k0", "k1", "k2", "k3"))
    assert report.removed.total() == 4


async def test_account_that_stops_amid_removals_leaves_the_rest(bench: Bench) -> None:
    """What was refused is open, what was not tried is left, and together they are all that vanished."""
    await bench.deliver(*(upsert(f"k{n}", n) for n in range(600)))
    bench.port.always = status(401)
    report = await bench.deliver(vanishing=Left())
    assert len(removals(bench)) <= 4
    assert report.removal_failed.total() + report.removal_left.total() == 600
    assert len(bench.port.held) == 600


async def test_more_removals_than_fit_in_one_group_are_all_carried_out(bench: Bench) -> None:
    """Removals go on turn after turn until none is left, a bounded number at a time."""
    await bench.deliver(*(upsert(f"k{n}", n) for n in range(600)))
    bench.port.most_in_flight = 0
    report = await bench.deliver(vanishing=Left())
    assert (report.removed.total(), bench.port.held) == (600, {})
    assert 1 < bench.port.most_in_flight <= 4


async def test_key_that_a_later_reader_sees_to_is_not_taken_away(bench: Bench) -> None:
    """It waited with what it had found; meanwhile the day was read again, with the key: it stays."""
    await bench.deliver(upsert("a", 1), upsert("b", 1, "2013-01-02"))
    late = bench.delivery()
    await bench.deliver(upsert("a", 1))
    report = await late.deliver(Built([]), vanishing=Left(partitions=["2013-01-01", "2013-01-02"]))
    assert removals(bench) == ["/b"]
    assert "1 vanished keys were left to a run that has read the source later" in report.notes


async def test_whole_that_was_read_later_decides_alone(bench: Bench) -> None:
    """Where any key may vanish, whichever partition it came from, only the newest reader takes keys away."""
    await bench.deliver(upsert("a", 1), upsert("b", 1, "2013-01-02"))
    late = bench.delivery()
    await bench.deliver(upsert("a", 1))
    await late.deliver(Built([]), vanishing=Left())
    assert removals(bench) == []


class Tree(FakeDestination):
    """Keys are paths, and a path builds on the one above it."""

    def ranks(self, upserts: Sequence[Upsert]) -> dict[str, int]:
        return {upsert.key: upsert.key.count(".") for upsert in upserts}


async def test_what_others_build_on_is_taken_away_last(tmp_path: Path) -> None:
    """A child goes before its parent."""
    bench = Bench(tmp_path, Tree())
    await bench.deliver(*(upsert(key, 1) for key in ("a", "a.x", "a.x.1", "b")))
    await bench.deliver(vanishing=Left())
    bench.close()
    levels = [path.count(".") for path in removals(bench)]
    assert levels == sorted(levels, reverse=True)
    assert len(levels) == 4


async def test_removal_of_what_is_not_there_is_done(bench: Bench) -> None:
    """Somebody else took it away already: the ledger follows."""
    await bench.deliver(upsert("a", 1))
    bench.port.held.clear()
    report = await bench.deliver(vanishing=Left())
    assert report.removed.total() == 1
