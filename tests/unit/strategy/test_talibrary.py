"""TA-Lib as it is loaded: light, and still with Pandas for who brings it."""

from __future__ import annotations

import subprocess
import sys

import pytest

LATER = """
import sys
from pitboss.strategy.talibrary import talib
assert "pandas" not in sys.modules
import numpy, pandas, polars
assert list(talib.SMA(pandas.Series([1.0, 2.0, 3.0], index=[7, 8, 9]), 2).index) == [7, 8, 9]
assert isinstance(talib.SMA(polars.Series([1.0, 2.0, 3.0]), 2), polars.Series)
assert isinstance(talib.SMA(numpy.array([1.0, 2.0, 3.0]), 2), numpy.ndarray)
"""
BEFORE = """
import pandas
from pitboss.strategy.talibrary import talib
assert talib._pd_Series is pandas.Series
"""


@pytest.mark.parametrize("code", [LATER, BEFORE], ids=["Pandas later", "Pandas before"])
def test_it_takes_what_it_always_took(code):
    pytest.importorskip("pandas")
    subprocess.run([sys.executable, "-c", code], check=True)
