"""What holds for feedback.house, over real HTTP to the sandbox: its areas stand on each other and go in batches."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest

import pipelines
from pipelines.components.deployment import build_deployment, load_deployment
from pipelines.components.sync_run import Order, SyncResult, SyncRunner
from pipelines.delivery.caller import Patience
from pipelines.delivery.errors import CredentialsRefused
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.messages import Answer
from pipelines.delivery.retry import RetryPolicy
from pipelines.delivery.upsert import ACCEPTED, Outcome, Upsert
from pipelines.destinations.feedback_house import FeedbackHouse
from pipelines.home import Home
from pipelines.sandbox import Control
from pipelines.tables.extract import extract
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.spec import AreaTableSpec
from pipelines.tables.store import PartitionStore
from tests.components.deploying import READS_YAML, Told
from tests.contract.cases import Case
from tests.contract.conftest import Connect, Way, environment
from tests.destinations.given_feedback_house import areas, sync, tree

CASE = Case("feedback_house", sync(), columns={}, refused={}, wrong={"AUTH_VALUE": "revoked"})
PACKAGE = Path(pipelines.__file__).parent
READINGS = [
    {"data_with_errors": errors, "data_ids": ids, "correlation_visible": keys}
    for errors in (True, False)
    for ids in (True, False)
    for keys in (True, False)
]
TELLING = [READINGS[1], *READINGS[5:]]
"""The documents' own reading, which is READINGS[5], and those that tell more or less of ids and keys."""
SENT = (
    "id", "correlationID", "name", "active", "allowCandidatesApply", "parent", "tags", "managers", "businessDivision",
)  # fmt: skip
ONE_TRY = Patience(RetryPolicy(attempts=1))
COMPANY = {"TOP": None, "WEST": "TOP", "EAST": "TOP", "W1": "WEST", "W2": "WEST", "E1": "EAST"}
BOSS = {"id": "5d9b2f0000000000000000aa", "name": "The Boss", "emails": ["boss@example.invalid"]}

pytestmark = READS_YAML


@pytest.fixture(autouse=True)
def _unhurried(control: Control) -> None:
    """The limit of 10 requests a second is the matter of one test only."""
    control.configure(feedback_house={"limit": None})


