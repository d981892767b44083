"""The documentation of the API in a browser: it loads nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import fastapi_offline
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from pitboss.serving.headers import allowing

ASSETS = "/docs/assets"
_SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">'
    '<path d="M2 12 6 7l3 3 5-7" fill="none" stroke="#0a7" stroke-width="2"/></svg>'
)
_ICON = "data:image/svg+xml," + quote(_SVG)


def serve_docs(app: FastAPI) -> None:
    """Serve `/docs`, with Swagger UI out of its wheel, and the icon of all pages."""
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
