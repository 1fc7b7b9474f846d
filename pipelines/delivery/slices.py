"""Looking at an account in the turn and at the pace of its runs, some requests at a time."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from pipelines.delivery.caller import STOPS
from pipelines.delivery.destination import Sighting
from pipelines.delivery.errors import PipelinesError
from pipelines.delivery.ledger import Turn

RESERVE = 128
"""Requests between two notes of the pace: more than any part of a look makes, but for lists of many pages."""


async def look_in_turns(turn: Turn, parts: AsyncGenerator[Sighting, None], take_in: Callable[[Sighting], None]) -> None:
    """Take in what is seen, part by part; between two parts the turn goes to whoever has a better claim to it.

    Raises:
        AccountStopped, AccountUnavailable: as a call does.
    """
    while await _slice(turn, parts, take_in):
        pass


async def _slice(turn: Turn, parts: AsyncGenerator[Sighting, None], take_in: Callable[[Sighting], None]) -> bool:
    """Look until somebody else wants the account; whether there is more to see."""
    stopped: PipelinesError | None = None
    async with turn.hold():
        with turn.transaction(reserve=RESERVE):
            pass
        try:
            async for part in parts:
                take_in(part)
                if turn.wanted():
                    return True
        except STOPS as stop:
            # Raised where the turn is given back in order: else the next holder would wait for the reserve.
            stopped = stop
    if stopped is not None:
        raise stopped
    return False
