"""A version of a model: whoever asks at a bar is answered by what existed then, and nothing damaged is read."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import parse_timeframe
from pitboss.learning import model as models
from pitboss.learning.lineage import changes_of, check_range
from pitboss.learning.samples import features_of
from pitboss.strategy.binding import bind
from pitboss.strategy.evaluate import Scope
from pitboss.strategy.expression import parse
from pitboss.strategy.reader import read_document
from support.learning import FIVE, SMALL, Onlooker, learned, learner, part, scopes_of, swinging


@pytest.fixture(scope="module")
def made():
    """A version with three folds and what was made of everything, its files and the samples."""
    bars = swinging(1200)
    training, samples, folds = learned(SMALL, bars)
    files, described = {}, []
    for number, rows, since in [
        *((f.number, f.train, f.since) for f in folds),
        (0, np.flatnonzero(samples.labelled), int(samples.at.max())),
    ]:
        fitted = learner(samples, training.model, 7 + number).fit(part(samples, rows), None, Onlooker())
        name = f"{number}.txt"
        files[name] = fitted.content()
        described.append(
            {
                "number": number,
                "since": since,
                "file": name,
                "digest": models.digest_of(files[name]),
                "best": fitted.best,
            }
        )
    manifest = {
        "format": models.FORMAT, "name": "small", "text": SMALL, "parameters": {}, "features": list(samples.names),
        "is_class": True, "model": {"type": "lightgbm", "numbers": dict(training.model.numbers)}, "timeframe": "5m",
        "seed": 7, "models": described,
    }  # fmt: skip
    return models.encoded(manifest), files, samples, folds, bars


def loaded(made, is_final=False, files=None):
    content, own, *_ = made
    return models.load_model("small@1", content, (files or own).__getitem__, is_final)


def asked(model, line, bars, timeframe=FIVE):
    scope = Scope({"S": bars}, "S", timeframe, models={"small": model})
    return scope.evaluate(bind(parse(f"model('small').{line}"), {}, {}))


def test_each_bar_is_answered_by_the_model_that_existed_then(made):
    _, files, samples, folds, bars = made
    model = loaded(made)
    said = asked(model, "probability", bars)
    assert np.isnan(said[: folds[0].test[0]]).all()
    for fold in folds:
        one = learner(samples, read_document(SMALL).train.model).read(files[f"{fold.number}.txt"])
        rows = fold.test[samples.at[fold.test] < samples.at.max()]
        assert np.array_equal(said[rows], one.predict(samples.x[rows], samples.since[rows]))
    assert np.array_equal(asked(model, "prediction", bars)[folds[0].test], (said >= 0.5)[folds[0].test])
    spread = asked(model, "uncertainty", bars)
    assert np.isnan(spread[: folds[1].test[0]]).all()
    assert (spread[folds[1].test] >= 0).all()


def test_the_last_model_answers_alone_where_it_is_asked(made):
    *_, bars = made
    final = loaded(made, is_final=True)
    assert [piece.number for piece in final.pieces] == [0]
    said = asked(final, "probability", bars)
    assert np.isnan(said[:-1]).all()
    assert np.isfinite(said[-1])


def test_what_comes_later_changes_nothing_that_was_said(made):
    *_, bars = made
    model, cut = loaded(made), 900
    whole = asked(model, "probability", bars)
    assert np.array_equal(whole[:cut], asked(model, "probability", bars.slice(0, cut)), equal_nan=True)


def test_it_equals_features_and_predictions_by_hand(made):
    content, files, _, folds, bars = made
    import lightgbm as lgb

    by_hand = features_of(loaded(made).features, scopes_of(bars)[0])
    fold = folds[1]
    booster = lgb.Booster(model_str=files["2.txt"].decode())
    said = asked(loaded(made), "probability", bars)
    assert np.array_equal(said[fold.test], booster.predict(by_hand[fold.test]))
    assert json.loads(content)["models"][1]["best"] == booster.current_iteration()


def test_longer_bars_are_asked_by_name(made):
    *_, bars = made
    with pytest.raises(InvalidInput, match="is of 5m bars, and is asked on 15m"):
        asked(loaded(made), "probability", bars, parse_timeframe("15m"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda m, f: f.__setitem__("2.txt", f["2.txt"][: len(f["2.txt"]) // 2]), "2.txt of the model 'small@1' is damaged"),
        (lambda m, f: m.__setitem__("format", 99), "is of format 99, this pitboss reads 1"),
        (lambda m, f: m.__setitem__("features", ["a", "b", "c"]), "the file has learned from last, stretch, strength"),
    ],
)  # fmt: skip
def test_what_is_damaged_or_of_another_version_is_told(made, change, said):
    content, files, *rest = made
    manifest, files = json.loads(content), dict(files)
    change(manifest, files)
    with pytest.raises(InvalidInput, match=said):
        loaded((models.encoded(manifest), files, *rest))


def test_a_changed_feature_list_says_what_changed():
    described = {"text": SMALL, "parameters": {}}
    assert changes_of(read_document(SMALL), described) == []
    changed = SMALL.replace("rsi(close, 14)", "rsi(close, 9)").replace("last: ", "first: ")
    assert changes_of(read_document(changed), described) == [
        "'last' was left out", "'first' was added", "'strength' was changed"
    ]  # fmt: skip


def test_a_range_in_which_nothing_is_known_yet_or_too_much_is_refused():
    described = {"since": 1_546_300_800_000_000, "until": 1_577_836_800_000_000}
    check_range("m", described, 1_546_300_800_000_000, None, False)
    check_range("m", described, 0, 1_546_300_800_000_001, False)
    check_range("m", described, 1_577_836_800_000_000, None, True)
    with pytest.raises(InvalidInput, match=r"existed at 2019-01-01.*end after 2019-01-01"):
        check_range("m", described, 0, 1_546_300_800_000_000, False)
    with pytest.raises(InvalidInput, match=r"knows what comes.*start at 2020-01-01"):
        check_range("m", described, 1_546_300_800_000_000, None, True)
