"""The figures of an import: ten million rows of CSV, from the command to the stored series."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from table import Row

ROWS = 10_000_000
# not ru_maxrss: that one is inherited from whoever started the process
COMMAND = """
import sys
from pitboss.cli.main import app
try:
    app()
finally:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")), file=sys.stderr)
"""


def rows():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        file = Path(folder) / "bars.csv"
        write_bars(file)
        run(file, "warm", Path(folder), "--preview")  # compiled, and the file in memory
        start = time.perf_counter()
        peak = run(file, "TEN", Path(folder))
        seconds = time.perf_counter() - start
    yield Row("import of 10,000,000 rows of CSV", seconds, "s", 6, "limit")
    yield Row("the same, peak memory", peak, "MB", 1000, "limit")


def run(file, symbol, folder, *more):
    """Import the file with the command, and answer the most memory it held, megabytes."""
    command = [sys.executable, "-c", COMMAND, "data", "import", str(file), "-s", symbol, "-t", "1m", *more]
    done = subprocess.run([*command, "--data-dir", str(folder / "data")], check=True, capture_output=True, text=True)
    return int(done.stderr) * 1024 / 1e6


def write_bars(file):
    """Write minutes of a random walk, as an exchange's export has them."""
    rng = np.random.default_rng(1)
    close = np.round(np.abs(100 + np.cumsum(rng.normal(0, 0.01, ROWS))) + 1, 2)
    first = np.roll(close, 1)
    ts = pl.datetime_range(datetime(2000, 1, 1), datetime(2040, 1, 1), "1m", eager=True).head(ROWS)
    pl.DataFrame(
        {
            "ts": ts.dt.strftime("%Y-%m-%d %H:%M:%S"),
            "open": first,
            "high": np.round(np.maximum(first, close) + 0.05, 2),
            "low": np.round(np.minimum(first, close) - 0.05, 2),
            "close": close,
            "volume": rng.integers(0, 10_000, ROWS),
        }
    ).write_csv(file)
