"""What a server's log of arrivals says of a limit of `requests` in any `seconds`. Times are seconds, in order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise


def over_limit(times: Sequence[float], requests: int, seconds: float) -> int:
    """Requests that came when the span before them was full already, wherever that span begins."""
    return sum(later - earlier < seconds for earlier, later in zip(times, times[requests:], strict=False))


def tightest(times: Sequence[float], requests: int) -> float | None:
    """The shortest time between a request and the one that comes as the first too many; None: there are too few."""
    gaps = (later - earlier for earlier, later in zip(times, times[requests:], strict=False))
    return round(min(gaps), 4) if len(times) > requests else None


def busiest(times: Sequence[float], seconds: float) -> int:
    """The most requests in any span."""
    most = start = 0
    for end, time in enumerate(times):
        while time - times[start] >= seconds:
            start += 1
        most = max(most, end - start + 1)
    return most


def allowance_used(times: Sequence[float], requests: int, seconds: float) -> float | None:
    """The part of the allowance that was used while work was pending: whole spans, one after another, from the first.

    The last span, in which the work ended, does not count. None where no span was whole.
    """
    spans = int((times[-1] - times[0]) / seconds) if times else 0
    if not spans:
        return None
    sent = sum(time < times[0] + spans * seconds for time in times)
    return round(sent / (spans * requests), 4)


def longest_pause(times: Sequence[float]) -> float:
    """The longest time without a request, in seconds."""
    return round(max((later - earlier for earlier, later in pairwise(times)), default=0.0), 3)
