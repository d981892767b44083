"""Trainings as users run them: watched, cancelled anywhere, killed again and again, and then asked by what trades."""

from __future__ import annotations

import json
import random
import time
from importlib.util import find_spec
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from pitboss.core.errors import Conflict, InvalidInput, NotFound
from pitboss.core.principal import LOCAL
from pitboss.core.timeframe import parse_timeframe
from pitboss.kinds.documents.models import models_in
from pitboss.market.frames import to_frame
from pitboss.market.store import Nature
from pitboss.runs.model import RunQuery
from pitboss.strategy.evaluate import Scope
from support.engine import Engine, until
from support.learning import SMALL, swinging

LEARNERS = {
    "lightgbm": "{type: lightgbm, rounds: 400, leaves: 15, early_stopping: 0}",
    "logistic": "{type: logistic, iterations: 60}",
    "random_forest": "{type: random_forest, trees: 40, depth: 6}",
    "mlp": "{type: mlp, epochs: 6, width: 16, batch: 512}",
    "recurrent": "{type: recurrent, epochs: 3, width: 8, window: 8, batch: 512}",
}
OWN = "{type: lightgbm, rounds: 30, leaves: 7, early_stopping: 0}"
SLOW = "{type: lightgbm, rounds: 4000, leaves: 7, early_stopping: 0}"
LONG = "{type: lightgbm, rounds: 20000, leaves: 7, early_stopping: 0}"
ALL = RunQuery(kind="training", limit=100)
TRADES = """
entry: {long: "model('small').probability > 0.5", short: "model('small').probability < 0.5"}
exit: {long: "model('small').probability < 0.5", short: "model('small').probability > 0.5"}
sizing: {type: percent_equity, value: 50%}
"""


@pytest.fixture
def engine(tmp_path):
    with Engine(tmp_path, checkpoint_seconds=0.1) as engine:
        engine.platform.bars.store(
            to_frame(swinging(4000)), "SWING", parse_timeframe("5m"), Nature("made up", session="24x7")
        )
        yield engine


def text(model=OWN, folds=3, name="small", more=""):
    made = SMALL.replace("name: small", f"name: {name}").replace(OWN, model).replace("folds: 3", f"folds: {folds}")
    return made + more


def start(engine, document=None, **params):
    asked = {"strategy": document or text(), "symbols": ["SWING"], "twin": False, **params}
    return engine.submit("training", asked)


def done(engine, document=None, seconds=60.0, **params):
    run = engine.wait(start(engine, document, **params), seconds=seconds)
    assert run.state == "completed", run.error
    return run


def table(engine, run, name):
    return pl.read_parquet(engine.platform.files.fetch(f"artifacts/{run.id}/{name}.parquet"))


def version(engine, reference):
    return engine.platform.models.find(LOCAL, reference)


def test_a_training_leaves_a_model_and_what_it_is_worth(engine):
    engine.start_worker()
    run = engine.wait(start(engine, twin=True), seconds=60)
    assert run.state == "completed", run.error
    result = run.result
    assert result["scores"]["skill"] > 0.3
    assert [row["fold"] for row in result["folds"]] == [1, 2, 3]
    predictions = table(engine, run, "predictions")
    assert predictions.columns == ["symbol", "ts", "fold", "probability", "label"]
    assert (
        len(predictions) == predictions.n_unique(["symbol", "ts"]) == sum(row["tested_on"] for row in result["folds"])
    )
    assert {"train_loss", "loss", "fold", "step"} == set(table(engine, run, "curves").columns)
    importance = table(engine, run, "importance")
    assert importance["gain"].sum() == pytest.approx(1.0)
    assert {"permutation", "shap"} <= set(importance.columns)
    champion = version(engine, "small")
    assert (champion.version, champion.run, champion.aliases) == (1, run.id, ("champion",))
    (twin,) = [each for each in engine.service.find(LOCAL, ALL) if each.parent == run.id]
    ended = engine.wait(twin, seconds=60)
    assert ended.state == "completed", ended.error
    assert abs(ended.result["scores"]["skill"]) < 0.2
    report = engine.service.report_of(run)
    assert {figure.name: figure.value for figure in report.figures}["twin_skill"] == ended.result["scores"]["skill"]
    (equity,) = [chart for chart in report.charts if chart.name == "equity"]
    assert [curve.run for curve in equity.beside] == [None, twin.id]
    assert len(engine.platform.models.versions(LOCAL, "small")) == 1


def test_two_identical_trainings_agree_byte_for_byte(engine):
    engine.start_worker()
    first, second = done(engine), done(engine)
    assert version(engine, "small@1").digest == version(engine, "small@2").digest
    assert first.result["scores"] == second.result["scores"]
    assert version(engine, "small").version == 1


