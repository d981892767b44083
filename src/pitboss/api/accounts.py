"""Signing in, tokens, accounts and the audit over HTTP."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel, Field, StrictBool, StrictStr

from pitboss.accounts.keys import csrf_of
from pitboss.accounts.model import Role, Scope
from pitboss.accounts.ports import Entry
from pitboss.api.schemas import Json, Strict
from pitboss.bootstrap import Platform
from pitboss.core.duration import seconds_of
from pitboss.core.errors import InvalidInput
from pitboss.core.principal import Principal
from pitboss.http.deps import Who, Wired
from pitboss.http.signing import sign_out_of, signed_in
from pitboss.runs.model import RunQuery
from pitboss.runs.service import UNFINISHED

router = APIRouter(tags=["accounts"])
Password = Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00]*$")]
NamePath = Annotated[str, Path(max_length=64, pattern=r"^[^\x00]+$", description="An account's name.")]
OfAccount = Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$", description="Whose, for administrators.")]
TokenPath = Annotated[
    str, Path(max_length=64, pattern=r"^[^\x00]+$", description="A token's id, its first letters or its name.")
]


class Credentials(Strict):
    """A name and its password."""

    name: Name
    password: Password


class PasswordChange(Strict):
    """One's own password, before and from now on."""

    before: Password
    password: Password


class TokenRequest(Strict):
    """A token to make: `expires` such as 90d or 12h, null for one that never does; `account` is whose, for
    administrators."""

    name: Name
    scope: Scope = Scope.RUN
    expires: StrictStr | None = "90d"
    account: Name | None = None


class NewUser(Credentials):
    """An account to make."""

    role: Role = Role.TRADER


class UserChange(Strict):
    """What to change of an account. Disabling it ends its sessions and tokens; `runs` says what becomes of its runs."""

    role: Role | None = None
    is_enabled: StrictBool | None = None
    password: Password | None = None
    runs: Literal["go on", "cancel"] = "go on"


class SessionModel(BaseModel):
    """Who asks: `csrf_token` is what a page sends as X-CSRF-Token with each change, null where a token came."""

    name: str
    rights: str
    via: str
    csrf_token: str | None


class TokenModel(BaseModel):
    """A token, as far as it may be shown."""

    id: str
    account: str
    name: str
    scope: Scope
    prefix: str
    created_at: str
    expires_at: str | None
    used_at: str | None
    used_from: str
    revoked_at: str | None


class NewToken(TokenModel):
    """A token that was just made; `token` is shown this once."""

    token: str


class UserModel(BaseModel):
    """An account."""

    name: str
    role: Role
    is_enabled: bool
    has_password: bool
    created_at: str


class AuditModel(BaseModel):
    """Who did what to what, when, from where and with which token or session."""

    id: str
    at: str
    who: str
    via: str
    address: str
    action: str
    target: str
    detail: Json


@router.post("/session", status_code=201, response_model=SessionModel)
async def sign_in(request: Request, response: Response, given: Credentials) -> Any:
    """Sign in: the answer sets a cookie. 401 does not say what is wrong; 429 says how long to wait."""
    done = await signed_in(request, response, given.name, given.password)
    return _described(done.who, done.session)


@router.get("/session", response_model=SessionModel)
def show_session(request: Request, who: Who) -> Any:
    """Answer who asks."""
    return _described(who, getattr(request.state, "session", None))


@router.delete("/session", status_code=204)
def sign_out(
    request: Request, response: Response, who: Who,
    everywhere: Annotated[bool, Query(description="End all sessions of the account.")] = False,
) -> None:  # fmt: skip
    """Sign out, here or everywhere."""
    sign_out_of(request, response, who, everywhere)


@router.post("/session/password", status_code=204)
def change_password(platform: Wired, who: Who, given: PasswordChange) -> None:
    """Change one's own password; all sessions of the account end."""
    platform.accounts.set_password(who, who.name, given.password, given.before)


