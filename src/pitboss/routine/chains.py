"""Chains: runs that follow each other, each made of what came of the one before.

    name: evening
    links:
      - {kind: screen, params: {screen: bullish-breakout}}
      - {kind: backtest, params: {strategy: dips, symbols: "{passed}", timeframe: 1d}}

`{passed}` stands for what the run before yields under that name. A link that fails ends the chain, and the chain says
what did not happen for it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any, Protocol

from pitboss.core.clock import to_iso
from pitboss.core.errors import (
    DiskFull,
    InvalidInput,
    NotFound,
    PitbossError,
    Problem,
    QueueFull,
    StorageUnavailable,
    suggest,
)
from pitboss.core.ids import new_id
from pitboss.core.principal import Principal
from pitboss.routine.looking import Looking
from pitboss.runs.kinds import read_params
from pitboss.runs.model import Run
from pitboss.runs.service import RunService
from pitboss.runs.states import State
from pitboss.runs.submission import Submission

logger = logging.getLogger("pitboss.routine")

MOST_LINKS = 20
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_PLACE = re.compile(r"\{([a-z_]+)\}")
_LATER = (QueueFull, StorageUnavailable, DiskFull)


class ChainState(StrEnum):
    """Where a chain stands."""

    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Link:
    """A run of a chain, as it is asked for."""

    kind: str
    params: Mapping[str, Any]

    @property
    def places(self) -> set[str]:
        """What of the run before it is made of."""
        texts = (value for value in self.params.values() if isinstance(value, str))
        return {found[1] for text in texts if (found := _PLACE.fullmatch(text))}

    def filled(self, yielded: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the params with what the run before yields in their places."""

        def value(given: Any) -> Any:
            found = _PLACE.fullmatch(given) if isinstance(given, str) else None
            return yielded[found[1]] if found else given

        return {name: value(given) for name, given in self.params.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Links, the runs that were made of the first of them, and why the others were not."""

    id: str
    owner: str
    name: str
    links: tuple[Link, ...]
    runs: tuple[str, ...] = ()
    state: ChainState = ChainState.RUNNING
    note: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    created_at: float = 0.0

    @property
    def tag(self) -> str:
        """What its runs are tagged with."""
        return f"chain:{self.name}"[:64]

    def as_dict(self) -> dict[str, Any]:
        links = [
            {"kind": link.kind, "params": dict(link.params), "run_id": run_id}
            for link, run_id in zip(self.links, [*self.runs, *[None] * len(self.links)], strict=False)
        ]
        return {"id": self.id, "name": self.name, "state": self.state.value, "note": self.note, "links": links,
                "created_at": to_iso(self.created_at)}  # fmt: skip


class ChainStore(Protocol):
    """Keeps chains. Raises StorageUnavailable."""

    def add(self, chain: Chain) -> None:
        """Keep a new one."""

    def get(self, owner: str, chain_id: str) -> Chain | None:
        """Answer one."""

    def find(self, owner: str, limit: int) -> list[Chain]:
        """Answer those of an owner, latest first."""

    def running(self) -> list[Chain]:
        """Answer all that run, whose ever they are."""

    def grow(self, chain: Chain, run_id: str) -> bool:
        """Keep the run of the next link, unless somebody else has meanwhile; answers whether the chain goes on."""

    def end(self, chain: Chain, state: ChainState, note: str) -> bool:
        """Keep that a chain has ended, unless it has; answers whether it was this."""

    def now(self) -> float:
        """Answer the time by the database's clock."""


class Chains:
    """Starts, lists and cancels chains. Whoever asks comes first; what belongs to others is not found."""

    def __init__(self, store: ChainStore, service: RunService) -> None:
        self._store = store
        self._service = service

    def start(self, who: Principal, name: str, links: Sequence[Mapping[str, Any]], notify: bool = False) -> Chain:
        """Start a chain: its first run is queued. Raises InvalidInput with every mistake; nothing is queued then."""
        read = self._checked(who, name, links)
        options = {"notify_on_completion": True} if notify else {}
        chain = Chain(id=new_id(), owner=who.name, name=name, links=read, options=options, created_at=self._store.now())
        self._store.add(chain)
        try:
            run = self._service.submit(who, submission_of(chain, 0, read[0].params))
        except PitbossError as error:
            self._store.end(chain, ChainState.FAILED, f"link 1 could not be queued: {error}"[:500])
            raise
        if not self._store.grow(chain, run.id):
            self._service.cancel(who, run.id, keep_partial=False, reason=f"the chain {name} was cancelled")
        return self.get(who, chain.id)

    def get(self, who: Principal, chain_id: str) -> Chain:
        """Answer one. Raises NotFound."""
        found = self._store.get(who.name, chain_id)
        if found is None:
            raise NotFound(f"there is no chain {chain_id[:40]}", "see 'pitboss chains list'")
        return found

    def find(self, who: Principal, limit: int = 50) -> list[Chain]:
        """Answer one's own, latest first."""
        return self._store.find(who.name, limit)

    def cancel(self, who: Principal, chain_id: str, keep_partial: bool) -> Chain:
        """End a chain, and the run that goes on. Asking again changes nothing. Raises NotFound."""
        chain = self.get(who, chain_id)
        left = ", ".join(link.kind for link in chain.links[len(chain.runs) :])
        if self._store.end(chain, ChainState.CANCELLED, f"did not happen: {left}" if left else ""):
            for run_id in self.get(who, chain_id).runs[-1:]:
                self._service.cancel(who, run_id, keep_partial, f"with the chain {chain.name}")
        return self.get(who, chain_id)

    def _checked(self, who: Principal, name: str, links: Sequence[Mapping[str, Any]]) -> tuple[Link, ...]:
        problems: list[Problem] = []
        if not _NAME.fullmatch(name):
            problems.append(Problem(f"'{name[:40]}' is no name", "letters, digits, - _ and .", where="name"))
        if not 1 <= len(links) <= MOST_LINKS:
            problems.append(Problem(f"{len(links)} links", f"write 1 to {MOST_LINKS}", where="links"))
        read = []
        for number, given in enumerate(links[:MOST_LINKS], 1):
            where = f"links.{number}"
            params, kind = given.get("params", {}), self._service.kinds.get(str(given.get("kind")))
            if unknown := set(given) - {"kind", "params"}:
                problems.append(Problem(f"unknown key '{sorted(unknown)[0]}'", "write kind and params", where=where))
            if not isinstance(params, Mapping):
                problems.append(Problem("the params are no mapping", "write params: {…}", where=where))
            elif kind is None:
                what = f"unknown kind '{str(given.get('kind'))[:40]}'"
                problems.append(Problem(what, suggest(str(given.get("kind")), self._service.kinds), where=where))
            else:
                link = Link(kind.name, dict(params))
                read.append(link)
                problems += [
                    Problem(each.message, each.remedy, where=f"{where}.{each.where}")
                    for each in self._mistakes(who, link, read[-2] if len(read) > 1 else None)
                ]
        if problems:
            raise InvalidInput(problems)
        return tuple(read)

    def _mistakes(self, who: Principal, link: Link, before: Link | None) -> list[Problem]:
        """Answer what is wrong with a link, as far as that can be told before the run that it is made of has ended."""
        kind = self._service.kinds[link.kind]
        yields = tuple(self._service.kinds[before.kind].yields) if before else ()
        remedy = f"the link before yields {', '.join(yields) or 'nothing'}"
        missing = [
            Problem(f"nothing yields '{{{place}}}'", remedy, where="params")
            for place in sorted(link.places - set(yields))
        ]
        if missing:
            return missing
        if not link.places:
            try:
                kind.ready(link.params, self._service.sources(who))
            except InvalidInput as error:
                return list(error.problems)
            return []
        filled = {name for name, value in link.params.items() if isinstance(value, str) and _PLACE.fullmatch(value)}
        known = {name: value for name, value in link.params.items() if name not in filled}
        _, problems = read_params(kind.params, known)
        return [each for each in problems if each.where not in filled]


def submission_of(chain: Chain, at: int, params: Mapping[str, Any]) -> Submission:
    """Answer the request for the run of a link."""
    is_last = at == len(chain.links) - 1
    return Submission(
        kind=chain.links[at].kind, params=params, tags=(chain.tag,), idempotency_key=f"chain {chain.id} {at}",
        options=chain.options if is_last else {},
    )  # fmt: skip


class Chainer(Looking):
    """Looks every second which chains go on. `owner` answers as whom somebody's runs are queued."""

    name = "chainer"

    def __init__(self, store: ChainStore, service: RunService, owner: Callable[[str], Principal | None]) -> None:
        super().__init__()
        self._store = store
        self._service = service
        self._owner = owner

    def turn(self) -> None:
        """Queue what follows on what has ended."""
        for chain in self._store.running():
            who = self._owner(chain.owner)
            if who is None:
                self._store.end(chain, ChainState.FAILED, f"the account {chain.owner} is not enabled")
            else:
                self.each(chain.name, partial(self._go_on, chain, who))

    def _go_on(self, chain: Chain, who: Principal) -> None:
        yielded: Mapping[str, Any] = {}
        if chain.runs:
            try:
                run = self._service.get(who, chain.runs[-1])
            except NotFound:
                self._fail(chain, "its run is gone")
                return
            if not run.state.is_terminal:
                return
            if run.state is not State.COMPLETED:
                self._fail(chain, self._ended(run))
                return
            yielded = self._service.kinds.yielded(run)
        at = len(chain.runs)
        if at == len(chain.links):
            self._store.end(chain, ChainState.COMPLETED, "")
            return
        empty = sorted(place for place in chain.links[at].places if not yielded.get(place))
        if empty:
            self._store.end(chain, ChainState.COMPLETED, self._missing(chain, f"nothing {empty[0]}"))
            return
        try:
            made = self._service.submit(who, submission_of(chain, at, chain.links[at].filled(yielded)))
        except _LATER as error:
            logger.warning("a chain waits", extra={"chain": chain.name, "error": str(error)})
            return
        except PitbossError as error:
            self._fail(chain, f"link {at + 1} could not be queued: {error}")
            return
        if not self._store.grow(chain, made.id):
            self._service.cancel(who, made.id, keep_partial=False, reason=f"the chain {chain.name} was cancelled")

    def _fail(self, chain: Chain, reason: str) -> None:
        self._store.end(chain, ChainState.FAILED, self._missing(chain, reason))

    def _missing(self, chain: Chain, reason: str) -> str:
        """Answer why the rest of a chain did not happen, and what that is."""
        left = ", ".join(link.kind for link in chain.links[len(chain.runs) :])
        return f"{reason}{f'; did not happen: {left}' if left else ''}"[:500]

    def _ended(self, run: Run) -> str:
        reason = (run.error or {}).get("message", "")
        return f"the {run.kind} {run.state}{f': {reason}' if reason else ''}"
