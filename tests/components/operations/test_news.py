"""What is worth telling, and what is not."""

from __future__ import annotations

from pipelines.components.operations.news import DEPLOYMENT, Change, State, news, read_told, write_told
from pipelines.components.operations.status import Colour
from tests.components.deploying import BOARD, FLOOR
from tests.components.operations.situations import problem, screen, status

GREEN, YELLOW, RED = Colour.GREEN, Colour.YELLOW, Colour.RED
FAILED = {BOARD: State(RED, frozenset({"failed"}))}


def test_what_was_green_and_is_is_no_news() -> None:
    """A deployment that is well from the first day on tells nothing."""
    assert news({}, screen(status()))[0] == []


def test_a_new_state_is_told_once() -> None:
    """The first red is told; what stays red for the same kind of reason is not told again, however far it grows."""
    changes, told = news({}, screen(status(problem("failed")), status(sync=FLOOR)))
    assert changes == [Change(BOARD, GREEN, RED)]
    assert news(told, screen(status(problem("failed", count=9)), status(sync=FLOOR)))[0] == []


def test_another_kind_of_trouble_is_told_though_the_colour_stays() -> None:
    """Red since yesterday, and held since today, is news."""
    assert news(FAILED, screen(status(problem("failed"), problem("held"))))[0] == [Change(BOARD, RED, RED)]


def test_one_trouble_less_is_no_news_but_is_remembered() -> None:
    """What is left of two troubles is not told; when the other comes back, it is."""
    both = {BOARD: State(RED, frozenset({"failed", "held"}))}
    changes, told = news(both, screen(status(problem("failed"))))
    assert changes == []
    assert news(told, screen(status(problem("failed"), problem("held"))))[0] == [Change(BOARD, RED, RED)]


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
    changes, told = news(told, screen(status(problem("failed"))))
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
    assert BOARD not in write_told({"webhook": told})


def test_what_was_told_survives_as_text() -> None:
    """The cursor of a sensor holds it; a text that nobody can read counts as nothing told."""
    assert read_told(write_told({"webhook": FAILED, "mail": {}})) == {"webhook": FAILED, "mail": {}}
    for text in (None, "", "2024-01-01", "[1]", '{"webhook": {"a": ["blue", []]}}', '{"webhook": 3}'):
        assert read_told(text) == {}