@router.get("/tokens", response_model=list[TokenModel])
def list_tokens(
    platform: Wired,
    who: Who,
    account: OfAccount = None,
    of_all: Annotated[bool, Query(description="Of all, for administrators.")] = False,
) -> Any:
    """List one's tokens, newest first."""
    owner = platform.accounts.acting_for(who, account)
    return [token.as_dict() for token in platform.accounts.tokens(owner, of_all)]


@router.post("/tokens", status_code=201, response_model=NewToken)
def create_token(platform: Wired, who: Who, given: TokenRequest) -> Any:
    """Make a token for a program; it is shown this once."""
    lasts = seconds_of(given.expires, "expires") if given.expires is not None else None
    owner = platform.accounts.acting_for(who, given.account)
    token, key = platform.accounts.create_token(owner, given.name, given.scope.value, lasts)
    return token.as_dict() | {"token": key}


@router.delete("/tokens/{reference}", status_code=204)
def revoke_token(reference: TokenPath, platform: Wired, who: Who, account: OfAccount = None) -> None:
    """End a token at once."""
    platform.accounts.revoke(platform.accounts.acting_for(who, account), reference)


@router.get("/users", response_model=list[UserModel])
def list_users(platform: Wired, who: Who) -> Any:
    """List the accounts."""
    return [account.as_dict() for account in platform.accounts.all(who)]


@router.post("/users", status_code=201, response_model=UserModel)
def add_user(platform: Wired, who: Who, given: NewUser) -> Any:
    """Make an account."""
    return platform.accounts.add(who, given.name, given.password, given.role.value).as_dict()


@router.patch("/users/{name}", response_model=UserModel)
def change_user(name: NamePath, platform: Wired, who: Who, given: UserChange) -> Any:
    """Change an account's role or password, disable it or enable it."""
    accounts, changed = platform.accounts, None
    if given.password is not None:  # first: it may be refused, and nothing is changed then
        changed = accounts.set_password(who, name, given.password)
    if given.role is not None:
        changed = accounts.set_role(who, name, given.role.value)
    if given.is_enabled is not None:
        changed = accounts.enable(who, name) if given.is_enabled else accounts.disable(who, name)
    if given.is_enabled is False and given.runs == "cancel":
        cancel_runs_of(platform, who, name)
    if changed is None:
        raise InvalidInput("nothing is to be changed", "send role, password or is_enabled", "body")
    return changed.as_dict()


@router.delete("/users/{name}", status_code=204)
def remove_user(name: NamePath, platform: Wired, who: Who) -> None:
    """Remove an account: its sessions and tokens end, its runs and results stay, its name is never given again."""
    platform.accounts.remove(who, name)


@router.get("/audit", response_model=list[AuditModel])
def read_audit(
    platform: Wired,
    who: Who,
    after: Annotated[str, Query(max_length=64, pattern=r"^[^\x00]*$", description="Entries after this id.")] = "",
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    of: Annotated[str | None, Query(max_length=64, pattern=r"^[^\x00]*$", description="Of one account.")] = None,
) -> Any:
    """Answer who did what, oldest first."""
    return platform.accounts.entries(who, after, limit, of)


def cancel_runs_of(platform: Platform, who: Principal, name: str) -> None:
    """Cancel the runs of an account that have not ended, keeping what is done."""
    for run in platform.service.find(Principal(name), RunQuery(states=UNFINISHED, limit=1000)):
        platform.service.cancel(who, run.id, keep_partial=True, reason="its account was disabled")
        platform.accounts.audit.record(
            [Entry.of(who, "runs_cancel", f"run {run.id}", reason="its account was disabled")]
        )


def _described(who: Principal, session: str | None) -> dict[str, Any]:
    return {
        "name": who.name, "rights": who.rights.name.lower(), "via": who.via,
        "csrf_token": csrf_of(session) if session else None,
    }  # fmt: skip