@dataclass(slots=True)
class Company:
    """A table of areas in a file, its sync, and a home of their own beside the sandbox."""

    folder: Path
    home: Home
    control: Control
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    runs: int = 0
    patience: Patience = Patience()

    @property
    def table(self) -> AreaTableSpec:
        """The table."""
        return AreaTableSpec.model_validate({"name": "areas", "source": {"files": "areas.csv"}})

    def write(self) -> None:
        """Write the file."""
        names = ["area_code", "area_name", "parent_code", "active", "tags", "managers", "division"]
        with (self.folder / "areas.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, names, restval="")
            writer.writeheader()
            for code, row in self.rows.items():
                writer.writerow({"area_code": code, "area_name": f"Area {code}", "active": "true", **row})

    def deliver(self, **order: Any) -> SyncResult:
        """Extract and deliver, as the two jobs do."""
        self.runs += 1
        self.write()
        store = PartitionStore(self.home.store_url)
        extract(self.table, [SNAPSHOT], base=self.folder, store=store, environ={}, now=datetime.now(UTC))
        spec = sync(managers="managers", business_division="division", **self.fields)
        environ = {"FEEDBACK_HOUSE_RATE": "1000/s"}
        runner = SyncRunner(spec, self.home, self.table, folder=self.folder, environ=environ, patience=self.patience)
        return runner.run(Order(f"run-{self.runs}", [SNAPSHOT], **order))

    def counts(self, **order: Any) -> dict[str, int]:
        """Rows by outcome of one more delivery, and its requests."""
        before = self.control.counts("feedback_house")["requests"]
        result = self.deliver(**order)
        (account,) = result.results.values()
        assert account.gap == 0
        found = {str(outcome): number for outcome, number in account.counts.items() if number}
        return {**found, "requests": self.control.counts("feedback_house")["requests"] - before}

    def held(self) -> dict[str, dict[str, Any]]:
        """The areas by key."""
        found = list(self.control.state("feedback_house")["areas"].values())
        assert len({area["correlationID"] for area in found}) == len(found), "an area stands there twice"
        return {area["correlationID"]: area for area in found}

    def parents(self) -> dict[str, str | None]:
        """Key -> the parent's key."""
        held = self.held()
        keys = {area["id"]: key for key, area in held.items()}
        return {key: keys.get(area["parent"]) for key, area in held.items()}


@pytest.fixture
def company(tmp_path: Path, home: Home, control: Control) -> Company:
    """The company of six areas, of which nothing was delivered yet."""
    card = home.read_card()
    assert card is not None
    own = Home.of({"PIPELINES_HOME": str(tmp_path / "home")})
    own.write_card(card)
    rows = {code: {"parent_code": parent} for code, parent in COMPANY.items()}
    return Company(tmp_path, own, control, rows)


def target(way: Way) -> FeedbackHouse:
    assert isinstance(way.destination, FeedbackHouse)
    return way.destination


def upserts(**parents: str | None) -> list[Upsert]:
    return CASE.spec.build(tree(**parents)).upserts


# -- the engine, the ledger and the sandbox together


@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_a_new_tree_arrives_in_one_run_under_every_reading(company: Company, reading: dict[str, bool]) -> None:
    """Whether answers tell ids and pages tell keys or not: parents first, every area once, and nothing left to do."""
    company.control.configure(feedback_house=reading)
    assert company.counts()["created"] == len(COMPANY)
    assert company.parents() == COMPANY
    assert company.counts() == {"unchanged": len(COMPANY), "requests": 0}


@pytest.mark.parametrize("reading", TELLING, ids=str)
def test_a_moved_child_costs_one_area(company: Company, reading: dict[str, bool]) -> None:
    """A later run finds the id of a parent that it does not send."""
    company.control.configure(feedback_house=reading)
    company.deliver()
    company.rows["W1"]["parent_code"] = "EAST"
    assert company.counts() == {"unchanged": 5, "updated": 1, "requests": 2}
    assert company.parents() == {**COMPANY, "W1": "EAST"}


def test_a_renamed_parent_is_sent_alone(company: Company) -> None:
    """Its children stay where they are: they know it by its id."""
    company.deliver()
    company.rows["WEST"]["area_name"] = "Far West"
    assert company.counts() == {"unchanged": 5, "updated": 1, "requests": 2}
    assert company.held()["WEST"]["name"] == "Far West"
    assert company.parents() == COMPANY
    assert {key for key, area in company.held().items() if area["writes"] > 1} == {"WEST"}


def test_flags_and_tags_follow_the_table(company: Company) -> None:
    """An area is taken out of use and back into it; an update that changes something else reactivates nothing."""
    company.rows["E1"] |= {"active": "false", "tags": "site:east, old"}
    company.deliver()
    assert (company.held()["E1"]["active"], company.held()["E1"]["tags"]) == (False, ["site:east", "old"])
    company.rows["E1"] |= {"area_name": "Renamed", "tags": ""}
    company.deliver()
    assert (company.held()["E1"]["active"], company.held()["E1"]["tags"]) == (False, [])
    company.rows["E1"]["active"] = "true"
    company.deliver()
    assert company.held()["E1"]["active"]


@pytest.mark.parametrize("reading", TELLING, ids=str)
def test_below_a_refused_parent_nothing_is_sent_and_beside_it_everything(
    company: Company, reading: dict[str, bool]
) -> None:
    """One bad area keeps back what hangs below it, with the reason; mended, the rest follows in the next run."""
    company.control.configure(feedback_house=reading)
    company.rows["WEST"]["division"] = "no id"
    result = company.deliver()
    (account,) = result.results.values()
    assert (account.counts[Outcome.REJECTED], account.counts[Outcome.NOT_SENT]) == (1, 2)
    assert sum(account.counts[outcome] for outcome in ACCEPTED) == 3
    reasons = {reason: entry.keys for (_, reason), entry in result.report.reasons[SNAPSHOT].items()}
    assert reasons == {
        "Invalid businessDivision field": ["WEST"],
        "parent WEST was rejected: Invalid businessDivision field": ["W1", "W2"],
    }
    assert company.parents() == {"TOP": None, "EAST": "TOP", "E1": "EAST"}
    company.rows["WEST"]["division"] = ""
    assert company.counts()["unchanged"] == 3
    assert company.parents() == COMPANY


def test_a_server_that_fails_for_a_level_keeps_back_what_is_below(company: Company) -> None:
    """Nothing goes on top of what did not arrive; the next run takes up exactly that."""
    fault = {"api": "feedback_house", "method": "POST", "kind": "status", "params": {"code": 500}, "times": None}
    company.patience = ONE_TRY
    company.control.add_faults({**fault, "after": 1})
    counts = company.counts()
    assert {name: counts.get(name) for name in ("created", "failed", "not_sent")} == {
        "created": 1,
        "failed": 2,
        "not_sent": 3,
    }
    company.control.clear_faults()
    assert company.counts()["unchanged"] == 1
    assert company.parents() == COMPANY


@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("drop_before", False),
        ("drop_after", False),
        ("drop_after", True),
        ("cut_body", True),
        ("garbage", False),
        ("empty_body", False),
        ("empty_body", True),
        ("other_json", False),
    ],
)
def test_a_lost_answer_makes_no_second_area(company: Company, kind: str, *, keys: bool) -> None:
    """Whether or not a batch had arrived whose answer was lost: after the next run every area stands there once."""
    company.control.configure(feedback_house={"correlation_visible": keys})
    company.control.add_faults({"api": "feedback_house", "method": "POST", "kind": kind, "after": 1})
    first = company.counts()
    assert set(first) <= {"created", "updated", "accepted", "unknown", "not_sent", "requests"}
    company.deliver()
    assert company.parents() == COMPANY
    assert company.counts() == {"unchanged": len(COMPANY), "requests": 0}


