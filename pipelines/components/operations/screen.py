"""Reads the facts of a deployment and puts the screen together: what `pipelines status`, the asset and alerts show."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import dagster as dg

from pipelines.components.operations.daemons import daemon_of, daemon_problem
from pipelines.components.operations.dagster_facts import (
    Account,
    BackfillFacts,
    DagsterFacts,
    Partitions,
    RunFacts,
)
from pipelines.components.operations.due import Due, closed, newest_due
from pipelines.components.operations.failing import Failure, Made
from pipelines.components.operations.judging import (
    UNDELIVERED,
    Facts,
    arrived,
    newest_of,
    problems_of,
)
from pipelines.components.operations.ledger_facts import Noted, note
from pipelines.components.operations.status import (
    Colour,
    History,
    Newest,
    Problem,
    Progress,
    Screen,
    SyncStatus,
)
from pipelines.components.partition_checks import CONTRACT, DELIVERY
from pipelines.components.partitions import partitions_of
from pipelines.components.sync import table_of
from pipelines.delivery.errors import LedgerError
from pipelines.delivery.ledger.records import Acknowledged
from pipelines.delivery.ledger.summary import Summary
from pipelines.destinations.base import SyncSpec
from pipelines.tables.grains import SNAPSHOT
from pipelines.tables.names import valid_of
from pipelines.tables.spec import AnyTable

_RECENT = 7
"""So many of the newest partitions are looked through for invalid and quarantined rows, or the schedule's lookback."""
_DETAILED = 31
"""At most so many of them are counted."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched: the tables and syncs of a deployment, who owns each sync, and where Dagster's UI is."""

    tables: Sequence[AnyTable]
    syncs: Sequence[SyncSpec]
    owners: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ui_url: str = ""


def read_screen(watched: Watched, ledger_url: str, instance: dg.DagsterInstance | None, now: datetime) -> Screen:
    """How everything stands at `now`. It sends nothing, and reads no partition's rows."""
    reader = _Reader.of(watched, instance, now)
    facts = reader.dagster
    noted, unread = note(ledger_url, watched.syncs, reader.still)
    daemon = daemon_of(facts.daemons(), facts.heartbeats(), now)
    named = {f"{table.name}_schedule" for table in watched.tables if table.schedule}
    waits = bool(facts.daemons()) and bool(reader.on & named or reader.backfills or any(r.queued for r in reader.runs))
    silent = daemon_problem(daemon, now, waits=waits)
    return Screen(
        now,
        [reader.status(sync, noted.get(sync.name, Noted()), sure=not unread) for sync in watched.syncs],
        daemon,
        [problem for problem in (_unread(unread), silent) if problem is not None],
        watched.ui_url.rstrip("/"),
    )


def red_partitions(
    watched: Watched, ledger_url: str, instance: dg.DagsterInstance | None, now: datetime, name: str
) -> dict[str, str]:
    """The partitions for which a sync is red and that are not delivered, with the runs that tried them last.

    Raises:
        LedgerError: the ledger cannot be read.
    """
    reader = _Reader.of(watched, instance, now)
    noted, unread = note(ledger_url, watched.syncs, reader.still)
    if unread:
        raise LedgerError(unread)
    sync = next(one for one in watched.syncs if one.name == name)
    status = reader.status(sync, noted[name], sure=True)
    red = {partition for one in status.problems if one.colour is Colour.RED for partition in one.partitions}
    return {partition: run for partition, run in reader.tried(sync, red).items() if partition in red}


