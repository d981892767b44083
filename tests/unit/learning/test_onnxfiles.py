"""A model that was exported says elsewhere what it says here."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest

from pitboss.learning.onnxfiles import exported
from support.learning import SMALL, Onlooker, learned, learner, part, swinging
from unit.learning.test_learners import FEW, NETS, chosen


@pytest.mark.parametrize("label", ["{type: direction, horizon: 3}", "{type: return, horizon: 3}"])
@pytest.mark.parametrize("name", FEW)
def test_it_says_the_same(name, label):
    if name in NETS:
        pytest.importorskip("torch", reason="torch is not installed: pip install 'pitboss[torch]'")
    _, samples, folds = learned(SMALL.replace("{type: direction, horizon: 3}", label), swinging(1000))
    fold = folds[-1]
    made = learner(samples, chosen(name)).fit(part(samples, fold.train), None, Onlooker())
    session = onnxruntime.InferenceSession(exported(made, len(samples.names)), providers=["CPUExecutionProvider"])
    rows = fold.test[made.window :]
    x = samples.x.astype(np.float32)
    given = x[rows] if made.window == 1 else x[rows[:, None] + np.arange(1 - made.window, 1)]
    told = session.run(None, {"features": given})
    said = told[1][:, 1] if len(told) > 1 else told[0].reshape(-1)
    assert said == pytest.approx(made.predict(samples.x, samples.since)[rows], abs=2e-4)
