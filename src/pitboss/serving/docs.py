"""Pages for people who open the server in a browser: no page of ours loads anything from elsewhere."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any
from urllib.parse import quote

import fastapi_offline
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.staticfiles import StaticFiles

from pitboss.bootstrap import Platform
from pitboss.core.errors import StorageUnavailable
from pitboss.core.version import VERSION
from pitboss.serving.headers import allowing

ASSETS = "/docs/assets"
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<path d="M2 12 6 7l3 3 5-7" fill="none" stroke="#0a7" stroke-width="2"/></svg>'
)
_ICON = "data:image/svg+xml," + quote(_SVG)
_PLACES = {
    "docs": ("/docs", "the HTTP API, with examples to try"),
    "openapi": ("/openapi.json", "its description for programs"),
    "runs": ("/api/v1/runs", "the latest runs"),
    "queue": ("/api/v1/queue", "what waits and why, what is active"),
    "workers": ("/api/v1/workers", "who works"),
    "ready": ("/readyz", "whether runs can be started, or why not"),
    "metrics": ("/metrics", "figures for Prometheus"),
}
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pitboss</title>
<link rel="icon" href="{icon}">
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }}
  dt {{ margin-top: .75rem; }} dd {{ margin: 0; opacity: .8; }}
</style>
<h1>pitboss {version}</h1>
<p>Backtests, sweeps and every other long job as durable, observable, cancellable runs.</p>
<p role="status">{status}</p>
<dl>{places}</dl>
"""


def serve_pages(app: FastAPI) -> None:
    """Serve `/docs`, with Swagger UI out of its wheel, and a first page that says what else there is."""
    assets = Path(fastapi_offline.__file__).parent / "static"
    app.mount(ASSETS, StaticFiles(directory=assets), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    def docs(request: Request) -> HTMLResponse:
        root = request.scope.get("root_path", "")
        page = get_swagger_ui_html(
            openapi_url=f"{root}/openapi.json", title="pitboss API",
            swagger_js_url=f"{root}{ASSETS}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{ASSETS}/swagger-ui.css", swagger_favicon_url=_ICON,
        )  # fmt: skip
        page.headers["Content-Security-Policy"] = allowing(bytes(page.body).decode())
        return page

    @app.get("/favicon.ico", include_in_schema=False)
    def icon() -> Response:
        return Response(_SVG, media_type="image/svg+xml")

    @app.get("/", include_in_schema=False)
    def first_page(request: Request) -> Response:
        root = request.scope.get("root_path", "")
        if "text/html" in request.headers.get("accept", ""):
            return HTMLResponse(_first_page(root, _status(request.app.state.platform)))
        places = {name: f"{root}{path}" for name, (path, _) in _PLACES.items()}
        return JSONResponse({"name": "pitboss", "version": VERSION, **places})


def _status(platform: Platform) -> str:
    """Say whether runs can be started just now, or why not."""
    try:
        hindrance = platform.service.obstacle()
    except StorageUnavailable as error:
        hindrance = error.message
    return f"Not ready: {hindrance}" if hindrance else "Runs can be started."


def _first_page(root: str, status: str) -> str:
    described: list[Any] = [
        f'<dt><a href="{html.escape(root + path)}">{path}</a></dt><dd>{meaning}</dd>'
        for path, meaning in _PLACES.values()
    ]
    return _PAGE.format(icon=_ICON, version=VERSION, status=html.escape(status), places="".join(described))
