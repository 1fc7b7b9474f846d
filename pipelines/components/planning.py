"""What a run of a sync would do, for people who decide whether it may: made from ledger and store, asking no API."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipelines.components.area_tree import Branch, areas_of, areas_touched
from pipelines.components.changes import Change, Verb
from pipelines.components.way import Way, quota_of
from pipelines.delivery.compare import ABSENT, differing, flat
from pipelines.delivery.destination import Effort, Limits, Ordered
from pipelines.delivery.expected import expected_seconds
from pipelines.delivery.foreseen import Foreseen
from pipelines.delivery.gates import Barrier, Measured, Obstacle
from pipelines.delivery.ledger.turn import pace_of
from pipelines.delivery.planning import LOOK_UP
from pipelines.delivery.upsert import Payload, Upsert
from pipelines.destinations.base import SyncSpec
from pipelines.destinations.feedback_house import FeedbackHouseSpec


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run would need. `seconds` None: as fast as the API answers; `pace`: what that rests on, in words."""

    effort: Effort
    seconds: float | None
    pace: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A plan, as it is shown.

    `counts[partition][verb]` in keys, `unchanged` and `superseded` in upserts: of several of one key all but the newest
    are superseded. `changes`: so many of each partition as were asked for. `sending`: all that would be sent, in order.
    `areas`: of a sync of areas all of the table, by key.
    """

    sync: str
    account: str
    mode: str
    partitions: Sequence[str]
    counts: Mapping[str, Mapping[Verb, int]]
    unchanged: int
    superseded: int
    changes: Sequence[Change]
    measured: Sequence[Measured]
    obstacles: Sequence[Obstacle]
    cost: Cost
    notes: Sequence[str] = ()
    sending: Sequence[Upsert] = field(default=(), repr=False)
    areas: Mapping[str, Payload] | None = field(default=None, repr=False)

    def tree(self, shown: int | None = None) -> list[Branch]:
        """The areas of the first `shown` changes under those above them; none where the sync is about others."""
        return [] if self.areas is None else areas_touched(self.changes[:shown], self.areas)

    def total(self, verb: Verb) -> int:
        """Keys with this verb, over all partitions."""
        return sum(counts.get(verb, 0) for counts in self.counts.values())

    @property
    def touched(self) -> int:
        """Keys that would be sent or taken away."""
        return sum(map(self.total, Verb))


async def preview(
    sync: SyncSpec,
    way: Way,
    foreseen: Foreseen,
    *,
    partitions: Sequence[str],
    sample: int | None,
    notes: Sequence[str] = (),
) -> Preview:
    """Put the plan together; `sample`: changes to show of each partition, None: all; `notes`: what else is to be said.

    Raises:
        LedgerError: the ledger cannot be used.
    """
    plan = foreseen.plan
    verbs = {
        Verb.UPDATE: plan.update,
        Verb.REMOVE: foreseen.vanished,
        Verb.CREATE: plan.create,
        Verb.SEND_AGAIN: plan.again,
    }
    counts: defaultdict[str, Counter[Verb]] = defaultdict(Counter)
    for verb, ones in verbs.items():
        for one in ones:
            counts[one.partition][verb] += 1
    changes = list(_changes(sync, way, verbs, sample))
    return Preview(
        sync=sync.name,
        account=sync.account,
        mode=sync.mode,
        partitions=partitions,
        counts=dict(counts),
        unchanged=len(plan.unchanged),
        superseded=len(plan.superseded),
        changes=changes,
        measured=foreseen.measured,
        obstacles=[_for_mode(sync, one) for one in foreseen.obstacles],
        cost=await _cost(sync, way, foreseen),
        notes=[*_notes(sync, foreseen), *notes],
        sending=_in_order(way, plan.to_send),
        areas=areas_of(plan) if isinstance(sync, FeedbackHouseSpec) else None,
    )


def _changes(sync: SyncSpec, way: Way, verbs: Mapping[Verb, Sequence[Any]], sample: int | None) -> Iterator[Change]:
    """The changes of a sample, with what was accepted before."""
    # Also what is sent along without being a reason to send: all fields count here.
    whole = sync.model_copy(update={"send_when": None})
    taken: Counter[str] = Counter()
    for verb, ones in verbs.items():
        chosen = []
        for one in ones:
            if sample is None or taken[one.partition] < sample:
                taken[one.partition] += 1
                chosen.append(one)
        for start in range(0, len(chosen), LOOK_UP):
            group = chosen[start : start + LOOK_UP]
            with way.ledger.reading() as connection:
                states = way.ledger.states(connection, way.scope, [one.key for one in group], payloads=True)
            for one in group:
                state = states.get(one.key)
                old = state.payload if state is not None and not state.removed else None
                new = one.payload if isinstance(one, Upsert) else None
                yield Change(one.key, one.partition, verb, _fields(whole, old, new), old, new)


def _fields(whole: SyncSpec, old: Payload | None, new: Payload | None) -> dict[str, tuple[Any, Any]]:
    words = whole.words(new or old or {}) if new or old else {}
    return {words.get(name, name): pair for name, pair in _pairs(whole, old, new).items()}


def _pairs(whole: SyncSpec, old: Payload | None, new: Payload | None) -> dict[str, tuple[Any, Any]]:
    before = {} if old is None else whole.normalise(old)
    if new is not None:
        return differing(before, whole.normalise(new))
    if whole.retired:
        return {name: (before.get(name, ABSENT), value) for name, value in whole.retired.items()}
    return {name: (value, ABSENT) for name, value in flat(before).items()}


def _for_mode(sync: SyncSpec, obstacle: Obstacle) -> Obstacle:
    if sync.mode != "dry" or obstacle.barrier is not Barrier.FIRST_CONTACT:
        return obstacle
    return Obstacle(
        obstacle.barrier,
        f"first contact with account {sync.account}: nothing was ever sent there by this sync. Say mode: live in it, "
        f"then `pipelines adopt {sync.name}` reads the account, shows what stands there and lets the sync send.",
    )


def _notes(sync: SyncSpec, foreseen: Foreseen) -> Iterator[str]:
    if sync.mode == "dry":
        yield (
            "mode dry: a run sends nothing. This is what it would send in mode live, compared with what the ledger "
            "knows of the live account."
        )
    if not foreseen.known and (foreseen.plan.to_send or foreseen.vanished):
        yield (
            "the ledger knows nothing of this sync at this account: whatever stands there already counts as absent "
            "here, and would be overwritten."
        )
    if foreseen.unanswered:
        yield (
            f"{foreseen.unanswered} upserts were attempted and have no answer yet: a run reads them back first, and "
            "sends what did not arrive."
        )
    if isinstance(sync, FeedbackHouseSpec) and sync.managers is not None:
        yield "managers whom feedback.house does not know are left out when areas are sent: only a run can tell."


async def _cost(sync: SyncSpec, way: Way, foreseen: Foreseen) -> Cost:
    removed, upserts = len(foreseen.vanished), foreseen.plan.to_send
    effort = way.destination.cost(upserts, removed=removed, standing=foreseen.known)
    limits = sync.settings.live_limits if sync.mode == "dry" else way.account.limits
    with way.ledger.reading() as connection:
        state, reserved = pace_of(connection, quota_of(sync, way.scope.mode))
    now = way.ledger.clock()
    seconds = await expected_seconds(
        effort.requests, limits.windows, share=sync.share, state=state, reserved=reserved, now=now
    )
    return Cost(effort, seconds, _pace(limits, sync.share, _recent(state, limits, now) + reserved))


def _recent(state: Mapping[str, Any], limits: Limits, now: float) -> int:
    """Requests of late that count against the longest window."""
    longest = max((window.seconds for window in limits.windows), default=0.0)
    return sum(count for at_us, count in state.get("sent", ()) if at_us / 1e6 > now - longest)


def _pace(limits: Limits, share: float, recent: int) -> str:
    if not limits.windows:
        return f"no limit, {limits.in_flight} at a time"
    part = "" if share == 1 else f" (of which the sync may use {share:.0%})"
    counted = f", {recent} requests of late counted" if recent else ""
    return f"{' and '.join(map(str, limits.windows))}{part}{counted}"


def _in_order(way: Way, upserts: list[Upsert]) -> list[Upsert]:
    """As they would be sent: what others build on goes first."""
    if isinstance(way.destination, Ordered):
        ranks = way.destination.ranks(upserts)
        return sorted(upserts, key=lambda upsert: ranks.get(upsert.key, 0))
    return upserts
