"""Ranges of datasets that are longer than ValueStreamer lists at once."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipelines.delivery.http import HttpPort
from pipelines.delivery.messages import Answer, Request
from pipelines.destinations.accounts import Account, read_account
from pipelines.destinations.valuestreamer.api import ValueStreamer, ValueStreamerSettings
from pipelines.destinations.valuestreamer.windows import Grain
from tests.components.grains.company import FLOOR, floor, table, uuid
from tests.components.grains.conftest import Found


def days(first: str, step: int, count: int) -> list[str]:
    """Dates at equal distances."""
    return [str(dt.date.fromisoformat(first) + dt.timedelta(days=step * number)) for number in range(count)]


async def listed(
    account: Account, kpi: str, first: str, last: str, grain: Grain
) -> tuple[int, Sequence[Mapping[str, Any]]]:
    """What the API answers to the whole range in one request, and what `datasets` makes of it."""
    whole = {"kpi-id": uuid(kpi), "team-id": uuid("press"), "from": first, "to": last}
    port = HttpPort(
        base_url=account.url, headers=account.headers, max_connections=1, secrets=account.secrets, timeout_s=30
    )
    async with port:
        at_once = await port.send(Request("GET", "/exchange/kpi-data", query=whole))
        assert isinstance(at_once, Answer)
        datasets = await ValueStreamer(account).datasets(
            port.send,
            kpi=uuid(kpi),
            team=uuid("press"),
            first=dt.date.fromisoformat(first),
            last=dt.date.fromisoformat(last),
            grain=grain,
        )
    return at_once.status, datasets


@pytest.mark.parametrize(
    ("grain", "kpi", "dates", "requests"),
    [
        pytest.param("daily", "output", days("2024-02-20", 1, 63), 3, id="63 days"),
        pytest.param("weekly", "overtime", days("2023-07-31", 7, 54), 3, id="54 weeks"),
        pytest.param(
            "monthly", "scrap", [f"{2022 + m // 12}-{m % 12 + 1:02}-01" for m in range(14)], 3, id="14 months"
        ),
    ],
)
def test_a_long_range_is_listed_in_windows_that_the_api_takes(
    found: Found, grain: Grain, kpi: str, dates: list[str], requests: int
) -> None:
    """More than 31 days, or 6 months: the API refuses the range at once, and yields all of it in windows."""
    company = found(
        table("snapshot", None, columns={"date": None, "actual": "value", "as_of": "day"}), floor(grain=grain)
    )
    company.read(*((day, "press", kpi, number) for number, day in enumerate(dates)))
    assert company.extract().success
    assert company.deliver(FLOOR).counts(FLOOR) == {None: {"extracted": len(dates), "accepted": len(dates)}}

    company.control.reset_counts()
    account = read_account("valuestreamer", ValueStreamerSettings, "sandbox")
    refused, datasets = asyncio.run(listed(account, kpi, dates[0], dates[-1], grain))
    assert refused == 400
    assert [(one["date"], one["values"][0]["value"]) for one in datasets] == [
        (day, number) for number, day in enumerate(dates)
    ]
    assert company.control.counts("valuestreamer")["statuses"] == {"200": requests, "400": 1}
