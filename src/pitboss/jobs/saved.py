"""Saved backtests: named configurations that are run again and again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from pitboss.core.errors import InvalidInput, NotFound
from pitboss.jobs.request import read_request, strategy_text
from pitboss.runs.model import Run, RunQuery
from pitboss.runs.service import LOCAL_OWNER, CancelAnswer, RunService, Submission
from pitboss.runs.states import State

_NAME = re.compile(r"[\w][\w .,()+-]{0,63}")


class Shelf(Protocol):
    """Where configurations are kept; `storage.documents.BacktestShelf` is one."""

    def create(self, name: str, params: dict[str, Any], owner: str) -> Any: ...

    def get(self, backtest_id: str) -> Any: ...

    def list(self) -> list[Any]: ...

    def change(self, backtest_id: str, name: str, params: dict[str, Any]) -> Any: ...

    def delete(self, backtest_id: str) -> None: ...


class SavedBacktests:
    """Creates, changes, deletes and runs saved configurations; each run of one is a run of its own."""

    def __init__(self, shelf: Shelf, service: RunService) -> None:
        self.shelf = shelf
        self.service = service

    def create(self, name: str, params: Mapping[str, Any], owner: str = LOCAL_OWNER) -> Any:
        """Store a configuration. Raises InvalidInput, Conflict."""
        return self.shelf.create(_checked(name), self._complete(params), owner)

    def change(self, backtest_id: str, name: str | None, params: Mapping[str, Any] | None) -> Any:
        """Change the name, or some of the params (null removes one). Raises NotFound, InvalidInput, Conflict."""
        before = self.shelf.get(backtest_id)
        merged = {**before.params, **(params or {})}
        kept = {key: value for key, value in merged.items() if value is not None}
        return self.shelf.change(backtest_id, _checked(name or before.name), self._complete(kept))

    def run(self, backtest_id: str, owner: str = LOCAL_OWNER, idempotency_key: str | None = None) -> Run:
        """Queue a run of the configuration. Raises InvalidInput when it cannot run, such as without an entry."""
        saved = self.shelf.get(backtest_id)
        tags = (self.tag(saved.id), saved.name)
        return self.service.submit(
            Submission("backtest", saved.params, tags=tags, idempotency_key=idempotency_key), owner
        )

    def runs(self, backtest_id: str, limit: int = 50, cursor: str | None = None) -> list[Run]:
        """Answer the past and present runs of a configuration, newest first. Raises NotFound."""
        saved = self.shelf.get(backtest_id)
        return self.service.find(RunQuery(tag=self.tag(saved.id), limit=limit, cursor=cursor))

    def latest(self, backtest_id: str) -> Run:
        """Answer the newest run that has not ended, else the newest. Raises NotFound."""
        found = self.runs(backtest_id)
        if not found:
            raise NotFound("this backtest has not been run yet", f"POST /backtests/{backtest_id}/run")
        return next((run for run in found if not run.state.is_terminal), found[0])

    def cancel(self, backtest_id: str, keep_partial: bool, run_id: str | None = None) -> CancelAnswer:
        """Cancel one run of the configuration: the named one, else the newest that has not ended."""
        run = self.latest(backtest_id)
        if run_id is not None:
            run = next((r for r in self.runs(backtest_id, 1000) if r.id == run_id), run)
            if run.id != run_id:
                raise NotFound(f"'{run_id[:64]}' is no run of this backtest", f"see GET /backtests/{backtest_id}/runs")
        return self.service.cancel(run.id, keep_partial)

    def is_running(self, backtest_id: str) -> bool:
        """Answer whether any run of the configuration has not ended."""
        states = tuple(state for state in State if not state.is_terminal)
        return bool(self.service.find(RunQuery(tag=self.tag(backtest_id), states=states, limit=1)))

    @staticmethod
    def tag(backtest_id: str) -> str:
        return f"saved:{backtest_id}"

    def _complete(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the params, refusing unknown names; a strategy that cannot run yet may be saved."""
        kind = self.service.kinds["backtest"]
        text = strategy_text(params.get("strategy"), kind.lookup)  # type: ignore[attr-defined]
        try:
            read_request(params, text)
        except InvalidInput as error:
            grave = [p for p in error.problems if "has no entry condition" not in p.message]
            if grave:
                raise InvalidInput(grave) from None
        return dict(params)


def _checked(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidInput(f"'{str(name)[:40]}' is no name", "1 to 64 letters, digits, spaces and . , ( ) + -", "name")
    return name
