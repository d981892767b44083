"""Errors as `application/problem+json`, with positions where there are any."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from pitboss.api.schemas import Problem as ProblemSchema
from pitboss.core import errors
from pitboss.web.refusals import is_page, refusal

logger = logging.getLogger("pitboss.api")

STATUS = {
    errors.InvalidInput: 422,
    errors.NotFound: 404,
    errors.TooManyGuesses: 429,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.Conflict: 409,
    errors.QueueFull: 429,
    errors.DiskFull: 507,
    errors.StorageUnavailable: 503,
    errors.NotReady: 503,
}
_TITLES = {
    400: "bad request", 401: "unauthorized", 403: "forbidden", 404: "not found", 405: "method not allowed",
    409: "conflict", 413: "too large", 415: "unsupported media type", 422: "invalid input", 429: "too many",
    500: "internal error", 503: "unavailable", 507: "disk full",
}  # fmt: skip
_REMEDIES = {
    400: "send JSON in UTF-8, not packed",
    415: "send the file itself, with Content-Type: application/octet-stream",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": _TITLES[status],
        "model": ProblemSchema,
        "content": {"application/problem+json": {}},
    }
    for status in (400, 401, 403, 404, 409, 413, 415, 422, 429, 503, 507)
}


def problem(
    status: int,
    detail: str,
    remedy: str = "",
    problems: list[dict[str, Any]] | None = None,
    headers: Any = None,
) -> JSONResponse:
    """Answer an error response."""
    body = {
        "type": "about:blank",
        "title": _TITLES.get(status, "error"),
        "status": status,
        "detail": detail,
        "remedy": remedy,
        "errors": problems or [],
    }
    return ProblemResponse(body, status, headers, media_type="application/problem+json")


class ProblemResponse(JSONResponse):
    """JSON in ASCII: a message may quote text that is no valid Unicode."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, allow_nan=False).encode()


def handle_errors(app: FastAPI) -> None:
    """Have every error leave `app` as problem+json, and none with a traceback."""
    app.add_exception_handler(errors.PitbossError, _pitboss_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(UnicodeEncodeError, _half_a_character)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)


async def _pitboss_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.PitbossError)
    return told(request, error)


def told(request: Request, error: errors.PitbossError) -> Response:
    """Answer the response that tells of an error to whoever asked: people or a program."""
    return refusal(request, error, status_of(error)) if is_page(request) else problem_of(error)


def status_of(error: errors.PitbossError) -> int:
    """Answer the status of an error."""
    return next((code for kind, code in STATUS.items() if isinstance(error, kind)), 500)


def problem_of(error: errors.PitbossError) -> JSONResponse:
    """Answer the response that tells of an error."""
    status = status_of(error)
    headers = None
    problems = []
    if isinstance(error, errors.QueueFull | errors.TooManyGuesses):
        headers = {"Retry-After": str(error.retry_after_seconds)}
    elif status == 401:
        headers = {"WWW-Authenticate": "Bearer"}
    if isinstance(error, errors.InvalidInput):
        problems = [p.as_dict() for p in error.problems]
    return problem(status, error.message, error.remedy, problems, headers)


async def _validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if is_page(request):
        found = [errors.Problem(item["msg"], where=str(item["loc"][-1])) for item in error.errors()]
        return refusal(request, errors.InvalidInput(found), 422)
    kind = request.headers.get("content-type", "")
    broken = next((item for item in error.errors() if item["type"] == "json_invalid"), None)
    if broken is not None:
        detail = f"the body is no JSON: {broken['ctx']['error']} at character {broken['loc'][-1]}"
        return problem(422, detail, "mend it, and send it with Content-Type: application/json")
    if [(item["loc"], item["type"]) for item in error.errors()] == [(("body",), "missing")]:
        return problem(422, "the body is missing", "send a JSON object, with Content-Type: application/json")
    if "json" not in kind and any(item["loc"] == ("body",) and item["type"] != "missing" for item in error.errors()):
        named = f"is '{kind[:60]}'" if kind else "is missing"
        return problem(415, f"the content type {named}", "send JSON, with Content-Type: application/json")
    problems = [
        errors.Problem(
            item["msg"], "see /docs for what is expected", where=".".join(str(part) for part in item["loc"])
        ).as_dict()
        for item in error.errors()
    ]
    detail = "; ".join(f"{p['where']}: {p['message']}" for p in problems[:5])
    return problem(422, detail, "see /docs for what is expected", problems)


async def _half_a_character(_request: Request, _error: Exception) -> JSONResponse:
    return problem(422, "a text holds half a character (a lone surrogate)", "send valid Unicode")


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if is_page(request):
        said = errors.PitbossError(str(error.detail), _REMEDIES.get(error.status_code, ""))
        return refusal(request, said, error.status_code)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(allowed_methods(request))
    return problem(error.status_code, str(error.detail), _REMEDIES.get(error.status_code, ""), headers=headers)


def allowed_methods(request: Request) -> list[str]:
    """Answer what the addressed resource supports; each route knows of its own method alone."""
    document = request.app.openapi()["paths"]
    for prefix in ("/api/v1", "/api"):
        own = request.url.path.removeprefix(prefix)
        for path, methods in document.items():
            pattern = re.sub(r"{[^}]+}", "[^/]+", path.removeprefix("/api/v1"))
            if re.fullmatch(pattern, own):
                supported = {method.upper() for method in methods}
                return sorted(supported | {"HEAD"} if "GET" in supported else supported)
    return []


async def _gone(_request: Request, _error: Exception) -> Response:
    return Response(status_code=400)  # nobody reads it: whoever asked has gone on meanwhile


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("unexpected error", extra={"path": request.url.path}, exc_info=error)
    what, remedy = "something went wrong inside pitboss", "see the server's log"
    return refusal(request, errors.PitbossError(what, remedy), 500) if is_page(request) else problem(500, what, remedy)