def test_a_batch_that_is_too_large_is_split_until_it_fits(company: Company) -> None:
    """413 is about the batch, not about its areas."""
    company.rows |= {f"T{n}": {} for n in range(30)}
    company.control.configure(feedback_house={"max_bytes": 1200})
    counts = company.counts()
    assert sum(counts.get(str(one), 0) for one in ACCEPTED) == len(company.rows)
    assert set(company.held()) == set(company.rows)
    assert company.control.counts("feedback_house")["statuses"]["413"] > 0


OMITTED = pytest.mark.parametrize("omitted", ["keep", "defaults", "reset"])


@OMITTED
def test_every_change_of_an_area_arrives_whatever_an_omitted_field_means(company: Company, omitted: str) -> None:
    """Kept, defaulted or reset: after each run the areas are as the table says, and not otherwise."""
    company.control.configure(feedback_house={"omitted_on_update": omitted})
    company.control.put_feedback_house_users(BOSS)
    full = {"parent_code": "P", "tags": "x,y", "managers": "boss@example.invalid", "division": "a" * 24}
    steps: list[dict[str, Any]] = [
        full,
        {**full, "area_name": "Renamed"},
        {**full, "active": "false"},
        {**full, "division": ""},
        {**full, "managers": "", "tags": ""},
        {"area_name": "Top"},
        {"area_name": "Top again", "tags": "z"},
        full,
    ]
    for row in steps:
        company.rows = {"P": {}, "A": row}
        company.deliver()
        held = company.held()["A"]
        assert held["name"] == row.get("area_name", "Area A")
        assert held["active"] is (row.get("active") != "false")
        assert held["tags"] == [tag for tag in row.get("tags", "").split(",") if tag]
        assert held["managers"] == ([BOSS["id"]] if row.get("managers") else [])
        assert held["businessDivision"] == (row.get("division") or None)
        assert company.parents()["A"] == row.get("parent_code")


@OMITTED
def test_what_is_retired_keeps_all_else(company: Company, omitted: str) -> None:
    """The children go first; parent, tags, managers and what a person has set stay as they stood."""
    company.control.configure(feedback_house={"omitted_on_update": omitted})
    company.control.put_feedback_house_users(BOSS)
    company.fields = {"vanished": "deactivate", "ceilings": {"removed": None}}
    company.rows["WEST"] |= {"tags": "x", "managers": "boss@example.invalid"}
    company.deliver()
    before = company.held()
    by_hand(
        company,
        "POST",
        "/planning/area/v1/update-or-create",
        {"areas": [{**{k: v for k, v in before["W1"].items() if k in SENT and v}, "businessDivision": "b" * 24}]},
    )
    before = company.held()
    for code in ("WEST", "W1", "W2"):
        del company.rows[code]
    assert company.counts()["unchanged"] == 3
    after = company.held()
    for code in before:
        kept = {name: before[code][name] for name in SENT}
        assert {name: after[code][name] for name in SENT} == {**kept, "active": code not in {"WEST", "W1", "W2"}}


