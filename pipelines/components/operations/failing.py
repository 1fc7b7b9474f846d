"""Why partitions failed: what the run said that failed at each of them last, whatever ran since."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import dagster as dg

from pipelines.components.failures import FAILED
from pipelines.components.operations.dagster_facts import DagsterFacts

_MOST_RUNS = 5
"""So many of the newest runs are asked for their reasons."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Partitions, oldest first, at which a run failed, for a reason that holds for the newest of them.

    `others`: how many other reasons the run had for the others. `run` and `why` are empty where they are not known.
    """

    partitions: Sequence[str]
    why: str = ""
    run: str = ""
    others: int = 0


@dataclass(frozen=True, slots=True)
class Made:
    """An asset, the op that makes it, and the check that this op yields."""

    asset: str
    step: str
    check: str

    def failures(self, facts: DagsterFacts, partitions: Sequence[str], tries: Mapping[str, str]) -> list[Failure]:
        """Why these partitions are failed, by the run that failed at them last, the newest run first.

        `tries`: as `DagsterFacts.tries` gives them. Of all but the newest runs only the partitions are told.
        """
        failed = {*partitions}
        by_run: dict[str, list[str]] = {}
        for partition in [one for one in [*tries][::-1] if one in failed]:
            by_run.setdefault(tries[partition], []).append(partition)
        by_run.setdefault("", []).extend(failed - tries.keys())
        known = [(run, sorted(some)) for run, some in by_run.items() if some]
        found = [self._failure(facts, run, some) for run, some in known[:_MOST_RUNS]]
        older = sorted(partition for _, some in known[_MOST_RUNS:] for partition in some)
        return [*_joined(found), *([Failure(older)] if older else [])]

    def _failure(self, facts: DagsterFacts, run: str, partitions: Sequence[str]) -> Failure:
        """What the run said; where it did not fail (it was dry, or cancelled) the verdict on the newest partition."""
        newest = partitions[-1]
        said = _said(facts, run, self.step)
        if said is not None:
            sentence, by_partition = said
            reasons = {by_partition.get(one, sentence) for one in partitions}
            return Failure(partitions, by_partition.get(newest, sentence), run, len(reasons) - 1)
        account = facts.account(self.asset, self.check, newest)
        if account is None or account.passed:
            return Failure(partitions, "", run)
        return Failure(partitions, account.why, account.run)


def _said(facts: DagsterFacts, run: str, step: str) -> tuple[str, Mapping[str, str]] | None:
    """Why a run failed, in a sentence and by partition as far as it said so; None: it did not, or is gone."""
    if not run or facts.run_status(run) is not dg.DagsterRunStatus.FAILURE:
        return None
    steps = facts.events(run, dg.DagsterEventType.STEP_FAILURE)
    own = next((one for one in steps if one.step_key == step), steps[0] if steps else None)
    if own is None:  # its process died, or never came up
        ends = facts.events(run, dg.DagsterEventType.RUN_FAILURE)
        return (ends[-1].message or "" if ends else ""), {}
    data = own.step_failure_data
    if data.user_failure_data is None:
        error = data.error.cause or data.error if data.error else None
        return (error.message.strip() if error else ""), {}
    return data.user_failure_data.description or "", _mapping(data.user_failure_data.metadata.get(FAILED))


def _joined(failures: Sequence[Failure]) -> list[Failure]:
    """The same with runs that failed for the same reason as one: the newest of them."""
    found: dict[str, Failure] = {}
    for one in failures:
        before = found.get(one.why)
        of_both = sorted([*one.partitions, *(before.partitions if before else ())])
        found[one.why] = replace(before or one, partitions=of_both)
    return list(found.values())


def _mapping(listed: Any) -> Mapping[str, str]:
    return listed.value if listed is not None and isinstance(listed.value, Mapping) else {}
