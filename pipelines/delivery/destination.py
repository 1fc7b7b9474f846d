"""What the engine asks of an API; each module of `pipelines.destinations` answers for one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from pipelines.delivery.messages import Answer, Call, Request
from pipelines.delivery.upsert import Payload, Upsert, Verdict


@dataclass(frozen=True, slots=True)
class Window:
    """At most `requests` in any span of `seconds`."""

    requests: int
    seconds: float

    def __str__(self) -> str:
        unit = {1.0: "s", 60.0: "min", 3600.0: "h"}.get(self.seconds, f"{self.seconds:g}s")
        return f"{self.requests}/{unit}"


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account may do at once: request windows (none: no limit known or wanted) and requests in flight."""

    windows: tuple[Window, ...] = ()
    in_flight: int = 1


@dataclass(frozen=True, slots=True)
class Found:
    """The read-back of a key: what stands there now, normalised as far as it can be compared; None: nothing."""

    payload: Payload | None
    remote_id: str | None = None


class Destination(Protocol):
    """One account of one API.

    Payloads are compared and fingerprinted in the form that `normalise` gives them: what the API itself would make
    of them, reduced to the fields that count (`send_when`).
    """

    account: str
    batch_size: int
    """Upserts that travel in one request at most."""
    resend_is_safe: bool
    """Whether sending an upsert again after a lost answer is noticed by nobody."""
    transient: frozenset[int]
    """Statuses after which the same request may succeed later."""

    def normalise(self, payload: Payload) -> Payload:
        """The payload as it is compared: normalised as the API does it, only the fields that count."""
        ...

    async def vet(self, upserts: Sequence[Upsert], call: Call) -> Mapping[str, str]:
        """Check what only the API knows, before the first write: key -> why its upsert is invalid.

        Called once per run, with all that is about to be sent, and never when there is nothing to send.
        """
        ...

    async def send(self, batch: Sequence[Upsert], call: Call) -> Sequence[Verdict]:
        """Deliver a batch: one verdict per upsert, in order."""
        ...

    async def read_back(self, upsert: Upsert, call: Call) -> Found | None:
        """What stands at the upsert's key; None where it cannot be read."""
        ...

    async def remove(self, key: str, payload: Payload, call: Call) -> Verdict:
        """Take the key's entry away (or out of use); `accepted` also where nothing stood there."""
        ...

    def check(self) -> Request:
        """The cheapest read that proves address and credentials."""
        ...

    def describe(self, upsert: Upsert) -> str:
        """The request that would deliver the upsert, for people: method and path."""
        ...

    def cost(self, upserts: Sequence[Upsert], *, removed: int, standing: int) -> Effort:
        """How many requests a run makes that sends these and takes so many keys away, if all goes well at once.

        Args:
            upserts: What is to be sent; with none of them and nothing to remove a run makes no request.
            removed: Keys to be taken away.
            standing: Keys of the sync that stand at the account, as far as is known.
        """
        ...


@runtime_checkable
class Ordered(Protocol):
    """A destination whose upserts build on each other, such as areas on their parents."""

    def ranks(self, upserts: Sequence[Upsert]) -> Mapping[str, int]:
        """Key -> rank: all upserts of a rank are answered before the first one of the next rank is sent.

        Called once per run, with all that is about to be sent; keys without a rank come first.
        """
        ...


@runtime_checkable
class Remarking(Protocol):
    """A destination with something to say about a run beside its verdicts."""

    @property
    def notes(self) -> Sequence[str]:
        """What could not be checked, or was left out: a sentence each."""
        ...


@runtime_checkable
class Reducing(Protocol):
    """A destination that may have to leave a part of an upsert out, such as a manager whom the API does not know."""

    def sendable(self, upsert: Upsert) -> Payload:
        """What of the upsert can be sent, as far as `vet` has found out; the very payload where that is all of it.

        That much is compared, sent, and taken for accepted: what was left out still differs from the source, so that
        later runs come back to it, and send nothing while it is as it was.
        """
        ...


@runtime_checkable
class Judging(Protocol):
    """A destination that knows what the answer to its `check` must say, beside a 2xx."""

    def objection(self, answer: Answer) -> str:
        """Why the 2xx does not prove that the account can be used; empty: it does.

        Raises:
            ConfigurationError: a setting of the account is wrong.
        """
        ...


@runtime_checkable
class Remembering(Protocol):
    """A destination whose requests depend on what was accepted before: on ids of the API's own, on fields to empty."""

    def remember(self, accepted: Mapping[str, Found]) -> None:
        """What was last accepted of this sync, by key, as the ledger has it.

        Called before anything else that asks the API.
        """
        ...


@dataclass(frozen=True, slots=True)
class Stranger:
    """An entry of an account that none of the upserts looked for is about. `key` None: it has none."""

    key: str | None
    name: str


@dataclass(frozen=True, slots=True)
class Sighting:
    """A part of what stands at an account.

    `found`: what stands at keys that were looked for. `unread`: keys that could not be read now, and why. `loose`: keys
    whose entry does not carry the key, and by what it was found instead. `unclear`: keys that several entries may have,
    or none.
    """

    found: Mapping[str, Found] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    loose: Mapping[str, str] = field(default_factory=dict)
    unclear: Mapping[str, str] = field(default_factory=dict)
    strangers: Sequence[Stranger] = ()


@dataclass(frozen=True, slots=True)
class Effort:
    """How many requests are made, about, and for what."""

    requests: int
    why: str


@runtime_checkable
class Surveying(Protocol):
    """A destination that can tell what stands at its account beside the keys that it is asked for."""

    def effort(self, upserts: Sequence[Upsert]) -> Effort:
        """What a survey for these upserts costs."""
        ...

    def survey(self, upserts: Sequence[Upsert], call: Call) -> AsyncGenerator[Sighting, None]:
        """What stands at each of the keys, and what stands there besides, in parts of a few requests.

        Raises:
            AccountStopped: as a call does.
            AccountUnavailable: as a call does; or the account cannot be read.
        """
        ...
