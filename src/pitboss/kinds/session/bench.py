"""A bench of traders: their sessions are started, stopped, and judged against each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pitboss.core.principal import Principal
from pitboss.kinds.session.prepare import subject_of
from pitboss.runs.model import Run, RunQuery
from pitboss.runs.service import UNFINISHED, CancelAnswer, RunService
from pitboss.runs.states import State
from pitboss.runs.submission import Submission
from pitboss.sessions.judging import Judged, judged, performance
from pitboss.trading.model import Trader
from pitboss.trading.ports import Step
from pitboss.trading.service import TradingService

MOST_SESSIONS = 1000


class Bench:
    """Safe to use from any thread. What is somebody else's is not found."""

    def __init__(self, service: RunService, trading: TradingService) -> None:
        self._service = service
        self._trading = trading

    def start(self, who: Principal, trader_id: str, params: Mapping[str, Any], key: str | None = None) -> Run:
        """Queue a session of a trader. Raises NotFound, InvalidInput, QueueFull."""
        trader = self._trading.get(who, trader_id)
        given = {name: value for name, value in params.items() if value is not None}
        return self._service.submit(
            who, Submission(kind="session", params={"trader": trader.id, **given}, idempotency_key=key)
        )

    def sessions(self, who: Principal, trader: Trader, limit: int = 100, unfinished: bool = False) -> list[Run]:
        """Answer the runs of a trader's sessions, newest first."""
        states = UNFINISHED if unfinished else ()
        query = RunQuery(kind="session", subject=subject_of(trader), states=states, limit=limit)
        return self._service.find(who, query)

    def active(self, who: Principal, trader_id: str, mode: str | None = None) -> Run | None:
        """Answer the newest session of a trader that has not ended, of any mode or of one. Raises NotFound."""
        trader = self._trading.get(who, trader_id)
        found = self.sessions(who, trader, unfinished=True)
        return next((run for run in found if mode in (None, run.params.get("mode", "intraday"))), None)

    def newest(self, who: Principal, trader_id: str) -> Run | None:
        """Answer a trader's newest session that has not ended, else its newest. Raises NotFound."""
        active = self.active(who, trader_id)
        return active or next(iter(self.sessions(who, self._trading.get(who, trader_id), 1)), None)

    def cancel(
        self, who: Principal, trader_id: str, keep_partial: bool, mode: str | None = None
    ) -> CancelAnswer | None:  # fmt: skip
        """Cancel a trader's newest session that has not ended; None where there is none."""
        run = self.active(who, trader_id, mode)
        return None if run is None else self._service.cancel(who, run.id, keep_partial)

    def steps(self, run: Run, after: int = 0, limit: int | None = None) -> list[Step]:
        """Answer the steps of a session whose run somebody was shown; none of what was discarded."""
        is_gone = run.state is State.CANCELLED and not run.cancel_keep_partial
        return [] if is_gone else self._trading.steps(run.id, after, limit)

    def performance(self, who: Principal, trader_id: str) -> dict[str, Any]:
        """Answer the figures of a trader over its completed sessions alone. Raises NotFound."""
        trader = self._trading.get(who, trader_id)
        return {"trader_id": trader.id, "name": trader.name, **performance(self._judged(who, trader))}

    def leaderboard(self, who: Principal) -> list[dict[str, Any]]:
        """Answer the figures of all of somebody's traders, the best net return first; those without a completed session
        last."""
        rows = [
            {
                "trader_id": trader.id, "name": trader.name, "agent": trader.agent["type"],
                "model": trader.agent.get("model"), **performance(self._judged(who, trader)),
            }
            for trader in self._trading.all(who)
        ]  # fmt: skip
        return sorted(rows, key=lambda row: (not row["sessions"], -row["net_return"], row["name"]))

    def _judged(self, who: Principal, trader: Trader) -> list[Judged]:
        query = RunQuery(
            kind="session", subject=subject_of(trader), states=(State.COMPLETED,), limit=MOST_SESSIONS
        )  # fmt: skip
        found = self._service.find(who, query)
        return [
            judged(float(run.snapshot["cash"]), run.result["metrics"], bool(run.snapshot.get("may_be_remembered")))
            for run in reversed(found) if run.result is not None
        ]  # fmt: skip