def test_a_refused_null_says_why_it_was_sent(company: Company) -> None:
    """No document says how a parent is taken away: where null is refused, the area is rejected and says so."""
    company.control.configure(feedback_house={"null_links": "refuse"})
    company.rows = {"A": {}, "B": {"parent_code": "A"}}
    company.deliver()
    company.rows["B"] = {}
    result = company.deliver()
    (reason,) = [reason for outcome, reason in result.report.reasons[SNAPSHOT] if outcome is Outcome.REJECTED]
    assert reason == (
        "Invalid parent field (parent was sent as null, to be taken away: no document of feedback.house says how)"
    )


def test_levels_may_change_places(company: Company) -> None:
    """X > Q > P becomes Q > P > X although P is not sent: at no time does the API see a circle."""
    company.rows = {"X": {}, "Q": {"parent_code": "X"}, "P": {"parent_code": "Q"}}
    company.deliver()
    company.rows = {"X": {"parent_code": "P"}, "Q": {}, "P": {"parent_code": "Q"}}
    assert company.counts() == {"unchanged": 1, "updated": 2, "requests": 3}
    assert company.parents() == {"Q": None, "P": "Q", "X": "P"}


HIDDEN_OR_SHOWN = pytest.mark.parametrize("keys", [True, False])


def unreadable(company: Company, path: str) -> None:
    """Let a list be forbidden, as for a key without the right to read it."""
    fault = {"api": "feedback_house", "method": "GET", "kind": "status", "params": {"code": 403}, "times": None}
    company.control.add_faults({**fault, "path_contains": path})


def by_hand(company: Company, method: str, path: str, body: Any = None) -> None:
    """Let a person change something."""
    card = company.home.read_card()
    assert card is not None
    settings = card.accounts["feedback_house"]
    headers = {settings["AUTH_HEADER"]: settings["AUTH_VALUE"]}
    httpx.request(method, settings["URL"] + path, json=body, headers=headers).raise_for_status()


@HIDDEN_OR_SHOWN
@pytest.mark.parametrize("ids", [True, False])
def test_a_renamed_area_can_move_to_the_top(company: Company, *, keys: bool, ids: bool) -> None:
    """Its old name finds it no more; that it had a parent is known from what was accepted."""
    company.control.configure(feedback_house={"correlation_visible": keys, "data_ids": ids})
    company.rows = {"A": {}, "B": {"parent_code": "A"}}
    company.deliver()
    company.rows["B"] = {"area_name": "Bee"}
    assert company.counts()["updated"] == 1
    assert company.parents() == {"A": None, "B": None}


@HIDDEN_OR_SHOWN
def test_one_of_two_namesakes_can_move_to_the_top(company: Company, *, keys: bool) -> None:
    """Another area of that name does not keep it below its old parent."""
    company.control.configure(feedback_house={"correlation_visible": keys, "data_ids": False})
    same = {"area_name": "Logistics"}
    company.rows = {"P": {}, "Q": {}, "LP": {**same, "parent_code": "P"}, "LQ": {**same, "parent_code": "Q"}}
    company.deliver()
    company.rows["LP"] = same
    assert company.counts()["updated"] == 1
    assert company.parents() == {"P": None, "Q": None, "LP": None, "LQ": "Q"}


@HIDDEN_OR_SHOWN
def test_an_area_can_move_to_the_top_while_nothing_can_be_read(company: Company, *, keys: bool) -> None:
    """What was accepted is enough to know that it has a parent."""
    company.control.configure(feedback_house={"correlation_visible": keys})
    company.deliver()
    unreadable(company, "/planning/area/v1/query")
    company.rows["WEST"] = {}
    assert company.counts()["updated"] == 1
    assert company.parents() == {**COMPANY, "WEST": None}


