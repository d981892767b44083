"""Saved backtests: named configurations that are run again and again."""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable, Mapping
from typing import Any, Protocol

from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.principal import Principal
from pitboss.kinds.backtest import KIND
from pitboss.kinds.documents.prepare import read_request
from pitboss.runs.access import BACKTEST, SAVED, Nobody, Shares
from pitboss.runs.kinds import with_all_mistakes
from pitboss.runs.model import Run, RunQuery
from pitboss.runs.remarks import NONE, Remarks, RemarkStore, read_remarks
from pitboss.runs.service import UNFINISHED, CancelAnswer, RunService
from pitboss.runs.submission import Submission
from pitboss.strategy.document import NO_ENTRY
from pitboss.strategy.reference import StrategyRef

_NAME = re.compile(r"[\w][\w .,()+-]{0,63}")


class Saved(Protocol):
    """One configuration; `storage.documents.SavedBacktest` is one."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def params(self) -> dict[str, Any]: ...


class Shelf(Protocol):
    """Where configurations are kept, each owner's for themselves; `storage.documents.BacktestShelf` is one."""

    def create(self, owner: str, name: str, params: dict[str, Any]) -> Any: ...

    def get(self, owner: str, backtest_id: str) -> Any: ...

    def owner_of(self, backtest_id: str) -> str | None: ...

    def all(self, owner: str) -> list[Any]: ...

    def change(self, owner: str, backtest_id: str, name: str, params: dict[str, Any]) -> Any: ...

    def delete(self, owner: str, backtest_id: str) -> None: ...


