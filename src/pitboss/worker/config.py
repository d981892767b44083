"""What a worker is told."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pitboss.runs.kinds import Family
from pitboss.runs.model import Limits

Secrets = Callable[[str, Collection[str]], Mapping[str, str]]


def _none(_owner: str, _names: Collection[str]) -> Mapping[str, str]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """How a worker behaves; durations in seconds, sizes in megabytes, 0 for no limit."""

    data_dir: Path
    slots: Mapping[str, int]  # of each resource that it serves
    lease_seconds: float
    renew_seconds: float
    cancel_grace_seconds: float
    shutdown_grace_seconds: float
    idle_exit_seconds: float | None
    max_execution_seconds: float
    memory_limit_mb: int
    min_free_memory_mb: int
    min_free_disk_mb: int
    limits: Limits
    version: str
    is_sole: bool = False
    checkpoint_seconds: float = 2.0
    python_path: tuple[str, ...] = ()
    shares_kernel: bool = False  # all workers run under one kernel, as SQLite demands
    files_url: str = ""
    database_url: str = ""
    families: Mapping[Family, Sequence[str]] = field(default_factory=dict)  # the modules that each has loaded
    secrets: Secrets = _none  # of an owner, by name; raises NotFound where one is gone


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What a worker does for the database besides its runs. All raise StorageUnavailable.

    `obstacle` answers why this version must not work on it, empty when it may; `check_place` raises Misplaced when
    it is no longer where it was; `thin` removes the progress of some
    of the runs that ended a while ago, without holding anybody up.
    """

    obstacle: Callable[[], str] = str
    check_place: Callable[[], object] = _nothing
    thin: Callable[[], object] = _nothing
