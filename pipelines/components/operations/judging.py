"""From facts to problems: the one place that decides what is red and what is yellow. Pure; `status` says the rules."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from pipelines.components.operations.dagster_facts import Account, Partitions
from pipelines.components.operations.due import Due
from pipelines.components.operations.failing import Failure
from pipelines.components.operations.status import Colour, Newest, Problem, span
from pipelines.delivery.ledger.queries import PARKED
from pipelines.delivery.ledger.summary import OpenGroup, Summary
from pipelines.delivery.upsert import ACCEPTED, Outcome
from pipelines.destinations.base import SyncSpec
from pipelines.tables.grains import SNAPSHOT

_HANDOVER = timedelta(minutes=5)
"""So long after its extract a partition may wait for the sensor that starts its deliveries."""
_ARRIVED = (*ACCEPTED, Outcome.UNCHANGED, Outcome.SUPERSEDED)
_LONGEST = 240
UNDELIVERED = (str(Outcome.FAILED), str(Outcome.UNKNOWN), str(Outcome.NOT_SENT), "removal_failed")
"""The ledger's words for keys that should have been delivered; the API refused the others that are open."""
_PLAIN = {
    str(Outcome.FAILED): "failed: the API kept failing",
    str(Outcome.UNKNOWN): "were sent and never answered",
    str(Outcome.NOT_SENT): "were not sent",
    "removal_failed": "could not be taken away",
    str(Outcome.REJECTED): "were rejected by the API",
    PARKED: "are parked: rejected too often to be sent again as they are",
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one sync.

    `closed`: the closed partitions of its table, oldest first; `due`: the newest of them; `schedule`: on, off or none.
    `extracted`: when the newest partition that is due was extracted last. `wrong`: accounts of recent partitions whose
    rows were invalid or quarantined. `passed`: partitions whose check is green although the API refused some of their
    keys: `warn_above` allows for them. `failures`, `table_failures`: why partitions of the sync, and of its table, are
    failed. `moving`: a run of either has not ended. `acknowledged`: partitions whose trouble somebody puts up with; the
    failures, and the ledger's summary, are without them.
    """

    sync: SyncSpec
    closed: Sequence[str]
    due: Sequence[Due]
    schedule: str
    mine: Partitions = field(default_factory=Partitions)
    table: Partitions = field(default_factory=Partitions)
    extracted: datetime | None = None
    wrong: Sequence[Account] = ()
    passed: Collection[str] = ()
    failures: Sequence[Failure] = ()
    table_failures: Sequence[Failure] = ()
    ledger: Summary = field(default_factory=Summary)
    moving: bool = False
    acknowledged: Collection[str] = ()

    @property
    def judged(self) -> Partitions:
        """A sync in mode dry delivers nothing: then its table is all that can be well or not."""
        return self.table if self.sync.mode == "dry" else self.mine


def newest_of(facts: Facts, now: datetime) -> Newest:
    """The partition that the sync is judged by, without its account, and what became of it."""
    if not facts.closed:
        return Newest("", "none")
    tried = facts.judged.tried | facts.table.tried
    chosen = facts.due[0]
    if chosen.partition == SNAPSHOT:
        return _snapshot(facts, now)
    if chosen.at is None:
        # Nothing is scheduled: what was extracted last is what counts.
        known = [one for one in facts.closed if one in tried]
        partition = known[-1] if known else chosen.partition
        return Newest(partition, _state(facts, partition, now) or "not yet")
    if chosen.partition not in tried and len(facts.due) > 1 and not _late(chosen, now):
        before = facts.due[1]
        # What is late stays so, though the next one is on its way.
        accepted = {*facts.judged.delivered, *facts.acknowledged}
        if now < chosen.at or (_late(before, now) and before.partition not in accepted):
            chosen = before
    state = _state(facts, chosen.partition, now)
    return Newest(chosen.partition, state or ("missing" if _late(chosen, now) else "expected"))


def _state(facts: Facts, partition: str, now: datetime) -> str:
    """Delivered, in progress or failed; empty where nobody tried."""
    judged = facts.judged
    named = {"in progress": judged.in_progress, "failed": judged.failed, "delivered": judged.delivered}
    told = next((state for state, partitions in named.items() if partition in partitions), "")
    return "in progress" if not told and _on_its_way(facts, partition, now) else told


def _on_its_way(facts: Facts, partition: str, now: datetime) -> bool:
    """Whether the table works on it, or has just handed it over to the sensor that lets the sync follow."""
    just = facts.extracted is not None and now - facts.extracted < _HANDOVER
    handed_over = just and partition in facts.table.delivered and partition == facts.due[0].partition
    return partition in facts.table.in_progress or handed_over


def _late(due: Due, now: datetime) -> bool:
    return due.late_at is not None and now >= due.late_at


def _snapshot(facts: Facts, now: datetime) -> Newest:
    state, at, due = _state(facts, SNAPSHOT, now), facts.judged.at, facts.due[0]
    if facts.schedule == "on" and state in {"", "delivered"}:
        old = [one for one in facts.due if one.at is not None and (at is None or at < one.at)]
        if old:
            on_its_way = _on_its_way(facts, SNAPSHOT, now)
            late = any(_late(one, now) for one in old)
            state = "in progress" if on_its_way else "missing" if late else "expected"
    return Newest(SNAPSHOT, state or ("missing" if due.at is not None else "not yet"), at)


def problems_of(facts: Facts, newest: Newest, now: datetime) -> list[Problem]:
    """All that is wrong with a sync, the worst first."""
    found = [*_kept_back(facts), *_failed(facts), *_newest(facts, newest, now), *_open(facts), *_wrong(facts)]
    return sorted(found, key=lambda problem: -problem.colour.rank)


def _kept_back(facts: Facts) -> Iterator[Problem]:
    sync, hold = facts.sync, facts.ledger.hold
    if hold is not None:
        yield Problem(
            "held",
            Colour.RED,
            f"held by {hold.who}: {_short(hold.reason) or 'no reason given'}",
            f"pipelines release {sync.name}",
            since=datetime.fromtimestamp(hold.since, UTC),
        )
    if not facts.ledger.contact:
        yield Problem(
            "first contact",
            Colour.RED,
            f"nobody has looked at account {sync.account} yet, so nothing is sent to it",
            f"pipelines adopt {sync.name}",
        )


def _failed(facts: Facts) -> Iterator[Problem]:
    sync = facts.sync
    for one in facts.table_failures:
        yield Problem(
            "table failed",
            Colour.RED,
            f"table {sync.table} failed for {span(one.partitions)}{_because(one.why)}{_besides(one)}",
            f"mend the source, then run {sync.table}_extract again in Dagster; `pipelines check` looks at the source",
            len(one.partitions),
            partitions=one.partitions,
            run=one.run,
        )
    for one in facts.failures if sync.mode != "dry" else ():
        why = "" if _told_by_keys(facts, one.partitions) else f"{_because(one.why)}{_besides(one)}"
        yield Problem(
            "failed",
            Colour.RED,
            f"the delivery of {span(one.partitions)} failed{why}",
            f"mend the cause, then run {sync.name}_deliver again in Dagster",
            len(one.partitions),
            partitions=one.partitions,
            run=one.run,
        )


def _told_by_keys(facts: Facts, partitions: Sequence[str]) -> bool:
    """Whether keys that are open in these very partitions tell why already."""
    undelivered = [one for one in facts.ledger.open if one.outcome in UNDELIVERED]
    return any(not {*partitions}.isdisjoint(one.partitions) for one in undelivered)


def _besides(failure: Failure) -> str:
    return f" (and {failure.others} other reason{'s' if failure.others > 1 else ''})" if failure.others else ""


def _newest(facts: Facts, newest: Newest, now: datetime) -> Iterator[Problem]:
    sync, partition = facts.sync, newest.partition
    if newest.state == "in progress" and any(_late(one, now) for one in facts.due if one.partition == partition):
        working = sync.name if partition in facts.mine.in_progress else f"table {sync.table}"
        what = f"{_named(partition)} is late, but under way: the run of {working} has not ended"
        if partition not in {*facts.mine.in_progress, *facts.table.in_progress}:
            what = f"{_named(partition)} is late, but under way: its delivery is about to start"
        yield Problem(
            "late", Colour.YELLOW, what, "look at the run in Dagster: it needs no other", partitions=[partition]
        )
    if newest.state == "missing" and partition not in {*facts.table.failed, *facts.acknowledged}:
        yield _missing(facts, partition)
    elif newest.state == "not yet" and partition in facts.table.delivered:
        what = f"{_named(partition)} was extracted and never delivered"
        yield Problem(
            "not delivered", Colour.YELLOW, what, f"run {sync.name}_deliver in Dagster", partitions=[partition]
        )


def _missing(facts: Facts, partition: str) -> Problem:
    sync, table = facts.sync, facts.sync.table
    if facts.schedule == "off":
        what = f"{_named(partition)} was not delivered: the schedule of {table} is switched off"
        do = f"switch {table}_schedule on in Dagster (Automation), or run {table}_extract by hand"
        return Problem("schedule off", Colour.YELLOW, what, do, partitions=[partition])
    if partition in facts.table.delivered and partition != SNAPSHOT:
        what, job = f"{table} was extracted for it, and it was not delivered", f"{sync.name}_deliver"
    else:
        what, job = f"{table} was not extracted for it", f"{table}_extract"
    what = f"{_named(partition)} is missing: {what}"
    return Problem("missing", Colour.RED, what, f"run {job} in Dagster for it", partitions=[partition])


def _open(facts: Facts) -> Iterator[Problem]:
    for group in facts.ledger.open:
        colour = Colour.RED if group.outcome in UNDELIVERED else Colour.YELLOW
        if colour is Colour.YELLOW and {*group.partitions} <= {*facts.passed}:
            continue
        what = f"{group.keys} {_keys(group.keys)} {_verb(group)}{_because(group.reason)}"
        yield Problem(
            group.outcome.replace("_", " "),
            colour,
            what,
            _look(facts.sync.name, group),
            group.keys,
            datetime.fromtimestamp(group.since, UTC),
            group.partitions,
            _run_of(facts, group.partitions),
        )
    unanswered = facts.ledger.unanswered
    if unanswered is not None and not facts.moving:
        yield Problem(
            "unanswered",
            Colour.RED,
            f"{unanswered.keys} {_keys(unanswered.keys)} were sent by a run that died, and never answered",
            f"run {facts.sync.name}_deliver again in Dagster: what stands there is read back first",
            unanswered.keys,
            datetime.fromtimestamp(unanswered.since, UTC),
        )


def _run_of(facts: Facts, partitions: Sequence[str]) -> str:
    """The run that failed at these partitions last, where one did."""
    found = (one.run for one in facts.failures if not {*partitions}.isdisjoint(one.partitions))
    return next(found, "")


def _wrong(facts: Facts) -> Iterator[Problem]:
    for kind, verb, do in (
        ("quarantined", "in quarantine", f"see check `contract` of {facts.sync.table}_valid, and mend the source"),
        ("invalid", "invalid", f"see check `delivery` of {facts.sync.name}: it names the reasons"),
    ):
        found = [one for one in facts.wrong if one.numbers.get(kind)]
        if found:
            rows = sum(one.numbers[kind] for one in found)
            partitions = [one.partition for one in found]
            what = f"{rows} {'row is' if rows == 1 else 'rows are'} {verb}, of {span(partitions)}"
            since = min(one.at for one in found)
            yield Problem(kind, Colour.YELLOW, what, do, rows, since, partitions, found[-1].run)


def arrived(account: Account) -> tuple[int, int]:
    """Rows of a partition that arrived, and rows that should: without those that the sync's `where` leaves out."""
    rows = account.numbers.get("extracted", 0) - account.numbers.get(str(Outcome.NOT_SELECTED), 0)
    return sum(account.numbers.get(str(outcome), 0) for outcome in _ARRIVED), rows


def _look(sync: str, group: OpenGroup) -> str:
    if group.keys == 1:
        return f"pipelines why {sync} '{group.key}'"
    return f"pipelines ledger --sync {sync} --outcome {group.outcome}"


def _verb(group: OpenGroup) -> str:
    plain = _PLAIN.get(group.outcome, group.outcome)
    return plain.replace("were ", "was ", 1).replace("are ", "is ", 1) if group.keys == 1 else plain


def _keys(number: int) -> str:
    return "key" if number == 1 else "keys"


def _named(partition: str) -> str:
    return "today's snapshot" if partition == SNAPSHOT else partition


def _because(reason: str) -> str:
    return f": {_short(reason)}" if reason else ""


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"
