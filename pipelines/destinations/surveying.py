"""Surveys of accounts whose entries are read one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from pipelines.delivery.destination import Destination, Found, Sighting
from pipelines.delivery.messages import Call
from pipelines.delivery.upsert import Upsert

_GROUP = 32
"""Requests between two sightings: what is known after each of them need not be read again."""


async def read_each(
    destination: Destination, upserts: Sequence[Upsert], call: Call, in_flight: int
) -> AsyncGenerator[Sighting, None]:
    """What stands at each key, some of them at a time.

    Raises:
        AccountStopped, AccountUnavailable: as the call does.
    """
    gate = asyncio.Semaphore(in_flight)

    async def look(upsert: Upsert) -> Found | None:
        async with gate:
            return await destination.read_back(upsert, call)

    for start in range(0, len(upserts), _GROUP):
        group = upserts[start : start + _GROUP]
        answers = await asyncio.gather(*map(look, group), return_exceptions=True)
        found: dict[str, Found] = {}
        unread: dict[str, str] = {}
        for upsert, answer in zip(group, answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            if answer is None:
                unread[upsert.key] = "the API gave no usable answer"
            else:
                found[upsert.key] = answer
        yield Sighting(found, unread)
