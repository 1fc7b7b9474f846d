"""What the APIs of the sandbox see of HTTP: an incoming request, a reply, and the endpoints between them.

Handlers are plain functions from one to the other. They never wait, so that each acts in one piece, faults can be
played on whole replies, and a request costs little.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

JSON_TYPE = (b"content-type", b"application/json")
HTML_TYPE = (b"content-type", b"text/html; charset=utf-8")
RawHeaders = tuple[tuple[bytes, bytes], ...]


class Refusal(Exception):
    """A request that an API turns down; the API gives it its own error body. `facts` are further fields of it."""

    def __init__(self, status: int, message: str = "", **facts: Any) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        self.facts = facts


@dataclass(frozen=True)
class Incoming:
    """A request as it came in: header names in lower case, path parameters percent-decoded one by one."""

    method: str
    path: str
    params: Mapping[str, str]
    query_string: bytes
    headers: Mapping[str, str]
    body: bytes

    @cached_property
    def query(self) -> dict[str, str]:
        """The query parameters; of a repeated one the last."""
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    @property
    def media_type(self) -> str:
        """The Content-Type in small letters, without parameters; empty where there is none."""
        return self.headers.get("content-type", "").split(";")[0].strip().lower()

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            Refusal: 400 where it is anything else.
        """
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError as error:
            raise Refusal(400, f"The body is no valid JSON: {error}") from error
        if not isinstance(value, dict):
            raise Refusal(400, "The body must be a JSON object")
        return value


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes = b""
    headers: RawHeaders = ()

    def with_headers(self, *more: tuple[bytes, bytes]) -> Reply:
        """The same reply with further headers."""
        return Reply(self.status, self.body, self.headers + more)

    def wire_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers to send, with the length of the body."""
        if self.status == 204:
            return list(self.headers)
        return [*self.headers, (b"content-length", b"%d" % len(self.body))]


def json_reply(status: int, value: Any) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, orjson.dumps(value), (JSON_TYPE,))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of an API. `path` is relative to the API's prefix, with `{parameters}`.

    The rest documents it: `query` maps parameters to their meaning, `example` is a request body, `answers` maps
    statuses to what they mean, and the handler's docstring is the description.
    """

    method: str
    path: str
    handle: Callable[[Incoming], Reply]
    summary: str
    query: Mapping[str, str] = field(default_factory=dict)
    example: Any = None
    answers: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match:
    """Where a path leads: `endpoint` is None where no endpoint has the path, or none with this method."""

    path: str | None
    endpoint: Endpoint | None
    params: Mapping[str, str]


class Routes:
    """The endpoints of an API by path. Literal segments win over parameters that are registered after them."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._by_length: dict[int, list[tuple[list[str], str, dict[str, Endpoint]]]] = {}
        known: dict[str, dict[str, Endpoint]] = {}
        for endpoint in endpoints:
            if endpoint.path not in known:
                methods = known[endpoint.path] = {}
                segments = endpoint.path.split("/")
                self._by_length.setdefault(len(segments), []).append((segments, endpoint.path, methods))
            known[endpoint.path][endpoint.method] = endpoint

    def match(self, method: str, raw_path: str) -> Match:
        """Find the endpoint of a path that is still percent-encoded, so that an encoded slash stays in its segment."""
        given = raw_path.split("/")
        for segments, path, methods in self._by_length.get(len(given), ()):
            params: dict[str, str] = {}
            for segment, value in zip(segments, given, strict=True):
                if segment[:1] == "{":
                    if not value:
                        break
                    params[segment[1:-1]] = unquote(value) if "%" in value else value
                elif segment != value:
                    break
            else:
                return Match(path, methods.get(method), params)
        return Match(None, None, {})
