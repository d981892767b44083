"""Folds: whatever is tested, nothing that is learned from has seen any of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pitboss.core.errors import InvalidInput
from pitboss.learning.folds import folds_of, stopping_split
from pitboss.learning.samples import samples_of
from support.learning import SMALL, scopes_of, swinging, training_of

BARS = (swinging(400, seed=1), swinging(400, seed=2).slice(60, 380))
VALIDATIONS = st.one_of(
    st.builds("{{type: walk_forward, folds: {}, anchored: {}}}".format, st.integers(2, 8), st.sampled_from(["true", "false"])),
    st.builds("{{type: purged_kfold, folds: {}}}".format, st.integers(2, 8)),
    st.builds("{{type: combinatorial, folds: {}, tests: {}}}".format, st.integers(4, 6), st.integers(1, 3)),
)  # fmt: skip
LABELS = st.one_of(
    st.builds("{{type: direction, horizon: {}}}".format, st.integers(1, 30)),
    st.builds("{{type: triple_barrier, horizon: {}, up: 0.2%, down: 0.2%}}".format, st.integers(1, 30)),
)


def made(label, validation):
    text = SMALL.replace("{type: direction, horizon: 3}", label).replace("{type: walk_forward, folds: 3}", validation)
    training = training_of(text)
    samples = samples_of(training, scopes_of(*BARS))
    return training, samples, folds_of(samples, training.validation)


@settings(deadline=None)
@given(LABELS, VALIDATIONS)
def test_no_label_that_is_learned_from_shares_a_bar_with_one_that_is_tested(label, validation):
    _, samples, folds = made(label, validation)
    for fold in folds:
        assert len(fold.test)
        assert samples.labelled[fold.train].all()
        begin, end = samples.at[fold.train], samples.known[fold.train]
        tested = fold.test[samples.labelled[fold.test]]
        for first, last in zip(samples.at[tested], samples.known[tested], strict=True):
            assert not ((begin < last) & (end > first)).any()
        if fold.since is not None:
            assert (end <= fold.since).all()
            assert (samples.at[fold.test] >= fold.since).all()


@settings(deadline=None)
@given(LABELS, VALIDATIONS)
def test_every_bar_after_the_first_part_is_tested(label, validation):
    _, samples, folds = made(label, validation)
    tested = np.concatenate([fold.test for fold in folds])
    whole = np.flatnonzero(samples.at >= samples.at[tested].min())
    assert np.array_equal(np.unique(tested), whole)
    if "combinatorial" not in validation:
        assert len(np.unique(tested)) == len(tested)


@settings(deadline=None)
@given(LABELS, VALIDATIONS)
def test_what_tells_when_to_stop_is_apart_from_what_is_learned(label, validation):
    _, samples, folds = made(label, validation)
    for fold in folds:
        learned, stop = stopping_split(samples, fold.train)
        if len(learned) and len(stop):
            assert samples.known[learned].max() <= samples.at[stop].min()
        assert set(learned) | set(stop) <= set(fold.train)


def test_a_rolling_fold_learns_from_as_much_as_the_first():
    _, samples, anchored = made("{type: direction, horizon: 3}", "{type: walk_forward, folds: 4}")
    _, _, rolling = made("{type: direction, horizon: 3}", "{type: walk_forward, folds: 4, anchored: false}")
    assert [fold.test.tolist() for fold in anchored] == [fold.test.tolist() for fold in rolling]
    assert all(samples.at[fold.train].min() == samples.at[samples.labelled].min() for fold in anchored)
    assert samples.at[rolling[-1].train].min() > samples.at[rolling[0].test].min()


def test_fewer_bars_than_folds_need_are_told():
    with pytest.raises(InvalidInput, match="are too few for 9 parts: a label looks 60 bars forward"):
        made("{type: direction, horizon: 60}", "{type: walk_forward, folds: 8}")
    with pytest.raises(InvalidInput, match="none is left to learn from"):
        made("{type: direction, horizon: 3}", "{type: combinatorial, folds: 3, tests: 3}")
