"""A real delivery through every fault over real HTTP, and pipelines/FAULTS.md, which says what came of it.

    WRITE_FAULTS=1 pytest tests/components/test_fault_table.py

writes the page anew.
"""

from __future__ import annotations

import os
import re
import socket
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sqlalchemy import select

import pipelines
from pipelines.commands.markdown import grid
from pipelines.components.sync_run import Order, SyncResult, SyncRunner
from pipelines.delivery.breaker import BreakerPolicy
from pipelines.delivery.caller import Patience
from pipelines.delivery.ledger import Ledger, schema
from pipelines.delivery.retry import RetryPolicy
from pipelines.delivery.upsert import Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.home import Home
from pipelines.sandbox import SandboxServer
from pipelines.tables.extract import extract
from pipelines.tables.names import quarantine_of, valid_of
from pipelines.tables.store import PartitionStore
from tests.components.contacts import let_send
from tests.components.deploying import DAYS, board, floor, readings
from tests.components.fault_cases import SECTIONS, TEAMS, THIRD, TIMEOUT_S, Case
from tests.destinations.given_feedback_house import sync as org_units
from tests.destinations.given_feedback_house import tree

PAGE = Path(pipelines.__file__).with_name("FAULTS.md")
WRITE = bool(os.environ.get("WRITE_FAULTS"))
SHIPPED = Patience()
QUICK = Patience(RetryPolicy(base_s=0.002), BreakerPolicy(cooldowns_s=(0.02, 0.04, 0.06)))
"""As shipped, but for the waits that are ours to choose."""
SYNCS = {"stativate": board, "valuestreamer": floor, "feedback_house": org_units}
WRITES = {"stativate": "POST", "valuestreamer": "PUT", "feedback_house": "POST"}
HEAD = ("Fault", "Requests", "Waits", "What the run says", "Rows", "Ledger", "The next run, without the fault")


@dataclass(frozen=True, slots=True)
class Bed:
    """A deployment without Dagster: a stored day, a ledger of its own, and the sandbox."""

    home: Home
    server: SandboxServer
    closed: int

    def run(self, case: Case, run_id: str, environ: Mapping[str, str]) -> SyncResult:
        """Deliver, one request at a time."""
        sync = self.sync(case)
        environ = {f"{case.api}_IN_FLIGHT".upper(): "1", "FEEDBACK_HOUSE_RATE": "1000/s", **environ}
        partition = "snapshot" if case.api == "feedback_house" else DAYS[0]
        let_send(sync, self.home, environ)
        return SyncRunner(sync, self.home, environ=environ, patience=QUICK).run(Order(run_id, [partition]))

    def sync(self, case: Case) -> SyncSpec:
        return SYNCS[case.api](mode=case.mode)

    def requests(self, case: Case) -> Counter[str]:
        """Requests by method since the last reset of the counts, the catalogue's and those that all upserts make."""
        routes = self.server.control.counts(case.api)["routes"]
        found: Counter[str] = Counter()
        for route, count in routes.items():
            found[route.split()[0]] += count["requests"]
        return found

    def ledger(self) -> dict[str, list[dict[str, object]]]:
        """What the ledger holds of the account as it stands: state, open outcomes, attempts."""
        ledger = Ledger(self.home.ledger_url)
        with ledger.reading() as connection:
            current = select(schema.scopes.c.id).where(schema.scopes.c.current)
            found = {
                table.name: [dict(row._mapping) for row in connection.execute(table.select().where(here))]
                for table in (schema.state, schema.open_outcomes, schema.attempts)
                for here in [table.c.scope.in_(current)]
            }
        ledger.close()
        return found


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One stored day of readings, and a stored snapshot of areas."""
    folder = tmp_path_factory.mktemp("faults")
    (folder / "exports").mkdir()
    lines = [f"{DAYS[0]},{team},departures,{10 + at}" for at, team in enumerate(TEAMS)]
    head = "reading_date,team_code,kpi_code,value"
    (folder / "exports" / f"kpi_{DAYS[0]}.csv").write_text("\n".join([head, *lines]) + "\n")
    store = PartitionStore(str(folder / "store"))
    extract(readings(), [DAYS[0]], base=folder, store=store, environ={}, now=datetime.now(UTC))
    areas = tree(**dict.fromkeys(team.replace("-", "") for team in TEAMS))
    for name in ("areas", valid_of("areas")):
        store.write_all(name, {"snapshot": areas})
    store.write_all(quarantine_of("areas"), {"snapshot": areas.head(0)})
    return str(folder / "store")


@pytest.fixture
def bed(home: Home, server: SandboxServer, store_url: str) -> Iterator[Bed]:
    server.control.configure(feedback_house={"limit": None})
    with socket.socket() as taken:
        # Bound, but not listening: nothing else gets the port meanwhile, and a connection is refused.
        taken.bind(("127.0.0.1", 0))
        place = Home(home.path, home.ledger_url, store_url)
        yield Bed(place, server, taken.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Seen:
    """What a case came to: its row of the page, and the two runs."""

    row: tuple[str, ...]
    first: SyncResult
    second: SyncResult


def play(case: Case, bed: Bed) -> Seen:
    """Deliver with the fault, take it away, deliver again."""
    url = bed.server.url
    fill = {"url": url, "port": str(urlsplit(url).port), "closed": str(bed.closed)}
    environ = {name: value.format(**fill) for name, value in case.environ.items()}
    if case.kind:
        rule = {"api": case.api, "method": case.method, "kind": case.kind, "params": dict(case.params)}
        where = {"path_contains": case.path or None, "times": case.times, "after": case.after}
        bed.server.control.add_faults(rule | where)
    first = bed.run(case, "first", environ)
    sent, ledger = bed.requests(case), bed.ledger()
    bed.server.control.clear_faults()
    bed.server.control.reset_counts()
    second = bed.run(case, "second", mended(case, bed, environ))
    again = bed.requests(case)
    row = (
        case.fault,
        requests_told(case, sent, first),
        waits_told(case, first),
        told(case, first),
        rows_told(first),
        ledger_told(ledger),
        f"{rows_told(second)}; {again[case.method]} {case.method}{notified(case, bed)}",
    )
    return Seen(row, first, second)


def mended(case: Case, bed: Bed, environ: Mapping[str, str]) -> dict[str, str]:
    """The settings without the fault; a live account's address, which took nothing, is corrected without a question."""
    if not case.environ or case.kind:
        return {}
    return {**environ, "STATIVATE_URL": f"{bed.server.url}/stativate/v1"}


