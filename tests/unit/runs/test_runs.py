"""States, events, progress and the queue, without a database."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitboss.core import panel as cells
from pitboss.core.errors import DiskFull, RunCancelled
from pitboss.runs import events as ev
from pitboss.runs import messages as said
from pitboss.runs.context import memory_context
from pitboss.runs.model import Limits, QueueSnapshot, WorkerInfo
from pitboss.runs.progress import ProgressMeter, percent_of_run
from pitboss.runs.queue import places
from pitboss.runs.states import TERMINAL, TRANSITIONS, State, is_legal, sources_of

ROOT = Path(__file__).parents[3]


def test_terminal_states_have_no_way_out():
    assert not [t for t in TRANSITIONS if t.source in TERMINAL]
    assert all(sources_of(state) for state in State)


def test_every_state_can_reach_an_end():
    for state in State:
        reached = {state}
        for _ in State:
            reached |= {t.target for t in TRANSITIONS if t.source in reached}
        assert reached & TERMINAL


def test_a_cancel_can_end_in_nothing_but_cancelled():
    assert [t.target for t in TRANSITIONS if t.source is State.CANCELLING] == [State.CANCELLED]
    assert not is_legal(State.COMPLETING, State.CANCELLING)


def test_the_table_in_the_architecture_is_that_of_the_module():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    rows = re.findall(r"^\| (\w+) \| (\w+) \| (.+?) \|$", text, re.MULTILINE)
    drawn = {(source, target, cause) for source, target, cause in rows if source in list(State)}
    assert drawn == {(t.source.value, t.target.value, t.cause) for t in TRANSITIONS}


def test_events_keep_fields_that_they_do_not_know():
    event = ev.Logged.model_validate({"level": "info", "message": "x", "from_the_future": 1})
    assert event.payload() == {"level": "info", "message": "x", "from_the_future": 1}


def test_every_event_type_is_documented():
    text = (ROOT / "docs" / "reference" / "events.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(ev.TYPES)


def test_the_time_left_is_unknown_until_it_is_honest():
    meter = ProgressMeter()
    meter.begin("work", 1000, 0.0)
    assert meter.document(0.0)["eta_seconds"] is None
    meter.update(5, 0.5)
    assert meter.eta_seconds() is None
    meter.update(100, 2.0)
    assert meter.eta_seconds() == pytest.approx(18.0)
    meter.update(1000, 20.0)
    assert (meter.eta_seconds(), meter.document(0.0)["percent"]) == (0.0, 100.0)


def test_how_far_a_run_is_as_a_whole_counts_the_stages_before_and_the_parts_of_this_one():
    meter = ProgressMeter({"data": 0.1, "fold": 0.8, "refit": 0.1})
    meter.begin("data", 10, 0.0)
    meter.update(5, 2.0)
    told = meter.document(0.0)
    assert (told["percent"], told["run_percent"], told["eta_seconds"]) == (50.0, 5.0, 2.0)
    assert told["run_eta_seconds"] is None  # most of it comes after
    meter.begin("fold 2 of 4", 100, 2.0)
    meter.update(50, 7.0)
    told = meter.document(0.0)
    assert (told["percent"], told["run_percent"], told["eta_seconds"]) == (50.0, 40.0, 5.0)
    assert told["run_eta_seconds"] == pytest.approx(5.0 + 2 * 10.0 + 4 * 10.0 * 0.1 / 0.8)


def test_of_a_run_without_known_stages_the_stage_is_all_that_is_told():
    meter = ProgressMeter()
    meter.begin("work", 10, 0.0)
    meter.update(5, 2.0)
    told = meter.document(0.0)
    assert (told["run_percent"], told["run_eta_seconds"]) == (told["percent"], told["eta_seconds"]) == (50.0, 2.0)
    meter.begin("more", None, 2.0)
    assert meter.document(0.0)["run_percent"] is None


def test_the_rate_is_that_of_the_last_moments():
    meter = ProgressMeter()
    meter.begin("work", 10_000, 0.0)
    for second in range(1, 31):
        meter.update(second * 100 if second <= 10 else 1000 + (second - 10) * 10, float(second))
    assert meter.rate() == pytest.approx(10.0)


@given(st.lists(st.tuples(st.floats(0.01, 5), st.integers(0, 50)), max_size=60))
def test_progress_never_promises_nonsense(steps):
    meter = ProgressMeter()
    meter.begin("work", 500, 0.0)
    now, done = 0.0, 0
    for seconds, more in steps:
        now, done = now + seconds, done + more
        meter.update(done, now)
        document = meter.document(now)
        assert 0 <= document["percent"] <= 100
        assert document["eta_seconds"] is None or document["eta_seconds"] >= 0


def snapshot(queued=(), active=(), workers=1, note="", typical=None):
    infos = [
        WorkerInfo(
            id=str(i),
            host="h",
            pid=1,
            process_started_at=0.0,
            slots=2,
            version="0",
            started_at=0.0,
            renewed_at=100.0,
            note=note,
        )
        for i in range(workers)
    ]
    return QueueSnapshot(100.0, list(queued), list(active), infos, typical or {})


class FakeRun:
    def __init__(self, run_id, kind="a", owner="x", eta=None, resource="default"):
        self.id, self.kind, self.owner, self.claimed_at = run_id, kind, owner, 90.0
        self.resource, self.worker_id = resource, "0"
        self.progress = None if eta is None else {"eta_seconds": eta}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"workers": 0}, "no worker is running"),
        ({"active": 2}, "2 of 2 default slots busy"),
        ({"active": 1}, "a limit 1"),
        ({"note": "free memory below 9 MB"}, "free memory below 9 MB"),
        ({}, "about to start"),
    ],
)
def test_a_queued_run_says_what_it_waits_for(changes, reason):
    active = [FakeRun(str(i), kind="a") for i in range(changes.pop("active", 0))]
    found = places(snapshot([FakeRun("q")], active, **changes), Limits(99, {"a": 1}, 99, 60.0), 15.0)
    assert found["q"].waiting_reason == reason


def test_starts_are_estimated_from_what_runs():
    active = [FakeRun("r1", eta=30.0), FakeRun("r2", eta=10.0)]
    found = places(
        snapshot([FakeRun("q1"), FakeRun("q2")], active, typical={"a": 50.0}), Limits(99, {}, 99, 60.0), 15.0
    )
    assert [found[q].estimated_start for q in ("q1", "q2")] == [110.0, 130.0]


def test_a_context_reports_and_notices_cancel(tmp_path):
    context, messages = memory_context({"x": 1}, tmp_path)
    context.begin_stage("work", 10)
    for i in range(10):
        context.report(i + 1, passed=i)
    context.item("k", {"v": 1})
    context.check_cancel()
    assert len([m for m in messages if isinstance(m, said.Reported)]) == 1
    context.memory.cast("q")[cells.CANCEL] = 1
    with pytest.raises(RunCancelled):
        context.check_cancel()


def test_an_artifact_is_whole_or_not_there(tmp_path):
    context, messages = memory_context({}, tmp_path)
    saved = context.save_artifact("a.txt", lambda path: path.write_text("hello"))
    assert (tmp_path / saved.path).read_text() == "hello"
    assert messages[-1].artifact == saved

    def fails(path):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFull):
        context.save_artifact("b.txt", fails)
    assert sorted(p.name for p in (tmp_path / "artifacts" / context.run_id).iterdir()) == ["a.txt"]


def test_moves_are_unique():
    pairs = [(t.source, t.target) for t in TRANSITIONS]
    assert len(pairs) == len(set(pairs))
    assert not [a for a, b in itertools.product(State, State) if a is b and is_legal(a, b)]


def test_a_stage_that_comes_in_parts_counts_as_one():
    stages = {"data": 0.1, "fold": 0.8, "refit": 0.1}
    assert percent_of_run(stages, {"stage": "fold 1 of 4", "percent": 0.0}) == 10.0
    assert percent_of_run(stages, {"stage": "fold 3 of 4", "percent": 50.0}) == 60.0
    assert percent_of_run(stages, {"stage": "refit", "percent": 50.0}) == 95.0
    assert percent_of_run(stages, {"stage": "fold of 4", "percent": 50.0}) == 0.0
