"""Who may see which run: its owner, with whom it is shared, and an operator, of whom it is noted."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from pitboss.core.errors import NotFound
from pitboss.core.principal import Principal
from pitboss.runs.model import Run, RunQuery
from pitboss.runs.ports import RunStore

EVERYBODY = "*"
SAVED = "saved:"  # begins the tag of a run that a saved backtest made; the rest is its id
RUN, BACKTEST = "run", "backtest"  # what can be shared


class Shares(Protocol):
    """What owners let others read."""

    def readable(self, account: str, thing: str, ids: Collection[str]) -> Mapping[str, str]:
        """Answer those of `ids` that are shared with an account, with their owners."""


class Overseer(Protocol):
    """Who is told what an operator looked at that is not theirs."""

    def saw(self, who: Principal, what: str) -> None: ...


class Nobody:
    """Shares nothing and notes nothing: where there are no accounts."""

    def readable(self, _account: str, _thing: str, _ids: Collection[str]) -> Mapping[str, str]:
        return {}

    def saw(self, _who: Principal, _what: str) -> None:
        return None


@dataclass(frozen=True, slots=True)
class RunAccess:
    """Finds runs for somebody. What is not theirs to see is not there."""

    store: RunStore
    shares: Shares
    overseer: Overseer

    def readable(self, who: Principal, run_ids: Collection[str]) -> dict[str, Run | NotFound]:
        """Answer for each id the run that somebody may read, or that there is none."""
        found = {run.id: run for run in self.store.find(RunQuery(ids=tuple(run_ids), limit=len(run_ids)))}
        shared = self._shared(who, [run for run in found.values() if not who.owns(run.owner)])
        answers: dict[str, Run | NotFound] = {}
        for run_id in run_ids:
            run = found.get(run_id)
            if run is None or not (who.owns(run.owner) or who.is_operator or run_id in shared):
                answers[run_id] = no_run(run_id)
                continue
            if not who.owns(run.owner) and run_id not in shared:
                self.overseer.saw(who, f"run {run_id}")
            answers[run_id] = run
        return answers

    def _shared(self, who: Principal, others: Collection[Run]) -> Collection[str]:
        """Answer those of others' runs that are shared, by themselves or with the backtest that they are of."""
        if not others or who.is_operator:
            return ()
        found = set(self.shares.readable(who.name, RUN, [run.id for run in others]))
        tagged = {run.id: tag.removeprefix(SAVED) for run in others for tag in run.tags if tag.startswith(SAVED)}
        backtests = self.shares.readable(who.name, BACKTEST, set(tagged.values())) if tagged else {}
        return found | {run.id for run in others if backtests.get(tagged.get(run.id, "")) == run.owner}

    def owner_of(self, who: Principal, query: RunQuery) -> str | None:
        """Answer whose runs a list holds: one's own, but for an operator who names another."""
        if not who.is_operator or query.owner in (None, who.name):
            return who.name
        self.overseer.saw(who, f"runs of {query.owner}")
        return None if query.owner == EVERYBODY else query.owner

    def changeable(self, who: Principal, run_id: str) -> Run:
        """Answer a run that somebody may change: their own, and for an operator anybody's. Raises NotFound."""
        run = self.store.get(run_id)
        if run is None or not (who.owns(run.owner) or who.is_operator):
            raise no_run(run_id)
        return run


def no_run(run_id: str) -> NotFound:
    return NotFound(f"there is no run '{run_id[:64]}'", "list the runs to see which there are")
