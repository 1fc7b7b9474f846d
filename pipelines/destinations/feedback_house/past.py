"""What was accepted of a sync before, as the ledger has it, and what was attempted without an answer."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.delivery.destination import Found
from pipelines.delivery.upsert import Payload


class Past:
    """Payloads by key. What the API holds can hardly be read back: its pages need not show which area has which key."""

    def __init__(self) -> None:
        self._accepted: dict[str, Payload] = {}
        self._attempted: dict[str, list[Payload]] = {}

    def remember(self, accepted: Mapping[str, Found]) -> None:
        """Take over what was accepted last, by key."""
        self._accepted = {key: found.payload for key, found in accepted.items() if found.payload is not None}

    def attempt(self, key: str, payload: Payload) -> None:
        """Note what may have arrived since."""
        self._attempted.setdefault(key, []).append(payload)

    def accepted(self, key: str) -> Payload | None:
        """What was accepted last; None: nothing ever was."""
        return self._accepted.get(key)

    def had(self, key: str, field: str) -> bool:
        """Whether the area was, or may have been, given a value for the field."""
        payloads = [self._accepted.get(key, {}), *self._attempted.get(key, ())]
        return any(payload.get(field) is not None for payload in payloads)

    def tells(self, key: str, field: str) -> bool:
        """Whether it is known what the field was made: an area that never was accepted has nothing."""
        accepted = self._accepted.get(key)
        return accepted is None or field in accepted
