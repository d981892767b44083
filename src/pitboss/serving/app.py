"""The application: routes, errors, guard, and what lives as long as the server."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.staticfiles import StaticFiles

from pitboss.accounts.passwords import AT_ONCE
from pitboss.api.kinds import describe_requests
from pitboss.api.routes import api_router
from pitboss.api.system import probes
from pitboss.api.together import Questions
from pitboss.bootstrap import Platform
from pitboss.core.version import VERSION
from pitboss.http.access import operation_of
from pitboss.http.signing import Turns
from pitboss.reader.client import Reader
from pitboss.serving.docs import serve_docs
from pitboss.serving.doors import Doors
from pitboss.serving.guard import LOOPBACK, Guard
from pitboss.serving.head import HeadRequests
from pitboss.serving.headers import SecurityHeaders
from pitboss.serving.problems import RESPONSES, handle_errors
from pitboss.serving.setup import Setup, serve_setup
from pitboss.serving.tailer import Tailer
from pitboss.web.live import Live
from pitboss.web.pages import STATIC
from pitboss.web.routes import OPENERS, desk_router

READ_AT_ONCE = 6  # requests that wait for the one process that reads bars
IMPORT_SECONDS = 3600.0
MOST_WAITING = 64  # to have their passwords compared
DESCRIPTION = """Backtests, sweeps and every other long job as durable, observable, cancellable **runs**.

Errors are `application/problem+json` with a remedy, and positions where there are any. Every POST that
creates a run takes an `Idempotency-Key`. `/api` is the same as `/api/v1`.
"""


@asynccontextmanager
async def _serving(platform: Platform, root_path: str, app: FastAPI) -> AsyncIterator[None]:
    """Have what requests are answered with, for as long as the application serves."""
    await asyncio.to_thread(lambda: list(platform.kinds))  # packages load before the first request waits for them
    app.state.questions = Questions(platform)
    app.state.reader = Reader(platform.settings.data_dir, platform.settings.files_url)
    app.state.reading = asyncio.Semaphore(READ_AT_ONCE)
    app.state.importer = Reader(platform.settings.data_dir, platform.settings.files_url, IMPORT_SECONDS)
    app.state.signing_in = Turns(AT_ONCE, MOST_WAITING)
    app.state.importing = asyncio.Semaphore(1)  # one file at a time: each may take half of the memory that is free
    app.state.tailer = Tailer(platform.log, platform.database.changes())
    app.state.tailer.start()
    app.state.live = Live(platform, OPENERS, root_path)
    app.state.live.start()
    gc.collect()
    gc.freeze()  # what is loaded stays: searching it for garbage would hold up every stream for a fifth of a second
    yield
    await app.state.live.stop()
    await app.state.tailer.stop()
    app.state.reader.close()
    app.state.importer.close()


def create_app(
    platform: Platform, hosts: frozenset[str] = LOOPBACK, root_path: str = "", is_private: bool = True
) -> FastAPI:
    """Answer the application over an open platform; closing the platform is the caller's.

    `hosts` are the names under which it is served, `root_path` is the path, where a proxy serves it under one;
    `is_private` says that nobody but the owner can reach it, so that it needs no accounts.
    """

    app = FastAPI(
        title="pitboss", version=VERSION, description=DESCRIPTION, docs_url=None, redoc_url=None,
        lifespan=partial(_serving, platform, root_path), generate_unique_id_function=_operation_id,
    )  # fmt: skip
    app.state.platform = platform
    app.state.setup = Setup(is_open=not is_private and not platform.accounts.has_accounts())
    router = api_router(RESPONSES)
    app.include_router(router, prefix="/api/v1")
    app.include_router(router, prefix="/api", include_in_schema=False)
    app.include_router(probes, include_in_schema=False)
    describe_requests(app, platform.kinds)
    app.include_router(desk_router())
    app.mount("/static", StaticFiles(directory=STATIC, check_dir=False), name="static")
    serve_docs(app)
    serve_setup(app, app.state.setup, platform.accounts)
    handle_errors(app)
    app.add_middleware(Doors, accounts=platform.accounts, is_private=is_private)
    app.add_middleware(Guard, hosts=hosts, root_path=root_path)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(HeadRequests)
    return app


def _operation_id(route: APIRoute) -> str:
    return operation_of(route.endpoint)
