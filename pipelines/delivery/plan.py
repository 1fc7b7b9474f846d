"""The plan: upserts compared with what was last accepted. Pure; reads nothing, sends nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipelines.delivery.fingerprint import fingerprint
from pipelines.delivery.ledger import State
from pipelines.delivery.upsert import Dropped, Outcome, Payload, Upsert

Normalise = Callable[[Payload], Payload]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be sent, and why the rest is not. Every upsert stands in exactly one of the lists.

    `again`: unchanged, and sent nevertheless, because the run asked for it. `late`: another run has read the partition
    since and is not done with it.
    """

    create: list[Upsert] = field(default_factory=list)
    update: list[Upsert] = field(default_factory=list)
    again: list[Upsert] = field(default_factory=list)
    unchanged: list[Upsert] = field(default_factory=list)
    superseded: list[Upsert] = field(default_factory=list)
    late: list[Upsert] = field(default_factory=list)
    invalid: list[Dropped] = field(default_factory=list)

    @property
    def to_send(self) -> list[Upsert]:
        """All that goes out, oldest first, so that a board never shows a newer day before an older one."""
        return sorted([*self.create, *self.update, *self.again], key=lambda upsert: upsert.as_of)

    def without(self, keys: Collection[str]) -> Plan:
        """The same without sending anything for these keys."""
        lists = {
            name: [upsert for upsert in getattr(self, name) if upsert.key not in keys]
            for name in ("create", "update", "again")
        }
        return replace(self, **lists)


def make_plan(
    upserts: Iterable[Upsert],
    states: Mapping[str, State],
    *,
    sync: str,
    normalise: Normalise,
    newest: Mapping[str, str] | None = None,
    resend_before: float | None = None,
    read_later: Mapping[str, bool] | None = None,
) -> Plan:
    """Compare upserts with the ledger's state of their keys.

    Args:
        upserts: Any number per key; of several the newest `as_of` is planned, the others are superseded.
        states: What was last accepted, for all keys of the upserts that have anything.
        sync: Whose upserts these are; a key that belongs to another sync is invalid here.
        normalise: The destination's form for comparing payloads, used where a fingerprint has another version.
        newest: Newest `as_of` per key among readings that are stored but not among `upserts`.
        resend_before: Send also what is unchanged and was accepted before this time (Unix seconds); what is older than
            what stands there stays superseded.
        read_later: Partitions that another run has read since, and whether it is done with them: what is different
            there by now is up to that run.
    """
    plan = Plan()
    for candidates in _by_key(upserts).values():
        winner = _winner(candidates, plan)
        if winner is None:
            continue
        state = states.get(winner.key)
        stale = (newest or {}).get(winner.key, "") > winner.as_of
        same = state is not None and not state.removed and is_same(winner, state, normalise)
        again = same and resend_before is not None and state is not None and state.accepted_at < resend_before
        _place(
            plan,
            winner,
            state,
            sync=sync,
            stale=stale,
            same=same,
            again=again,
            later=(read_later or {}).get(winner.partition),
        )
    return plan


def is_same(upsert: Upsert, state: State, normalise: Normalise) -> bool:
    """Whether the API already holds what the upsert says; a state without a fingerprint does not tell what it holds."""
    if not state.fingerprint:
        return False
    if state.is_marked(upsert.fingerprint):
        return True
    # The fingerprint may be of another release, or of other fields (`send_when`): what counts is the payload.
    return state.payload is not None and fingerprint(normalise(state.payload)) == upsert.fingerprint


def _place(
    plan: Plan,
    upsert: Upsert,
    state: State | None,
    *,
    sync: str,
    stale: bool,
    same: bool,
    again: bool,
    later: bool | None,
) -> None:
    if state is not None and state.sync != sync and not state.removed:
        reason = (
            f"the key belongs to the sync {state.sync}: {sync} may not write it as well. "
            f"If {sync} is that sync under a new name: `pipelines ledger rename {state.sync} {sync}`"
        )
        plan.invalid.append(Dropped(Outcome.INVALID, upsert.partition, upsert.rows, reason, upsert.key))
    elif stale or (state is not None and state.as_of > upsert.as_of):
        plan.superseded.append(upsert)
    elif same:
        (plan.again if again else plan.unchanged).append(upsert)
    elif later is not None:
        (plan.superseded if later else plan.late).append(upsert)
    elif state is None or state.removed:
        plan.create.append(upsert)
    else:
        plan.update.append(upsert)


def _by_key(upserts: Iterable[Upsert]) -> dict[str, list[Upsert]]:
    groups: dict[str, list[Upsert]] = {}
    for upsert in upserts:
        groups.setdefault(upsert.key, []).append(upsert)
    return groups


def _winner(candidates: Sequence[Upsert], plan: Plan) -> Upsert | None:
    if len(candidates) == 1:
        return candidates[0]
    latest = max(upsert.as_of for upsert in candidates)
    at_latest = [upsert for upsert in candidates if upsert.as_of == latest]
    if len({upsert.fingerprint for upsert in at_latest}) > 1:
        reason = (
            f"{len(at_latest)} upserts with this key and time ({latest}) differ: "
            "does the key's template lack a column that tells them apart?"
        )
        plan.invalid.extend(
            Dropped(Outcome.INVALID, upsert.partition, upsert.rows, reason, upsert.key) for upsert in at_latest
        )
        plan.superseded.extend(upsert for upsert in candidates if upsert.as_of != latest)
        return None
    winner, *same = at_latest
    plan.superseded.extend(upsert for upsert in candidates if upsert is not winner and upsert not in same)
    # The same thing said twice: one request answers for all of its rows.
    plan.unchanged.extend(same)
    return winner
