"""A decision in a process of its own: one that hangs is killed, and nothing else is.

The process is forked from one with threads, whose locks it may find taken for ever: it computes nothing that needs them
(Polars does), and asks for what is known, which is answered here.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

LOOK_SECONDS = 0.05
LONGEST = 64 << 20  # bytes that the process may say
Said = dict[str, Any]


class NotDone(Exception):
    """The process was killed, or ended by itself, before the work was done. `last` is what it said last."""

    def __init__(self, reason: str, last: Said | None) -> None:
        super().__init__(reason)
        self.last = last


class Line:
    """The work's way to whoever waits for it; safe to use from its threads."""

    def __init__(self, out: int, back: int) -> None:
        self._out, self._back = out, os.fdopen(back, "rb")
        self._turn = threading.Lock()

    def say(self, said: Said) -> None:
        """Say how far the work is."""
        with self._turn:
            self._write("said", said)

    def ask(self, request: Said) -> Said:
        """Answer what is answered to a request."""
        with self._turn:
            self._write("asked", request)
            answer: Said = json.loads(self._back.readline())
            return answer

    def finish(self, answer: Said) -> None:
        with self._turn:
            self._write("done", answer)

    def _write(self, kind: str, said: Said) -> None:
        view = memoryview(json.dumps([kind, said], allow_nan=False, default=str).encode() + b"\n")
        while view:
            view = view[os.write(self._out, view) :]


def done_apart(
    work: Callable[[Line], Said], seconds: float, check: Callable[[], None], answer: Callable[[Said], Said]
) -> Said:
    """Answer what `work` answers, in a process that is forked for it; that, what it says and asks on the way, and what
    `answer` answers to it are what JSON can say.

    `check` is called often meanwhile; what it raises ends the work and is raised. Raises NotDone.
    """
    (ours, theirs), (their_back, our_back) = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        gc.disable()  # it would touch, and so copy, all that is shared
        os.close(ours)
        os.close(our_back)
        _work_and_exit(work, Line(theirs, their_back))
    os.close(theirs)
    os.close(their_back)
    last: Said | None = None
    try:
        for kind, said in _lines(ours, time.monotonic() + seconds, check):
            if kind == "done":
                return said
            if kind == "said":
                last = said
            else:
                os.write(our_back, json.dumps(answer(said), allow_nan=False, default=str).encode() + b"\n")
    except TimeoutError:
        raise NotDone(f"no answer within {seconds:g} s", last) from None
    except BrokenPipeError:
        pass
    finally:
        os.close(ours)
        os.close(our_back)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    raise NotDone("its process ended without an answer", last)


def _work_and_exit(work: Callable[[Line], Said], line: Line) -> NoReturn:
    code = 1
    try:
        line.finish(work(line))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _lines(pipe: int, deadline: float, check: Callable[[], None]) -> Iterator[tuple[str, Said]]:
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
        for line in lines:
            kind, said = json.loads(line)
            yield kind, said
