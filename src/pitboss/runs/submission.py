"""A request for a run, as it comes in, and what of it is checked whatever the kind."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.runs.model import PRIORITIES, Checkpoint

OPTIONS = {"max_execution_seconds": "seconds after which the run fails as timeout",
           "memory_limit_mb": "megabytes above which the run fails as memory",
           "resource": "what the worker must serve, such as default or gpu",
           "notify_on_completion": "whether its owner's channels are told of its end"}  # fmt: skip
_RESOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
MAX_PRIORITY = 1000
MAX_KEY = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A request for a run, as it came in."""

    kind: str
    params: Mapping[str, Any]
    priority: str | int = "normal"
    tags: Sequence[str] = ()
    options: Mapping[str, Any] | None = None
    idempotency_key: str | None = None
    parent: str | None = None
    seen: Mapping[str, Any] = field(default_factory=dict)  # the snapshot of the run that is done again
    checkpoints: tuple[Checkpoint, ...] = ()
    is_resumed: bool = False


def read_priority(priority: str | int) -> int:
    """Answer a priority as a number. Raises InvalidInput."""
    if isinstance(priority, str) and priority in PRIORITIES:
        return PRIORITIES[priority]
    try:
        value = int(priority)
    except (TypeError, ValueError):
        value = MAX_PRIORITY + 1
    if isinstance(priority, bool) or abs(value) > MAX_PRIORITY:
        raise InvalidInput(f"'{str(priority)[:40]}' is no priority",
                           f"low, normal, high, or {-MAX_PRIORITY} to {MAX_PRIORITY}", "priority")  # fmt: skip
    return value


def read_key(key: str | None) -> str | None:
    """Answer an idempotency key; an empty one, such as of a variable that is not set, is none."""
    if key is None or not key.strip():
        return None
    if len(key) > MAX_KEY:
        raise InvalidInput(f"the idempotency key has {len(key)} characters", f"at most {MAX_KEY}", "Idempotency-Key")
    return key


def read_options(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Answer the options of a run. Raises InvalidInput with every mistake."""
    problems = []
    for name, value in (options or {}).items():
        if name not in OPTIONS:
            problems.append(Problem(f"unknown option '{name}'", suggest(name, OPTIONS), where="options"))
        elif name == "resource":
            if not isinstance(value, str) or not _RESOURCE.fullmatch(value):
                problems.append(Problem(f"'{str(value)[:40]}' is no resource", "write gpu", where="options.resource"))
        elif name == "notify_on_completion":
            if not isinstance(value, bool):
                what = f"'{str(value)[:40]}' is neither true nor false"
                problems.append(Problem(what, OPTIONS[name], where=f"options.{name}"))
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            problems.append(Problem(f"'{name}' is not greater than 0", OPTIONS[name], where=f"options.{name}"))
    if problems:
        raise InvalidInput(problems)
    return dict(options or {})


def read_tags(tags: Sequence[str]) -> tuple[str, ...]:
    """Answer tags, each once. Raises InvalidInput."""
    if isinstance(tags, str) or len(tags) > 20 or not all(isinstance(t, str) and 0 < len(t) <= 64 for t in tags):
        raise InvalidInput("the tags do not fit", "at most 20 texts of 1 to 64 characters", "tags")
    return tuple(dict.fromkeys(tags))
