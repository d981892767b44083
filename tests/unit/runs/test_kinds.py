"""Kinds: params with every mistake at once, faults that harm nobody, reports as data, slots by resource."""

import json
from typing import Annotated

import pytest
from pydantic import BeforeValidator, Field

from pitboss.core.errors import InvalidInput
from pitboss.kinds.backtest import KIND as BACKTEST
from pitboss.kinds.sweep import KIND as SWEEP
from pitboss.runs.documents import kind_document, param_rows
from pitboss.runs.kinds import Fault, Kind, Kinds, Params, Prepared, installed_kinds, mistake
from pitboss.runs.model import Limits, QueueSnapshot, Run, Waiting, WorkerInfo
from pitboss.runs.queue import places
from pitboss.runs.report import Report
from pitboss.runs.states import State


class Draw(Params):
    count: int = Field(10, ge=1, le=99, title="Count", description="how many", examples=[5])
    names: list[str] = Field(description="whose", examples=[["a"]])


def kind(**changes):
    return Kind(**({"name": "draw", "title": "Draw", "params": Draw, "entry": "some.module:run"} | changes))


def run_of(name="draw", **changes):
    usual = {"id": "r", "kind": name, "number": 3, "subject": "s", "state": State.COMPLETED, "partial": False,
             "snapshot": {}, "params": {}, "result": {"answer": 42, "share": 0.5, "deep": {"x": 1}}}  # fmt: skip
    return Run(**(dict.fromkeys(Run.__dataclass_fields__) | usual | changes))


def test_every_mistake_in_params_is_told_at_once_with_what_preparing_finds():
    def prepare(params, sources):
        if params.names is None:
            raise InvalidInput("nobody is there", "name somebody", "names")
        raise AssertionError("names are wrong here")

    with pytest.raises(InvalidInput) as refused:
        kind(prepare=prepare).ready({"count": 100, "nmaes": []}, None)
    told = {problem.where: problem for problem in refused.value.problems}
    assert "did you mean 'names'" in told["params"].remedy
    assert "at most 99" in told["count"].remedy
    assert [p.message for p in refused.value.problems if p.where == "names"] == [
        "'names' is missing",
        "nobody is there",
    ]


def test_what_preparing_stumbles_over_is_told_only_where_nothing_else_is():
    def stumbles(params, sources):
        return Prepared(params.names[0].upper())

    with pytest.raises(InvalidInput, match="missing"):
        kind(prepare=stumbles).ready({}, None)
    with pytest.raises(IndexError):
        kind(prepare=stumbles).ready({"names": []}, None)
    assert kind(prepare=stumbles).ready({"names": ["a"]}, None).subject == "A"


@pytest.mark.parametrize(
    "changes",
    [{"name": "No Name"}, {"entry": "nowhere"}, {"params": dict}, {"preload": "odd"}, {"resources": {"a": "b"}}],
)
def test_a_declaration_that_cannot_work_is_refused(changes):
    with pytest.raises(ValueError, match=r".+"):
        kind(**changes)


def test_a_report_that_fails_is_replaced_and_its_kind_named():
    def breaks(run):
        raise KeyError("of its own making")

    kinds = Kinds([kind(report=breaks, outcome=breaks, source="draw 1.0")])
    report = kinds.report(run_of())
    assert {figure.name: figure.value for figure in report.figures} == {"answer": 42, "share": 0.5}
    assert report.notes[0].is_warning
    assert kinds.outcome(run_of()) == ""
    assert [(fault.name, fault.source) for fault in kinds.faults] == [("draw", "draw 1.0")]
    assert "not installed" in kinds.report(run_of("gone")).notes[0].message
    assert json.loads(json.dumps(Fault("a", "b", "c").as_dict())) == {"name": "a", "source": "b", "reason": "c"}


def test_the_installed_kinds_are_found_and_described():
    found, faults = installed_kinds()
    assert {"backtest", "script", "sweep"} <= set(found)
    assert not faults
    for each in found.values():
        described = kind_document(each)
        assert described["title"]
        assert all(meaning for _, _, _, meaning in param_rows(each))
        for example in described["examples"]:
            assert each.read(example)[1] == []


