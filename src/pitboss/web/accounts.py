"""Signing in and out, and the settings of an account: tokens, secrets, other accounts, the audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse

from pitboss.accounts.model import Role, Scope
from pitboss.core.duration import seconds_of
from pitboss.core.errors import InvalidInput, TooManyGuesses, Unauthorized
from pitboss.core.principal import LOCAL
from pitboss.core.settings import describe_settings
from pitboss.http.signing import sign_out_of, signed_in
from pitboss.routine.channels import News
from pitboss.web.pages import THEME_COOKIE, THEMES, Desk, Open, Visit

router = APIRouter()
AUDITED = 200
YEAR_SECONDS = 365 * 86_400


def inside(path: str) -> str:
    """Answer a path of ours to go to, the board for anything else."""
    return path if path.startswith("/") and not path.startswith(("//", "/\\")) else "/"


@router.get("/sign-in")
def sign_in_page(visit: Open, next: str = "/", said: str = "") -> Response:
    """Show where to sign in."""
    has_accounts = visit.platform.accounts.has_accounts()
    if visit.who is not None or not has_accounts:
        return visit.go(inside(next))
    words = "You were signed out: sign in again to go on." if said == "ended" else ""
    return visit.render("sign_in.html", next=inside(next), words=words, name="", problem=None)


@router.post("/sign-in")
async def sign_in(visit: Open, request: Request) -> Response:
    """Sign in, and go to where one wanted."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    there = inside(form.get("next", "/"))
    answer: Response = RedirectResponse(visit.root + there, 303)
    try:
        await signed_in(request, answer, form.get("name", ""), form.get("password", ""))
    except (Unauthorized, InvalidInput) as error:
        status = 429 if isinstance(error, TooManyGuesses) else 401
        return visit.render("sign_in.html", status, next=there, words="", name=form.get("name", "")[:64], problem=error)
    return answer


@router.post("/sign-out")
async def sign_out(visit: Desk, request: Request) -> Response:
    """Sign out, here or everywhere."""
    everywhere = (await visit.form()).get("everywhere", [""])[0] == "yes"
    answer = visit.go("/sign-in")
    await run_in_threadpool(sign_out_of, request, answer, visit.me, everywhere)
    return answer


@router.get("/settings")
def settings(visit: Desk) -> Response:
    """Show what can be set."""
    return visit.render("settings.html", **_context(visit))


def _context(visit: Visit, **more: Any) -> dict[str, Any]:
    platform, me = visit.platform, visit.me
    has_accounts = me != LOCAL
    return {
        "tokens": platform.accounts.tokens(me) if has_accounts else [], "scopes": [scope.value for scope in Scope],
        "secrets": platform.vault.all(me) if visit.may_run else [], "new_token": "", "problem": None,
        "users": platform.accounts.all(me) if has_accounts and me.is_operator else [],
        "roles": [role.value for role in Role],
        "channels": [platform.channels.described(each) for each in platform.channels.all(me)] if visit.may_run else [],
        "all_news": [each.value for each in News],
        "described": describe_settings(platform.settings) if me.is_operator else [],
    } | more  # fmt: skip


@router.post("/settings/theme")
async def choose_theme(visit: Open) -> Response:
    """Keep how pages look in this browser."""
    theme = (await visit.form()).get("theme", ["auto"])[0]
    answer = visit.go("/settings")
    kept = theme if theme in THEMES else "auto"
    answer.set_cookie(THEME_COOKIE, kept, YEAR_SECONDS, path=visit.root or "/", samesite="lax")
    return answer


@router.post("/settings/tokens")
async def tokens(visit: Desk) -> Response:
    """Make a token, which is shown this once, or end one."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    return await run_in_threadpool(_changed, visit, form, _token)


def _token(visit: Visit, form: Mapping[str, str]) -> Response:
    accounts = visit.platform.accounts
    if form.get("do") == "revoke":
        accounts.revoke(visit.me, form.get("id", ""))
        return visit.go("/settings", "The token is ended")
    lasts = seconds_of(form["expires"], "expires") if form.get("expires") else None
    _, key = accounts.create_token(visit.me, form.get("name", ""), form.get("scope", "run"), lasts)
    return visit.render("settings.html", **_context(visit, new_token=key))


@router.post("/settings/password")
async def password(visit: Desk) -> Response:
    """Change one's own password: all sessions end."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    return await run_in_threadpool(_changed, visit, form, _password)


def _password(visit: Visit, form: Mapping[str, str]) -> Response:
    visit.platform.accounts.set_password(visit.me, visit.me.name, form.get("password", ""), form.get("before", ""))
    return visit.go("/sign-in?said=ended")


@router.post("/settings/users")
async def users(visit: Desk) -> Response:
    """Make an account, or change one."""
    form = {name: texts[0] for name, texts in (await visit.form()).items()}
    return await run_in_threadpool(_changed, visit, form, _user)


def _user(visit: Visit, form: Mapping[str, str]) -> Response:
    accounts, me, name = visit.platform.accounts, visit.me, form.get("name", "")
    match form.get("do"):
        case "add":
            accounts.add(me, name, form.get("password", ""), form.get("role", Role.TRADER.value))
        case "role":
            accounts.set_role(me, name, form.get("role", ""))
        case "enable":
            accounts.enable(me, name)
        case "disable":
            accounts.disable(me, name)
        case "remove":
            accounts.remove(me, name)
        case _:
            raise InvalidInput("nothing is to be done", "add, role, enable, disable or remove", "do")
    return visit.go("/settings", f"{name}: done")


def _changed(visit: Visit, form: Mapping[str, str], change: Any) -> Response:
    """Answer what a change comes to, or the page with what is wrong."""
    try:
        answer: Response = change(visit, form)
    except InvalidInput as error:
        return visit.render("settings.html", 422, **_context(visit, problem=error))
    return answer


@router.get("/audit")
def audit(visit: Desk, of: str = "", after: str = "") -> Response:
    """Show who did what."""
    entries = visit.platform.accounts.entries(visit.me, after[:64], AUDITED, of[:64] or None)
    return visit.render("audit.html", entries=entries, of=of, most=AUDITED)
