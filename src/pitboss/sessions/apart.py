"""A decision in a process of its own: one that hangs is killed, and nothing else is."""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

LOOK_SECONDS = 0.05
LONGEST = 64 << 20  # bytes that the process may say
Said = dict[str, Any]
Say = Callable[[Said], None]


class NotDone(Exception):
    """The process was killed, or ended by itself, before the work was done. `last` is what it said last."""

    def __init__(self, reason: str, last: Said | None) -> None:
        super().__init__(reason)
        self.last = last


def done_apart(work: Callable[[Say], Said], seconds: float, check: Callable[[], None]) -> Said:
    """Answer what `work` answers, in a process that is forked for it; both that and what it says on the way are what
    JSON can say.

    `check` is called often meanwhile; what it raises ends the work and is raised. Raises NotDone.
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _work_and_exit(work, theirs)
    os.close(theirs)
    last: Said | None = None
    try:
        for line in _lines(ours, time.monotonic() + seconds, check):
            last, is_answer = line["said"], line["is_answer"]
            if is_answer:
                return last
    except TimeoutError:
        raise NotDone(f"no answer within {seconds:g} s", last) from None
    finally:
        os.close(ours)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    raise NotDone("its process ended without an answer", last)


def _work_and_exit(work: Callable[[Say], Said], pipe: int) -> NoReturn:
    code = 1

    def write(said: Said, is_answer: bool = False) -> None:
        line = json.dumps({"said": said, "is_answer": is_answer}, allow_nan=False, default=str).encode()
        view = memoryview(line + b"\n")
        while view:
            view = view[os.write(pipe, view) :]

    try:
        write(work(write), is_answer=True)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _lines(pipe: int, deadline: float, check: Callable[[], None]) -> Iterator[Said]:
    """Yield what the process says until it ends. Raises TimeoutError after the deadline."""
    body = bytearray()
    total = 0
    while total < LONGEST:
        check()
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        if not select.select([pipe], [], [], min(left, LOOK_SECONDS))[0]:
            continue
        piece = os.read(pipe, 1 << 16)
        if not piece:
            return
        total += len(piece)
        body += piece
        *lines, rest = bytes(body).split(b"\n")
        body = bytearray(rest)
        yield from (json.loads(line) for line in lines)
