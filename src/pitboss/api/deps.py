"""What the endpoints of the API are handed besides `http.deps`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Header, Request, Response

from pitboss.api.together import Questions


async def questions(request: Request) -> Questions:
    """Answer where what is asked often is asked together; see `api.together`."""
    asked: Questions = request.app.state.questions
    return asked


async def locator(request: Request, response: Response) -> Callable[[str], None]:
    """Answer what says in `Location` where a new thing is, under whatever path a proxy serves us."""

    def locate(path: str) -> None:
        response.headers["Location"] = f"{request.scope.get('root_path', '')}/api/v1{path}"

    return locate


Asked = Annotated[Questions, Depends(questions)]
Locate = Annotated[Callable[[str], None], Depends(locator)]
IdempotencyKey = Annotated[
    str | None,
    Header(alias="Idempotency-Key", max_length=200, description="The same key answers the same run again."),
]
