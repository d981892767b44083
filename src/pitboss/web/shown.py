"""Runs and values as pages show them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pitboss.core.clock import to_iso
from pitboss.core.principal import Principal
from pitboss.runs.kinds import Kinds
from pitboss.runs.model import Run
from pitboss.runs.progress import percent_of, seconds_left
from pitboss.runs.report import Figure, Report, Unit
from pitboss.runs.states import State
from pitboss.runs.wording import duration, long_duration, number, read, subject, words_of

ICONS = {
    State.QUEUED: "clock", State.STARTING: "loader", State.RUNNING: "play", State.COMPLETING: "loader",
    State.CANCELLING: "hourglass", State.COMPLETED: "circle-check", State.FAILED: "octagon-x",
    State.CANCELLED: "circle-slash",
}  # fmt: skip
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])|[\x00-\x08\x0b-\x1f\x7f]")
MOST_TEXT = 300
SPARK_WIDTH, SPARK_HEIGHT = 600.0, 120.0


def moment(value: float | str | None) -> Markup:
    """Answer a moment, seconds since 1970 or ISO 8601, for the page to show in the viewer's zone."""
    iso = to_iso(value) if isinstance(value, int | float) else value
    if not iso:
        return Markup("–")
    text = iso[:19].replace("T", " ")
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(iso, text, text)


def age(value: float | str | None) -> Markup:
    """Answer how long ago a moment was, for the page to keep counting."""
    iso = to_iso(value) if isinstance(value, int | float) else value
    return Markup('<time class="age" datetime="{}" data-age></time>').format(iso) if iso else Markup("")


def plain(text: Any, most: int = MOST_TEXT) -> str:
    """Answer a text from outside without what moves a cursor, and not too long."""
    clean = _ESCAPES.sub("", str(text))
    return clean if len(clean) <= most else f"{clean[: most - 1]}…"


def item(text: Any) -> str:
    """Answer what a run works on just now: a moment without its T and Z."""
    shown = plain(text, 80)
    return shown.replace("T", " ").removesuffix("Z") if re.match(r"\d{4}-\d\d-\d\dT", shown) else shown


def figure(shown: Figure) -> str:
    return read(shown.value, shown.unit)


def against(shown: Figure, first: Figure) -> str:
    """Answer by how much a figure differs from the first one."""
    if not isinstance(shown.value, int | float) or not isinstance(first.value, int | float):
        return ""
    difference = shown.value - first.value
    text = read(type(shown.value)(difference) if isinstance(shown.value, int) else difference, shown.unit)
    return f"+{text}" if difference > 0 else text


def mood(shown: Figure) -> str:
    """Answer the class of a figure whose sign says that it is bad."""
    if shown.good != "high" or isinstance(shown.value, bool) or not isinstance(shown.value, int | float):
        return ""
    return "bad" if shown.value < 0 else ""


def headlines(report: Report) -> list[Figure]:
    """Answer the figures of a report, those first that tell good from bad."""
    return sorted(report.figures, key=lambda each: each.good is None)


def cell(value: Any, unit: Unit, digits: int | None = None) -> str | Markup:
    """Answer a value of a table; moments come as microseconds."""
    if unit is Unit.MOMENT and isinstance(value, int):
        return moment(value / 1e6)
    return plain(read(value, unit, digits), 200)


def tone(value: Any, unit: Unit) -> str:
    """Answer the class of a table's cell: money and per cents by their sign."""
    if unit not in (Unit.MONEY, Unit.PERCENT) or not isinstance(value, int | float):
        return ""
    return "good" if value > 0 else "bad" if value < 0 else ""


def is_number(unit: Unit) -> bool:
    return unit not in (Unit.TEXT, Unit.SYMBOL, Unit.MOMENT)


