"""What is worth telling: a sync's state against the one that was told last. Pure, but for reading and writing JSON.

A state is a colour and the kinds of trouble, whatever their extent: the second failed day of a sync that is red since
yesterday is no news, that somebody holds it as well is. Better news wait until nothing works on the sync any more: a
retry hides what it retries, and would tell of a recovery at each try.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson

from pipelines.components.operations.status import Colour, Problem, Screen, worst

DEPLOYMENT = "the deployment"
"""What problems are about that concern no sync in particular."""


@dataclass(frozen=True, slots=True)
class State:
    """What is told of a sync, or of the deployment. Of what nothing was ever told, green is presumed."""

    colour: Colour = Colour.GREEN
    kinds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Change:
    """Something that is told: about a sync or `DEPLOYMENT`, which was `before` and is `colour` now."""

    about: str
    before: Colour
    colour: Colour

    @property
    def recovered(self) -> bool:
        """Whether all is well again."""
        return self.colour is Colour.GREEN


Told = Mapping[str, State]


def news(told: Told, screen: Screen) -> tuple[list[Change], dict[str, State]]:
    """What to tell, the worst first, and what will have been told then."""
    found = {DEPLOYMENT: (_state(screen.problems), False)}
    found |= {one.sync: (_state(one.problems), one.busy) for one in screen.syncs}
    changes, after = [], {}
    for about, (now, busy) in found.items():
        before = told.get(about, State())
        after[about] = _next(before, now, busy=busy)
        if after[about].colour is not before.colour or not after[about].kinds <= before.kinds:
            changes.append(Change(about, before.colour, after[about].colour))
    return sorted(changes, key=lambda one: -one.colour.rank), after


def read_told(text: str | None) -> dict[str, dict[str, State]]:
    """What each channel was told, by channel; a text of another release, or none, is nothing."""
    try:
        return {
            channel: {about: State(Colour(colour), frozenset(kinds)) for about, (colour, kinds) in states.items()}
            for channel, states in orjson.loads(text or "{}").items()
        }
    except (AttributeError, TypeError, ValueError):
        return {}


def write_told(told: Mapping[str, Told]) -> str:
    """The same as a text that `read_told` reads; what is green needs no word."""
    return orjson.dumps(
        {
            channel: {
                about: (str(state.colour), sorted(state.kinds)) for about, state in states.items() if state != State()
            }
            for channel, states in told.items()
        },
        option=orjson.OPT_SORT_KEYS,
    ).decode()


def _state(problems: Sequence[Problem]) -> State:
    colour = worst(one.colour for one in problems)
    return State(colour, frozenset(one.kind for one in problems if one.colour is colour))


def _next(before: State, now: State, *, busy: bool) -> State:
    """What is to be told next: worse at once, better only when nothing works on it."""
    if now.colour.rank > before.colour.rank or not busy:
        return now
    if now.colour is before.colour:
        return State(now.colour, now.kinds | before.kinds)
    return before
