"""A kind of run that is a backtest in every way but one: it rests between the pieces of its bars, so that a browser can
watch what is over in a fraction of a second otherwise."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
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
    return python_with(folder, {"pitboss_slow": MODULE}, {"slow": "pitboss_slow:KIND"})


def python_with(folder: Path, modules: Mapping[str, str], kinds: Mapping[str, str]) -> str:
    """Answer an interpreter that has all that this one has, and a package of some modules with kinds in them."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    for name, text in modules.items():
        (packages / f"{name}.py").write_text(text)
    described = packages / "pitboss_kinds-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: pitboss-kinds\nVersion: 1.0\n")
    points = "".join(f"{name} = {place}\n" for name, place in kinds.items())
    (described / "entry_points.txt").write_text(f"[pitboss.kinds]\n{points}")
    ours = [Path(pitboss.__file__).parents[1], *(path for path in sys.path if path.endswith("site-packages"))]
    (packages / "ours.pth").write_text("".join(f"{path}\n" for path in ours))
    return str(folder / "bin" / "python")
