"""First contact: what stands at an account before a sync writes to it, and what the sync may do with it.

What stands there is looked at in the turn and at the pace of the account's runs. It is written down as it is read, so
that a look that was broken off goes on where it was; the sync may write only when all was seen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from pipelines.delivery.caller import Caller
from pipelines.delivery.compare import differing
from pipelines.delivery.destination import Destination, Found, Remembering, Sighting, Stranger, Surveying
from pipelines.delivery.errors import AccountUnavailable
from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.ledger import Ledger, Record, Run, Scope, State, Turn
from pipelines.delivery.ledger.people import make_contact
from pipelines.delivery.slices import RESERVE, look_in_turns
from pipelines.delivery.upsert import Outcome, Upsert, Verdict

_LOOK_UP = 20_000

Progress = Callable[[int, int], None]


class Policy(StrEnum):
    """What a sync may do with what stood at its account before.

    `take_over`: it sends what differs. `keep`: what differs stays until the source's own value changes. `trusted`:
    nobody has looked, and it sends everything.
    """

    TAKE_OVER = "take_over"
    KEEP = "keep"
    TRUSTED = "trusted"


@dataclass(frozen=True, slots=True)
class Difference:
    """A key at which something else stands: each field with what the source says and what stands there."""

    key: str
    fields: Mapping[str, tuple[Any, Any]]


@dataclass(slots=True)
class Findings:
    """What stands at an account, beside what the source says. Lists hold at most as many entries as are to be shown."""

    same: int = 0
    differ: int = 0
    only_here: int = 0
    only_there: int = 0
    recorded_before: int = 0
    differences: list[Difference] = field(default_factory=list)
    strangers: list[Stranger] = field(default_factory=list)
    loose: dict[str, str] = field(default_factory=dict)
    unclear: dict[str, str] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    of_other_syncs: dict[str, str] = field(default_factory=dict)
    """Keys of the source that another sync has delivered, and which."""
    adopted: bool = False
    """Whether the sync may write from now on."""

    @property
    def counts(self) -> dict[str, int]:
        """What is kept in the ledger with the contact."""
        names = ("same", "differ", "only_here", "only_there", "recorded_before")
        return {name: getattr(self, name) for name in names}


@dataclass(slots=True)
class Adoption:
    """One look at an account, and with a policy what is written down of it. `shown`: entries of each list to keep."""

    ledger: Ledger
    scope: Scope
    run: Run
    turn: Turn
    destination: Destination
    caller: Caller
    policy: Policy | None = None
    shown: int = 20
    progress: Progress | None = None
    clock: Callable[[], float] = time.time
    findings: Findings = field(default_factory=Findings)
    _states: dict[str, State] = field(default_factory=dict)
    _looked_at: int = 0

    async def look(self, upserts: Mapping[str, Upsert]) -> Findings:
        """Compare the source's newest upserts, by key, with what stands there.

        Raises:
            AccountStopped: as a call does.
            AccountUnavailable: as a call does; or the account cannot be surveyed.
        """
        if not isinstance(self.destination, Surveying):
            raise AccountUnavailable(
                f"account {self.scope.account}: this API cannot be surveyed", account=self.scope.account
            )
        self._read_states([*upserts])
        wanted = [upsert for upsert in upserts.values() if self._is_wanted(upsert.key)]
        if isinstance(self.destination, Remembering):
            with self.ledger.reading() as connection:
                accepted = self.ledger.accepted(connection, self.scope, self.run.sync)
            self.destination.remember({key: Found(*one) for key, one in accepted.items()})
        if wanted or self.policy is None:
            async with aclosing(self.destination.survey(wanted, self.caller)) as parts:
                await look_in_turns(self.turn, parts, lambda part: self._take_in(part, upserts, len(wanted)))
        if self.policy is not None and not self.findings.unread:
            self._make_contact(self.policy)
        return self.findings

    def trust(self) -> Findings:
        """Let the sync write without looking."""
        self._make_contact(Policy.TRUSTED)
        return self.findings

    def _make_contact(self, policy: Policy) -> None:
        found = self.findings.counts
        with self.ledger.engine.begin() as connection:
            now = self.clock()
            make_contact(self.ledger, connection, self.scope, self.run.sync, policy=policy, found=found, now=now)
        self.findings.adopted = True

    def _read_states(self, keys: Sequence[str]) -> None:
        with self.ledger.reading() as connection:
            for start in range(0, len(keys), _LOOK_UP):
                group = keys[start : start + _LOOK_UP]
                self._states |= self.ledger.states(connection, self.scope, group, payloads=False)

    def _is_wanted(self, key: str) -> bool:
        """Whether to look at the key; what the ledger knows already need not be written down again."""
        state = self._states.get(key)
        if state is None or state.removed:
            return True
        if state.sync != self.run.sync:
            self.findings.of_other_syncs[key] = state.sync
            return False
        if self.policy is not None:
            self.findings.recorded_before += 1
            return False
        return True

    def _take_in(self, part: Sighting, upserts: Mapping[str, Upsert], total: int) -> None:
        findings = self.findings
        self._looked_at += len(part.found) + len(part.unread)
        findings.unread |= part.unread
        findings.unclear |= part.unclear
        findings.loose |= part.loose
        records = [
            record
            for key, found in part.found.items()
            if (record := self._compare(upserts[key], found, part.loose.get(key, ""))) is not None
        ]
        self._meet(part.strangers)
        with self.turn.transaction(reserve=RESERVE) as connection:
            if self.policy is not None:
                self.ledger.assume(connection, self.scope, self.run, records, self.clock())
        if self.progress is not None:
            self.progress(self._looked_at, total)

    def _compare(self, upsert: Upsert, found: Found, loose: str) -> Record | None:
        """Count a key; what the ledger is to remember of it under the policy."""
        if found.payload is None:
            self.findings.only_here += 1
            return None
        stands = self.destination.normalise(found.payload)
        mark = fingerprint(stands)
        if mark == upsert.fingerprint and not loose:
            self.findings.same += 1
            return Record(upsert, Verdict(Outcome.ACCEPTED, remote_id=found.remote_id))
        self.findings.differ += 1
        if len(self.findings.differences) < self.shown:
            fields = differing(self.destination.normalise(upsert.payload), stands)
            self.findings.differences.append(
                Difference(upsert.key, {**fields, **({"key": (upsert.key, loose)} if loose else {})})
            )
        verdict = Verdict(Outcome.ACCEPTED, remote_id=found.remote_id)
        if self.policy is Policy.KEEP:
            return Record(upsert, verdict)
        # Without a time, so that whatever the source says counts as newer; an entry without the key is sent anyway.
        theirs = upsert._replace(as_of="", payload=found.payload, fingerprint="" if loose else mark)
        return Record(theirs, verdict)

    def _meet(self, strangers: Sequence[Stranger]) -> None:
        """Count what is only there; what another sync, or this one from another row, has put there is no stranger."""
        keys = [one.key for one in strangers if one.key is not None]
        with self.ledger.reading() as connection:
            known = self.ledger.states(connection, self.scope, keys, payloads=False) if keys else {}
        new = [one for one in strangers if one.key is None or one.key not in known]
        self.findings.only_there += len(new)
        self.findings.strangers += new[: max(0, self.shown - len(self.findings.strangers))]
