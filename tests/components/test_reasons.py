"""Sentences and tables for the people who read a failed run or a yellow check."""

from __future__ import annotations

import pytest

from pipelines.components.events import CheckOutcome
from pipelines.components.failures import failed, failed_partitions
from pipelines.components.reasons import bounded, reasons_table, rules_table, sample_table
from pipelines.delivery.errors import ConfigurationError
from pipelines.delivery.report import Reason
from pipelines.delivery.upsert import Outcome
from pipelines.tables.failures import Broken
from tests.components.conftest import Deploy
from tests.components.deploying import BOARD, DAYS


def test_a_failure_names_its_partitions_in_order() -> None:
    """What failed, each partition with its reason, and what to do; nobody but a person starts it again."""
    failure = failed_partitions("table t", {"2013-01-02": "no file", "2013-01-01": "torn"}, "Mend it.")
    assert failure.description == "table t: 2 partition(s) failed.\n2013-01-01: torn\n2013-01-02: no file\nMend it."
    assert failure.metadata["failed_partitions"].value == {"2013-01-01": "torn", "2013-01-02": "no file"}
    assert failure.allow_retries is False


def test_a_failure_of_many_partitions_stays_readable() -> None:
    """Ten are named and the others counted; the metadata has all of them."""
    failure = failed_partitions("table t", {f"2013-01-{day:02}": "torn" for day in range(1, 32)}, "Mend it.")
    lines = (failure.description or "").splitlines()
    assert len(lines) == 13
    assert lines[-2:] == ["… and 21 more", "Mend it."]
    assert failure.metadata["failed_partitions"].value == {f"2013-01-{day:02}": "torn" for day in range(1, 32)}


def test_a_run_that_failed_as_a_whole_is_not_retried() -> None:
    """The error's own sentence, and no retry of the step: it would repeat the whole range."""
    failure = failed(ConfigurationError("it is wrong", do="Mend it."))
    assert failure.description == "it is wrong. Mend it."
    assert failure.allow_retries is False


def test_the_worst_reasons_come_first_then_the_most_frequent() -> None:
    """A table with rows, outcome, reason, examples and what mends it, in which no text can break a cell."""
    reasons = {
        (Outcome.INVALID, "rare"): Reason(2, ["z"]),
        (Outcome.INVALID, "a | b\nc"): Reason(5, ["x", "y"]),
        (Outcome.REJECTED, "once"): Reason(1, ["a"]),
    }
    lines = reasons_table(reasons, "board").splitlines()[2:]
    assert [line[:16] for line in lines] == ["| 1 | rejected |", "| 5 | invalid | ", "| 2 | invalid | "]
    assert lines[1].startswith("| 5 | invalid | a \\| b c | x, y |")
    assert "`pipelines why board 'a'`" in lines[0]


def test_a_table_of_many_reasons_stays_readable() -> None:
    """Ten reasons are shown and the others counted, of a sync as of a contract."""
    reasons = {(Outcome.REJECTED, f"reason {number}"): Reason(1) for number in range(12)}
    assert reasons_table(reasons, "board").splitlines()[-1] == "| | and 2 more reasons | | | |"
    rules = [Broken(f"column {number}", "min", number, ("1",)) for number in range(12)]
    lines = rules_table(rules).splitlines()
    assert lines[2].startswith("| 11 | column 11 | min | 1 | Correct the source")
    assert lines[-1] == "| | and 2 more rules | | | |"


def test_what_was_left_out_stands_in_a_wide_column() -> None:
    """Below texts in the first column, below numbers in the second: a column of numbers would break the line."""
    assert (
        bounded(("key", "field", "value"), [("a", "label", 3)], 5, "keys").splitlines()[-1] == "| and 4 more keys | | |"
    )
    assert bounded(("rows", "why", "key"), [(3, "no", "a")], 5, "whys").splitlines()[-1] == "| | and 4 more whys | |"


def test_a_dry_runs_reason_is_nothing_to_mend() -> None:
    """What a dry run did not send is sent by a run that is not dry."""
    reasons = {(Outcome.NOT_SENT, "dry: would update"): Reason(2), (Outcome.NOT_SENT, "held"): Reason(1)}
    dry, held = reasons_table(reasons, "board").splitlines()[2:]
    assert "without `dry_run`" in dry
    assert "Mend what is said" in held


def test_the_reason_stands_above_the_figures(deploy: Deploy) -> None:
    """Dagster sorts a verdict's metadata by name; its sentence is the verdict's description, also when told again."""
    deployment = deploy()
    deployment.export(DAYS[0])
    assert deployment.extract(DAYS[0]).success
    (verdict,) = deployment.deliver(BOARD, DAYS[0]).checks(BOARD).values()
    assert verdict.description == "all is well"
    evaluations = deployment.run("standing_checks").result.get_asset_check_evaluations()
    assert {one.check_name for one in evaluations} >= {"freshness", "failed_partitions", "open_rows", "read_back"}
    assert all(one.description == one.metadata["why"].value for one in evaluations)
    last = next(one for one in evaluations if one.check_name == "read_back")
    assert CheckOutcome(last.passed, dict(last.metadata)).why == last.description


@pytest.mark.parametrize(
    ("rule", "mend"),
    [
        ("type:date", "`date_format`"),
        ("type:number", "Correct the value"),
        ("key:duplicate", "one row per key"),
        ("rule:min", "`rules`"),
        ("line:unreadable", "`delimiter`"),
    ],
)
def test_a_broken_rule_says_what_mends_it(rule: str, mend: str) -> None:
    """The table's field that may be wrong is named, and that the partition is to be extracted again."""
    (line,) = rules_table([Broken("actual", rule, 1, ("x",))]).splitlines()[2:]
    assert mend in line
    assert "extract the partition again" in line


def test_where_all_is_well_the_table_says_so() -> None:
    """An empty table would look like a fault of the page."""
    assert reasons_table({}, "board") == rules_table([]) == "none"


def test_a_sample_of_rows_is_bounded() -> None:
    """Ten rows and twelve columns at most, the named columns first, and how many rows there are beside."""
    rows = [{f"c{at}": str(at) for at in range(30)} for _ in range(20)]
    lines = sample_table(rows, 1000, ["c7", "elsewhere"]).splitlines()
    assert lines[0] == "| c7 | c0 | c1 | c2 | c3 | c4 | c5 | c6 | c8 | c9 | c10 | c11 |"
    assert len(lines) == 2 + 10 + 2
    assert lines[-1] == "and 990 more"