def _unread(error: str) -> Problem | None:
    if not error:
        return None
    return Problem("ledger", Colour.RED, f"what is open is not known: {error}", "mend that, then look again")


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads one sync after another; what concerns all of them is read once."""

    watched: Watched
    dagster: DagsterFacts
    now: datetime
    runs: Sequence[RunFacts]
    backfills: Sequence[BackfillFacts]
    on: set[str]

    @classmethod
    def of(cls, watched: Watched, instance: dg.DagsterInstance | None, now: datetime) -> _Reader:
        """Read what is read once."""
        facts = DagsterFacts(instance)
        facts.load([*(sync.name for sync in watched.syncs), *(valid_of(table.name) for table in watched.tables)])
        return cls(watched, facts, now, facts.runs(), facts.backfills(), facts.schedules_on())

    def still(self, sync: SyncSpec, acknowledged: Sequence[Acknowledged]) -> list[Acknowledged]:
        """Those of the acknowledged partitions that nobody has tried since."""
        tried = self.tried(sync, {one.partition for one in acknowledged}) if acknowledged else {}
        return [one for one in acknowledged if tried.get(one.partition) == one.tried]

    def tried(self, sync: SyncSpec, some: Collection[str]) -> dict[str, str]:
        """The runs that tried these partitions last and failed, or work on them; not of what is delivered."""
        table = table_of(sync, self.watched.tables)
        keys, definition = closed(table, self.now), partitions_of(table)
        known = {name: self.dagster.partitions(name, keys, definition) for name in (valid_of(table.name), sync.name)}
        tries = [self.dagster.tries(name, partitions) for name, partitions in known.items()]
        judged = known[valid_of(table.name) if sync.mode == "dry" else sync.name]
        return {
            one: " ".join(run for found in tries if (run := found.get(one, "")))
            for one in some
            if one in keys and one not in {*judged.delivered}
        }

    def status(self, sync: SyncSpec, noted: Noted, *, sure: bool) -> SyncStatus:
        table = table_of(sync, self.watched.tables)
        running = [run for run in self.runs if _works_on(run, sync, table)]
        facts = self._facts(sync, table, noted, moving=bool(running))
        newest = newest_of(facts, self.now)
        progress = [*self._backfills(sync, table), *self._runs(running)]
        problems = problems_of(facts, newest, self.now)
        return SyncStatus(
            sync=sync.name,
            table=table.name,
            account=sync.account,
            mode=sync.mode,
            owners=tuple(self.watched.owners.get(sync.name, ())),
            newest=self._accounted(facts, newest),
            history=_history(facts),
            problems=problems,
            progress=progress,
            busy=bool(progress) or not sure,
            acknowledged=noted.acknowledged,
        )

    def _facts(self, sync: SyncSpec, table: AnyTable, noted: Noted, *, moving: bool) -> Facts:
        accepted = {one.partition for one in noted.acknowledged}
        keys, definition = closed(table, self.now), partitions_of(table)
        valid, due = valid_of(table.name), newest_due(table, keys, self.now)
        mine = self._as_it_stands(sync.name, DELIVERY, self.dagster.partitions(sync.name, keys, definition), due)
        extracted = self._as_it_stands(valid, CONTRACT, self.dagster.partitions(valid, keys, definition), due)
        schedule = "none" if table.schedule is None else "on" if f"{table.name}_schedule" in self.on else "off"
        return Facts(
            sync=sync,
            closed=keys,
            due=due,
            schedule=schedule,
            mine=mine,
            table=extracted,
            extracted=self._extracted(table, due, mine, extracted),
            wrong=self._wrong(sync, table, mine),
            passed=self._passed(sync, noted.summary),
            failures=self._failures(Made(sync.name, sync.name, DELIVERY), mine, accepted),
            table_failures=self._failures(Made(valid, table.name, CONTRACT), extracted, accepted),
            ledger=noted.summary,
            moving=moving,
            acknowledged=accepted,
        )

    def _as_it_stands(self, asset: str, check: str, partitions: Partitions, due: Sequence[Due]) -> Partitions:
        """The same, but that what is due and well stays so while a later run waits for it or works on it again.

        Dagster calls all of a queued backfill's partitions in progress, and of those a day may be that has arrived.
        """
        asked = [one.partition for one in due if one.partition in partitions.in_progress and one.partition != SNAPSHOT]
        found = [self.dagster.account(asset, check, partition) for partition in asked]
        well = {one.partition for one in found if one is not None and one.passed}
        if not well:
            return partitions
        left = [one for one in partitions.in_progress if one not in well]
        return replace(partitions, delivered=sorted({*partitions.delivered, *well}), in_progress=left)

    def _extracted(
        self, table: AnyTable, due: Sequence[Due], mine: Partitions, extracted: Partitions
    ) -> datetime | None:
        """When the newest partition that is due was extracted: asked where it was, and nobody delivered it yet."""
        newest = due[0].partition if due else ""
        if newest == SNAPSHOT:
            return extracted.at
        waits = newest in extracted.delivered and newest not in mine.tried
        return self.dagster.extracted_at(valid_of(table.name), newest) if waits else None

    def _wrong(self, sync: SyncSpec, table: AnyTable, mine: Partitions) -> list[Account]:
        """Accounts of recent partitions that are delivered, and not all of whose rows were fit for it."""
        lookback = table.schedule.lookback if table.schedule else 1
        recent = sorted(mine.delivered)[-max(lookback, _RECENT) :]
        verdicts = self.dagster.verdicts(sync.name, DELIVERY, recent)
        bad = sorted(partition for partition, good in verdicts.items() if not good)[-_DETAILED:]
        found = (self.dagster.account(sync.name, DELIVERY, partition) for partition in bad)
        return [one for one in found if one is not None]

    def _passed(self, sync: SyncSpec, summary: Summary) -> set[str]:
        """Partitions with keys that the API will not have, in which the sync allows for so many."""
        refused = {one for group in summary.open if group.outcome not in UNDELIVERED for one in group.partitions}
        verdicts = self.dagster.verdicts(sync.name, DELIVERY, sorted(refused))
        return {partition for partition, good in verdicts.items() if good}

    def _failures(self, made: Made, partitions: Partitions, accepted: Collection[str]) -> list[Failure]:
        """Why partitions are failed, but for what is accepted; nobody is asked where none is."""
        failed = [one for one in partitions.failed if one not in accepted]
        tries = self.dagster.tries(made.asset, partitions) if failed else {}
        return made.failures(self.dagster, failed, tries)

    def _accounted(self, facts: Facts, newest: Newest) -> Newest:
        """With its run, and with its rows where that run gave account of them."""
        failures = (*facts.failures, *facts.table_failures)
        run = next((one.run for one in failures if newest.partition in one.partitions), "")
        account = self.dagster.account(facts.sync.name, DELIVERY, newest.partition) if newest.partition else None
        if account is None or (run and run != account.run):
            return replace(newest, run=run)
        delivered, expected = arrived(account)
        return replace(newest, at=account.at, delivered=delivered, expected=expected, run=account.run)

    def _backfills(self, sync: SyncSpec, table: AnyTable) -> list[Progress]:
        found = []
        for one in self.backfills:
            names = (sync.name, valid_of(table.name), f"{sync.name}_deliver", f"{table.name}_extract")
            figures = next((one.partitions[name] for name in names if name in one.partitions), None)
            if figures is not None:
                done, total = figures
                ends = expected_end(one.since, done, total, self.now)
                found.append(Progress("backfill", one.id, one.since, done, total, ends))
        return found

    def _runs(self, running: Iterable[RunFacts]) -> list[Progress]:
        return [Progress("run", one.id, one.since, queued=one.queued) for one in running if not one.backfill]


def expected_end(since: datetime, done: int, total: int, now: datetime) -> datetime | None:
    """When something ends that goes on as it did since it began; None: nothing is done yet."""
    return now + (now - since) * (total - done) / done if done and now > since else None


def _works_on(run: RunFacts, sync: SyncSpec, table: AnyTable) -> bool:
    if run.assets:
        return sync.name in run.assets or valid_of(table.name) in run.assets
    return run.job in {f"{sync.name}_deliver", f"{table.name}_extract"}


def _history(facts: Facts) -> History:
    judged = facts.judged
    return History(len(judged.delivered), len(judged.failed), len(facts.closed), max(judged.delivered, default=""))


def utc_now() -> datetime:
    """Now."""
    return datetime.now(UTC)
