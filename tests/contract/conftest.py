"""A run service over each database, without workers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pitboss.runs.kinds import Kinds
from pitboss.runs.model import Limits
from pitboss.runs.service import Policy, Ports, RunService
from pitboss.storage.database import Database
from pitboss.storage.events import SqlEventLog
from pitboss.storage.figures import SqlFigures
from pitboss.storage.remarks import SqlRemarks
from pitboss.storage.runs import SqlRunStore
from pitboss.storage.workers import SqlWorkerRegistry
from support.engine import ALL_KINDS, NoLauncher


@pytest.fixture
def service_of(database: Database) -> Callable[[Kinds], RunService]:
    """What makes a service of some kinds."""

    def made(kinds: Kinds) -> RunService:
        ports = Ports(
            store=SqlRunStore(database), log=SqlEventLog(database), registry=SqlWorkerRegistry(database),
            figures=SqlFigures(database), launcher=NoLauncher(), remarks=SqlRemarks(database), kinds=kinds,
        )  # fmt: skip
        return RunService(ports, Policy(Limits(9, {}, 9, 60.0), 100_000, 15.0))

    return made


@pytest.fixture
def service(service_of: Callable[[Kinds], RunService]) -> RunService:
    return service_of(ALL_KINDS)
