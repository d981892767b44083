"""The fork servers of a worker, one for each family of libraries: started when a run needs one, ended when idle."""

from __future__ import annotations

import selectors
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from pitboss.runs.kinds import Family, Kinds
from pitboss.worker.config import WorkerConfig
from pitboss.worker.forkclient import ForkOptions
from pitboss.worker.forkkeeper import ForkKeeper, Loss
from pitboss.worker.memory import KernelKills
from pitboss.worker.runfile import Panel

IDLE_SECONDS = 600.0  # without a run, after which a fork server ends


class ForkFamilies:
    """Starts and looks after the fork servers that the kinds of a worker need. Not thread-safe."""

    def __init__(
        self, config: WorkerConfig, kinds: Kinds, selector: selectors.BaseSelector, kills: KernelKills
    ) -> None:
        self.kinds = kinds
        self.kills = kills
        self.keepers = {
            family: ForkKeeper(_options(config, kinds, family), selector, kills)
            for family in sorted({kind.preload for kind in kinds.values()})
        }
        self._needed_at: dict[Family, float] = {}

    def need(self, kinds: Collection[str]) -> None:
        """Have what runs of these kinds need; a start that fails is tried again for as long as it is needed."""
        for family in {self.kinds[name].preload for name in kinds}:
            if family not in self._needed_at:
                self.keepers[family].start()
            self._needed_at[family] = time.monotonic()

    def kinds_of(self, family: Family) -> list[str]:
        return [kind.name for kind in self.kinds.values() if kind.preload is family]

    def ready_kinds(self) -> tuple[str, ...]:
        """Answer the kinds of which a run can be started at once."""
        return tuple(kind.name for kind in self.kinds.values() if self.keepers[kind.preload].is_ready)

    def hopeless(self) -> Iterator[tuple[Family, ForkKeeper]]:
        """Yield the families that are needed and cannot be had, for a reason that the last starts did not make pass."""
        return ((family, self.keepers[family]) for family in self._needed_at if self.keepers[family].is_hopeless)

    @property
    def obstacle(self) -> str:
        """Why runs of a kind that is needed cannot be started just now; empty when all can."""
        return next((keeper.obstacle for keeper in self._needed() if keeper.obstacle), "")

    @property
    def jinx(self) -> str:
        """Why starts come to nothing, for a reason that another worker may not have; empty when none does."""
        return next((keeper.last_loss.reason for keeper in self._needed() if keeper.is_jinxed), "")

    @property
    def pids(self) -> set[int]:
        return {keeper.pid for keeper in self.keepers.values() if keeper.pid is not None}

    def spawn(self, kind: str, order: dict[str, Any], log: int, secrets: Mapping[str, str]) -> tuple[Panel, int]:
        """Order a process for a run of a kind; see `ForkClient.spawn`. Raises OSError."""
        return self.keepers[self.kinds[kind].preload].spawn(order, log, secrets)

    def notices(self) -> list[dict[str, Any]]:
        """Answer what the fork servers told of their processes since the last call."""
        return [notice for keeper in self._needed() for notice in keeper.notices()]

    def look(self, active: Collection[str]) -> list[tuple[Family, Loss]]:
        """Answer which fork servers are lost; runs of the kinds in `active` are under way.

        To be called often, and after `notices`.
        """
        for name in active:
            self._needed_at[self.kinds[name].preload] = time.monotonic()
        lost = []
        for family in list(self._needed_at):
            if time.monotonic() - self._needed_at[family] > IDLE_SECONDS:
                self.keepers[family].close()
                del self._needed_at[family]
            elif (loss := self.keepers[family].look()) is not None:
                lost.append((family, loss))
        return lost

    def replace(self, kind: str, reason: str) -> None:
        """Have another fork server started for a kind, in place of one that cannot start anything."""
        self.keepers[self.kinds[kind].preload].replace(reason)

    def close(self) -> None:
        """End all of them and what they run."""
        for keeper in self.keepers.values():
            keeper.close()

    def _needed(self) -> list[ForkKeeper]:
        return [self.keepers[family] for family in self._needed_at]


def _options(config: WorkerConfig, kinds: Kinds, family: Family) -> ForkOptions:
    own = (kind for kind in kinds.values() if kind.preload is family)
    jobs = sorted({place.partition(":")[0] for kind in own for place in (kind.address, kind.entry)})
    return ForkOptions(config.families.get(family, ()), jobs, config.data_dir, config.python_path)
