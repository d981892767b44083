"""What goes wrong, as a page or a part of one."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import Request, Response

from pitboss.core.errors import PitbossError, Unauthorized, problems_of
from pitboss.core.principal import LOCAL
from pitboss.web.pages import Visit


def is_page(request: Request) -> bool:
    """Answer whether somebody looks at what is answered: a browser that opens an address, or a part of a page."""
    wants = request.headers.get("accept", "")
    root = request.scope.get("root_path", "")
    path = request.url.path.removeprefix(root)
    is_ours = not path.startswith(("/api/", "/docs", "/openapi.json", "/metrics", "/healthz", "/readyz", "/static/"))
    return is_ours and ("text/html" in wants or request.headers.get("hx-request") == "true")


def refusal(request: Request, error: PitbossError, status: int) -> Response:
    """Answer an error for people: where to sign in, the page of the error, or the part that says it."""
    visit = Visit(request, request.app.state.platform, getattr(request.state, "who", LOCAL))
    if isinstance(error, Unauthorized) and status == 401 and not visit.is_partial:
        is_read = request.method in ("GET", "HEAD")
        query = {"next": visit.request.url.path.removeprefix(visit.root)} if is_read else {"said": "ended"}
        return visit.go(f"/sign-in?{urlencode(query)}")
    problems = problems_of(error)
    if visit.is_partial:
        return visit.render("problems.html", status, problems=problems)
    titles = {403: "That is not for you", 404: "There is nothing here", 409: "Not now", 429: "Too many",
              503: "Not just now", 507: "The disk is full"}  # fmt: skip
    return visit.render("error.html", status, title=titles.get(status, "That cannot be done"), problems=problems)