def cancelled(engine, run, keep=True):
    begun = time.monotonic()
    engine.service.cancel(LOCAL, run.id, keep)
    ended = engine.wait(run)
    assert time.monotonic() - begun < 2.0
    assert ended.state == "cancelled"
    return ended


def test_cancelled_at_once_it_leaves_no_version(engine):
    engine.start_worker()
    run = start(engine, text(LONG))
    engine.wait(run, "running")
    cancelled(engine, run)
    assert all(each.is_partial for each in engine.platform.models.all(LOCAL))


@pytest.mark.parametrize("stage", ["fold 1", "fold 2", "refit"])
def test_cancelled_anywhere_the_best_so_far_is_kept_and_can_be_asked(engine, stage):
    engine.start_worker()
    run = start(engine, text(SLOW if stage != "fold 1" else LONG))
    engine.wait_progress(run, stage, 1, seconds=60)
    cancelled(engine, run)
    (kept,) = engine.platform.models.all(LOCAL)
    assert (kept.is_partial, kept.aliases, kept.run) == (True, (), run.id)
    described = {"name": kept.name, "version": 1, "run": kept.run, "digest": kept.digest}
    loaded = models_in({"models": {"small@1": described}}, engine.platform.files)
    bars = engine.platform.bars.load("SWING", parse_timeframe("5m"))
    scope = Scope({"SWING": bars}, "SWING", parse_timeframe("5m"), models=loaded)
    assert np.isfinite(loaded["small@1"].line(scope, "probability")).any()
    with pytest.raises(NotFound, match="has no champion yet"):
        version(engine, "small")


def test_discarded_it_leaves_no_version(engine):
    engine.start_worker()
    run = start(engine, text(LONG))
    engine.wait_progress(run, "fold 1", 1, seconds=60)
    cancelled(engine, run, keep=False)
    assert engine.platform.models.all(LOCAL) == []
    assert engine.platform.service.artifacts(LOCAL, run.id) == []


def test_a_cancelled_training_ends_its_twin_too(engine):
    run = start(engine, twin=True)
    engine.service.cancel(LOCAL, run.id, True)
    assert {each.state.value for each in engine.service.find(LOCAL, ALL)} == {"cancelled"}


@pytest.mark.parametrize("learner", LEARNERS)
def test_killed_through_its_folds_it_ends_in_the_same_model(engine, learner):
    if learner in ("mlp", "recurrent") and find_spec("torch") is None:
        pytest.skip("torch is not installed: pip install 'pitboss[torch]'")
    worker = engine.start_worker()
    document = text(LEARNERS[learner], folds=8)
    done(engine, document)
    whole = version(engine, "small@1").digest
    run, dice = start(engine, document), random.Random(learner)
    for attempt in range(1, 4):
        until(lambda number=attempt: _has_begun(engine, run, number), 30, f"attempt {attempt} begins")
        time.sleep(dice.uniform(0.0, {"logistic": 0.02, "mlp": 0.8, "recurrent": 0.8}.get(learner, 0.4)))
        worker.kill()
        worker.wait()
        worker = engine.start_worker()
    ended = engine.wait(run, seconds=60)
    assert ended.state == "completed", ended.error
    assert ended.attempt > 1
    assert version(engine, "small@2").digest == whole


def test_a_fold_that_takes_longer_than_it_is_left_to_run_is_gone_on_with_and_ends_in_the_same_model(engine):
    worker = engine.start_worker()
    document = text("{type: lightgbm, rounds: 1200, leaves: 7, feature_fraction: 0.7, early_stopping: 0}", folds=2)
    whole = done(engine, document)
    run = start(engine, document)
    for attempt in (1, 2):
        until(lambda number=attempt: _saved_within(engine, run, number), 30, "the learner's state is saved")
        worker.kill()
        worker.wait()
        worker = engine.start_worker()
    ended = engine.wait(run, seconds=60)
    assert ended.state == "completed", ended.error
    assert version(engine, "small@2").digest == version(engine, "small@1").digest
    assert table(engine, ended, "curves").equals(table(engine, whole, "curves"))
    steps = [event.payload["done"] for event in engine.events(run) if event.payload.get("stage") == "fold 1 of 2"]
    falls = [after for before, after in pairwise(steps) if after < before]
    assert falls == [] or min(falls) > 0  # to what was saved, not to the beginning


def _saved_within(engine, run, attempt):
    kept = engine.store.checkpoints(run.id)
    return any(each.attempt == attempt for each in kept)


def _has_begun(engine, run, attempt):
    now = engine.service.get(LOCAL, run.id)
    return now.state.is_terminal or (now.attempt == attempt and now.state.value == "running")


