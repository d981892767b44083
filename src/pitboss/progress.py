"""How a script tells pitboss how far it is. One file without dependencies: import it, or copy it beside the script.

    from pitboss import progress

    progress.stage("screening")
    for number, ticker in enumerate(tickers, 1):
        progress.update(number, len(tickers), item=ticker)

Outside a run of pitboss nothing is printed. Safe to call from any thread.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from datetime import UTC, datetime

_RUN = os.environ.get("PITBOSS_RUN_ID") or os.environ.get("RUN_ID")
_lock = threading.Lock()
_stage = "running"


def stage(name: str, message: str = "") -> None:
    """Say what the script does now."""
    global _stage
    _stage = str(name)
    _say("stage", message=message, progress=0)


def update(done: float, total: int | None = None, item: object = None, message: str = "", **metrics: object) -> None:
    """Say how much of the stage is done: of `total` units, or in per cent without it; further names are figures."""
    fields: dict[str, object] = {"message": message}
    if total:
        fields.update(completed_items=done, total_items=total, progress=round(100.0 * done / total, 2))
    else:
        fields["progress"] = done
    if item is not None:
        fields["current_item"] = str(item)
    if metrics:
        fields["metrics"] = metrics
    _say("progress", **fields)


def log(message: str) -> None:
    """Write a line for people."""
    _say("log", message=message)


def _say(kind: str, **fields: object) -> None:
    if not _RUN:
        return
    now = datetime.now(UTC).isoformat()
    said = dict(type=kind, run_id=_RUN, stage=_stage, timestamp=now, **fields)
    with _lock:
        sys.stdout.write("PROGRESS:" + json.dumps(said, default=str) + "\n")
        sys.stdout.flush()
