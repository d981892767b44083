"""How pages are made: templates, and what each of them knows of the request that it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qs, quote, unquote
from zoneinfo import ZoneInfo

from fastapi import Depends, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pitboss.accounts.keys import csrf_of
from pitboss.bootstrap import Platform
from pitboss.core.errors import InvalidInput, NotReady, problems_of
from pitboss.core.principal import LOCAL, Principal, Rights
from pitboss.core.version import VERSION
from pitboss.http.deps import platform_of, principal_of
from pitboss.http.signing import CSRF_FIELD, CSRF_HEADER
from pitboss.web import shown

HERE = Path(__file__).parent
STATIC = HERE / "static"
THEME_COOKIE, ZONE_COOKIE, SAID_COOKIE = "pitboss_theme", "pitboss_zone", "pitboss_said"
THEMES = ("auto", "light", "dark")
SAID_SECONDS = 60
MOST_SAID = 600
MOST_FIELDS = 2_000
Item = tuple[str, str, str]
NAVIGATION: tuple[Item, ...] = (
    ("/", "Board", "layout-dashboard"),
    ("/new", "New run", "plus"),
    ("/library", "Library", "library"),
    ("/traders", "Traders", "trending-up"),
    ("/models", "Models", "layers"),
    ("/schedules", "Schedules", "clock"),
    ("/strategies", "Strategies", "code"),
    ("/screens", "Screens", "list-filter"),
    ("/data", "Data", "database"),
    ("/queue", "Queue", "server"),
    ("/settings", "Settings", "settings"),
)


@cache
def manifest() -> dict[str, dict[str, str]]:
    """Answer the built files by the names of their sources, and the icons. Raises NotReady where none are built."""
    try:
        found: dict[str, dict[str, str]] = json.loads((STATIC / "manifest.json").read_text())
    except OSError:
        raise NotReady("the desk's scripts and styles are not built", "run script/assets, then start again") from None
    return found


def icon(name: str, label: str = "") -> Markup:
    """Answer an icon as inline SVG; without a label it is decoration, and not read aloud."""
    spoken = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    return Markup('<svg class="icon icon-{}" viewBox="0 0 24 24" {}>{}</svg>').format(
        name, spoken, Markup(manifest()["icons"][name])
    )


@cache
def templates() -> Environment:
    """Answer the templates; what they show is escaped, and a name that is not given is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, auto_reload=False,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.globals |= {"icon": icon, "version": VERSION, "Rights": Rights, "csrf_field": CSRF_FIELD}
    made.filters |= shown.FILTERS
    return made


def fragment(template: str, /, **context: Any) -> str:
    """Render a part of a page that is the same for whoever may see it."""
    return templates().get_template(template).render(**context)


@dataclass(frozen=True)
class Visit:
    """One request for a page: who asks, where from, and how they want it shown."""

    request: Request
    platform: Platform
    who: Principal | None

    @property
    def me(self) -> Principal:
        """Who asks, on a page that only shows to somebody."""
        assert self.who is not None
        return self.who

    @property
    def root(self) -> str:
        """The path under which a proxy serves us."""
        return str(self.request.scope.get("root_path", ""))

    @property
    def is_partial(self) -> bool:
        """Whether a part of a page is wanted."""
        return self.request.headers.get("hx-request") == "true"

    @property
    def may_run(self) -> bool:
        return self.who is not None and self.who.rights >= Rights.RUN

    @property
    def csrf(self) -> str:
        session = getattr(self.request.state, "session", None)
        return csrf_of(session) if session else ""

    @cached_property
    def zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(unquote(self.request.cookies.get(ZONE_COOKIE, "UTC"))[:64])
        except (KeyError, ValueError, OSError):
            return ZoneInfo("UTC")

    @property
    def theme(self) -> str:
        chosen = self.request.cookies.get(THEME_COOKIE, "auto")
        return chosen if chosen in THEMES else "auto"

    def render(self, template: str, status: int = 200, topics: str = "", **context: Any) -> HTMLResponse:
        """Answer a page. `topics` are what it wants to be told of; see `web.live`."""
        files = manifest()["files"]
        common = {
            "visit": self, "root": self.root, "who": self.who, "has_accounts": self.who not in (None, LOCAL),
            "may_run": self.may_run, "theme": self.theme, "navigation": NAVIGATION, "topics": topics,
            "static": {name: f"{self.root}/static/{file}" for name, file in files.items()},
            "headers": json.dumps({CSRF_HEADER: self.csrf}) if self.csrf else "{}", "csrf": self.csrf,
            "problems_of": problems_of,
            "said": unquote(self.request.cookies.get(SAID_COOKIE, "")), "now": datetime.now(UTC).isoformat(),
            "path": self.request.url.path.removeprefix(self.root),
        }  # fmt: skip
        body = templates().get_template(template).render(**common | context)
        answer = HTMLResponse(body, status, headers={"Cache-Control": "no-store"})
        if common["said"]:
            answer.delete_cookie(SAID_COOKIE, path=self.root or "/")
        return answer

    def go(self, path: str, said: str = "") -> Response:
        """Lead to another page, which says `said` once."""
        there = self.root + path
        answer: Response = RedirectResponse(there, 303)
        if self.is_partial:  # fetched behind the page: the page itself is to go
            answer = Response(status_code=204, headers={"HX-Redirect": there})
        if said:
            text = quote(said[:MOST_SAID])
            answer.set_cookie(SAID_COOKIE, text, SAID_SECONDS, path=self.root or "/", httponly=True, samesite="lax")
        return answer

    async def form(self) -> Mapping[str, list[str]]:
        """Answer the fields of a form that was sent. Raises InvalidInput for what is none."""
        body = (await self.request.body()).decode(errors="replace")
        try:
            return parse_qs(body, keep_blank_values=True, max_num_fields=MOST_FIELDS)
        except ValueError:
            raise InvalidInput(f"more than {MOST_FIELDS:,} fields were sent", "choose fewer at once", "form") from None


def visit_of(request: Request) -> Visit:
    """Answer the request as pages see it. Raises Misplaced when the data folder was moved away."""
    return Visit(request, platform_of(request), getattr(request.state, "who", LOCAL))


async def known_visit_of(request: Request) -> Visit:
    """The same for a page that shows to somebody. Raises Unauthorized where nobody knows who asks."""
    return Visit(request, request.app.state.platform, await principal_of(request))


Open = Annotated[Visit, Depends(visit_of)]
Desk = Annotated[Visit, Depends(known_visit_of)]