def test_what_may_have_arrived_counts_when_an_area_moves_to_the_top(company: Company) -> None:
    """It was at the top, was moved below another with a lost answer, and is wanted at the top again."""
    company.rows = {"A": {}, "B": {}}
    company.deliver()
    company.rows["B"] = {"area_name": "Bee", "parent_code": "A"}
    company.patience = ONE_TRY
    company.control.add_faults({"api": "feedback_house", "method": "POST", "kind": "drop_after", "times": None})
    unreadable(company, "/planning/area/v1/query")
    assert company.counts()["unknown"] == 1
    company.control.clear_faults()
    assert company.parents() == {"A": None, "B": "A"}
    unreadable(company, "/planning/area/v1/query")
    company.rows["B"] = {"area_name": "Bee"}
    company.deliver()
    assert company.parents() == {"A": None, "B": None}


def test_where_nobody_knows_of_a_parent_the_move_is_not_called_done(company: Company) -> None:
    """The sync did not send parents before, and cannot see what stands there: it says so instead of `updated`."""
    company.rows = {"A": {}, "B": {}}
    company.fields = {"parent": None}
    company.deliver()
    company.fields = {}
    company.rows["B"] = {"area_name": "Bee"}
    unreadable(company, "/planning/area/v1/query")
    result = company.deliver()
    assert result.report.total(Outcome.NOT_SENT) == 2
    (reason,) = {reason for _, reason in result.report.reasons[SNAPSHOT]}
    assert reason.startswith("it moves to the top, and whether it has a parent to be taken away cannot be known: 403")
    company.control.clear_faults()
    company.deliver()
    assert company.held()["B"]["name"] == "Bee"


def test_an_emptied_division_is_taken_away(company: Company) -> None:
    """Null is sent where a division stood, and nothing where none did."""
    company.rows = {"A": {"division": "a" * 24}, "B": {}}
    company.deliver()
    company.rows["A"] = {}
    assert company.counts() == {"updated": 1, "unchanged": 1, "requests": 2}
    assert company.held()["A"]["businessDivision"] is None


def test_a_parent_that_a_person_renamed_is_found_by_the_id_it_once_told(company: Company) -> None:
    """With keys hidden no name leads to it any more; the ledger has its id, and the pages still have the id."""
    company.rows = {"A": {}, "B": {"parent_code": "A"}}
    company.deliver()
    renamed = {"areas": [{"id": company.held()["A"]["id"], "name": "Something else"}]}
    by_hand(company, "POST", "/planning/area/v1/update-or-create", renamed)
    company.rows["C"] = {"parent_code": "A"}
    assert company.counts()["created"] == 1
    assert company.parents() == {"A": None, "B": "A", "C": "A"}


def test_an_id_that_is_gone_is_not_used(company: Company) -> None:
    """A person deleted the area: the id that the ledger learned leads nowhere, and the child says what is amiss."""
    company.rows = {"A": {}, "OTHER": {}}
    company.deliver()
    by_hand(company, "DELETE", f"/planning/area/v1/query/{company.held()['A']['id']}")
    company.rows["C"] = {"parent_code": "A"}
    result = company.deliver()
    (reason,) = {reason for _, reason in result.report.reasons[SNAPSHOT]}
    assert reason == "parent A: the API does not show which area has this key, and 0 areas are called 'Area A'"


def test_siblings_of_one_name_have_children_of_their_own(company: Company) -> None:
    """With keys hidden everywhere, namesakes travel apart, so that the answers tell which id is whose."""
    company.control.configure(feedback_house={"data_keys": False})
    team = {"area_name": "Team", "parent_code": "A"}
    company.rows = {"A": {}, "T1": team, "T2": team, "C1": {"parent_code": "T1"}, "C2": {"parent_code": "T2"}}
    assert company.counts()["created"] == 5
    assert company.parents() == {"A": None, "T1": "A", "T2": "A", "C1": "T1", "C2": "T2"}
    company.rows["C3"] = {"parent_code": "T2"}
    assert company.counts()["created"] == 1
    assert company.parents()["C3"] == "T2"


def test_a_child_of_a_quarantined_parent_is_told_so(company: Company) -> None:
    """That no area has the key is half of the truth: the table has no valid row for it."""
    company.control.configure(feedback_house={"correlation_visible": True})
    company.rows = {"A": {}, "B": {"active": "perhaps"}, "C": {"parent_code": "B"}}
    result = company.deliver()
    reasons = [reason for _, reason in result.report.reasons[SNAPSHOT]]
    assert "parent B: it is not among the valid rows of this sync, and feedback.house has no such area" in reasons


