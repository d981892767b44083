"""A run as its page shows it, now or as it stood at an event: out of its row and its log alone."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

from pitboss.bootstrap import Platform
from pitboss.core.principal import Principal
from pitboss.runs.model import QueuePlace, Run, StoredEvent
from pitboss.runs.rewind import rewound
from pitboss.runs.states import State
from pitboss.runs.wording import words_of
from pitboss.web.live import Message
from pitboss.web.pages import fragment
from pitboss.web.shown import moment, plain, told

MOST_LINES, MOST_ITEMS, MOST_POINTS = 200, 25, 300
MOST_LINE = 2_000  # characters of a line of a log
LOGGED, STAGES, ITEMS = ("log",), ("stage_completed",), ("item_completed", "trade")
LEFT_OUT = '<li class="muted">… lines before these are left out here; search finds them</li>'
# metrics whose curves are drawn, each group in one chart: the first that a run has one of, else any one
DRAWN = (("equity",), ("train_loss", "loss"))


@dataclass(frozen=True)
class Item:
    """A finished item of a run, as a row."""

    key: str
    at: float
    values: Mapping[str, Any]


@dataclass(frozen=True)
class Curves:
    """What metrics of a run were at each step of the stage that it is in; None where one was not told."""

    steps: Sequence[int]
    values: Mapping[str, Sequence[float | None]]

    @property
    def latest(self) -> Mapping[str, float]:
        """Answer what each was when it was told last."""
        told = {name: [value for value in values if value is not None] for name, values in self.values.items()}
        return {name: values[-1] for name, values in told.items()}

    def as_json(self) -> str:
        """Answer what the page draws."""
        return json.dumps(
            {"x": self.steps, "y": list(self.values.values()), "names": [words_of(name) for name in self.values]}
        )


@dataclass(frozen=True, kw_only=True)
class RunShown:
    """A run with all that its page shows while it is under way."""

    run: Run
    place: QueuePlace | None = None
    waits_for: str = ""
    unconfirmed: str = ""
    stages: Sequence[StoredEvent] = ()
    lines: Sequence[StoredEvent] = ()
    items: Sequence[Item] = ()
    curves: Curves | None = None


def shown_now(platform: Platform, run: Run) -> RunShown:
    """Answer a run as the database has it."""
    service, log = platform.service, platform.log
    curves = curves_of(log.sample(run.id, MOST_POINTS, "progress", run.last_seq))
    return RunShown(
        run=run, place=service.place(run), waits_for=service.waits_for(run), unconfirmed=service.unconfirmed(run),
        stages=log.latest(run.id, 20, STAGES), lines=log.latest(run.id, MOST_LINES, LOGGED),
        items=_items(platform, run, run.last_seq), curves=curves,
    )  # fmt: skip


def shown_at(platform: Platform, run: Run, seq: int) -> RunShown:
    """Answer a run as it stood at an event of its log: the same, made of the log up to there."""
    log = platform.log
    moves = ("queued", "prioritized", "claimed", "started", "requeued", "cancel_requested", "completed", "failed",
             "cancelled")  # fmt: skip
    events = [*log.read(run.id, 0, 1000, moves), *log.latest(run.id, 1, ("progress",), seq)]
    then = rewound(run, sorted((event for event in events if event.seq <= seq), key=lambda event: event.seq))
    curves = curves_of(log.sample(run.id, MOST_POINTS, "progress", seq))
    return RunShown(
        run=then, stages=log.latest(run.id, 20, STAGES, seq), lines=log.latest(run.id, MOST_LINES, LOGGED, seq),
        items=_items(platform, run, seq), curves=curves,
    )  # fmt: skip


def _items(platform: Platform, run: Run, until: int) -> list[Item]:
    """Answer the last items, latest first."""
    events = platform.log.latest(run.id, MOST_ITEMS, ITEMS, until)
    kinds = platform.service.kinds
    return [
        Item(
            str(event.payload.get("key", "trade")), event.ts,
            kinds.item(run, event.payload.get("item") or event.payload.get("trade") or {}),
        )
        for event in reversed(events)
    ]  # fmt: skip


def curves_of(progressed: Sequence[StoredEvent]) -> Curves | None:
    """Answer the curves that are drawn while a run is under way, None before there are two points of one."""
    stage = progressed[-1].payload.get("stage") if progressed else None
    told = [event.payload for event in progressed if event.payload.get("stage") == stage]
    names = list(dict.fromkeys(name for payload in told for name, value in _metrics(payload) if _is_drawable(value)))
    groups = (tuple(name for name in group if name in names) for group in DRAWN)
    chosen = next(filter(None, groups), tuple(names[:1]))
    rows = [(payload["done"], [dict(_metrics(payload)).get(name) for name in chosen]) for payload in told]
    rows = [(done, values) for done, values in rows if any(value is not None for value in values)]
    if len(rows) < 2:
        return None
    return Curves([done for done, _ in rows], {name: [row[at] for _, row in rows] for at, name in enumerate(chosen)})


def _metrics(payload: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in (payload.get("metrics") or {}).items() if name != "items_per_second")


def _is_drawable(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def parts_of(shown: RunShown, platform: Platform, root: str, who: Principal) -> dict[str, str]:
    """Answer the parts of a run's page that change while it is under way, by the ids of their elements."""
    context = {
        "shown": shown, "run": shown.run, "root": root, "told": told(shown.run, platform.service.kinds, who),
    }  # fmt: skip
    names = ("run_head", "run_curve", "run_items")
    return {name.replace("_", "-"): fragment(f"{name}.html", **context) for name in names}


def line_of(event: StoredEvent) -> Markup:
    """Answer a line of a log as an element."""
    level = event.payload.get("level", "info")
    return Markup('<li data-seq="{}" class="{}">{} <span>{}</span></li>').format(
        event.seq, level if level in ("warning", "error", "debug") else "info", moment(event.ts),
        escape(plain(event.payload.get("message", ""), MOST_LINE)),
    )  # fmt: skip


@dataclass
class RunWatched:
    """A run that pages show."""

    platform: Platform
    run_id: str
    root: str
    who: Principal
    _told: tuple[Any, ...] = ()
    _position: int = 0

    def look(self) -> Message | None:
        run, before = self._run(), self._position
        self._position = run.last_seq
        service = self.platform.service
        waiting = (
            () if run.state.is_terminal else (service.place(run), service.waits_for(run), service.unconfirmed(run))
        )
        known, self._told = self._told, (run.last_seq, run.state, waiting)
        return None if known == self._told else self._message(run, before)

    def whole(self, position: int) -> Message:
        return self._message(self._run(), position)

    def _run(self) -> Run:
        return self.platform.service.get(self.who, self.run_id)

    def _message(self, run: Run, position: int) -> Message:
        shown = shown_now(self.platform, run)
        lines = [(event.seq, str(line_of(event))) for event in shown.lines if event.seq > position]
        if len(lines) == MOST_LINES:  # there may be more that came meanwhile
            lines[0] = (lines[0][0], LEFT_OUT + lines[0][1])
        return {
            "position": run.last_seq, "state": run.state.value,
            "parts": parts_of(shown, self.platform, self.root, self.who), "append": {"log": lines} if lines else {},
        }  # fmt: skip


def open_run(platform: Platform, who: Principal, run_id: str, root: str) -> RunWatched:
    """Answer a run to look at."""
    return RunWatched(platform, run_id, root, who)


def is_under_way(run: Run) -> bool:
    return run.state in (State.STARTING, State.RUNNING, State.COMPLETING, State.CANCELLING)
