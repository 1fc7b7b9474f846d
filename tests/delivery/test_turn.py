"""Who may send: one at a time, the better claim first, across threads, processes and machines."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.delivery.deadline import Deadline
from pipelines.delivery.errors import AccountUnavailable
from pipelines.delivery.ledger import Ledger, Priority, Turn

HOLDER = """
import asyncio, sys
from pipelines.delivery.ledger import Ledger, Priority, Turn
from pipelines.delivery.pace import Pace
async def main():
    ledger = Ledger(sys.argv[1])
    async with Turn(ledger, "quota", Priority.BACKFILL, Pace(())).hold():
        print("held", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


class Notes:
    """A pace that only remembers what it was given."""

    def __init__(self, mine: dict[str, Any] | None = None) -> None:
        self.mine = mine or {}
        self.got: list[tuple[dict[str, Any], int]] = []

    def state(self) -> dict[str, Any]:
        return self.mine

    def restore(self, state: dict[str, Any], reserved: int = 0) -> None:
        self.got.append((state, reserved))


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    if request.param == "sqlite":
        ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    else:
        fresh: Callable[[], str] = request.getfixturevalue("postgres")
        ledger = Ledger(fresh())
    yield ledger
    ledger.close()


async def test_one_holder_at_a_time(ledger: Ledger) -> None:
    """Ten that want the same quota hold it one after another, never two at once."""
    inside, most = 0, 0

    async def use() -> None:
        nonlocal inside, most
        async with Turn(ledger, "quota", Priority.MANUAL, Notes()).hold():
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(use() for _ in range(5)))
    assert most == 1


async def test_better_claim_goes_first(ledger: Ledger) -> None:
    """Of those that wait, the scheduled run is next, then the manual one, then the backfill."""
    order: list[Priority] = []

    async def use(priority: Priority) -> None:
        async with Turn(ledger, "quota", priority, Notes()).hold():
            order.append(priority)

    holder = Turn(ledger, "quota", Priority.BACKFILL, Notes())
    async with holder.hold():
        waiting = [asyncio.create_task(use(p)) for p in (Priority.BACKFILL, Priority.MANUAL, Priority.SCHEDULED)]
        await asyncio.sleep(0.5)
        assert holder.wanted()
    await asyncio.gather(*waiting)
    assert order == [Priority.SCHEDULED, Priority.MANUAL, Priority.BACKFILL]


async def test_nobody_waiting_means_no_yield(ledger: Ledger) -> None:
    """A holder whom nobody waits for goes on."""
    turn = Turn(ledger, "quota", Priority.BACKFILL, Notes())
    async with turn.hold():
        await asyncio.sleep(0.3)
        assert not turn.wanted()


async def test_pace_passes_from_holder_to_holder(ledger: Ledger) -> None:
    """The next holder starts from the send times of the last one."""
    async with Turn(ledger, "quota", Priority.MANUAL, Notes({"log": [1.5]})).hold():
        pass
    pace = Notes()
    async with Turn(ledger, "quota", Priority.MANUAL, pace).hold():
        pass
    assert pace.got == [({"log": [1.5]}, 0)]


async def test_reserved_sends_of_a_holder_that_died_are_handed_over(ledger: Ledger) -> None:
    """What a holder may have sent without noting it counts against the next one's allowance."""

    async def die() -> None:
        turn = Turn(ledger, "quota", Priority.MANUAL, Notes({"log": [2.5]}))
        async with turn.hold():
            with turn.transaction(reserve=7):
                pass
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await die()
    pace = Notes()
    async with Turn(ledger, "quota", Priority.MANUAL, pace).hold():
        pass
    assert pace.got == [({"log": [2.5]}, 7)]


async def test_turn_ends_with_its_process(ledger: Ledger) -> None:
    """A holder killed with SIGKILL holds nobody up."""
    url = ledger.url.render_as_string(hide_password=False)
    with subprocess.Popen([sys.executable, "-c", HOLDER, url], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        waiting = asyncio.create_task(_hold(ledger))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        process.kill()
        process.wait()
    await asyncio.wait_for(waiting, 10)


async def test_waiting_for_the_turn_ends_at_the_deadline(ledger: Ledger) -> None:
    """A run whose time is over stops waiting, with words that name the minutes, and leaves no place in the queue."""
    holder = Turn(ledger, "quota", Priority.BACKFILL, Notes())
    async with holder.hold():
        late = Turn(ledger, "quota", Priority.SCHEDULED, Notes(), deadline=Deadline(time.time() + 0.5, 0.01))
        with pytest.raises(AccountUnavailable, match=r"0\.01 minutes that the run was given"):
            async with late.hold():
                raise AssertionError
        assert not holder.wanted()


async def test_quotas_do_not_hold_each_other_up(ledger: Ledger) -> None:
    """Another account's turn is free while this one's is held."""
    async with Turn(ledger, "one", Priority.MANUAL, Notes()).hold():
        started = time.monotonic()
        await asyncio.wait_for(_hold(ledger, "two"), 5)
        assert time.monotonic() - started < 5


async def _hold(ledger: Ledger, quota: str = "quota") -> None:
    async with Turn(ledger, quota, Priority.MANUAL, Notes()).hold():
        pass
