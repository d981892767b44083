"""The life of a run inside its own process: from the fork to the last word."""

from __future__ import annotations

import importlib
import json
import os
import signal
import struct
import sys
import traceback
from pathlib import Path
from typing import Any, NoReturn

from pitboss.core import panel as slots
from pitboss.core.errors import InvalidInput, PitbossError, RunCancelled, RunSuspended
from pitboss.core.files import open_files
from pitboss.runs.context import RunContext
from pitboss.runs.model import Checkpoint
from pitboss.runs.states import FailureKind
from pitboss.worker.processes import die_with_parent, offer_to_the_kernel
from pitboss.worker.runfile import Panel

NICENESS = 10  # runs give way to the API and the worker
HEADER = struct.Struct("!I")


def run_and_exit(order: dict[str, Any], panel: Panel, pipe: int, log: int, parent: int) -> NoReturn:
    """Run the job of `order` and leave the process; nothing is ever raised to the fork server."""
    code = 1
    try:
        become_a_process(order["run_id"], log, parent)
        out = Pipe(pipe)
        out.say({"type": "started", "pid": os.getpid()})
        code = work(order, panel, out)
        out.close()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def become_a_process(run_id: str, log: int, parent: int) -> None:
    """Leave the fork server's session, die with it, and write to the run's log."""
    os.setsid()
    die_with_parent(parent)
    offer_to_the_kernel()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.environ["PITBOSS_RUN_ID"] = run_id
    os.nice(NICENESS)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(nothing)


class Pipe:
    """Sends messages to the worker: four bytes of length, then JSON. Blocks when the worker falls behind."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def say(self, message: dict[str, Any]) -> None:
        body = json.dumps(message, allow_nan=False, default=str).encode()
        view = memoryview(HEADER.pack(len(body)) + body)
        while view:
            view = view[os.write(self._pipe, view) :]

    def close(self) -> None:
        os.close(self._pipe)


def work(order: dict[str, Any], panel: Panel, out: Pipe) -> int:
    """Call the job and say how it ended; answer the exit code."""
    files = open_files(Path(order["data_dir"]), order["files_url"])
    context = RunContext(
        order["run_id"], order["params"], order["snapshot"], files, out.say,
        panel.memory[: slots.BYTES], order["attempt"], order["threads"],
        tuple(Checkpoint(**saved) for saved in order["checkpoints"]), order["checkpoint_seconds"],
    )  # fmt: skip
    try:
        module, _, name = order["entry"].partition(":")
        job = getattr(importlib.import_module(module), name)
        result = job(order["params"], context)
        out.say({"type": "result", "result": result, "partial": context.is_cancelled})
    except RunCancelled:
        out.say({"type": "cancelled"})
    except RunSuspended:
        out.say({"type": "suspended"})
    except InvalidInput as error:
        out.say(_failure(FailureKind.INVALID, str(error), "correct it and submit again"))
    except PitbossError as error:
        out.say(_failure(FailureKind.ERROR, error.message, error.remedy))
    except MemoryError:
        out.say(_failure(FailureKind.MEMORY, "the run ran out of memory", "use fewer bars, or raise memory_limit_mb"))
    except Exception as error:
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        out.say(_failure(FailureKind.ERROR, message, f"see its log: pitboss runs show {order['run_id']} --log"))
        return 1
    return 0


def _failure(kind: FailureKind, message: str, remedy: str) -> dict[str, Any]:
    return {"type": "error", "kind": kind.value, "message": message[:2000], "remedy": remedy}
