"""Schedules: runs that start by themselves, once for each time they are due, however many servers look."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Any, Protocol

from pitboss.core.clock import to_iso
from pitboss.core.errors import Conflict, InvalidInput, NotFound, Problem, suggest
from pitboss.core.ids import new_id
from pitboss.core.principal import Principal
from pitboss.routine.when import AFTER_DATA, read_when
from pitboss.runs.service import RunService
from pitboss.runs.submission import read_options, read_priority, read_tags

NEXT = 10
DATA_KIND = "fetch"  # of the runs that bring data
MOST_JITTER_SECONDS = 3600.0
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")


class CatchUp(StrEnum):
    """What becomes of times that passed while nobody looked."""

    SKIP = "skip"
    LAST = "last"
    ALL = "all"


class Overlap(StrEnum):
    """What becomes of a time at which the run before has not ended."""

    SKIP = "skip"
    ALLOW = "allow"


class TickState(StrEnum):
    """What became of a time."""

    DUE = "due"  # its run is about to be queued
    QUEUED = "queued"  # its run was
    MISSED = "missed"  # nobody looked at that time, and the schedule does not catch up
    SKIPPED = "skipped"  # the run before was still going
    REFUSED = "refused"  # its run could not be queued


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """What is run when. `seen_until` (seconds since 1970) is up to where its times have been dealt with."""

    id: str
    owner: str
    name: str
    when: str
    zone: str
    kind: str
    params: Mapping[str, Any]
    priority: int = 0
    tags: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    catch_up: CatchUp = CatchUp.LAST
    overlap: Overlap = Overlap.SKIP
    jitter_seconds: float = 0.0
    is_paused: bool = False
    seen_until: float = 0.0
    created_at: float = 0.0

    @property
    def tag(self) -> str:
        """What its runs are tagged with."""
        return f"schedule:{self.name}"[:64]

    def delay(self, tick: float) -> float:
        """Answer how much later than its time a run is queued: the same wherever that is asked."""
        return random.Random(f"{self.id} {tick}").uniform(0, self.jitter_seconds) if self.jitter_seconds else 0.0

    def upcoming(self, now: float, count: int = NEXT) -> list[float]:
        """Answer the next times."""
        if self.is_paused:
            return []
        return list(islice(read_when(self.when, self.zone).ticks(max(now, self.seen_until)), count))

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name, "when": self.when, "zone": self.zone, "kind": self.kind, "params": dict(self.params),
            "priority": self.priority, "tags": list(self.tags), "options": dict(self.options),
            "catch_up": self.catch_up.value, "overlap": self.overlap.value, "jitter_seconds": self.jitter_seconds,
            "is_paused": self.is_paused, "created_at": to_iso(self.created_at),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tick:
    """One time of a schedule: there is one of each, whoever found it due."""

    schedule_id: str
    at: float
    state: TickState
    run_id: str | None = None
    note: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {"at": to_iso(self.at), "state": self.state.value, "run_id": self.run_id, "note": self.note}


class ScheduleStore(Protocol):
    """Keeps schedules and their ticks. Raises StorageUnavailable."""

    def add(self, schedule: Schedule) -> Schedule | None:
        """Keep a new one; None when its owner has one of that name."""

    def get(self, owner: str, name: str) -> Schedule | None:
        """Answer one."""

    def all(self, owner: str | None = None) -> list[Schedule]:
        """Answer those of an owner by name, or all there are."""

    def change(self, schedule_id: str, values: Mapping[str, Any]) -> Schedule | None:
        """Change some of its fields; None when it is gone."""

    def remove(self, schedule_id: str) -> None:
        """Forget one with its ticks."""

    def note(self, schedule: Schedule, ticks: Sequence[Tick], until: float) -> bool:
        """Keep ticks that were found due and that they were looked for `until` then, in one transaction; nothing, and
        False, when somebody else has looked since the `seen_until` that the schedule was read with."""

    def due(self) -> list[tuple[Schedule, Tick]]:
        """Answer the ticks whose runs are about to be queued, oldest first."""

    def settle(self, tick: Tick) -> None:
        """Keep what became of a tick that was due."""

    def ticks(self, schedule_id: str, limit: int) -> list[Tick]:
        """Answer the latest ticks, newest first."""

    def unfinished(self, schedule_id: str) -> bool:
        """Answer whether a run of an earlier tick has not ended."""

    def ended(self, owner: str, kind: str, after: float) -> list[float]:
        """Answer when runs of a kind completed, beyond `after`, ascending."""

    def now(self) -> float:
        """Answer the time by the database's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A schedule as it comes in."""

    name: str
    when: str
    kind: str
    params: Mapping[str, Any]
    zone: str = "UTC"
    priority: str | int = "normal"
    tags: Sequence[str] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    catch_up: str = CatchUp.LAST
    overlap: str = Overlap.SKIP
    jitter_seconds: float = 0.0


