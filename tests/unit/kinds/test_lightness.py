"""What is checked, listed and reported loads no library of numbers: servers and workers stay small."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("numba", "polars", "talib", "pandas", "rich")


def test_documents_and_kinds_are_read_without_the_libraries_that_compute_them():
    code = (
        "import sys, pitboss.strategy.reader, pitboss.kinds.backtest, pitboss.kinds.sweep\n"
        "import pitboss.kinds.fetch, pitboss.kinds.screen, pitboss.kinds.script\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
