"""Progress with an honest time left: none until there is something to reckon it from."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from pitboss.core.clock import to_iso

WINDOW_SECONDS = 15.0
HONEST_AFTER_SECONDS = 1.0
HONEST_FRACTION = 0.01
_PART = re.compile(r"(.+) (\d+) of (\d+)")


def percent_of_run(stages: Mapping[str, float], progress: Mapping[str, Any]) -> float:
    """Answer how far a run is as a whole, by its progress and by the share of the time that each of its stages takes,
    in their order; where a stage has no known share, how far that stage is. One that comes in parts is told by which of
    them it is: `fold 3 of 8`."""
    percent = float(progress.get("percent") or 0.0)
    name, part, parts = _part_of(str(progress.get("stage") or ""))
    if name not in stages:
        return percent if name and not stages else 0.0
    before = sum(share for _, share in takewhile(lambda each: each[0] != name, stages.items()))
    done = (part - 1 + percent / 100) / parts
    return round(100 * (before + stages[name] * done) / sum(stages.values()), 2)


def _part_of(stage: str) -> tuple[str, int, int]:
    """Answer the name of a stage without its part, which part it is, and of how many."""
    found = _PART.fullmatch(stage)
    return (found[1], int(found[2]), max(1, int(found[3]))) if found else (stage, 1, 1)


def promised(progress: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Answer what is promised over HTTP of a progress: of its stage, without what its run makes of that."""
    if progress is None:
        return None
    return {name: value for name, value in progress.items() if not name.startswith("run_")}


def percent_of(progress: Mapping[str, Any] | None) -> float | None:
    """Answer how far a run is as a whole; None where that is not known. Earlier versions told of the stage alone."""
    known = progress or {}
    found = known.get("run_percent", known.get("percent"))
    return None if found is None else float(found)


def seconds_left(progress: Mapping[str, Any] | None) -> float | None:
    """Answer the seconds that a run has left as a whole; None until that is honest."""
    known = progress or {}
    found = known.get("run_eta_seconds", known.get("eta_seconds"))
    return None if found is None else float(found)


@dataclass
class ProgressMeter:
    """Follows one stage: what is done, and at what rate over the last WINDOW_SECONDS.

    Times are any monotonic seconds; `update` answers the progress document of a run. `stages` are those of the run's
    kind, each with its share of the time.
    """

    stages: Mapping[str, float] = field(default_factory=dict)
    stage: str = "starting"
    total: int | None = None
    done: int = 0
    current_item: str | None = None
    message: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)
    samples: deque[tuple[float, int]] = field(default_factory=deque)

    def begin(self, stage: str, total: int | None, now: float, done: int = 0) -> None:
        """Start a stage: neither the stage before nor what an earlier attempt has done says how fast this one is."""
        self.stage, self.total, self.done = stage, total, done
        self.current_item = self.message = None
        self.metrics = {}
        self.samples.clear()
        self.samples.append((now, done))

    def update(self, done: int, now: float) -> None:
        """Note how much is done."""
        self.done = done
        self.samples.append((now, done))
        while len(self.samples) > 2 and now - self.samples[0][0] > WINDOW_SECONDS:
            self.samples.popleft()

    def rate(self) -> float | None:
        """Answer units a second over the window; None when time or work is too little to tell."""
        if len(self.samples) < 2:
            return None
        (start, before), (end, after) = self.samples[0], self.samples[-1]
        return (after - before) / (end - start) if end > start and after > before else None

    def eta_seconds(self) -> float | None:
        """Answer the seconds left in this stage, None until it has run a second and done one per cent."""
        rate = self.rate()
        if not self.total or rate is None:
            return None
        elapsed = self.samples[-1][0] - self.samples[0][0]
        if elapsed < HONEST_AFTER_SECONDS or self.done < HONEST_FRACTION * self.total:
            return None
        return round(max(0.0, (self.total - self.done) / rate), 1)

    def run_eta_seconds(self) -> float | None:
        """Answer the seconds left of the run as a whole; None where more of it comes after this stage than we can tell
        from it."""
        left = self.eta_seconds()
        name, part, parts = _part_of(self.stage)
        if left is None or name not in self.stages:
            return left
        after = sum(self.stages.values()) - self.stages[name]
        after -= sum(share for _, share in takewhile(lambda each: each[0] != name, self.stages.items()))
        rate, total = self.rate(), self.total
        assert rate
        assert total
        if after > self.stages[name]:
            return None
        a_part = total / rate
        return round(left + a_part * (parts - part) + a_part * parts * after / self.stages[name], 1)

    def document(self, wall_clock: float) -> dict[str, Any]:
        """Answer the progress as runs carry it; `wall_clock` is seconds since 1970."""
        percent = round(min(100.0, 100 * self.done / self.total), 2) if self.total else None
        rate = self.rate()
        metrics = dict(self.metrics)
        if rate is not None:
            metrics["items_per_second"] = round(rate, 2)
        known = {"stage": self.stage, "percent": percent}
        return {
            **known,
            "done": self.done,
            "total": self.total,
            "run_percent": percent_of_run(self.stages, known) if self.stages else percent,
            "current_item": self.current_item,
            "metrics": metrics,
            "eta_seconds": self.eta_seconds(),
            "run_eta_seconds": self.run_eta_seconds(),
            "message": self.message,
            "updated_at": to_iso(wall_clock),
        }
