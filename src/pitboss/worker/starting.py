"""From a claim to a process: what it is told, where it writes, and who watches it."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from pitboss.core import panel as cells
from pitboss.core.machine import cores
from pitboss.core.places import run_log
from pitboss.runs.kinds import Kind
from pitboss.runs.model import Claim
from pitboss.runs.progress import ProgressMeter
from pitboss.worker.config import WorkerConfig
from pitboss.worker.families import ForkFamilies
from pitboss.worker.supervised import SupervisedRun


def start(forks: ForkFamilies, claim: Claim, kind: Kind, config: WorkerConfig, lease_end: int) -> SupervisedRun:
    """Have the fork server start the run's process. Raises OSError when descriptors or disk are wanting, NotFound when
    a secret is gone, StorageUnavailable when it cannot be read."""
    run = claim.run
    names = run.snapshot.get("secrets", ())
    secrets = config.secrets(run.owner, names) if names else {}
    path = run_log(config.data_dir, run.id)
    path.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    try:
        panel, pipe = forks.spawn(kind.name, _order(claim, kind, config), log, secrets)
    finally:
        os.close(log)
    panel[cells.LEASE_UNTIL] = lease_end
    return SupervisedRun(
        claim=claim, panel=panel, pipe=pipe, kills=forks.kills, meter=ProgressMeter(kind.stages),
        max_seconds=run.options.get("max_execution_seconds", config.max_execution_seconds),
        max_megabytes=run.options.get("memory_limit_mb", config.memory_limit_mb),
    )  # fmt: skip


def _order(claim: Claim, kind: Kind, config: WorkerConfig) -> dict[str, Any]:
    run = claim.run
    return {
        "token": claim.token, "run_id": run.id, "kind": kind.address, "source": kind.source,
        "params": run.params, "snapshot": run.snapshot, "slot": run.resource,
        "attempt": run.attempt, "threads": cores(), "data_dir": str(config.data_dir),
        "files_url": config.files_url, "database_url": config.database_url,
        "checkpoint_seconds": config.checkpoint_seconds,
        "checkpoints": [asdict(saved) for saved in claim.checkpoints],
    }  # fmt: skip
