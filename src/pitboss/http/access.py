"""What it takes to ask for an operation, by its name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import Request

from pitboss.core.errors import Forbidden
from pitboss.core.principal import Rights
from pitboss.http.deps import principal_of

OPEN = None  # to anybody, signed in or not
READ, RUN, ADMINISTER = Rights.READ, Rights.RUN, Rights.ADMINISTER
ROLES = {READ: "an account", RUN: "the role of a trader", ADMINISTER: "the role of an administrator"}
Access = Mapping[str, Rights | None]


def operation_of(endpoint: Any) -> str:
    """Answer the name of the operation that a function answers: its module and its own name."""
    return f"{endpoint.__module__.rpartition('.')[2]}_{endpoint.__name__}"


def admitting(access: Access) -> Callable[[Request], Awaitable[None]]:
    """Answer what lets a request through whose sender may do what it asks for, and raises Unauthorized or Forbidden
    otherwise; an operation that `access` does not name answers nobody."""

    async def admit(request: Request) -> None:
        least = access[operation_of(request.scope["endpoint"])]
        if least is None:
            return
        who = await principal_of(request)
        if who.rights < least:
            needed = ROLES[least]
            raise Forbidden(f"that takes {needed}", "ask an administrator, or use a token of a larger scope")

    return admit
