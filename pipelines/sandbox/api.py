"""What every API of the sandbox has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from pipelines.sandbox.limits import Limit, Standing
from pipelines.sandbox.settings import ApiSettings
from pipelines.sandbox.state import State
from pipelines.sandbox.web import Endpoint, Incoming, Refusal, Reply, Routes

S = TypeVar("S", bound=ApiSettings)


class Api(ABC, Generic[S]):
    """One API: its endpoints, its credentials, its words for an error, and what it holds."""

    name: ClassVar[str]
    title: ClassVar[str]
    prefix: ClassVar[str]
    about: ClassVar[str]
    credentials: ClassVar[Mapping[str, str]]
    """The headers that the sandbox wants, for the documentation."""
    parameters: ClassVar[Mapping[str, str]]
    """Values of path and query parameters that work in an empty sandbox or soon after, for the documentation."""
    media_type: ClassVar[str] = "application/json"
    """Of the request bodies, for the documentation."""

    def __init__(self, state: State, settings: S) -> None:
        self.state = state
        self.settings = settings
        self.editing: set[str] = set()
        self.endpoints = self.offer()
        self.routes = Routes(self.endpoints)
        self.restart()

    @abstractmethod
    def offer(self) -> Sequence[Endpoint]:
        """The endpoints."""

    @abstractmethod
    def authenticated(self, headers: Mapping[str, str]) -> bool:
        """Whether the request's credentials are the sandbox's."""

    @abstractmethod
    def refuse(self, refusal: Refusal) -> Reply:
        """An error in the API's own form."""

    @abstractmethod
    def restart(self) -> None:
        """Take the shelves of the state as they are now, after a start or a reset, and fill what is never empty."""

    @abstractmethod
    def holds(self) -> dict[str, Any]:
        """Everything that the API holds, for `/control/state`."""

    def admit(self, incoming: Incoming) -> None:
        """Turn a request with the right credentials down before its endpoint sees it, by raising a Refusal."""
        del incoming

    def dress(self, reply: Reply, standing: Standing | None, limit: Limit | None) -> Reply:
        """The reply with the headers that the API puts on every one."""
        del standing, limit
        return reply

    def edits(self, incoming: Incoming) -> str | None:
        """What the request edits, where two edits of one thing must not overlap; None where that is no matter."""
        del incoming
        return None
