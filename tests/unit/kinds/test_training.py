"""What a training is asked to do: what it needs is told before it is queued."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError
from types import SimpleNamespace

import pytest

from pitboss.core.errors import InvalidInput
from pitboss.kinds.training.job import caution_of
from pitboss.kinds.training.params import TrainingParams
from pitboss.kinds.training.prepare import asked_of, prepare, read_training, seed_of
from pitboss.strategy.training import MODELS
from support.learning import SMALL


def asked(text):
    return TrainingParams(strategy=text, symbols=["SWING"])


@pytest.mark.parametrize("learner", MODELS)
def test_a_learner_that_is_not_installed_says_how_to_get_it(monkeypatch, learner):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(sys.modules["pitboss.kinds.training.prepare"], "version", absent)
    text = SMALL.replace("{type: lightgbm, rounds: 30, leaves: 7, early_stopping: 0}", f"{{type: {learner}}}")
    with pytest.raises(InvalidInput) as error:
        prepare(asked(text), SimpleNamespace(strategies=None))
    library, extra = MODELS[learner].library
    assert f"{learner} needs {library}, which is not installed here" in str(error.value)
    assert f"pip install 'pitboss[{extra}]'" in str(error.value)


def test_a_document_that_teaches_nothing_is_told():
    with pytest.raises(InvalidInput, match="has no 'train' section"):
        read_training(asked("x"), "name: x\ntimeframe: 5m\nentry: {long: close > open}")


def test_the_seed_follows_from_the_text_where_none_is_given():
    with_seed = read_training(asked(SMALL), SMALL)
    assert seed_of(with_seed) == 7
    texts = [SMALL.replace("  seed: 7\n", ""), SMALL.replace("  seed: 7\n", "").replace("rounds: 30", "rounds: 31")]
    seeds = [seed_of(read_training(asked(text), text)) for text in texts]
    assert seeds[0] != seeds[1]
    assert seeds[0] == seed_of(read_training(asked(texts[0]), texts[0]))


def test_the_same_label_on_the_same_bars_is_compared_and_another_is_not():
    def told(text, **params):
        given = asked(text).model_copy(update=params)
        return asked_of(read_training(given, text), given)

    first, deeper = told(SMALL), told(SMALL.replace("leaves: 7", "leaves: 9"))
    assert first["label"] == deeper["label"]
    assert first["all"] != deeper["all"]
    assert told(SMALL.replace("horizon: 3", "horizon: 4"))["label"] != first["label"]
    assert told(SMALL, start="2018-01-05")["label"] != first["label"]
    assert told(SMALL, shuffled=True)["all"] != first["all"]


@pytest.mark.parametrize(
    ("device", "slot", "said"),
    [("cpu", "default", ""), ("cpu", "gpu", "learns on the CPU"), ("cuda", "gpu", "need not end in the same model")],
)
def test_what_a_gpu_does_not_promise_is_said(device, slot, said):
    told = caution_of(SimpleNamespace(device=device), slot)
    assert said in told
    assert bool(told) == bool(said)
