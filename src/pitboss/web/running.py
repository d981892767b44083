"""A run as its page shows it, now or as it stood at an event: out of its row and its log alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
FIRST = ("equity", "loss", "train_loss")  # the metrics whose curves are looked at first, where a run has them


@dataclass(frozen=True)
class Item:
    """A finished item of a run, as a row."""

    key: str
    at: float
    values: Mapping[str, Any]


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
    points: Sequence[float] = ()
    metric: str = ""


def shown_now(platform: Platform, run: Run) -> RunShown:
    """Answer a run as the database has it."""
    service, log = platform.service, platform.log
    metric, points = curve_of(log.sample(run.id, MOST_POINTS, "progress", run.last_seq))
    return RunShown(
        run=run, place=service.place(run), waits_for=service.waits_for(run), unconfirmed=service.unconfirmed(run),
        stages=log.latest(run.id, 20, STAGES), lines=log.latest(run.id, MOST_LINES, LOGGED),
        items=_items(platform, run, run.last_seq), points=points, metric=metric,
    )  # fmt: skip


def shown_at(platform: Platform, run: Run, seq: int) -> RunShown:
    """Answer a run as it stood at an event of its log: the same, made of the log up to there."""
    log = platform.log
    moves = ("queued", "prioritized", "claimed", "started", "requeued", "cancel_requested", "completed", "failed",
             "cancelled")  # fmt: skip
    events = [*log.read(run.id, 0, 1000, moves), *log.latest(run.id, 1, ("progress",), seq)]
    then = rewound(run, sorted((event for event in events if event.seq <= seq), key=lambda event: event.seq))
    metric, points = curve_of(log.sample(run.id, MOST_POINTS, "progress", seq))
    return RunShown(
        run=then, stages=log.latest(run.id, 20, STAGES, seq), lines=log.latest(run.id, MOST_LINES, LOGGED, seq),
        items=_items(platform, run, seq), points=points, metric=metric,
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


def curve_of(progressed: Sequence[StoredEvent]) -> tuple[str, list[float]]:
    """Answer the metric that is drawn while a run is under way, and its values in the stage that it is in."""
    found: dict[str, list[float]] = {}
    stage = progressed[-1].payload.get("stage") if progressed else None
    for event in (each for each in progressed if each.payload.get("stage") == stage):
        for name, value in (event.payload.get("metrics") or {}).items():
            if isinstance(value, int | float) and not isinstance(value, bool) and name != "items_per_second":
                found.setdefault(name, []).append(float(value))
    if not found:
        return "", []
    name = next((name for name in FIRST if name in found), next(iter(found)))
    return name, found[name]


def parts_of(shown: RunShown, platform: Platform, root: str, who: Principal) -> dict[str, str]:
    """Answer the parts of a run's page that change while it is under way, by the ids of their elements."""
    context = {
        "shown": shown, "run": shown.run, "root": root, "told": told(shown.run, platform.service.kinds, who),
        "metric_words": words_of(shown.metric),
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
