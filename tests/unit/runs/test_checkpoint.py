import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitboss.core import panel as cells
from pitboss.core.errors import InvalidInput, RunSuspended
from pitboss.core.files import LocalFiles
from pitboss.runs import messages as said
from pitboss.runs.checkpoint import differences, read_state, write_state
from pitboss.runs.context import memory_context

VALUES = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), st.none(), st.binary(),
                   st.lists(st.integers()), st.dictionaries(st.text(), st.integers()))  # fmt: skip


@given(state=st.dictionaries(st.text(), VALUES))
def test_a_state_is_read_as_it_was_written(tmp_path_factory, state):
    path = tmp_path_factory.mktemp("state") / "file"
    write_state(path, state)
    assert read_state(path) == state


def test_what_json_cannot_say_is_refused(tmp_path):
    for value in (object(), math.nan):
        with pytest.raises(InvalidInput, match="cannot be saved"):
            write_state(tmp_path / "file", {"x": value})


def test_differences_are_said_in_words():
    assert differences({"numpy": "1", "bars": "a"}, {"numpy": "2", "bars": "a"}) == ["numpy was 1 and is 2"]
    assert differences({}, {"bars": "a"}) == ["bars was absent and is a"]


def saved_by(messages):
    return tuple(m.checkpoint for m in reversed(messages) if isinstance(m, said.CheckpointSaved))


def test_the_newest_whole_checkpoint_of_the_same_identity_is_restored(tmp_path):
    context, messages = memory_context({}, tmp_path)
    assert context.restore({"bars": "a"}) is None
    for done in (1, 2, 3):
        context.checkpoint({"done": done})
    newest, before = saved_by(messages)[:2]
    again, _ = memory_context({}, tmp_path, checkpoints=(newest, before))
    assert again.restore({"bars": "a"}) == {"done": 3}
    path = LocalFiles(tmp_path).fetch(newest.path)
    path.write_bytes(path.read_bytes()[:-1])
    again, told = memory_context({}, tmp_path, checkpoints=(newest, before))
    assert again.restore({"bars": "a"}) == {"done": 2}
    assert any("torn" in getattr(message, "message", "") for message in told)
    again, told = memory_context({}, tmp_path, checkpoints=(newest, before))
    assert again.restore({"bars": "b"}) is None
    assert any("bars was a and is b" in getattr(message, "message", "") for message in told)


def test_a_suspended_job_is_told_after_its_state_is_saved(tmp_path):
    context, messages = memory_context({}, tmp_path)
    context.restore({})
    context.memory.cast("q")[cells.SUSPEND] = 1
    assert context.is_checkpoint_due
    with pytest.raises(RunSuspended):
        context.checkpoint({"done": 1})
    assert saved_by(messages)


def test_no_room_for_a_checkpoint_is_said_once_and_ends_nothing(tmp_path):
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    context, messages = memory_context({}, tmp_path)
    context.restore({})
    context.checkpoint({"done": 1})
    context.checkpoint({"done": 2})
    assert [m.level for m in messages if isinstance(m, said.Logged)] == ["warning"]