def requests_told(case: Case, sent: Counter[str], result: SyncResult) -> str:
    if case.environ and not case.kind:
        tries = result.report.traffic.requests
        return "1 try" if tries == 1 else f"{tries} tries"
    reads = sent["GET"] - CATALOGUE[case.api]
    if case.kind == "hang_up":
        # Whether the next request leaves before the close arrives is a race that the network decides.
        assert reads <= (case.times or 0)
        return f"{sent[case.method]} {case.method}, at most {case.times} GET"
    return f"{sent[case.method]} {case.method}" + (f", {reads} GET" if reads else "")


CATALOGUE = {"stativate": 0, "valuestreamer": 3, "feedback_house": 1}
"""What is read before the first write: KPIs, teams and one KPI, or the areas."""


def waits_told(case: Case, result: SyncResult) -> str:
    """The waits as the product ships: retries were counted, their times are the policies'."""
    traffic, retry, breaker = result.report.traffic, SHIPPED.retry, SHIPPED.breaker
    parts: list[str] = []
    if TIMEOUT_S and case.environ.get("STATIVATE_TIMEOUT"):
        parts.append("30 s until the answer counts as lost")
    if case.kind == "exhausted":
        parts.append("until the reset, and a second")
    per_request = min(traffic.retries, retry.attempts - 1)
    if per_request and not parts:
        waits = [max(case.asked_s, retry.base_s * retry.factor**at) for at in range(per_request)]
        every = "each " if traffic.retries > per_request else ""
        parts.append(every + ", ".join(f"{wait:g}" for wait in waits) + " s")
    if "after pauses" in result.report.stopped:
        parts.append(", ".join(f"{pause:g}" for pause in breaker.cooldowns_s) + " s before the probes")
    return "; ".join(parts) or "none"


def told(case: Case, result: SyncResult) -> str:
    """The sentence of the run, where it was stopped; else the reason of the fault's rows."""
    said = result.report.stopped
    if not said:
        (partition,) = result.results
        reasons = result.report.reasons[partition]
        said = "; ".join(f"{outcome}: {reason}" for outcome, reason in reasons if case.kind != "hang_up")
    return f"`{_steady(said)}`" if said else "nothing, all is well"


def _steady(said: str) -> str:
    """Without what differs from machine to machine: ports, libraries' and systems' own words, a day's ids."""
    said = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", said)
    said = re.sub(r"(no such host: \S+) \([^)]*\)", r"\1", said)
    said = re.sub(r"(no trusted TLS connection to \S+) \(.*?\)(?=[.;]|$)", r"\1", said)
    said = re.sub(r"/[0-9a-f-]{36}/[0-9a-f-]{36}", "/TEAM/KPI", said)
    return said.replace("`", "'")