def test_resumed_as_another_run_it_ends_in_the_same_model(engine):
    engine.start_worker()
    document = text(SLOW.replace("4000", "700"), folds=8)
    done(engine, document)
    run = start(engine, document)
    until(lambda: [each for each in engine.events(run) if each.type == "item_completed"][3:], 60, "four folds are done")
    cancelled(engine, run)
    resumed = engine.wait(engine.service.resume(LOCAL, run.id), seconds=60)
    assert resumed.state == "completed", resumed.error
    assert [row["fold"] for row in resumed.result["folds"]] == list(range(1, 9))
    assert version(engine, "small@3").digest == version(engine, "small@1").digest
    assert version(engine, "small@2").is_partial


def test_a_backtest_asks_the_model_that_existed_then(engine):
    engine.start_worker()
    run = done(engine, text(more=TRADES))
    traded = engine.wait(engine.submit("backtest", {"strategy": text(more=TRADES), "symbols": ["SWING"]}))
    assert traded.state == "completed", traded.error
    assert traded.snapshot["models"]["small"]["version"] == 1
    predictions = table(engine, run, "predictions")
    said = dict(zip(predictions["ts"].dt.timestamp("us"), predictions["probability"], strict=True))
    trades = table(engine, traded, "trades")
    assert len(trades) > 50
    for trade in trades.head(50).iter_rows(named=True):
        at = int(trade["entry_ts"].timestamp() * 1e6)  # the open that follows the close at which it was said
        assert (said[at] > 0.5) == (trade["side"] == "long")
    assert int(trades["entry_ts"][0].timestamp() * 1e6) >= run.result["model"]["since"]


def test_what_a_model_knows_already_or_not_yet_is_refused_with_the_dates_that_would_do(engine):
    engine.start_worker()
    done(engine)
    since = version(engine, "small").described["since"]
    assert since > 0
    asked = {"symbols": ["SWING"]}
    with pytest.raises(InvalidInput, match="has nothing to say before") as error:
        engine.submit("backtest", {"strategy": text(more=TRADES), "end": "2018-01-01", **asked})
    assert "end after 2018-01-04" in str(error.value)
    final = text(more=TRADES).replace("model('small')", "model('small!final')")
    with pytest.raises(InvalidInput, match="it knows what comes") as error:
        engine.submit("backtest", {"strategy": final, "start": "2018-01-02", **asked})
    assert "start at 2018-01-14" in str(error.value)
    with pytest.raises(InvalidInput, match="it knows what comes"):  # as it would be from the first bar on
        engine.submit("backtest", {"strategy": final, **asked})
    with pytest.raises(InvalidInput, match=r"there is no model 'smal'.*small"):
        engine.submit("backtest", {"strategy": text(more=TRADES.replace("small", "smal")), **asked})
    changed = text(more=TRADES).replace("rsi(close, 14)", "rsi(close, 9)")
    with pytest.raises(InvalidInput, match="trained on other features: 'strength' was changed"):
        engine.submit("backtest", {"strategy": changed, **asked})


def test_a_number_is_predicted_and_has_no_probability(engine):
    engine.start_worker()
    document = text().replace("{type: direction, horizon: 3}", "{type: return, horizon: 3}")
    run = done(engine, document)
    assert run.result["scores"]["skill"] > 0.3
    more = "entry: {long: \"model('small').LINE > 0\"}\nexit: {long: \"model('small').LINE < 0\"}\n"
    for line, state in (("prediction", "completed"), ("probability", "failed")):
        traded = engine.wait(
            engine.submit("backtest", {"strategy": document + more.replace("LINE", line), "symbols": ["SWING"]})
        )
        assert traded.state == state, traded.error
    assert "it has no probability" in traded.error["message"]


@pytest.mark.parametrize("validation", ["{type: purged_kfold, folds: 4}", "{type: combinatorial, folds: 4, tests: 2}"])
def test_what_learned_from_the_future_too_is_asked_from_its_end_on(engine, validation):
    engine.start_worker()
    run = done(engine, text().replace("{type: walk_forward, folds: 3}", validation))
    model = run.result["model"]
    assert model["since"] == model["until"]
    assert len(run.result["folds"]) == (6 if "combinatorial" in validation else 4)
    with pytest.raises(InvalidInput, match="has nothing to say before"):
        engine.submit("backtest", {"strategy": text(more=TRADES), "symbols": ["SWING"], "end": "2018-01-10"})


