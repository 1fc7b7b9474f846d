"""What is worth telling: a sync's state against what was told last. Pure, but for reading and writing JSON.

A state is a colour and, for each kind of trouble, the partitions that are in it. Of a sync that stays red the news are
the partitions that came to a kind: an old day that nobody mends mutes no new one. Each is told once per kind, however
often it goes from one kind to another and back, until it is in no trouble any more. Trouble of the sync as a whole, and
whatever is yellow, is told by its kind alone: rows in quarantine every day are no news. Better news wait until nothing
works on the sync any more: a retry hides what it retries, and would tell of a recovery at each try.
"""

from __future__ import annotations

import zlib
from base64 import b85decode, b85encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import orjson

from pipelines.components.operations.status import Colour, Problem, Screen, worst

DEPLOYMENT = "the deployment"
"""What problems are about that concern no sync in particular."""


WHOLE = ""
"""Stands where partitions do for trouble that is not one of partitions: a hold, a daemon that is gone."""


@dataclass(frozen=True, slots=True)
class State:
    """What is told of a sync, or of the deployment. Of what nothing was ever told, green is presumed.

    `kinds`: the partitions that are, or were until lately, in each kind of trouble of that colour.
    """

    colour: Colour = Colour.GREEN
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is told: about a sync or `DEPLOYMENT`, which was `before` and is `colour` now.

    `fresh`: where the colour stays, what is new, as in `State.kinds`.
    """

    about: str
    before: Colour
    colour: Colour
    fresh: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def recovered(self) -> bool:
        """Whether all is well again."""
        return self.colour is Colour.GREEN

    def told_of(self, problems: Sequence[Problem]) -> list[Problem]:
        """Those of the problems that are worth telling."""
        return [one for one in problems if not self.fresh or _places(one) & self.fresh.get(one.kind, frozenset())]

    def fresh_of(self, problem: Problem) -> list[str]:
        """The problem's new partitions, oldest first; none where the colour itself is the news."""
        return sorted({*problem.partitions} & self.fresh.get(problem.kind, frozenset()))


Told = Mapping[str, State]


def news(told: Told, screen: Screen) -> tuple[list[Change], dict[str, State]]:
    """What to tell, the worst first, and what will have been told then."""
    found = {DEPLOYMENT: (_state(screen.problems), False)}
    found |= {one.sync: (_state(one.problems), one.busy) for one in screen.syncs}
    changes, after = [], {}
    for about, (now, busy) in found.items():
        before = told.get(about, State())
        after[about] = _next(before, now, busy=busy)
        colour = after[about].colour
        fresh = _fresh(before, after[about]) if colour is before.colour else {}
        if fresh or colour is not before.colour:
            changes.append(Change(about, before.colour, colour, fresh))
    return sorted(changes, key=lambda one: -one.colour.rank), after


def read_told(text: str | None) -> dict[str, dict[str, State]]:
    """What each channel was told, by channel; a text of another release, or none, is nothing."""
    try:
        told = orjson.loads(zlib.decompress(b85decode(text))) if text else {}
        return {
            channel: {
                about: State(Colour(colour), {kind: frozenset(places) for kind, places in kinds.items()})
                for about, (colour, kinds) in states.items()
            }
            for channel, states in told.items()
        }
    except (AttributeError, TypeError, ValueError, zlib.error):
        return {}


def write_told(told: Mapping[str, Told]) -> str:
    """The same as a text that `read_told` reads; what is green needs no word.

    It is packed, as Dagster keeps it with every tick: ten years of failed days are some kilobytes.
    """
    plain = {
        channel: {
            about: (str(state.colour), {kind: sorted(places) for kind, places in state.kinds.items()})
            for about, state in states.items()
            if state != State()
        }
        for channel, states in told.items()
    }
    return b85encode(zlib.compress(orjson.dumps(plain, option=orjson.OPT_SORT_KEYS))).decode()


def _state(problems: Sequence[Problem]) -> State:
    colour = worst(one.colour for one in problems)
    kinds: dict[str, frozenset[str]] = {}
    for one in problems:
        if one.colour is colour:
            kinds[one.kind] = kinds.get(one.kind, frozenset()) | _places(one)
    return State(colour, kinds)


def _places(problem: Problem) -> frozenset[str]:
    """What a problem is told by: red ones by their partitions."""
    return frozenset(problem.partitions if problem.colour is Colour.RED else ()) or frozenset({WHOLE})


def _fresh(before: State, now: State) -> dict[str, frozenset[str]]:
    new = {kind: places - before.kinds.get(kind, frozenset()) for kind, places in now.kinds.items()}
    return {kind: places for kind, places in new.items() if places}


def _next(before: State, now: State, *, busy: bool) -> State:
    """What is to be told next: worse at once, better only when nothing works on it."""
    if now.colour is before.colour:
        troubled = frozenset[str]().union(*now.kinds.values()) - {WHOLE}
        kept = {kind: places if busy else places & troubled for kind, places in before.kinds.items()}
        both = {kind: kept.get(kind, frozenset()) | now.kinds.get(kind, frozenset()) for kind in {**kept, **now.kinds}}
        return State(now.colour, {kind: places for kind, places in both.items() if places})
    return now if now.colour.rank > before.colour.rank or not busy else before
