"""What a script prints, taken for what it is: lines for people, and among them how far it is."""

from __future__ import annotations

import codecs
import json
import math
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

MARK = "PROGRESS:"
MOST_LINE = 16_384  # characters of a line; what is longer is cut into several
MOST_MATCHED = 500  # characters of a line in which progress is looked for


@dataclass(frozen=True, slots=True)
class Step:
    """How far a script says it is. `done` of `total` is None where it does not say."""

    stage: str | None = None
    done: int | None = None
    total: int | None = None
    item: str | None = None
    message: str | None = None
    metrics: dict[str, Any] = field(default_factory=dict)


class Lines:
    """Cuts what comes out of a pipe into lines, at carriage returns too: bars that move are lines of their own."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, chunk: bytes, is_last: bool = False) -> Iterator[str]:
        """Yield the lines that are complete, and at the end what is left."""
        text = self._rest + self._decoder.decode(chunk, is_last)
        *lines, self._rest = re.split(r"\r\n|\n|\r", text)
        while len(self._rest) > MOST_LINE:
            lines.append(self._rest[:MOST_LINE])
            self._rest = self._rest[MOST_LINE:]
        for line in lines:
            yield from (line[at : at + MOST_LINE] for at in range(0, max(1, len(line)), MOST_LINE))
        if is_last and self._rest:
            yield self._rest
            self._rest = ""


class ProgressReader:
    """Finds progress in lines: what is written for us, else what the patterns find. Nonsense is no progress."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [re.compile(pattern) for pattern in patterns]
        self._is_spoken_to = False

    def step(self, line: str) -> Step | None:
        """Answer how far the script says it is in a line, None when it says nothing of the kind."""
        if line.startswith(MARK):
            step = _spoken(line.removeprefix(MARK))
            self._is_spoken_to = self._is_spoken_to or step is not None
            return step
        if self._is_spoken_to:
            return None
        for pattern in self._patterns:
            if match := pattern.search(line[:MOST_MATCHED]):
                step = _matched(match)
                if step is not None:
                    return step
        return None


def _spoken(text: str) -> Step | None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict):
        return None
    done, total = _counted(said.get("completed_items"), said.get("total_items"), said.get("progress"))
    metrics = said.get("metrics")
    return Step(
        stage=_text(said.get("stage")), done=done, total=total, item=_text(said.get("current_item")),
        message=_text(said.get("message")), metrics=_figures(metrics) if isinstance(metrics, dict) else {},
    )  # fmt: skip


def _matched(match: re.Match[str]) -> Step | None:
    found = match.groupdict()
    if not found:  # without names two groups are done and total, one is a per cent
        names = ("done", "total") if len(match.groups()) > 1 else ("percent",)
        found = dict(zip(names, match.groups(), strict=False))
    done, total = _counted(found.get("done"), found.get("total"), found.get("percent"))
    if done is None and not found.get("stage"):
        return None
    stage, item, message = (_text(found.get(name)) for name in ("stage", "item", "message"))
    return Step(stage=stage, done=done, total=total, item=item, message=message)


def _counted(done: Any, total: Any, percent: Any) -> tuple[int | None, int | None]:
    """Answer units done of a total, where they make sense."""
    counted, whole, share = _number(done), _number(total), _number(percent)
    if counted is not None and whole and 0 <= counted <= whole < 2**53:
        return int(counted), int(whole)
    if share is not None and 0 <= share <= 100:
        return int(share), 100
    return None, None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str | None:
    return str(value).strip()[:200] or None if isinstance(value, str | int | float) else None


def _figures(metrics: dict[str, Any]) -> dict[str, Any]:
    simple = ((str(name)[:60], value) for name, value in metrics.items() if isinstance(value, int | float | str))
    fitting = ((name, value[:200] if isinstance(value, str) else value) for name, value in simple)
    return {name: value for name, value in list(fitting)[:20] if not isinstance(value, float) or math.isfinite(value)}


class BoundedLog:
    """Writes what is printed to the run's log until there is enough of it, and keeps the last of it for the end."""

    def __init__(
        self, write: Callable[[bytes], object], most_bytes: int = 8 << 20, tail_bytes: int = 256 << 10
    ) -> None:
        self._write = write
        self._room = most_bytes
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._tail_bytes = tail_bytes
        self._left_out = 0

    def add(self, chunk: bytes) -> None:
        """Write a piece, or keep it for the end when the log is full."""
        head = chunk[: self._room]
        if head:
            self._write(head)
            self._room -= len(head)
        rest = chunk[len(head) :]
        if not rest:
            return
        self._tail.append(rest)
        self._tail_size += len(rest)
        while self._tail_size - len(self._tail[0]) >= self._tail_bytes:
            self._tail_size -= len(self._tail[0])
            self._left_out += len(self._tail.popleft())

    def finish(self) -> None:
        """Write the last of it, after how much is left out."""
        if self._left_out:
            self._write(f"\n… {self._left_out:,} bytes are left out here …\n".encode())
        for chunk in self._tail:
            self._write(chunk)
        self._tail.clear()