def test_a_fold_that_cannot_be_learned_is_a_row_with_its_reason(engine):
    engine.start_worker()
    bars = to_frame(swinging(4000)).with_columns(
        pl.when(pl.int_range(pl.len()) < 1000).then(100.0).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    engine.platform.bars.store(bars, "FLAT", parse_timeframe("5m"), Nature("made up", session="24x7"))
    run = done(engine, symbols=["FLAT"])
    assert [bool(row["failure"]) for row in run.result["folds"]] == [True, False, False]
    assert "bars to learn from" in run.result["folds"][0]["failure"]
    assert any("fold 1 failed" in note.message for note in engine.service.report_of(run).notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("train:", "trains:"), "unknown key 'trains'"),
        (("direction, horizon: 3", "direction, horizon: 3999"), "have a label"),
        (("direction, horizon: 3", "direction, horizon: 1000"), "are too few for 4 parts"),
        (("{type: direction, horizon: 3}", "{type: expression, expression: 'close[-1] > 0'}"), "nothing to learn"),
        (('"rsi(close, 14)"', '"close / (close - close)"'), "feature 'strength' is unknown on every bar"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_told(engine, change, said):
    document = text().replace(*change)
    if "unknown key" in said:
        with pytest.raises(InvalidInput, match=said):
            start(engine, document)
        return
    engine.start_worker()
    run = engine.wait(start(engine, document))
    assert run.state == "failed"
    assert said in run.error["message"]
    assert "Traceback" not in json.dumps(run.error)
    assert engine.platform.models.all(LOCAL) == []


def test_a_damaged_file_is_told_and_nothing_is_traded_by_it(engine):
    engine.start_worker()
    run = done(engine)
    path = engine.platform.files.fetch(f"artifacts/{run.id}/fold-1.txt")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    traded = engine.wait(engine.submit("backtest", {"strategy": text(more=TRADES), "symbols": ["SWING"]}))
    assert traded.state == "failed"
    assert "fold-1.txt of the model 'small@1' is damaged" in traded.error["message"]


def test_versions_are_promoted_and_forgotten(engine):
    engine.start_worker()
    done(engine)
    done(engine, text(OWN.replace("rounds: 30", "rounds: 20")))
    models = engine.platform.models
    assert models.promote(LOCAL, "small@2").aliases == ("champion",)
    assert models.promote(LOCAL, "small@1", "challenger").aliases == ("challenger",)
    assert (version(engine, "small").version, version(engine, "small@challenger").version) == (2, 1)
    with pytest.raises(Conflict, match="is the champion"):
        models.remove(LOCAL, "small")
    with pytest.raises(NotFound, match="there are 1, 2"):
        version(engine, "small@7")
    models.remove(LOCAL, "small@1")
    assert [each.version for each in models.versions(LOCAL, "small")] == [2]
    with pytest.raises(InvalidInput, match="is no alias"):
        models.promote(LOCAL, "small@2", "7")


def test_how_many_were_tried_is_told(engine):
    engine.start_worker()
    done(engine)
    done(engine)
    third = done(engine, text(OWN.replace("rounds: 30", "rounds: 20")))
    assert third.result["tried"] == 1
    assert any("1 other" in note.message for note in engine.service.report_of(third).notes)


def test_a_screen_asks_a_model(engine):
    engine.start_worker()
    run = done(engine)
    screen = """
name: told
timeframe: 5m
criteria: [{name: up, when: "model('small').probability > 0.5", points: 1}]
metrics: {probability: "model('small').probability"}
pass_mark: 1
"""
    screened = engine.wait(engine.submit("screen", {"screen": screen, "tickers": ["SWING"]}))
    assert screened.state == "completed", screened.error
    (item,) = [event.payload["item"] for event in engine.events(screened) if event.type == "item_completed"]
    predictions = table(engine, run, "predictions")
    assert item["passed"] == (item["metrics"]["probability"] > 0.5)
    assert 0 < item["metrics"]["probability"] < 1
    assert predictions["probability"].min() > 0
    early = {"screen": screen, "tickers": ["SWING"], "date": "2018-01-02"}
    with pytest.raises(InvalidInput, match="has nothing to say before"):
        engine.submit("screen", early)


def test_a_session_trades_what_a_backtest_does(engine):
    engine.start_worker()
    done(engine)
    strategy, day = text(more=TRADES), "2018-01-10"
    backtest = engine.wait(
        engine.submit("backtest", {"strategy": strategy, "symbols": ["SWING"], "start": day, "end": day})
    )
    trader = engine.platform.trading.create(LOCAL, "model", 10_000, {"type": "rules", "strategy": strategy})
    asked = {"trader": trader.id, "symbols": ["SWING"], "date": day, "timeframe": "5m", "calendar": "24x7"}
    session = engine.wait(engine.submit("session", asked), seconds=60)
    assert session.state == "completed", session.error
    assert session.snapshot["models"]["small"]["version"] == 1
    columns = ["side", "entry_ts", "entry_price", "exit_ts", "exit_price", "pnl"]
    of_backtest, of_session = (table(engine, run, "trades").select(columns) for run in (backtest, session))
    assert len(of_backtest) > 5
    assert of_session.equals(of_backtest)