class Schedules:
    """Makes, lists, changes and removes schedules. Whoever asks comes first; what belongs to others is not found."""

    def __init__(self, store: ScheduleStore, service: RunService) -> None:
        self._store = store
        self._service = service

    def add(self, who: Principal, asked: Asked) -> Schedule:
        """Keep a schedule; it is due from now on. Raises InvalidInput with every mistake, Conflict."""
        schedule = self._checked(who, asked)
        now = self._store.now()
        made = self._store.add(replace(schedule, id=new_id(), seen_until=now, created_at=now))
        if made is None:
            raise Conflict(f"there is a schedule '{asked.name}' already", "choose another name, or remove that one")
        return made

    def change(self, who: Principal, name: str, values: Mapping[str, Any]) -> Schedule:
        """Change some of a schedule. Raises NotFound, InvalidInput with every mistake."""
        before = self.get(who, name)
        now = self._store.now()
        wanted = {**{key: getattr(before, key) for key in Asked.__dataclass_fields__}, **values}
        is_paused = bool(wanted.pop("is_paused", before.is_paused))
        is_checked = bool(set(values) - {"is_paused"})  # one that cannot run any more can be paused
        after = self._checked(who, Asked(**wanted)) if is_checked else before
        changed = {key: getattr(after, key) for key in ("when", "zone", "kind", "params", "priority", "tags", "options",
                   "catch_up", "overlap", "jitter_seconds")} | {"is_paused": is_paused}  # fmt: skip
        if before.is_paused or (after.when, after.zone) != (before.when, before.zone):
            changed["seen_until"] = now  # what would have been due meanwhile was not asked for
        found = self._store.change(before.id, changed)
        if found is None:
            raise _no_schedule(name)
        return found

    def get(self, who: Principal, name: str) -> Schedule:
        """Answer one. Raises NotFound."""
        found = self._store.get(who.name, name)
        if found is None:
            raise _no_schedule(name)
        return found

    def all(self, who: Principal) -> list[Schedule]:
        """Answer one's own, by name."""
        return self._store.all(who.name)

    def remove(self, who: Principal, name: str) -> None:
        """Forget one; its runs stay. Raises NotFound."""
        self._store.remove(self.get(who, name).id)

    def described(self, schedule: Schedule, ticks: int = NEXT) -> dict[str, Any]:
        """Answer a schedule with its next times and its latest ticks."""
        upcoming = [to_iso(tick) for tick in schedule.upcoming(self._store.now())]
        latest = [tick.as_dict() for tick in self._store.ticks(schedule.id, ticks)]
        return schedule.as_dict() | {"next": upcoming, "ticks": latest}

    def _checked(self, who: Principal, asked: Asked) -> Schedule:
        problems: list[Problem] = []

        def attempt(check: Any) -> Any:
            try:
                return check()
            except InvalidInput as error:
                problems.extend(error.problems)

        if not _NAME.fullmatch(asked.name):
            problems.append(Problem(f"'{asked.name[:40]}' is no name", "letters, digits, - _ and .", where="name"))
        attempt(lambda: read_when(asked.when, asked.zone))
        kind = self._service.kinds.get(asked.kind)
        if asked.kind == DATA_KIND and asked.when.split() == AFTER_DATA.split():
            what = "data that is fetched after data has come would be fetched for ever"
            problems.append(Problem(what, "give it a time", where="when"))
        if kind is None:
            what = f"unknown kind '{str(asked.kind)[:40]}'"
            problems.append(Problem(what, suggest(str(asked.kind), self._service.kinds), where="kind"))
        else:
            attempt(lambda: kind.ready(asked.params, self._service.sources(who)))
        if not 0 <= asked.jitter_seconds <= MOST_JITTER_SECONDS:
            what = f"a jitter of {asked.jitter_seconds:g} s"
            problems.append(Problem(what, f"write 0 to {MOST_JITTER_SECONDS:g}", where="jitter_seconds"))
        made = Schedule(
            id="", owner=who.name, name=asked.name, when=" ".join(asked.when.split()), zone=asked.zone or "UTC",
            kind=asked.kind, params=dict(asked.params), jitter_seconds=asked.jitter_seconds,
            priority=attempt(lambda: read_priority(asked.priority)) or 0,
            tags=attempt(lambda: read_tags(asked.tags)) or (),
            options=attempt(lambda: read_options(asked.options)) or {},
            catch_up=attempt(lambda: _choice(CatchUp, asked.catch_up, "catch_up")) or CatchUp.LAST,
            overlap=attempt(lambda: _choice(Overlap, asked.overlap, "overlap")) or Overlap.SKIP,
        )  # fmt: skip
        if problems:
            raise InvalidInput(problems)
        return made


def _choice(choices: type[StrEnum], given: str, where: str) -> Any:
    try:
        return choices(given)
    except ValueError:
        raise InvalidInput(f"'{str(given)[:40]}' is no choice", f"write {', '.join(choices)}", where) from None


def _no_schedule(name: str) -> NotFound:
    return NotFound(f"there is no schedule '{name[:64]}'", "see 'pitboss schedules list'")
