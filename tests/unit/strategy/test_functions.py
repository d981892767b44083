"""What documents are checked against is what TA-Lib accepts."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import talib
from hypothesis import given
from hypothesis import strategies as st

from pitboss.core.timeframe import DAY_MICROS
from pitboss.strategy.compute import _OWN, apply
from pitboss.strategy.functions import function_names, lookup
from support.bars import random_bars

ROOT = Path(__file__).parents[3]
TALIB = [function for name in function_names() if (function := lookup(name)) is not None and function.is_talib]


def test_the_description_of_talib_is_that_of_the_installed_one():
    said = subprocess.run(
        [sys.executable, ROOT / "script" / "describe-talib"], capture_output=True, text=True, check=True
    )
    assert said.stdout == (ROOT / "src" / "pitboss" / "strategy" / "talib.json").read_text()


@given(st.sampled_from(TALIB), st.data())
def test_a_constant_is_accepted_where_talib_accepts_it(function, data):
    values = [
        data.draw(st.integers(-3, 100_003) if parameter.is_whole else st.floats(-1e38, 1e38), label=parameter.name)
        for parameter in function.parameters
    ]
    fits = all(parameter.accepts(value) for parameter, value in zip(function.parameters, values, strict=True))
    fits = fits and function.reversed_pair(tuple(values)) is None
    try:
        getattr(talib, function.name.upper())(*[np.ones(8)] * len(function.inputs), *values)
        accepted = True
    except Exception:
        accepted = False
    assert fits == accepted


def test_every_function_is_computed():
    bars = random_bars(300, seed=1)
    for function in (lookup(name) for name in function_names() if name not in ("model", "on", "symbol")):
        series = [bars.close > bars.open if each.name == "CONDITION" else bars.close for each in function.inputs]
        constants = tuple(5.0 if p.default is None else p.default for p in function.parameters)
        lines = apply(function, bars, lambda: bars.ts // DAY_MICROS * DAY_MICROS, tuple(series), constants)
        assert [len(line) for line in lines] == [300] * len(function.lines)
    assert set(_OWN) == {name for name in function_names() if (f := lookup(name)) is not None and not f.is_talib}
