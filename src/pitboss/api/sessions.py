"""Sessions over HTTP: their steps, and the turns of whoever decides for one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field, StrictInt

from pitboss.api.schemas import Json, Strict
from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import Conflict, InvalidInput
from pitboss.http.deps import RunId, Who, Wired
from pitboss.sessions.decisions import read_answer

router = APIRouter(tags=["sessions"])


class TurnRequest(Strict):
    """What is decided at a step: orders, which may be none, and why."""

    step: StrictInt
    orders: Annotated[list[Json], Field(max_length=100)] = []
    reason: Annotated[str, Field(max_length=2000, pattern=r"^[^\x00]*$")] = ""


class StepModel(BaseModel):
    """A step with all that was shown, said and decided."""

    number: int
    at: str
    decision: Json


@router.get("/sessions/{run_id}/steps", response_model=list[StepModel])
def steps(
    run_id: RunId, platform: Wired, who: Who, after: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Any:  # fmt: skip
    """List the steps of a session, in order, each with its prompts, calls and answers."""
    found = platform.bench.steps(platform.service.get(who, run_id), after, limit)
    return [{"number": step.number, "at": micros_to_iso(step.at), "decision": step.decision} for step in found]


@router.get("/sessions/{run_id}/turn", responses={204: {"description": "Nothing is asked now."}})
def turn(run_id: RunId, platform: Wired, who: Who) -> Any:
    """Answer the step that a session asks about: what is known, what is held, what came of earlier orders."""
    run = platform.service.get(who, run_id)
    found = None if run.state.is_terminal else platform.trading.turn(run.id)
    if found is None or found.answer is not None:
        return Response(status_code=204)
    return found.asked


@router.post("/sessions/{run_id}/turn", status_code=204)
def answer(run_id: RunId, request: TurnRequest, platform: Wired, who: Who) -> None:
    """Decide at the step that is asked about. One that is answered, or not asked about any more, is a 409."""
    run = platform.service.own(who, run_id)
    if run.state.is_terminal:
        raise Conflict(f"the session has ended: {run.state}", "nothing is asked any more")
    decided = {"orders": request.orders, "reason": request.reason}
    try:
        read_answer(decided)
    except ValueError as error:
        raise InvalidInput(str(error), "write {action, symbol, quantity}", "orders") from None
    platform.trading.answer(run.id, request.step, decided)
