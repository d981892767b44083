from pitboss.runs import events as ev
from pitboss.runs.model import Checkpoint
from pitboss.runs.ports import Move
from pitboss.runs.states import State
from pitboss.worker.outbox import Outbox


def checkpoint(number, run="r"):
    return Checkpoint(number, 1, f"checkpoints/{run}/{number}", 1, "d", {})


def said(message):
    return [ev.Logged(level="info", message=message)]


def test_neighbours_are_joined_up_to_a_move():
    box = Outbox("r", "token")
    for message in "ab":
        box.put(events=said(message))
    box.put(move=Move(State.RUNNING))
    box.put(events=said("c"))
    first, second = box.take()
    assert [event.message for event in first.events] == ["a", "b"]
    assert (first.move.to, second.move, first.number, second.number) == (State.RUNNING, None, 1, 2)


def test_what_was_taken_is_sent_again_as_it_was_until_it_is_written():
    box = Outbox("r", "token")
    box.put(events=said("a"))
    before = list(box.take())
    box.put(events=said("b"))
    assert list(box.take()) == before
    assert len(box) == 2
    box.written()
    assert [write.number for write in box.take()] == [2]


def test_a_checkpoint_is_spent_only_when_two_newer_ones_are_recorded():
    box = Outbox("r", "token")
    for number in (1, 2, 3):
        box.put(checkpoint=checkpoint(number))
    assert len(box.take()) == 3, "each has a row of its own"
    box.put(checkpoint=checkpoint(4))
    assert box.written() == ["checkpoints/r/1"], "the fourth is not recorded yet"
    box.take()
    assert box.written() == ["checkpoints/r/2"]


def test_the_checkpoints_of_a_parent_are_not_this_runs_to_remove():
    box = Outbox("r", "token", recorded=["checkpoints/parent/7", "checkpoints/parent/6"])
    for number in (8, 9):
        box.put(checkpoint=checkpoint(number))
    box.take()
    assert box.written() == []
