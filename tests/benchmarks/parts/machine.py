"""The machine, the time that work takes on it, and the memory."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def about_machine() -> dict[str, Any]:
    """What figures depend on: processors, their load before the run, Python, the date."""
    return {
        "processors": os.cpu_count(),
        "load": [round(load, 2) for load in os.getloadavg()],
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
    }


def say(*words: object) -> None:
    """A line of progress."""
    print(*words, file=sys.stderr, flush=True)


def ratio(one: float | None, other: float | None) -> float | None:
    """One through the other, with three digits; None where one was not measured or is nothing."""
    return None if one is None or not other else float(f"{one / other:.3g}")


@dataclass(slots=True)
class Timed:
    """Wall time and this process's CPU time of a block, in seconds."""

    wall: float = 0.0
    cpu: float = 0.0

    def __enter__(self) -> Self:
        self.wall, self.cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.wall = round(time.perf_counter() - self.wall, 4)
        self.cpu = round(time.process_time() - self.cpu, 4)


_here: ContextVar[bool] = ContextVar("here", default=False)


@contextmanager
def here() -> Iterator[None]:
    """Let `apart` do without a process, which costs seconds of imports: for a look at figures that nobody keeps."""
    token = _here.set(True)
    try:
        yield
    finally:
        _here.reset(token)


def apart(function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """The function's result from a fresh process: nothing that ran before warms it up or adds to its memory."""
    if _here.get():
        return function(*arguments, **options)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments, **options).result()


def at_once(function: Callable[..., T], each: Sequence[tuple[Any, ...]]) -> list[T]:
    """The function's results for several arguments, each from a process of its own, all at the same time."""
    if len(each) == 1:
        return [apart(function, *each[0])]
    with ProcessPoolExecutor(len(each), mp_context=get_context("spawn")) as pool:
        return [one.result() for one in [pool.submit(function, *arguments) for arguments in each]]


class HighWater:
    """The most memory (resident set) that this process held since `reset`, in MB."""

    _status = Path("/proc/self/status")
    _refs = Path("/proc/self/clear_refs")

    def reset(self) -> None:
        """Forget the past; where the system cannot, the mark is that of the whole process."""
        if self._refs.exists():
            self._refs.write_text("5")

    def read(self) -> int:
        """The mark."""
        if self._status.exists():
            match = re.search(r"VmHWM:\s+(\d+) kB", self._status.read_text())
            if match:
                return int(match[1]) // 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
