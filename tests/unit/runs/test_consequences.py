"""What a move of a run brings with it, as a table: the events that tell of it, and what is set."""

import pytest

from pitboss.runs.consequences import UNHELD, after_cancel, consequences
from pitboss.runs.model import Run
from pitboss.runs.ports import Move
from pitboss.runs.states import Setback, State

ERROR = {"kind": "error", "message": "it broke", "remedy": "mend it"}


def run(**changes):
    nothing = dict.fromkeys(Run.__dataclass_fields__)
    usual = {
        "state": State.RUNNING,
        "attempt": 2,
        "priority": 5,
        "failed_starts": 1,
        "memory_kills": 1,
        "cancel_reason": "why",
    }
    return Run(**(nothing | usual | changes))


@pytest.mark.parametrize(
    ("move", "events", "values"),
    [
        (Move(State.RUNNING, pid=7), ["started"], {"started_at": 9.0, "pid": 7, "failed_starts": 0}),
        (Move(State.COMPLETING), [], {"completing_at": 9.0}),
        (Move(State.COMPLETED, result={"a": 1}), ["completed"], {"result": {"a": 1}}),
        (Move(State.CANCELLED, result={"a": 1}, partial=True), ["cancelled"], {"result": {"a": 1}, "partial": True}),
        (Move(State.FAILED, error=ERROR), ["failed"], {"error": ERROR}),
        (Move(State.QUEUED), ["requeued", "queued"], {"attempt": 3, "failed_starts": 1, "memory_kills": 1}),
        (Move(State.QUEUED, setback=Setback.START), ["requeued", "queued"], {"failed_starts": 2, "memory_kills": 1}),
        (Move(State.QUEUED, setback=Setback.MEMORY), ["requeued", "queued"], {"failed_starts": 1, "memory_kills": 2}),
    ],
)
def test_what_a_move_brings_with_it(move, events, values):
    told, changed = consequences(run(), move, 9.0)
    assert [event.type for event in told] == events
    assert values.items() <= changed.items()
    if move.to is State.QUEUED:
        assert UNHELD.items() <= changed.items()
        assert changed["progress"] is None


@pytest.mark.parametrize("to", [State.COMPLETED, State.FAILED, State.QUEUED, State.CANCELLED])
@pytest.mark.parametrize(
    ("keeps", "result", "has_saved", "kept"),
    [
        (True, {"a": 1}, False, (True, {"a": 1})),
        (True, None, True, (True, None)),
        (True, None, False, (False, None)),
        (False, {"a": 1}, True, (False, None)),
    ],
)
def test_a_cancel_that_came_first_makes_every_end_a_cancel(to, keeps, result, has_saved, kept):
    cancelled = run(state=State.CANCELLING, cancel_keep_partial=keeps)
    move = after_cancel(cancelled, Move(to, result=result, error=ERROR), lambda: has_saved)
    assert (move.to, move.partial, move.result) == (State.CANCELLED, *kept)
    assert after_cancel(run(), Move(to, error=ERROR), lambda: has_saved) == Move(to, error=ERROR)
