"""What a run's process says to its worker, one message a line of the pipe: typed here, and nowhere else written out."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from pitboss.core.panel import GAUGES
from pitboss.runs.model import Artifact, Checkpoint


@dataclass(frozen=True, slots=True)
class Gauge:
    """A cell of the panel that compiled code writes: a metric of the progress.

    A real one is a float64, and shows nothing while it is NaN; the others are whole numbers."""

    name: str
    is_real: bool = False


def gauges_shown(wholes: memoryview[int], reals: memoryview[float], gauges: Sequence[Gauge]) -> dict[str, float]:
    """Answer what the gauges of a panel show, two digits of the real ones; one that shows nothing yet is left out."""
    found: dict[str, float] = {}
    for cell, gauge in enumerate(gauges, GAUGES):
        value = reals[cell] if gauge.is_real else wholes[cell]
        if math.isfinite(value):
            found[gauge.name] = round(value, 2)
    return found


@dataclass(frozen=True, slots=True)
class Message:
    """What every message is."""


@dataclass(frozen=True, slots=True)
class Started(Message):
    """The process is there."""

    pid: int


@dataclass(frozen=True, slots=True)
class StageBegun(Message):
    """Another stage, how many units of work it has, and how many of them an earlier attempt has done."""

    stage: str
    total: int | None
    done: int
    gauges: Sequence[Gauge] = ()


@dataclass(frozen=True, slots=True)
class Reported(Message):
    """What the panel cannot say of the progress."""

    current_item: str | None = None
    message: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageCompleted(Message):
    """The stage is done; its last progress is never dropped. `metrics` are what its gauges showed."""

    done: int
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ItemCompleted(Message):
    """One unit of the result."""

    key: str
    item: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Logged(Message):
    """A line for people."""

    level: str
    message: str


@dataclass(frozen=True, slots=True)
class ArtifactSaved(Message):
    """A file that the run leaves behind."""

    artifact: Artifact


@dataclass(frozen=True, slots=True)
class CheckpointSaved(Message):
    """The state of the work was saved."""

    checkpoint: Checkpoint


@dataclass(frozen=True, slots=True)
class Suspendable(Message):
    """The job saves its state when it is asked to."""


@dataclass(frozen=True, slots=True)
class Suspended(Message):
    """It has, and ends: another attempt goes on."""


@dataclass(frozen=True, slots=True)
class Completing(Message):
    """The work is done and results are being written: a cancel is too late."""


@dataclass(frozen=True, slots=True)
class Answered(Message):
    """The job's result; partial when it was cancelled on the way."""

    result: dict[str, Any]
    partial: bool


@dataclass(frozen=True, slots=True)
class Failed(Message):
    """Why there is no result, and what to do."""

    kind: str
    message: str
    remedy: str


_NESTED: dict[str, Callable[[Any], Any]] = {
    "gauges": lambda given: tuple(Gauge(**gauge) for gauge in given),
    "artifact": lambda given: Artifact(**given),
    "checkpoint": lambda given: Checkpoint(**given),
}
_TYPES = {kind.__name__: kind for kind in Message.__subclasses__()}


def encode(message: Message, shown: Callable[[str], str] | None = None) -> bytes:
    """Answer a message as JSON, every text in it as `shown` answers it. Raises ValueError for what JSON cannot say,
    such as NaN."""
    said = asdict(message)
    if shown is not None:
        said = {name: _shown(value, shown) for name, value in said.items()}
    return json.dumps([type(message).__name__, said], allow_nan=False, default=str).encode()


def _shown(value: Any, shown: Callable[[str], str]) -> Any:
    match value:
        case str():
            return shown(value)
        case dict():
            return {_shown(key, shown): _shown(each, shown) for key, each in value.items()}
        case list() | tuple():
            return [_shown(each, shown) for each in value]
        case None | bool() | int() | float():
            return value
    return shown(str(value))


def decode(body: bytes) -> Message:
    """Answer the message. Raises ValueError, KeyError or TypeError for what is none."""
    name, fields = json.loads(body)
    for field_name in _NESTED.keys() & fields.keys():
        fields[field_name] = _NESTED[field_name](fields[field_name])
    message: Message = _TYPES[name](**fields)
    return message
