"""What a job says: thinned, and with nothing lost by that."""

from __future__ import annotations

from pathlib import Path

from pitboss.core import panel as cells
from pitboss.core.files import LocalFiles
from pitboss.runs.context import REPORTS_PER_SECOND, RunContext, World


def test_what_a_report_said_that_was_passed_over_goes_with_the_next_one(tmp_path):
    heard = []
    world = World(run_id="r", files=LocalFiles(tmp_path), data_dir=Path(tmp_path))
    memory = memoryview(bytearray(cells.BYTES))
    context = RunContext(world=world, params={}, snapshot={}, send=heard.append, memory=memory)
    context.begin_stage("work", 10)
    context.report(1, rare=1.0, often=1.0)
    context.report(2, current_item="AAPL", rare=2.0, often=2.0)  # within a fifth of a second: passed over
    context.report(3, often=3.0)
    context._last_report -= 1 / REPORTS_PER_SECOND
    context.report(4, often=4.0)
    told = [(each.current_item, each.metrics) for each in heard[1:]]
    assert told == [(None, {"rare": 1.0, "often": 1.0}), ("AAPL", {"rare": 2.0, "often": 4.0})]
    assert memory.cast("q")[cells.STAGE] == 1
