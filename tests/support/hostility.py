"""Scripts that do not want to end, cancelled at random moments."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import psutil

from pitboss.core.places import run_log
from pitboss.core.principal import LOCAL
from support.engine import Engine

HOSTILE = Path(__file__).with_name("hostile.py")
MARK = "pitboss-hostile-script"


def marked(mark):
    return [p.pid for p in psutil.process_iter(["cmdline"]) if mark in (p.info["cmdline"] or []) and p.is_running()
            and p.status() != psutil.STATUS_ZOMBIE]  # fmt: skip


def cancel_hostile(engine: Engine, scripts: Path, count: int, seed: int) -> dict:
    """Cancel scripts that ignore SIGTERM, with daemons and much output, at random moments; answer figures."""
    shutil.copy(HOSTILE, scripts)
    (scripts / "h.pitboss.yaml").write_text(
        "name: hostile\ncommand: [python, hostile.py, '{mark}', '{megabytes}']\n"
        "params: {mark: {}, megabytes: {type: integer}}\n"
    )
    engine.start_worker()
    dice = random.Random(seed)
    slowest, largest = 0.0, 0
    for number in range(count):
        mark = f"{MARK}-{number}"
        megabytes = dice.choice((0, 0, 1, 100))
        run = engine.submit("script", {"script": "hostile", "mark": mark, "megabytes": megabytes})
        engine.wait(run, "running")
        time.sleep(dice.uniform(0.0, 1.0))
        engine.service.cancel(LOCAL, run.id, dice.random() < 0.5)
        ended = engine.wait(run, seconds=10)
        assert ended.state == "cancelled"
        slowest = max(slowest, ended.ended_at - ended.cancel_requested_at)
        assert not marked(mark)
        log = run_log(engine.settings.data_dir, run.id)
        largest = max(largest, log.stat().st_size if log.exists() else 0)
    assert largest < 10 << 20
    return {"cancelled": count, "slowest": round(slowest, 3), "largest_log_bytes": largest}