def text_of(value: Any) -> str:
    """Answer a param as it stands in a table."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict | list) else str(value)


def value(found: Any) -> str:
    """Answer a value of which nothing is known."""
    if isinstance(found, bool) or not isinstance(found, int | float):
        return "–" if found is None else str(found)
    return read(found, Unit.COUNT if isinstance(found, int) else Unit.NUMBER)


def big(value: int) -> str:
    return f"{value:,}"


def percent(run: Run) -> float | None:
    """Answer how far a run is as a whole, in per cent."""
    return 100.0 if run.state is State.COMPLETED else percent_of(run.progress)


def took(run: Run) -> float | None:
    """Answer the seconds from a run's first word to its end."""
    return run.ended_at - run.started_at if run.ended_at and run.started_at else None


@dataclass(frozen=True)
class Told:
    """What became of a run, in words."""

    title: str
    detail: str = ""
    remedy: str = ""


def told(run: Run, kinds: Kinds, who: Principal | None = None) -> Told:
    """Say how a run stands: `Run succeeded, 214 trades`, `Cancelled by you at 43 %, partial results kept`."""
    usual = _usually_told(run, kinds, who)
    kind = kinds.get(run.kind)
    own = kind.words.get(run.state.value) if kind is not None else None
    return usual if own is None else Told(own, usual.title, usual.remedy)


def _usually_told(run: Run, kinds: Kinds, who: Principal | None) -> Told:
    progress = run.progress or {}
    match run.state:
        case State.COMPLETED:
            outcome = kinds.outcome(run)
            return Told(f"Run succeeded{', ' + outcome if outcome else ''}")
        case State.FAILED:
            error = run.error or {}
            return Told(f"Run failed: {plain(error.get('message', ''))}", remedy=plain(error.get("remedy", "")))
        case State.CANCELLED:
            return Told(_cancelled(run, who), plain(run.cancel_reason or ""))
        case State.CANCELLING:
            kept = "what is done is kept" if run.cancel_keep_partial else "partial results are discarded"
            return Told("Cancelling", kept)
        case State.QUEUED:
            return Told("Waiting" if run.attempt == 1 else f"Waiting, for attempt {run.attempt}")
        case State.STARTING:
            return Told("Starting")
        case State.COMPLETING:
            return Told("Writing results")
    return Told(f"Running: {plain(progress.get('stage', ''), 60)}" if progress else "Running")


def _cancelled(run: Run, who: Principal | None) -> str:
    reason = run.cancel_reason or ""
    by_others = reason.partition(":")[0] if reason.startswith("by ") else ""
    by = by_others or ("by you" if who is not None and who.owns(run.owner) else "")
    at = percent_of(run.progress)
    where = f" at {at:.0f} %" if at is not None else " before it began" if run.started_at is None else ""
    kept = "partial results kept" if run.partial else "partial results discarded"
    return f"Cancelled {by}".rstrip() + f"{where}, {kept}"


def metrics(run: Run) -> list[tuple[str, str]]:
    """Answer what a run's progress counts, each as its words and its value, but for the rate."""
    found = (run.progress or {}).get("metrics") or {}
    return [(words_of(plain(name, 40)), number(value)) for name, value in found.items() if name != "items_per_second"]


def spark(values: list[float]) -> str:
    """Answer the points of a line through values, for an SVG of `SPARK_WIDTH` by `SPARK_HEIGHT`."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    scale = SPARK_HEIGHT / (high - low) if high > low else 0.0
    step = SPARK_WIDTH / (len(values) - 1)
    flat = SPARK_HEIGHT / 2 if not scale else SPARK_HEIGHT
    return " ".join(f"{at * step:.1f},{flat - (value - low) * scale:.1f}" for at, value in enumerate(values))


FILTERS = {
    "moment": moment, "age": age, "plain": plain, "item": item, "figure": figure, "against": against,
    "headlines": headlines, "mood": mood, "cell": cell, "tone": tone, "is_number": is_number, "text_of": text_of,
    "big": big, "value": value, "duration": duration, "long_duration": long_duration, "number": number,
    "subject": subject, "percent_of": percent, "seconds_left": seconds_left, "took": took, "metrics_of": metrics,
    "spark": spark, "words_of": words_of,
    "state_icon": lambda state: ICONS[State(state)],
}  # fmt: skip
