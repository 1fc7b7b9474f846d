"""What is worth telling, and what is not."""

from __future__ import annotations

from dataclasses import replace

from pipelines.components.operations.news import DEPLOYMENT, WHOLE, Change, State, news, read_told, write_told
from pipelines.components.operations.status import Colour
from pipelines.tables.grains import Calendar
from tests.components.deploying import BOARD, FLOOR
from tests.components.operations.situations import problem, screen, status

OLD, NEW = "2013-01-01", "2026-06-04"
GREEN, YELLOW, RED = Colour.GREEN, Colour.YELLOW, Colour.RED
FAILED = {BOARD: State(RED, {"failed": frozenset({OLD})})}


def test_what_was_green_and_is_is_no_news() -> None:
    """A deployment that is well from the first day on tells nothing."""
    assert news({}, screen(status()))[0] == []


def told_anew(kind: str, *places: str) -> list[Change]:
    """That the board, red as before, has this trouble there for the first time."""
    return [Change(BOARD, RED, RED, {kind: frozenset(places)})]


def test_a_new_state_is_told_once() -> None:
    """The first red is told; what stays red in the same partitions is not told again, whatever else is said of it."""
    changes, told = news({}, screen(status(problem("failed", at=[OLD])), status(sync=FLOOR)))
    assert changes == [Change(BOARD, GREEN, RED)]
    assert news(told, screen(status(problem("failed", count=9, at=[OLD])), status(sync=FLOOR)))[0] == []


def test_an_old_failure_mutes_no_new_one() -> None:
    """A day that nobody will mend keeps the sync red; tonight's failure is told all the same, once, and it alone."""
    tonight = screen(status(problem("failed", at=[OLD]), problem("failed", at=[NEW])))
    changes, told = news(FAILED, tonight)
    assert changes == told_anew("failed", NEW)
    assert news(told, tonight)[0] == []


def test_several_new_failures_are_one_piece_of_news() -> None:
    """However many days fail at once, one message names them."""
    assert news(FAILED, screen(status(problem("failed", at=[OLD, "2013-01-02", NEW]))))[0] == told_anew(
        "failed", "2013-01-02", NEW
    )


def test_a_partition_that_goes_from_kind_to_kind_is_told_once_per_kind() -> None:
    """Tries that end now without an answer, now before they were sent, wake nobody each time."""
    told, said = FAILED, []
    for kind in ("unknown", "not sent", "unknown", "failed", "not sent", "unknown"):
        changes, told = news(told, screen(status(problem(kind, at=[OLD]))))
        said += changes
    assert said == [*told_anew("unknown", OLD), *told_anew("not sent", OLD)]


def test_a_partition_that_was_mended_is_told_when_it_fails_again() -> None:
    """What was well in between is news, though another day has kept the sync red all the time; a retry is not."""
    both = {BOARD: State(RED, {"failed": frozenset({OLD, NEW})})}
    left = status(problem("failed", at=[OLD]), busy=True)
    again = screen(status(problem("failed", at=[OLD, NEW])))
    changes, told = news(both, screen(left))
    assert (changes, news(told, again)[0]) == ([], [])
    changes, told = news(told, screen(replace(left, busy=False)))
    assert (changes, news(told, again)[0]) == ([], told_anew("failed", NEW))


def test_yellow_is_told_by_its_kind() -> None:
    """A table with a row in quarantine every day is told of once, not every day."""
    _, told = news({}, screen(status(problem("quarantined", YELLOW, at=[OLD]))))
    assert news(told, screen(status(problem("quarantined", YELLOW, at=[NEW]))))[0] == []


def test_another_kind_of_trouble_is_told_though_the_colour_stays() -> None:
    """Red since yesterday, and held since today, is news."""
    assert news(FAILED, screen(status(problem("failed", at=[OLD]), problem("held"))))[0] == told_anew("held", WHOLE)


def test_one_trouble_less_is_no_news_but_is_remembered() -> None:
    """What is left of two troubles is not told; when somebody holds the sync a second time, it is."""
    both = {BOARD: State(RED, {"failed": frozenset({OLD}), "held": frozenset({WHOLE})})}
    changes, told = news(both, screen(status(problem("failed", at=[OLD]))))
    assert changes == []
    held_again = screen(status(problem("failed", at=[OLD]), problem("held")))
    assert news(told, held_again)[0] == told_anew("held", WHOLE)


def test_a_recovery_is_told() -> None:
    """From red to green, and from red to yellow, with what it was before."""
    changes, _ = news(FAILED, screen(status()))
    assert changes == [Change(BOARD, RED, GREEN)]
    assert changes[0].recovered
    (change,), _ = news(FAILED, screen(status(problem("rejected", YELLOW))))
    assert (change.before, change.colour, change.recovered) == (RED, YELLOW, False)


def test_a_retry_tells_nothing_until_it_has_ended() -> None:
    """While a run works on it what failed seems mended: neither that nor the next failure is told at each try."""
    changes, told = news(FAILED, screen(status(busy=True)))
    assert changes == []
    changes, told = news(told, screen(status(problem("failed", at=[OLD]))))
    assert changes == []
    assert news(told, screen(status()))[0] == [Change(BOARD, RED, GREEN)]


def test_worse_is_told_while_a_run_works() -> None:
    """A backfill of weeks does not keep bad news back."""
    assert news({}, screen(status(problem("failed"), busy=True)))[0] == [Change(BOARD, GREEN, RED)]


def test_what_concerns_all_syncs_is_told_once() -> None:
    """A ledger that cannot be read is one piece of news, not one per sync."""
    trouble = [problem("ledger")]
    changes, told = news({}, screen(status(busy=True), status(sync=FLOOR, busy=True), problems=trouble))
    assert changes == [Change(DEPLOYMENT, GREEN, RED)]
    assert news(told, screen(status(), status(sync=FLOOR)))[0] == [Change(DEPLOYMENT, RED, GREEN)]


def test_a_sync_that_was_taken_away_is_forgotten() -> None:
    """No message about what is not there any more, and no trace of it in the cursor."""
    changes, told = news(FAILED, screen(status(sync=FLOOR)))
    assert changes == []
    assert write_told({"webhook": told}) == write_told({"webhook": {}})


def test_what_was_told_survives_as_text() -> None:
    """The cursor of a sensor holds it; a text that nobody can read counts as nothing told."""
    assert read_told(write_told({"webhook": FAILED, "mail": {}})) == {"webhook": FAILED, "mail": {}}
    for text in (None, "", "2024-01-01", '{"webhook": {"a": ["red", ["failed"]]}}', "[1]"):
        assert read_told(text) == {}


def test_ten_years_of_failed_days_are_some_kilobytes() -> None:
    """Dagster keeps the text with every tick, once a minute."""
    days = Calendar("daily").keys("2013-01-01", "2022-12-31")
    told = {"webhook": {BOARD: State(RED, {"failed": frozenset(days), "not sent": frozenset(days)})}}
    assert read_told(write_told(told)) == told
    assert len(write_told(told)) < 30_000
