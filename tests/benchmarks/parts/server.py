"""An API that answers after a fixed time and counts, as a process of its own: `Server`.

It takes any write, has nothing to read, and speaks as much of feedback.house as a batch needs. It parses HTTP/1.1 by
hand, on uvloop, so that it bears a multiple of what the clients ask of it.

    GET  /_/counts      what was counted since the last reset
    GET  /_/arrivals    when each request came, in seconds
    POST /_/reset
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
from array import array
from collections import Counter
from email.utils import formatdate
from types import TracebackType
from typing import Any, Self

import httpx
import orjson
import uvloop

_AREAS = b"/planning/area/v1/"


class Api:
    """The counts, and what is answered."""

    def __init__(self, latency_s: float, quota: tuple[int, float] | None) -> None:
        self.latency_s = latency_s
        self._quota = quota
        self.reset()

    def reset(self) -> None:
        """Forget what was counted; a quota's span goes on."""
        self.arrivals = array("d")
        self.methods: Counter[str] = Counter()
        self.items = 0
        self.in_flight = self.most_in_flight = 0
        if not hasattr(self, "_opened"):
            self._opened, self._used = float("-inf"), 0

    def arrived(self, method: str) -> None:
        """Count a request."""
        self.arrivals.append(time.monotonic())
        self.methods[method] += 1
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)

    def control(self, target: bytes) -> Any:
        """The answer to a request for the benchmark itself."""
        if target == b"/_/reset":
            self.reset()
        if target == b"/_/arrivals":
            return self.arrivals.tolist()
        return {
            "requests": len(self.arrivals),
            "writes": sum(count for method, count in self.methods.items() if method != "GET"),
            "items": self.items,
            "most_in_flight": self.most_in_flight,
        }

    def answer(self, method: str, target: bytes, body: bytes) -> tuple[int, bytes]:
        """Status and body."""
        if method != "GET" and not target.startswith(_AREAS):
            self.items += 1
            return 200, b"{}"
        if target.startswith(_AREAS + b"query"):
            return 200, b'{"areas":[],"pageInfo":{"hasNextPage":false}}'
        if method == "POST":
            areas = orjson.loads(body)["areas"]
            self.items += len(areas)
            data = [{"id": f"id-{one['correlationID']}", "correlationID": one["correlationID"]} for one in areas]
            said = f"Created {len(areas)} | Updated 0 | Errors 0"
            return 200, orjson.dumps({"status": "OK", "message": said, "errors": [], "data": data})
        return 200, b"{}"

    def headers(self) -> str:
        """A quota's headers: it opens with the first request after the last one ended."""
        if self._quota is None:
            return ""
        limit, seconds = self._quota
        now = time.time()
        if now >= self._opened + seconds:
            self._opened, self._used = now, 0
        self._used += 1
        left = max(0, limit - self._used)
        return (
            f"Date: {formatdate(now, usegmt=True)}\r\nX-RateLimit-Limit: {limit}\r\nX-RateLimit-Remaining: {left}\r\n"
            f"X-RateLimit-Reset: {int(self._opened + seconds)}\r\n"
        )


class _Connection(asyncio.Protocol):
    """One client's connection, one request after another."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._loop = asyncio.get_running_loop()
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (request := self._next()) is not None:
            method, target, body = request
            if target.startswith(b"/_/"):
                self._write(200, orjson.dumps(self._api.control(target)), "")
                continue
            self._api.arrived(method)
            headers = self._api.headers()
            self._loop.call_later(self._api.latency_s, self._respond, method, target, body, headers)

    def _next(self) -> tuple[str, bytes, bytes] | None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        length = 0
        at = head.lower().find(b"\r\ncontent-length:")
        if at >= 0:
            length = int(head[at + 17 :].split(b"\r\n", 1)[0])
        if len(rest) < length:
            return None
        self._buffer = rest[length:]
        method, target, _ = head.split(b" ", 2)
        return method.decode(), target, rest[:length]

    def _respond(self, method: str, target: bytes, body: bytes, headers: str) -> None:
        self._api.in_flight -= 1
        self._write(*self._api.answer(method, target, body), headers)

    def _write(self, status: int, body: bytes, headers: str) -> None:
        if not self._transport.is_closing():
            headers += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            self._transport.write(f"HTTP/1.1 {status} Said\r\n{headers}\r\n".encode() + body)


class Server:
    """A running server; leaving the block ends it."""

    def __init__(self, latency_ms: float, quota: tuple[int, float] | None = None) -> None:
        """`quota`: requests and seconds of which the answers' headers tell."""
        command = [sys.executable, "-m", __name__, "--latency-ms", str(latency_ms)]
        if quota is not None:
            command += ["--quota", *map(str, quota)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.communicate()

    def counts(self) -> dict[str, int]:
        """Requests, writes (no GET), items written, and the most requests in flight, since the last reset."""
        return httpx.get(f"{self.url}/_/counts").json()

    def arrivals(self) -> list[float]:
        """When each request came."""
        return httpx.get(f"{self.url}/_/arrivals", timeout=60).json()

    def reset(self) -> None:
        """Forget what was counted."""
        httpx.post(f"{self.url}/_/reset")


async def _serve(api: Api) -> None:
    loop = asyncio.get_running_loop()
    listener = await loop.create_server(lambda: _Connection(api), "127.0.0.1", 0, backlog=1024)
    host, port = listener.sockets[0].getsockname()
    print(f"http://{host}:{port}", flush=True)
    await listener.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency-ms", type=float, required=True)
    parser.add_argument("--quota", nargs=2, type=float)
    given = parser.parse_args()
    told = (int(given.quota[0]), given.quota[1]) if given.quota else None
    uvloop.run(_serve(Api(given.latency_ms / 1000, told)))