def test_managers_are_set_by_their_e_mails_and_missing_ones_are_noted(company: Company) -> None:
    """The known manager arrives as an id; the unknown one is left out, and the run says so."""
    company.control.put_feedback_house_users(BOSS)
    company.rows["TOP"]["managers"] = "BOSS@example.invalid"
    company.rows["EAST"]["managers"] = "nobody@example.invalid, boss@example.invalid"
    result = company.deliver()
    assert result.report.total(Outcome.CREATED) == len(COMPANY)
    held = {key: area["managers"] for key, area in company.held().items() if area["managers"]}
    assert held == {"TOP": [BOSS["id"]], "EAST": [BOSS["id"]]}
    (note,) = result.report.notes
    assert "areas managed by nobody@example.invalid are sent without that manager" in note


@pytest.mark.parametrize("others", ["", ", boss@example.invalid"])
def test_a_manager_who_appears_later_is_set_then(company: Company, others: str) -> None:
    """Until then every run looks and says so, but sends nothing again; afterwards all is quiet."""
    company.control.put_feedback_house_users(BOSS)
    company.rows = {"A": {"managers": f"new@example.invalid{others}"}, "B": {}}
    company.deliver()
    before = company.held()["A"]["writes"]
    waiting = company.deliver()
    assert waiting.report.total(Outcome.UNCHANGED) == 2
    assert "areas managed by new@example.invalid" in waiting.report.notes[0]
    assert company.held()["A"]["writes"] == before
    new = {"id": "5d9b2f0000000000000000bb", "name": "New", "emails": ["new@example.invalid"]}
    company.control.put_feedback_house_users(new)
    assert company.counts()["updated"] == 1
    assert len(company.held()["A"]["managers"]) == (2 if others else 1)
    assert company.counts() == {"unchanged": 2, "requests": 0}


def test_managers_follow_once_the_users_can_be_read(company: Company) -> None:
    """An account that may not read users still delivers its areas; they get their managers when it may."""
    company.control.put_feedback_house_users(BOSS)
    company.rows = {"A": {"managers": "boss@example.invalid"}}
    unreadable(company, "/common/user/v1/users")
    assert company.counts()["created"] == 1
    assert company.counts() == {"unchanged": 1, "requests": 1}
    company.control.clear_faults()
    company.deliver()
    assert company.held()["A"]["managers"] == [BOSS["id"]]


def test_everything_can_be_sent_again(company: Company) -> None:
    """`resend: all` updates every area, and makes none."""
    company.deliver()
    assert company.counts(resend_before=float("inf"))["updated"] == len(COMPANY)
    assert company.parents() == COMPANY


def test_a_dry_run_asks_nothing(company: Company) -> None:
    """Not even the pages are read."""
    assert company.counts(dry=True) == {"not_sent": len(COMPANY), "requests": 0}


def test_the_documented_limit_is_kept(company: Company) -> None:
    """A deep tree is many requests; the sandbox counts 10 in any second, and none is above it."""
    company.control.configure(feedback_house={"limit": {"requests": 10, "seconds": 1}})
    company.rows = {f"L{n}": {"parent_code": f"L{n - 1}" if n else ""} for n in range(12)}
    company.write()
    store = PartitionStore(company.home.store_url)
    extract(company.table, [SNAPSHOT], base=company.folder, store=store, environ={}, now=datetime.now(UTC))
    result = SyncRunner(sync(), company.home, environ={}).run(Order("run", [SNAPSHOT]))
    assert result.report.total(Outcome.CREATED) == 12
    counts = company.control.counts("feedback_house")
    assert (counts["requests"], counts["over_limit"], counts["statuses"]) == (13, 0, {"200": 13})


# -- Dagster


def ran(definitions: dg.Definitions, instance: dg.DagsterInstance, job: str, **config: Any) -> Told:
    """Run a job of an unpartitioned table or sync."""
    run_config = {"ops": {job.removesuffix("_deliver"): {"config": config}}} if config else None
    result = definitions.resolve_job_def(job).execute_in_process(
        instance=instance, run_config=run_config, raise_on_error=False
    )
    return Told(result)