def test_a_mistake_may_hold_braces():
    def refuse(value):
        raise mistake("not {this}", 'write {"name": value}')

    class Braced(Params):
        text: Annotated[str, BeforeValidator(refuse)]

    (problem,) = kind(params=Braced).read({"text": "x"})[1]
    assert (problem.message, problem.remedy) == ("not {this}", 'write {"name": value}')


METRICS = {"total_return": 0.1, "max_drawdown": -0.2, "trade_count": 3, "final_equity": 11_000.0,
           "rejected_signals": {"insufficient_cash": 2, "zero_quantity": 0}, "exit_reasons": {"signal": 3}}  # fmt: skip


def backtest_run(**changes):
    result = {"metrics": METRICS | changes.pop("metrics", {}), "trades": 3, "final_equity": 11_000.0, "gaps": [],
              "artifacts": ["trades.parquet"]} | changes.pop("result", {})  # fmt: skip
    return run_of("backtest", result=result, params={"symbols": ["A", "B"]}, **changes)


def test_a_backtests_report_doubts_what_is_to_be_doubted():
    def doubts(run):
        return " ".join(note.message for note in BACKTEST.report(run).notes if note.is_warning)

    assert "only 3 trades" in doubts(backtest_run())
    assert "2 insufficient cash" in doubts(backtest_run())
    assert "zero quantity" not in doubts(backtest_run())
    assert "ruin" in doubts(backtest_run(metrics={"final_equity": -5.0}))
    assert "synthetic" in doubts(backtest_run(snapshot={"is_synthetic": True}))
    gap = {"symbol": "A", "after": "2020-01-01T00:00:00Z", "before": "2020-02-01T00:00:00Z"}
    assert "A has no bars between 2020-01-01" in doubts(backtest_run(result={"gaps": [gap]}))
    assert doubts(backtest_run(metrics={"trade_count": 30, "rejected_signals": {}})) == ""
    report = BACKTEST.report(backtest_run())
    assert {chart.name for chart in report.charts} == {"equity", "drawdown", "candles-A", "candles-B", "monthly"}
    assert all(figure.meaning for figure in report.figures)
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_the_report_of_an_earlier_version_names_no_files_that_are_not_there():
    run = backtest_run()
    del run.result["gaps"]
    assert {chart.artifact for chart in BACKTEST.report(run).charts} == {"equity.parquet", "drawdown.parquet"}


def test_a_sweeps_report_tells_what_was_tried():
    best = [{"variant": 1, "parameters": {"fast": 5, "slow": 9}, "metrics": {"sharpe": 1.5, "trade_count": 7}}]
    result = {"variants": 8, "total": 9, "metric": "sharpe", "failed": 2, "best": best, "artifacts": []}
    report = SWEEP.report(run_of("sweep", result=result))
    values = {figure.name: figure.value for figure in report.figures}
    assert values == {"variants": 8, "total": 9, "failed": 2, "best": 1.5}
    assert (report.charts[0].type, report.charts[0].x, report.charts[0].y) == ("heatmap", "fast", ["slow"])
    assert report.tables[0].rows[0][:3] == [1, "fast=5, slow=9", 1.5]
    assert SWEEP.outcome(run_of("sweep", result=result)) == "8 of 9 variants"


def test_what_waits_for_one_resource_does_not_hold_up_another():
    worker = WorkerInfo(
        id="w", host="h", pid=1, process_started_at=0.0, slots=3, version="1", started_at=0.0, renewed_at=0.0,
        capacity={"default": 1, "session": 2}, resources="default,session",
    )  # fmt: skip
    sessions = [run_of("a", id=str(n), resource="session", state=State.RUNNING, claimed_at=0.0) for n in range(2)]
    queued = [Waiting(name, "a", "o", resource, 0, 0.0) for name, resource in (("s", "session"), ("d", "default"))]
    snapshot = QueueSnapshot(100.0, queued, sessions, [worker], {})
    found = places(snapshot, Limits(99, {}, 99, 60.0), 15.0)
    assert found["s"].waiting_reason == "2 of 2 session slots busy"
    assert (found["d"].waiting_reason, found["d"].estimated_start) == ("about to start", 100.0)
