"""The train section: what it takes, and that nothing but the label looks forward."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import parse_timeframe
from pitboss.strategy.binding import bind
from pitboss.strategy.compute import trapezoid
from pitboss.strategy.evaluate import Scope
from pitboss.strategy.expression import parse
from pitboss.strategy.reader import inspect_document, read_document
from pitboss.strategy.schema import document_schema
from pitboss.strategy.training import LABELS, MODELS, VALIDATIONS, compile_training, reach_of
from support.bars import random_bars

WHOLE = """
name: direction
timeframe: 5m
parameters: {length: 14}
indicators: {strength: "rsi(close, length)"}
train:
  features: {strength: strength, oversold: "triangle(strength, 0, 20, 40)", hour: hour, up: "close > open"}
  label: {type: triple_barrier, horizon: 48, up: 1.5 * atr(14), down: 1%}
  model: {type: lightgbm, rounds: 100}
  validation: {type: walk_forward, folds: 4, anchored: false}
  sample_weights: uniqueness
  seed: 7
"""


def compiled(text, **parameters):
    document = read_document(text)
    return compile_training(document.train, document.check(parameters), document.indicators)


def labelled(expression, **more):
    said = ", ".join(f"{name}: {value}" for name, value in more.items())
    return f"""
name: x
train:
  features: {{a: close}}
  label: {{type: expression, expression: "{expression}"{", " if said else ""}{said}}}
"""


def told(text):
    return [str(problem) for problem in inspect_document(text)[1]]


def test_a_section_is_read_with_the_usual_for_what_it_leaves_out():
    training = compiled(WHOLE, length=10)
    assert list(training.features) == ["strength", "oversold", "hour", "up"]
    assert training.features["strength"] == bind(parse("rsi(close, 10)"), {}, {})
    assert (training.label.reach, training.seed, training.sample_weights) == (48, 7, "uniqueness")
    assert training.model.numbers["rounds"] == 100
    assert training.model.numbers["learning_rate"] == MODELS["lightgbm"].settings["learning_rate"].default
    assert training.validation.flags == {"anchored": False}
    plain = compiled(labelled("close[-1] > close"))
    assert (plain.model.type, plain.validation.type, plain.seed) == ("lightgbm", "walk_forward", None)


def test_a_document_is_trained_without_an_entry_and_not_traded():
    document = read_document(WHOLE)
    with pytest.raises(InvalidInput, match="no entry"):
        document.require_entry()


@pytest.mark.parametrize(
    ("expression", "reach"),
    [
        ("close[-12] / close - 1", 12), ("max(high, 5)[-7] - close", 7), ("close[-3][1] > close", 2),
        ("ema(close[-2], 10) > close[-9]", 9), ("close[-length] > close", 14),
    ],
)  # fmt: skip
def test_how_far_a_label_looks_follows_from_what_it_says(expression, reach):
    text = labelled(expression).replace("name: x", "name: x\nparameters: {length: 14}")
    assert compiled(text).label.reach == reach


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (labelled("close / close[1] - 1"), "the label does not look forward"),
        (labelled("on('1h', close[-1]) > close"), "the label looks forward within on(…)"),
        (WHOLE.replace("hour: hour", "hour: 'close[-1]'"), "would look into the future"),
        (WHOLE.replace("up: 1.5 * atr(14)", "up: 'close[-1]'"), "would look into the future"),
        (WHOLE.replace("hour: hour", "hour: \"model('x').probability\""), "a model cannot learn from another"),
        (WHOLE.replace("hour: hour", "hour: 'macd(close)'"), "an indicator with several lines"),
        (WHOLE.replace("hour: hour", "hour: 3"), "train.features.hour is a number"),
        (WHOLE.replace("triple_barrier", "triple_barier"), "did you mean 'triple_barrier'?"),
        (WHOLE.replace("lightgbm", "lightgb"), "did you mean 'lightgbm'?"),
        (WHOLE.replace("rounds: 100", "rounds: 0"), "train.model.rounds is 0"),
        (WHOLE.replace("rounds: 100", "round: 100"), "unknown key 'round'"),
        (WHOLE.replace("folds: 4", "folds: 1"), "write a whole number from 2 to 100"),
        (WHOLE.replace("anchored: false", "anchored: maybe"), "unknown anchored 'maybe'"),
        (WHOLE.replace("uniqueness", "unique"), "did you mean 'uniqueness'?"),
        (WHOLE.replace("seed: 7", "seed: -7"), "train.seed is -7"),
        (WHOLE.replace(", down: 1%", ""), "a label of type triple_barrier has no 'down'"),
        ("name: x\ntrain: {features: {a: close}}", "train has no 'label'"),
        ("name: x\ntrain: {label: {type: return, horizon: 3}}", "train has no 'features'"),
        ("name: x\ntrain: {features: {}, label: {type: return, horizon: 3}}", "0 features"),
        ("name: x\nentry: {long: \"model('x') > 1\"}", "choose what it says: .probability"),
        ("name: x\nentry: {long: \"model('x').probabilty > 1\"}", "did you mean 'probability'?"),
        ("name: x\nentry: {long: \"model('a b').probability > 1\"}", "model takes the name of a model"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(text, said):
    found = told(text)
    assert any(said in each for each in found), found
    assert all(each.startswith("line ") for each in found)


def test_a_reach_that_is_said_is_held_against_the_expression():
    assert compiled(labelled("close[-4] > close", reach=4)).label.reach == 4
    with pytest.raises(InvalidInput, match="looks 4 bars forward, and 'reach' says 3"):
        compiled(labelled("close[-4] > close", reach=3))


def test_the_examples_are_read():
    examples = sorted((Path(__file__).parents[3] / "examples" / "trainings").glob("*.yaml"))
    assert examples
    for path in examples:
        document = read_document(path.read_text())
        assert document.train is not None
        jsonschema.validate(yaml.safe_load(path.read_text()), document_schema())


def test_every_kind_of_a_choice_says_what_it_is():
    assert all(choice.summary for known in (LABELS, MODELS, VALIDATIONS) for choice in known.values())


def test_models_that_are_asked_are_known_of_a_document():
    text = "name: x\nentry: {long: \"model('a@2').probability > 0.5 and on('1h', model('b!final').prediction) > 0\"}"
    assert read_document(text).models == {"a@2", "b!final"}


@given(st.integers(1, 30), st.integers(0, 2**16))
def test_values_ahead_are_those_of_later_bars(bars, seed):
    scope = Scope({"S": random_bars(40, seed=seed)}, "S", parse_timeframe("5m"))
    node = bind(parse(f"close[-{bars}]"), {}, {})
    values = scope.evaluate(node)
    assert reach_of(node) == bars
    assert np.array_equal(values[: 40 - bars], scope.bars.close[bars:])
    assert np.isnan(values[40 - bars :]).all()
    rises = scope.evaluate(bind(parse(f"(close > open)[-{bars}]"), {}, {}))
    assert rises.dtype == np.bool_
    assert not rises[40 - bars :].any()


@given(st.lists(st.floats(-100, 100), min_size=4, max_size=4), st.floats(-200, 200))
def test_a_membership_is_between_0_and_1_and_whole_at_its_top(edges, x):
    a, b, c, d = sorted(edges)
    (found,) = trapezoid(np.array([x]), a, b, c, d)
    assert 0.0 <= found <= 1.0
    assert list(trapezoid(np.array([b, (b + c) / 2, c]), a, b, c, d)) == [1.0, 1.0, 1.0]
    if x < a or x > d:
        assert found == 0.0
    assert np.isnan(trapezoid(np.array([np.nan]), a, b, c, d)[0])
