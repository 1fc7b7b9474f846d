"""The sandbox as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from fastapi import FastAPI

from pipelines.sandbox.control import control_router
from pipelines.sandbox.core import Sandbox
from pipelines.sandbox.docs import describe
from pipelines.sandbox.gate import Gate
from pipelines.sandbox.page_routes import add_page
from pipelines.sandbox.store import Store


def build_app(sandbox: Sandbox, store: Store | None, changed_id: Callable[[], None]) -> Gate:
    """The application. With a store it keeps the state on disk; `changed_id` is called after a reset."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if store is None:
            yield
            return
        store.flush(sandbox.state)
        closing = asyncio.Event()
        keeper = asyncio.create_task(store.keep(sandbox.state, closing))
        yield
        closing.set()
        await keeper
        store.close()

    app = FastAPI(
        title="pipelines sandbox",
        description="The four APIs that pipelines delivers to, as far as it calls them, on this machine.",
        version="1",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(control_router(sandbox, changed_id))
    describe(app, sandbox)
    add_page(app, sandbox)
    return Gate(sandbox, app)