def rows_told(result: SyncResult) -> str:
    (account,) = result.results.values()
    return ", ".join(f"{account.counts[outcome]} {outcome}" for outcome in Outcome if account.counts[outcome])


def ledger_told(held: Mapping[str, list[dict[str, object]]]) -> str:
    accepted, unsettled = len(held["state"]), held["open_outcomes"]
    parts = [f"{accepted} in `state`"] if accepted else []
    for (outcome, status), count in Counter((row["outcome"], row["status"]) for row in unsettled).items():
        code = f" ({status})" if status else ""
        parts.append(f"{count} {outcome}{code} in `open_outcomes`")
    if held["attempts"]:
        parts.append(f"{len(held['attempts'])} in `attempts`")
    return ", ".join(parts)


def notified(case: Case, bed: Bed) -> str:
    """How often people were told of the status, where that is what a second POST would do."""
    if case.api != "stativate":
        return ""
    statuses = bed.server.control.state("stativate")["statuses"]
    times = statuses.get(case.path or THIRD, {"notifications": 0})["notifications"]
    return f"; people told {('never', 'once', 'twice')[times]}"


INTRO = f"""\
# Faults

What a delivery does when the network or the API fails, one table for each kind of fault. The page is written by the
tests, which drive real deliveries through each fault over HTTP
(`WRITE_FAULTS=1 pytest tests/components/test_fault_table.py`): change the code, not the page.

Each run delivers ten rows, one request at a time; a fault of one key is about the third, or the last where it slows
down what follows. Stativate tells people of every POST, so that nothing is sent twice unseen; ValueStreamer's PUT and
feedback.house's batches may be repeated. Requests are those of the whole run, without the look-ups before the first
write. A wait is at most what the page says, and by chance down to half of it.

- **A request** is tried up to {SHIPPED.retry.attempts} times, as far as that is safe, and waits at most \
{SHIPPED.retry.budget_s:g} s for it in all.
- **The breaker** opens after {SHIPPED.breaker.failures} requests of a kind in a row that failed for good. After \
{", ".join(f"{pause:g}" for pause in SHIPPED.breaker.cooldowns_s)} s one
  request goes out as a probe, the same one twice at most; the first that fares well lets all others go on, and after
  {SHIPPED.breaker.probes} that failed the run ends. A run that starts within {SHIPPED.breaker.memory_s / 60:g} \
minutes begins with a probe.
- **A run** sends nothing after its sync's `max_minutes`. Dagster retries neither step nor run for a fault of an API.
"""


@pytest.fixture(scope="module")
def rows() -> Iterator[dict[str, tuple[str, ...]]]:
    """The rows as they are found; written to the page at the end, where that was asked for."""
    found: dict[str, tuple[str, ...]] = {}
    yield found
    if WRITE:
        PAGE.write_text(page_of(found), encoding="utf-8")


def page_of(found: Mapping[str, tuple[str, ...]]) -> str:
    parts = [INTRO]
    for title, cases in SECTIONS.items():
        parts.append(f"## {title}\n")
        for api, name in NAMES.items():
            lines = [found[case.id] for case in cases if case.api == api]
            if lines:
                parts.append(f"**{name}**\n\n{grid(HEAD, lines)}")
    return "\n".join(parts)


NAMES = {"stativate": "Stativate", "valuestreamer": "ValueStreamer", "feedback_house": "feedback.house"}
CASES = [case for cases in SECTIONS.values() for case in cases]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_a_fault_comes_to(case: Case, bed: Bed, rows: dict[str, tuple[str, ...]]) -> None:
    """What FAULTS.md says of the fault is what happens, no row is lost, and the next run makes the API equal."""
    seen = play(case, bed)
    rows[case.id] = seen.row
    for result in (seen.first, seen.second):
        (account,) = result.results.values()
        assert account.gap == 0
        assert account.extracted == len(TEAMS)
    (after,) = seen.second.results.values()
    assert after.wrong == 0
    assert (after.undelivered == 0) is case.settles
    assert (bed.ledger()["open_outcomes"] == []) is case.settles
    assert bed.ledger()["attempts"] == []
    if not WRITE:
        assert grid(HEAD, [seen.row]).splitlines()[-1] in PAGE.read_text(encoding="utf-8").splitlines()


def test_the_page_is_of_these_faults(rows: dict[str, tuple[str, ...]]) -> None:
    """Nothing on the page is out of date: its words, its faults and their order are those of the tests."""
    if WRITE or len(rows) < len(CASES):
        pytest.skip("only with all faults played, and the page as it is")
    assert PAGE.read_text(encoding="utf-8") == page_of(rows)