def test_the_samples_areas_arrive_through_dagster(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """39 areas in three levels with parents, flags and tags; a second extract, though newer, changes nothing."""
    monkeypatch.setenv("PIPELINES_HOME", str(company.home.path))
    definitions = load_deployment(PACKAGE)
    with dg.DagsterInstance.ephemeral() as instance:
        first, second = [
            (ran(definitions, instance, "areas_extract"), ran(definitions, instance, "org_units_deliver"))
            for _ in range(2)
        ]
    assert all(told.success for told in (*first, *second))
    assert first[1].counts("org_units") == {None: {"extracted": 39, "created": 39}}
    assert second[1].counts("org_units") == {None: {"extracted": 39, "unchanged": 39}}
    assert company.control.counts("feedback_house")["requests"] == 4
    held, parents = company.held(), company.parents()
    assert (parents["NYC"], parents["JFK"], parents["JFK-AA"]) == (None, "NYC", "JFK")
    assert {key: parents[key] for key in held if "-" in key} == {key: key[:3] for key in held if "-" in key}
    assert {key for key, area in held.items() if not area["active"]} == {"EWR-OO", "LGA-OO"}
    assert held["EWR-OO"]["tags"] == ["airport:EWR", "carrier:OO"]


def test_a_failed_snapshot_is_red_and_a_retry_heals_it(company: Company, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without partitions the run fails as a day would: the check says why, the asset stays as it was, a retry heals."""
    monkeypatch.setenv("PIPELINES_HOME", str(company.home.path))
    company.rows["WEST"]["division"] = "no id"
    company.write()
    definitions = build_deployment([company.table], [sync(business_division="division")], folder=company.folder)
    with dg.DagsterInstance.ephemeral() as instance:
        early = ran(definitions, instance, "org_units_deliver")
        assert "the table areas was never extracted" in early.failure
        assert ran(definitions, instance, "areas_extract").success
        dry = ran(definitions, instance, "org_units_deliver", dry_run=True)
        assert (dry.success, dry.materialized("org_units")) == (True, {})
        red = ran(definitions, instance, "org_units_deliver")
        assert not red.success
        assert "2 not_sent" in red.failure
        assert red.counts("org_units")[None]["rejected"] == 1
        assert red.materialized("org_units") == {}
        company.rows["WEST"]["division"] = ""
        company.write()
        assert ran(definitions, instance, "areas_extract").success
        healed = ran(definitions, instance, "org_units_deliver")
    assert healed.success
    assert healed.counts("org_units")[None]["unchanged"] == 3
    assert company.parents() == COMPANY


# -- the destination alone


async def test_the_check_proves_the_credentials(connect: Connect, home: Home) -> None:
    """The cheapest read succeeds with the right key and is refused with a wrong one, in whichever header it goes."""
    way = connect(CASE)
    answer = await way.call(way.destination.check())
    assert isinstance(answer, Answer)
    assert answer.ok
    for wrong in (CASE.wrong, {"AUTH_HEADER": "authorization"}):
        other = connect(CASE, environment(CASE, home, wrong))
        with pytest.raises(CredentialsRefused):
            await other.call(other.destination.check())


async def test_what_was_set_reads_back_where_the_api_shows_keys(connect: Connect, control: Control) -> None:
    """The read-back is in the form in which the upsert is compared, parents by key and managers by e-mail."""
    control.configure(feedback_house={"correlation_visible": True})
    control.put_feedback_house_users(BOSS)
    spec = sync(managers="m")
    frame = areas(
        {"area_code": "A"}, {"area_code": "B", "parent_code": "A", "tags": "y,x", "m": "boss@example.invalid"}
    )
    built = spec.build(frame).upserts
    way = connect(Case("managed", spec, {}, {}, {}))
    found = await target(way).read_back(built[1], way.call)
    assert found is not None
    assert found.payload is None
    for upsert in built:
        await way.deliver(upsert)
    later = connect(Case("managed", spec, {}, {}, {}))
    for upsert in built:
        found = await target(later).read_back(upsert, later.call)
        assert found is not None
        assert found.payload is not None
        assert fingerprint(target(later).normalise(found.payload)) == upsert.fingerprint


async def test_what_hides_its_key_reads_back_as_unknown(connect: Connect) -> None:
    """Without keys in the pages nobody says that an area is there, or that it is not."""
    way = connect(CASE)
    (upsert,) = upserts(A=None)
    await way.deliver(upsert)
    later = connect(CASE)
    assert await target(later).read_back(upsert, later.call) is None


async def test_a_removed_area_is_out_of_use_and_can_come_back(connect: Connect, control: Control) -> None:
    """Removal deactivates and deletes nothing: the area's history and its place stay."""
    way, built = connect(CASE), upserts(A=None, B="A")
    for upsert in built:
        await way.deliver(upsert)
    for _ in range(2):
        assert (await target(way).remove("B", built[1].payload, way.call)).outcome in ACCEPTED
    _, area = control.state("feedback_house")["areas"].values()
    assert (area["name"], area["active"], area["parent"] is not None) == ("Area B", False, True)
    await way.deliver(built[1])
    _, area = control.state("feedback_house")["areas"].values()
    assert area["active"]


async def test_areas_are_listed_and_shown(connect: Connect, control: Control) -> None:
    """Pages smaller than asked for are put together; one area is shown by its id, and none for a foreign id."""
    control.configure(feedback_house={"max_limit": 2})
    way = connect(CASE)
    await way.deliver(*upserts(**dict.fromkeys("ABCDE")))
    listed = await target(way).areas(way.call)
    assert [area["name"] for area in listed] == [f"Area {code}" for code in "ABCDE"]
    assert await target(way).area(listed[3]["id"], way.call) == listed[3]
    assert await target(way).area("0" * 24, way.call) is None


async def test_each_area_of_a_batch_has_its_own_verdict(connect: Connect, control: Control) -> None:
    """One refused area stands alone; those around it are taken, told apart by their keys in `errors`."""
    way, built = connect(CASE), upserts(**dict.fromkeys("ABC"))
    bad = Upsert("X", "2026", {**built[0].payload, "name": 7}, "", SNAPSHOT, (9,))
    verdicts = await way.deliver(built[0], bad, *built[1:])
    assert [verdict.outcome in ACCEPTED for verdict in verdicts] == [True, False, True, True]
    assert (verdicts[1].outcome, verdicts[1].reason) == (Outcome.REJECTED, "Invalid name field")
    assert {area["correlationID"] for area in control.state("feedback_house")["areas"].values()} == set("ABC")
    assert way.call.lines.count(target(way).describe(built[0])) == 1


@pytest.mark.parametrize(
    ("body", "outcome"),
    [({"status": "OK"}, Outcome.UNKNOWN), ({"status": "ERROR", "message": "no"}, Outcome.REJECTED)],
)
async def test_a_success_is_judged_by_what_it_says(
    body: dict[str, str], outcome: Outcome, connect: Connect, control: Control
) -> None:
    """An OK without a word on errors is none, and an ERROR with a 200 is a refusal."""
    way, built = connect(CASE), upserts(A=None)
    fault = {"api": "feedback_house", "method": "POST", "kind": "status", "params": {"code": 200, "body": body}}
    control.add_faults(fault)
    (verdict,) = await way.deliver(*built)
    assert (verdict.outcome, verdict.status) == (outcome, 200)
    assert control.state("feedback_house")["areas"] == {}


def test_the_rows_of_a_file_say_what_is_wrong_with_a_tree(company: Company) -> None:
    """Circles and unknown parents are the table's matter: such rows are in quarantine, and the sync counts them."""
    company.rows["TOP"]["parent_code"] = "W1"
    company.rows["E1"]["parent_code"] = "NOWHERE"
    counts = company.counts()
    assert counts["quarantined"] == 4
    assert counts["not_sent"] == 2
    assert "created" not in counts
    assert company.held() == {}


def test_a_tree_with_a_hole_is_sent_as_far_as_it_is_known(company: Company, control: Control) -> None:
    """Where a parent's row was quarantined, its children are not sent, unless the area stands there under its key."""
    control.configure(feedback_house={"correlation_visible": True})
    company.deliver()
    company.rows["WEST"]["active"] = "perhaps"
    company.rows["W1"]["tags"] = "new"
    assert company.counts() == {"quarantined": 1, "unchanged": 4, "updated": 1, "requests": 2}
    assert company.held()["W1"]["tags"] == ["new"]
