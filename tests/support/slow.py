"""A kind of run that is a backtest in every way but one: it rests between the pieces of its bars, so that a browser can
watch what is over in a fraction of a second otherwise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pitboss

MODULE = '''\
"""A backtest that rests."""

import time
from dataclasses import replace

from pitboss.kinds.backtest import KIND as BACKTEST

KIND = replace(BACKTEST, name="slow", title="Slow backtest", entry="pitboss_slow:run", is_resumable=False)
PIECES, REST = 60, 0.12


def run(params, context):
    from pitboss.backtesting import engine
    from pitboss.kinds.backtest import job

    advance = engine.Simulation.advance

    def slowly(simulation):
        simulation.piece = max(1, simulation.end // PIECES)
        time.sleep(REST)
        return advance(simulation)

    engine.Simulation.advance = slowly
    return job.run(params, context)
'''


def python_with_slow_kind(folder: Path) -> str:
    """Answer an interpreter that has all that this one has, and the kind besides."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "pitboss_slow.py").write_text(MODULE)
    described = packages / "pitboss_slow-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: pitboss-slow\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[pitboss.kinds]\nslow = pitboss_slow:KIND\n")
    ours = [Path(pitboss.__file__).parents[1], *(path for path in sys.path if path.endswith("site-packages"))]
    (packages / "ours.pth").write_text("".join(f"{path}\n" for path in ours))
    return str(folder / "bin" / "python")
