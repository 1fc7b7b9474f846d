"""Servers that repeat what they should not, and the search for what must stand nowhere."""

from __future__ import annotations

import base64
import html
import json
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pyarrow.parquet as pq
import sqlalchemy as sa

_WINDOW = 8
"""So many letters of a secret in a row are a leak."""


@dataclass(slots=True)
class Echo:
    """What the server says to a request whose headers are given; bytes are written raw, in place of an answer."""

    status: int = 400
    body: Callable[[str], str | bytes] = str
    kind: str = "application/json"
    location: Callable[[str], str] | None = None
    raw: Callable[[str], bytes] | None = None
    heard: list[Mapping[str, str]] = field(default_factory=list)


@contextmanager
def echoing() -> Iterator[tuple[str, Echo]]:
    """A server of HTTP on loopback, and what it says, which can be changed."""
    said = Echo()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            said.heard.append(dict(self.headers))
            told = " ".join(f"{name}: {value}" for name, value in self.headers.items())
            if said.raw is not None:
                self.wfile.write(said.raw(told))
                self.close_connection = True
                return
            body = said.body(told)
            content = body if isinstance(body, bytes) else body.encode()
            self.send_response(said.status)
            self.send_header("content-type", said.kind)
            self.send_header("content-length", str(len(content)))
            if said.location is not None:
                self.send_header("location", said.location(told))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - the names that the base class calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class has it so
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", said
        server.shutdown()


@contextmanager
def refusing_postgres() -> Iterator[int]:
    """A PostgreSQL that takes nobody's password, and repeats it; yields its port."""

    class Refusal(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while self._packet(4)[:4] in {struct.pack("!I", 80877103), struct.pack("!I", 80877104)}:
                self.request.sendall(b"N")  # neither TLS nor GSS
            self.request.sendall(b"R" + struct.pack("!II", 8, 3))
            self.request.recv(1)
            password = self._packet(4).rstrip(b"\0")
            fields = b"SFATAL\0C28P01\0M" + b"password authentication failed: " + password + b"\0\0"
            self.request.sendall(b"E" + struct.pack("!I", 4 + len(fields)) + fields)

        def _packet(self, prefix: int) -> bytes:
            (size,) = struct.unpack("!I", self._exactly(prefix))
            return self._exactly(size - prefix)

        def _exactly(self, size: int) -> bytes:
            found = b""
            while len(found) < size:
                part = self.request.recv(size - len(found))
                if not part:
                    raise ConnectionAbortedError
                found += part
            return found

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        address_family = socket.AF_INET

        def handle_error(self, request: object, client_address: object) -> None:
            """The client has gone: that is its right."""

    with Server(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@cache
def forms_of(secret: str) -> set[str]:
    """What no text may hold: windows of the secret, in every notation that a message may use."""
    windows = {secret[at : at + _WINDOW] for at in range(0, len(secret) - _WINDOW + 1, 3)}
    forms: set[str] = set()
    for one in windows:
        escaped = json.dumps(one)[1:-1]
        forms |= {one, quote(one, safe=""), quote(one), quote(one, safe="").lower(), html.escape(one), repr(one)[1:-1]}
        forms |= {
            escaped,
            json.dumps(one, ensure_ascii=False)[1:-1],
            escaped.replace("/", r"\/"),
            json.dumps(escaped)[1:-1],
        }
    whole = secret.encode()
    for start in range(3):  # a window of letters that depend on the secret alone, wherever it begins in the Base64
        part = whole[start : start + (len(whole) - start) // 3 * 3]
        text = base64.b64encode(part).decode()
        forms |= {text[at : at + 12] for at in range(0, len(text) - 11, 4)}
    return forms


def leaks(text: str, *secrets: str) -> list[str]:
    """The forms of secrets that stand in a text."""
    return [form for secret in secrets for form in forms_of(secret) if form in text]


def everything_in(folder: Path) -> Iterator[tuple[str, str]]:
    """All that was written below a folder, but for a copy of the sample.

    Files as they are, Parquet decoded, SQLite's tables row by row.
    """
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or "sample" in path.parts:
            continue
        content = path.read_bytes()
        yield str(path), content.decode("latin-1")
        yield str(path), content.decode("utf-8", "replace")
        if path.suffix == ".parquet":
            yield str(path), str(pq.read_table(path).to_pylist())
        if content.startswith(b"SQLite format 3\0"):
            yield str(path), rows_of(f"sqlite:///{path}")


def rows_of(url: str) -> str:
    """All rows of all tables of a database."""
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            names = sa.inspect(engine).get_table_names()
            rows = [row for name in names for row in connection.exec_driver_sql(f'SELECT * FROM "{name}"').all()]
            return "\n".join(repr(tuple(row)) for row in rows)  # a row's own text is cut
    finally:
        engine.dispose()
