"""The page at `/`, the documentation at `/docs`, and the feed of the page."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles

from pipelines.sandbox.core import Sandbox
from pipelines.sandbox.feed import look
from pipelines.sandbox.web import json_reply

_FOLDER = Path(__file__).parent / "page"


def add_page(app: FastAPI, sandbox: Sandbox) -> None:
    """Add the routes. The files are the package's own; nothing is loaded from elsewhere."""

    @app.get("/feed", include_in_schema=False)
    async def feed(epoch: str = "", since: int = 0) -> Response:
        return Response(json_reply(200, look(sandbox, epoch, since)).body, media_type="application/json")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(_FOLDER / "docs.html")

    app.mount("/", StaticFiles(directory=_FOLDER, html=True))
