"""Who may send: one at a time, the better claim first, across threads, processes and machines."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from pipelines.delivery.deadline import Deadline
from pipelines.delivery.destination import Window
from pipelines.delivery.errors import AccountUnavailable, LedgerError
from pipelines.delivery.ledger import Ledger, Priority, Turn
from pipelines.delivery.pace import Pace

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


async def test_long_wait_tells_who_holds_the_turn(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    """The log of whoever waits names the run, the process and the machine that have the turn."""
    holder = Turn(ledger, "quota", Priority.MANUAL, Notes(), run="run-7")
    async with holder.hold():
        with holder.transaction(reserve=1):
            pass
        waiter = Turn(ledger, "quota", Priority.SCHEDULED, Notes(), tell_after_s=0.2)
        waiting = asyncio.create_task(waiter.hold().__aenter__())
        while not caplog.messages:
            await asyncio.sleep(0.05)
        waiting.cancel()
        await asyncio.wait([waiting])
    (said,) = caplog.messages
    assert f"run run-7 (process {os.getpid()} on {socket.gethostname()})" in said


async def test_next_holder_of_a_lock_that_can_be_lost_waits_until_the_last_one_knows(ledger: Ledger) -> None:
    """After a holder that did not end its turn nothing is sent at once on PostgreSQL; a file's lock is never lost."""

    async def die() -> None:
        turn = Turn(ledger, "quota", Priority.MANUAL, Notes())
        async with turn.hold():
            with turn.transaction(reserve=7):
                pass
            raise ConnectionError

    with pytest.raises(ConnectionError):
        await die()
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    for expected in ([2.0] if ledger.dialect == "postgresql" else [], []):
        slept.clear()
        async with Turn(ledger, "quota", Priority.MANUAL, Notes(), sleep=sleep).hold():
            pass
        assert slept == expected


async def test_holder_that_lost_its_connection_may_not_send(postgres: Callable[[], str]) -> None:
    """Asked after a while whether it still has the turn, a holder whose connection was ended gets an error."""
    ledger = Ledger(postgres())
    now = 100.0
    turn = Turn(ledger, "quota", Priority.MANUAL, Notes(), clock=lambda: now)
    hold = turn.hold()
    await hold.__aenter__()
    turn.check()
    now += 10
    turn.check()
    with ledger.engine.begin() as connection:
        connection.execute(
            text(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and pid <> pg_backend_pid()"
            )
        )
    now += 10
    with pytest.raises(LedgerError, match="was lost"):
        turn.check()
    with pytest.raises(LedgerError):
        await hold.__aexit__(None, None, None)
    ledger.close()


async def test_machines_whose_clocks_differ_share_one_pace(postgres: Callable[[], str]) -> None:
    """What one machine sent counts for the next one as long as it should, whatever their own clocks show."""
    url = postgres()
    for off in (-1000.0, 1000.0):
        here = Ledger(url)
        there = Ledger(url, local_clock=lambda off=off: time.time() + off)
        paces = [Pace((Window(10, 60.0),), clock=ledger.clock) for ledger in (here, there)]
        async with Turn(here, f"quota {off}", Priority.MANUAL, paces[0]).hold():
            for _ in range(10):
                await paces[0].acquire()
        async with Turn(there, f"quota {off}", Priority.MANUAL, paces[1]).hold():
            assert 30 < paces[1].due_in() < 70
        here.close()
        there.close()


async def test_quotas_do_not_hold_each_other_up(ledger: Ledger) -> None:
    """Another account's turn is free while this one's is held."""
    async with Turn(ledger, "one", Priority.MANUAL, Notes()).hold():
        started = time.monotonic()
        await asyncio.wait_for(_hold(ledger, "two"), 5)
        assert time.monotonic() - started < 5


async def _hold(ledger: Ledger, quota: str = "quota") -> None:
    async with Turn(ledger, quota, Priority.MANUAL, Notes()).hold():
        pass
