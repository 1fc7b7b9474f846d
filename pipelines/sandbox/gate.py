"""The way of a request to an API and back: counted, limited, checked, spoiled where a fault says so, answered.

Everything else (the page, the documentation, `/control`) goes to the FastAPI application behind the gate, uncounted.
The APIs' own endpoints do not: a route of FastAPI costs ten times what the rest of the way does.
"""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from pipelines.sandbox.api import Api
from pipelines.sandbox.core import Sandbox
from pipelines.sandbox.limits import Limit, Meter, Standing
from pipelines.sandbox.web import Incoming, Match, Refusal, Reply
from pipelines.sandbox.wire import AsgiApp, Receive, Scope, Send, Wire


class Gate:
    """The ASGI application in front."""

    def __init__(self, sandbox: Sandbox, behind: AsgiApp) -> None:
        self._sandbox = sandbox
        self._behind = behind
        self._apis = [(api.prefix + "/", api) for api in sandbox.apis.values()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            path = scope["raw_path"].decode("latin-1")
            for prefix, api in self._apis:
                if path.startswith(prefix):
                    await self._serve(api, path, scope, Wire(scope, receive, send))
                    return
        await self._behind(scope, receive, send)

    async def _serve(self, api: Api[Any], path: str, scope: Scope, wire: Wire) -> None:
        method = scope["method"]
        match = api.routes.match(method, path[len(api.prefix) :])
        route = f"{method} {api.prefix}{match.path}" if match.path else f"{method} (no such path)"
        counts = self._sandbox.counts[api.name]
        counts.arrive(route)
        status = None
        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            authenticated = api.authenticated(headers)
            meter = counts.meters[authenticated]
            standing = meter.admit(time.monotonic()) if meter else None
            body = await wire.read_body()
            if body is not None:
                incoming = Incoming(method, path, match.params, scope["query_string"], headers, body)
                exchange = _Exchange(self._sandbox, api, incoming, match, wire, authenticated, meter, standing)
                status = await exchange.run()
        finally:
            counts.leave(route, status)


@dataclass(slots=True)
class _Exchange:
    """One request whose body is here: a `Scene` for a fault."""

    sandbox: Sandbox
    api: Api[Any]
    incoming: Incoming
    match: Match
    wire: Wire
    authenticated: bool
    meter: Meter | None
    standing: Standing | None

    async def run(self) -> int | None:
        """Answer; returns the status, or None where no whole answer was given."""
        if self.meter and self.standing and self.standing.wait:
            return await self._answer(self._too_many(self.meter.limit, self.standing))
        thing = self._edited()
        if thing is None:
            return await self._play()
        if thing in self.api.editing:
            return await self._answer(self.api.refuse(Refusal(409, "The edit overlaps another one")))
        self.api.editing.add(thing)
        try:
            return await self._play()
        finally:
            self.api.editing.discard(thing)

    async def act(self) -> Reply:
        """Let the API do what was asked."""
        if self.api.settings.latency_s:
            await asyncio.sleep(self.api.settings.latency_s)
        if not self.authenticated:
            return self._dressed(self.expired())
        try:
            return self._dressed(self._handled())
        except Refusal as refusal:
            return self._dressed(self.api.refuse(refusal))

    def expired(self) -> Reply:
        """The API's 401."""
        return self.api.refuse(Refusal(401, "Authentication failed"))

    async def _play(self) -> int | None:
        fault = self.sandbox.faults.pick(self.api.name, self.incoming.method, self.incoming.path)
        return await (fault.play(self) if fault else self._answer(await self.act()))

    async def _answer(self, reply: Reply) -> int:
        await self.wire.answer(reply)
        return reply.status

    def _handled(self) -> Reply:
        self.api.admit(self.incoming)
        if self.match.endpoint is not None:
            return self.match.endpoint.handle(self.incoming)
        if self.match.path is not None:
            raise Refusal(405, f"{self.incoming.method} is not allowed here")
        raise Refusal(404, f"There is nothing at {self.incoming.path}")

    def _edited(self) -> str | None:
        if self.match.endpoint is None or not self.authenticated:
            return None
        return self.api.edits(self.incoming)

    def _dressed(self, reply: Reply) -> Reply:
        return self.api.dress(reply, self.standing, self.meter.limit if self.meter else None)

    def _too_many(self, limit: Limit, standing: Standing) -> Reply:
        reply = self._dressed(self.api.refuse(Refusal(429, "Too many requests")))
        if limit.retry_after == "none":
            return reply
        seconds = math.ceil(standing.wait)
        when = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
        value = str(seconds) if limit.retry_after == "seconds" else when
        return reply.with_headers((b"retry-after", value.encode()))
