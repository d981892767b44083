"""A sweep: every combination of a grid of parameters, indicators shared, variants spread over threads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from pitboss.backtesting.engine import rules_of, run
from pitboss.backtesting.grid import Grid
from pitboss.backtesting.metrics import compute_metrics
from pitboss.backtesting.options import resolve
from pitboss.backtesting.universe import Universe
from pitboss.kernel.account import Log
from pitboss.kernel.panel import new_panel
from pitboss.strategy.document import Document
from pitboss.strategy.evaluate import ArrayCache
from pitboss.strategy.program import compile_document


@dataclass(frozen=True)
class Variant:
    """One combination of parameters and its metrics. `index` is its place in the grid."""

    index: int
    parameters: Mapping[str, float]
    metrics: Mapping[str, Any]


@dataclass
class SweepJob:
    """Everything a variant needs, shared by all threads."""

    document: Document
    universe: Universe
    cash: float
    sizing: Mapping[str, Any] | None = None
    costs: Mapping[str, Any] | None = None
    base: Mapping[str, Any] = field(default_factory=dict)
    is_stopped: Callable[[], bool] = lambda: False  # by a cancel, or to go on later
    cache: ArrayCache = field(default_factory=ArrayCache)
    _mine: threading.local = field(default_factory=threading.local)  # the log that a thread uses again and again

    def stop(self) -> None:
        """End what is under way, and start nothing more."""
        self.is_stopped = lambda: True

    def variant(self, index: int, parameters: Mapping[str, float]) -> Variant | None:
        """Compute one variant, None when it was stopped first."""
        chosen = {**self.base, **parameters}
        program = compile_document(self.document, chosen)
        rules = rules_of(program, *resolve(self.document, self.sizing, self.costs, chosen))
        used: Log | None = getattr(self._mine, "log", None)
        outcome = run(program, rules, self.universe, self.cash, new_panel(), self.cache, used, self.is_stopped)
        self._mine.log = outcome.log
        if not outcome.is_complete:
            return None
        return Variant(index, parameters, compute_metrics(outcome))


def interleaved(count: int) -> Iterator[int]:
    """Yield 0 to `count` - 1 in an order of which every beginning lies evenly over the whole: that of their binary
    digits read backwards (van der Corput 1935)."""
    bits = max(1, (count - 1).bit_length())
    places = (int(f"{place:0{bits}b}"[::-1], 2) for place in range(1 << bits))
    return (place for place in places if place < count)


def run_sweep(job: SweepJob, grid: Grid, threads: int, done: Collection[int] = ()) -> Iterator[Variant]:
    """Yield the variants as they end, but for those already `done`, by index.

    Once it is stopped those under way are dropped and the rest never start.
    """
    _ = job.universe.prices, job.universe.day_ends, job.universe.benchmark  # made once, before the threads
    pending: set[Future[Variant | None]] = set()
    variants = list(grid)
    todo = ((index, variants[index]) for index in interleaved(len(variants)) if index not in done)
    with ThreadPoolExecutor(max_workers=threads) as pool:
        try:
            while not job.is_stopped():
                for index, parameters in itertools.islice(todo, 4 * threads - len(pending)):
                    pending.add(pool.submit(job.variant, index, parameters))
                if not pending:
                    return
                ended, pending = wait(pending, return_when=FIRST_COMPLETED)
                finished = [future.result() for future in ended]
                yield from sorted((v for v in finished if v is not None), key=lambda v: v.index)
        finally:
            for future in pending:
                future.cancel()