class SavedBacktests:
    """Creates, changes, deletes and runs saved configurations; each run of one is a run of its own.

    What is somebody else's is not found, but for what they share: that can be read.
    """

    def __init__(
        self, shelf: Shelf, service: RunService, remarks: RemarkStore, shares: Shares | None = None
    ) -> None:  # fmt: skip
        self._shelf = shelf
        self._service = service
        self._remarks = remarks
        self._shares = shares or Nobody()

    def create(
        self, who: Principal, name: str, params: Mapping[str, Any], tags: Collection[str] = (), notes: str = ""
    ) -> Any:
        """Store a configuration. Raises InvalidInput, Conflict."""
        read_remarks(tags, notes)
        saved = self._shelf.create(who.name, _checked(name), self._complete(who, params))
        self.remark(who, saved.id, tags, notes)
        return saved

    def get(self, who: Principal, backtest_id: str) -> Any:
        """Answer a configuration. Raises NotFound."""
        return self._shelf.get(self._readable(who, backtest_id).name, backtest_id)

    def own(self, who: Principal, backtest_id: str) -> Any:
        """Answer a configuration that somebody may change. Raises NotFound, also for one that is only shared."""
        return self._shelf.get(who.name, backtest_id)

    def _readable(self, who: Principal, backtest_id: str) -> Principal:
        """Answer as whom a configuration is read: its owner, where they share it."""
        owner = self._shelf.owner_of(backtest_id)
        is_shared = owner is not None and bool(self._shares.readable(who.name, BACKTEST, [backtest_id]))
        return Principal(owner) if owner is not None and is_shared else who

    def all(self, who: Principal) -> list[Any]:
        """Answer every configuration, by name."""
        return self._shelf.all(who.name)

    def remarks(self, saved: Collection[Saved]) -> dict[str, Remarks]:
        """Answer the tags and notes of configurations, by id."""
        found = self._remarks.of(BACKTEST, [each.id for each in saved])
        return {each.id: found.get(each.id, NONE) for each in saved}

    def remark(
        self, who: Principal, backtest_id: str, tags: Collection[str] | None, notes: str | None
    ) -> Remarks:  # fmt: skip
        """Change the tags or the notes of a configuration; None leaves them. Raises NotFound, InvalidInput."""
        before = self.remarks([self.own(who, backtest_id)])[backtest_id]
        after = read_remarks(before.tags if tags is None else tags, before.notes if notes is None else notes)
        if after != before:
            self._remarks.put(BACKTEST, backtest_id, after)
        return after

    def delete(self, who: Principal, backtest_id: str) -> None:
        """Remove a configuration; its past runs stay. Raises NotFound."""
        self._shelf.delete(who.name, backtest_id)
        self._remarks.remove(BACKTEST, backtest_id)

    def change(self, who: Principal, backtest_id: str, name: str | None, params: Mapping[str, Any] | None) -> Any:
        """Change the name, or some of the params (null removes one). Raises NotFound, InvalidInput, Conflict."""
        before = self.own(who, backtest_id)
        merged = {**before.params, **(params or {})}
        kept = {key: value for key, value in merged.items() if value is not None}
        return self._shelf.change(who.name, backtest_id, _checked(name or before.name), self._complete(who, kept))

    def run(self, who: Principal, backtest_id: str, idempotency_key: str | None = None) -> Run:
        """Queue a run of the configuration. Raises InvalidInput when it cannot run, such as without an entry."""
        saved = self.own(who, backtest_id)
        tags = (self.tag(saved.id), saved.name)
        request = Submission(kind=KIND.name, params=saved.params, tags=tags, idempotency_key=idempotency_key)
        return self._service.submit(who, request)

    def positions(self, who: Principal, saved: Collection[Saved]) -> dict[str, Hashable]:
        """Answer for each of one's own configurations, by id, what is another value whenever one of its runs is added,
        moves on or ends."""
        tags = {self.tag(each.id): each.id for each in saved}
        return {tags[tag]: position for tag, position in self._service.positions(who, tags).items()}

    def runs(self, who: Principal, backtest_id: str, limit: int = 50, cursor: str | None = None) -> list[Run]:
        """Answer the past and present runs of a configuration, newest first. Raises NotFound."""
        reader = self._readable(who, backtest_id)
        saved = self._shelf.get(reader.name, backtest_id)
        return self._service.find(reader, RunQuery(tag=self.tag(saved.id), limit=limit, cursor=cursor))

    def latest(self, who: Principal, backtest_id: str) -> Run:
        """Answer the newest run that has not ended, else the newest. Raises NotFound."""
        found = self.runs(who, backtest_id)
        if not found:
            raise NotFound("this backtest has not been run yet", f"POST /backtests/{backtest_id}/run")
        return next((run for run in found if not run.state.is_terminal), found[0])

    def cancel(self, who: Principal, backtest_id: str, keep_partial: bool, run_id: str | None = None) -> CancelAnswer:
        """Cancel one run of the configuration: the named one, else the newest that has not ended."""
        self.own(who, backtest_id)
        run = self.latest(who, backtest_id)
        if run_id is not None:
            run = next((r for r in self.runs(who, backtest_id, 1000) if r.id == run_id), run)
            if run.id != run_id:
                raise NotFound(f"'{run_id[:64]}' is no run of this backtest", f"see GET /backtests/{backtest_id}/runs")
        return self._service.cancel(who, run.id, keep_partial)

    def is_running(self, who: Principal, backtest_id: str) -> bool:
        """Answer whether any run of the configuration has not ended."""
        query = RunQuery(tag=self.tag(backtest_id), states=UNFINISHED, limit=1)
        return bool(self._service.find(self._readable(who, backtest_id), query))

    @staticmethod
    def tag(backtest_id: str) -> str:
        return SAVED + backtest_id

    def _complete(self, who: Principal, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the params, refusing what does not hold; a strategy that cannot run yet may be saved."""
        read, problems = KIND.read(params)
        sources = self._service.sources(who)
        try:
            with_all_mistakes(
                problems, lambda: read_request(read, StrategyRef.remote(read.strategy).text(sources.strategies))
            )
        except InvalidInput as error:
            grave = [problem for problem in error.problems if problem.code != NO_ENTRY]
            if grave:
                raise InvalidInput(grave) from None
        return dict(params)


def _checked(name: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidInput(f"'{str(name)[:40]}' is no name", "1 to 64 letters, digits, spaces and . , ( ) + -", "name")
    return name
