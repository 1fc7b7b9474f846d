"""The kinds of fault, each with its parameters and how it is played."""

from __future__ import annotations

import asyncio
import math
import time
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, Literal, Protocol

import orjson
from pydantic import BaseModel, ConfigDict, Field

from pipelines.sandbox.web import HTML_TYPE, JSON_TYPE, Reply
from pipelines.sandbox.wire import Wire


class Scene(Protocol):
    """What a fault can use: `act` lets the API do what was asked and returns its reply, `expired` is its 401."""

    wire: Wire

    async def act(self) -> Reply:
        """Let the API act, once."""
        ...

    def expired(self) -> Reply:
        """The API's answer to a key that is no longer right."""
        ...


class Fault(BaseModel, ABC):
    """The parameters of a kind of fault, and how it is played. `play` returns the status answered, None for none."""

    model_config = ConfigDict(extra="forbid")

    @abstractmethod
    async def play(self, scene: Scene) -> int | None:
        """Spoil the answer."""


class _Canned(Fault):
    """An answer in place of the API's. With `act` the API acts all the same."""

    act: bool = False

    async def play(self, scene: Scene) -> int | None:
        if self.act:
            await scene.act()
        reply = self.reply(scene)
        await scene.wire.answer(reply)
        return reply.status

    @abstractmethod
    def reply(self, scene: Scene) -> Reply:
        """The answer that comes."""


class Status(_Canned):
    """Any status: `body` is sent as JSON, `html` as a page, neither as nothing."""

    code: int = Field(default=500, ge=200, le=599)
    headers: dict[str, str] = {}
    body: Any = None
    html: str | None = None

    def reply(self, scene: Scene) -> Reply:
        del scene
        headers = tuple(
            (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in self.headers.items()
        )
        if self.html is not None:
            return Reply(self.code, self.html.encode(), (HTML_TYPE, *headers))
        if self.body is not None:
            return Reply(self.code, orjson.dumps(self.body), (JSON_TYPE, *headers))
        return Reply(self.code, b"", headers)


class RetryAfter(_Canned):
    """Too many requests, with a Retry-After as seconds or as a date, or without."""

    code: Literal[429, 503] = 429
    form: Literal["seconds", "date", "none"] = "seconds"
    seconds: int = Field(default=1, ge=0)

    def reply(self, scene: Scene) -> Reply:
        del scene
        when = datetime.now(UTC) + timedelta(seconds=self.seconds)
        value = str(self.seconds) if self.form == "seconds" else format_datetime(when, usegmt=True)
        headers = () if self.form == "none" else ((b"retry-after", value.encode()),)
        return Reply(self.code, b'{"message":"too many requests"}', (JSON_TYPE, *headers))


class Exhausted(Fault):
    """The X-RateLimit headers say that no request is left for `seconds`; with `refuse` the answer is a 429, too."""

    seconds: int = Field(default=1, ge=0)
    limit: int = Field(default=100, ge=1)
    refuse: bool = False

    async def play(self, scene: Scene) -> int | None:
        reply = Reply(429, b'{"message":"quota exceeded"}', (JSON_TYPE,)) if self.refuse else await scene.act()
        reset = math.ceil(time.time()) + self.seconds
        told = {b"x-ratelimit-limit": self.limit, b"x-ratelimit-remaining": 0, b"x-ratelimit-reset": reset}
        others = tuple(header for header in reply.headers if header[0] not in told)
        await scene.wire.answer(
            Reply(reply.status, reply.body, (*others, *((name, b"%d" % value) for name, value in told.items())))
        )
        return reply.status


class ExpiredKey(_Canned):
    """The API's own 401, whatever the credentials."""

    def reply(self, scene: Scene) -> Reply:
        return scene.expired()


class Redirect(_Canned):
    """A redirect."""

    code: Literal[301, 302, 303, 307, 308] = 307
    location: str = "/elsewhere"

    def reply(self, scene: Scene) -> Reply:
        del scene
        return Reply(self.code, b"", ((b"location", self.location.encode("latin-1")),))


class OtherJson(_Canned):
    """A success whose JSON is not what the documents promise."""

    act: bool = True
    code: Literal[200, 201] = 200
    body: Any = {"unexpected": True}

    def reply(self, scene: Scene) -> Reply:
        del scene
        return Reply(self.code, orjson.dumps(self.body), (JSON_TYPE,))


class Delay(Fault):
    """The API acts at once and answers after a while."""

    seconds: float = Field(ge=0, le=3600)

    async def play(self, scene: Scene) -> int | None:
        reply = await scene.act()
        await asyncio.sleep(self.seconds)
        await scene.wire.answer(reply)
        return reply.status


class DropBefore(Fault):
    """The connection is closed; nothing was done."""

    async def play(self, scene: Scene) -> int | None:
        await scene.wire.drop()
        return None


class DropAfter(Fault):
    """The API acts; the connection is closed without an answer."""

    async def play(self, scene: Scene) -> int | None:
        await scene.act()
        await scene.wire.drop()
        return None


class HangUp(Fault):
    """The API acts and answers; then the connection, which seemed to be kept, is closed unannounced."""

    async def play(self, scene: Scene) -> int | None:
        reply = await scene.act()
        await scene.wire.answer_and_close(reply)
        return reply.status


class EmptyBody(Fault):
    """The API acts; its status comes without the body."""

    async def play(self, scene: Scene) -> int | None:
        reply = await scene.act()
        await scene.wire.answer(Reply(reply.status, b"", reply.headers))
        return reply.status


class CutBody(Fault):
    """The API acts; of its body only `keep` bytes come (the default is half of it), then the connection is closed."""

    keep: int | None = Field(default=None, ge=0)

    async def play(self, scene: Scene) -> int | None:
        reply = await scene.act()
        kept = len(reply.body) // 2 if self.keep is None else min(self.keep, max(len(reply.body) - 1, 0))
        await scene.wire.answer_in_part(reply, kept)
        return None


class Garbage(Fault):
    """What comes is no HTTP."""

    act: bool = True
    text: str = "SPAM SPAM SPAM"

    async def play(self, scene: Scene) -> int | None:
        if self.act:
            await scene.act()
        await scene.wire.send_raw(self.text.encode() + b"\r\n\r\n")
        return None


class Never(Fault):
    """No answer ever comes."""

    act: bool = False

    async def play(self, scene: Scene) -> int | None:
        if self.act:
            await scene.act()
        await scene.wire.wait_until_gone()
        return None


class Drip(Fault):
    """The API acts; its body comes in small pieces over `seconds`."""

    seconds: float = Field(ge=0, le=3600)
    pieces: int = Field(default=10, ge=1, le=1000)

    async def play(self, scene: Scene) -> int | None:
        reply = await scene.act()
        await scene.wire.answer_slowly(reply, self.seconds, self.pieces)
        return reply.status


KINDS: dict[str, type[Fault]] = {
    "status": Status,
    "retry_after": RetryAfter,
    "exhausted": Exhausted,
    "delay": Delay,
    "drop_before": DropBefore,
    "drop_after": DropAfter,
    "hang_up": HangUp,
    "empty_body": EmptyBody,
    "cut_body": CutBody,
    "garbage": Garbage,
    "other_json": OtherJson,
    "never": Never,
    "drip": Drip,
    "expired_key": ExpiredKey,
    "redirect": Redirect,
}
