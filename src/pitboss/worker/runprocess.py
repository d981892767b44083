"""The life of a run inside its own process: from the fork to the last word."""

from __future__ import annotations

import importlib
import os
import signal
import struct
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from pydantic import ValidationError

from pitboss.core import panel as cells
from pitboss.core.errors import InvalidInput, PitbossError, RunCancelled, RunSuspended
from pitboss.core.files import open_files
from pitboss.core.masking import MaskedStream, Masker
from pitboss.runs import messages as said
from pitboss.runs.context import RunContext, World
from pitboss.runs.kinds import Kind
from pitboss.runs.messages import Message
from pitboss.runs.model import Checkpoint
from pitboss.runs.states import FailureKind
from pitboss.worker.processes import OOM_RUN, adopt_orphans, die_with_parent, offer_to_the_kernel
from pitboss.worker.runfile import Panel, read_secrets

NICENESS = 10  # runs give way to the API and the worker
HEADER = struct.Struct("!I")


class Ways(NamedTuple):
    """The descriptors of a run's process: the pipe to the worker, its log, and where it finds its secrets, if any."""

    pipe: int
    log: int
    secrets: int = -1


def run_and_exit(order: dict[str, Any], panel: Panel, ways: Ways, parent: int) -> NoReturn:
    """Run the job of `order` and leave the process; nothing is ever raised to the fork server."""
    code = 1
    log = None
    try:
        out = Pipe(ways.pipe)
        out.say(said.Started(os.getpid()))  # first: while the worker notes it, the rest is done
        secrets = read_secrets(ways.secrets) if ways.secrets >= 0 else {}
        if secrets:
            out.masker = Masker(secrets.values())
            log = MaskedLog(out.masker, ways.log)
        become_a_process(order["run_id"], ways.log if log is None else log.entry, parent)
        code = work(order, panel, out, secrets)
        out.close()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        if log is not None:
            log.finish()
        os._exit(code)


class MaskedLog:
    """What stands between a process and its log where it has secrets: `entry` is where it writes."""

    def __init__(self, masker: Masker, log: int) -> None:
        self._log = os.dup(log)
        ours, self.entry = os.pipe()
        self._thread = threading.Thread(target=self._pass_on, args=(MaskedStream(masker), ours), daemon=True)
        self._thread.start()

    def _pass_on(self, stream: MaskedStream, ours: int) -> None:
        with os.fdopen(self._log, "wb", buffering=0) as log:
            while piece := os.read(ours, 1 << 16):
                log.write(stream.feed(piece))
            log.write(stream.feed(b"", is_last=True))

    def finish(self) -> None:
        """Let what is still on its way arrive."""
        for descriptor in (1, 2, self.entry):
            os.close(descriptor)
        self._thread.join(timeout=1.0)


def become_a_process(run_id: str, log: int, parent: int) -> None:
    """Leave the fork server's session, die with it, and write to the run's log."""
    os.setsid()
    die_with_parent(parent)
    adopt_orphans()  # what a run starts is the run's, also when it leaves its session
    offer_to_the_kernel(OOM_RUN)
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
        self.masker: Masker | None = None

    def say(self, message: Message) -> None:
        body = said.encode(message, self.masker.text if self.masker is not None else None)
        view = memoryview(HEADER.pack(len(body)) + body)
        while view:
            view = view[os.write(self._pipe, view) :]

    def close(self) -> None:
        os.close(self._pipe)


def work(order: dict[str, Any], panel: Panel, out: Pipe, secrets: dict[str, str]) -> int:
    """Call the job and say how it ended; answer the exit code."""
    try:
        kind = kind_at(order["kind"])
        context = context_of(order, panel, out, kind)
        context.secrets |= secrets
        module, _, name = kind.entry.partition(":")
        job = getattr(importlib.import_module(module), name)
        result = job(kind.params.model_validate(order["params"]), context)
        out.say(said.Answered(result, context.is_cancelled))
    except RunCancelled:
        pass  # what was asked for needs no words
    except RunSuspended:
        out.say(said.Suspended())
    except InvalidInput as error:
        out.say(_failure(FailureKind.INVALID, str(error), "correct it and submit again"))
    except ValidationError as error:
        out.say(_failure(FailureKind.INVALID, f"the params do not fit: {error}", "submit the run again"))
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


def kind_at(address: str) -> Kind:
    """Answer the declaration at `module:attribute`."""
    module, _, attribute = address.partition(":")
    kind: Kind = getattr(importlib.import_module(module), attribute)
    return kind


def context_of(order: dict[str, Any], panel: Panel, out: Pipe, kind: Kind) -> RunContext:
    """Answer the world of the job of `order`."""
    data_dir = Path(order["data_dir"])
    world = World(
        run_id=order["run_id"], files=open_files(data_dir, order["files_url"]), data_dir=data_dir,
        token=order["token"], database_url=order["database_url"],
    )  # fmt: skip
    return RunContext(
        world=world, params=order["params"], snapshot=order["snapshot"], send=out.say,
        memory=panel.memory[: cells.BYTES], attempt=order["attempt"], slot=order["slot"],
        threads=order["threads"],
        checkpoints=tuple(Checkpoint(**saved) for saved in order["checkpoints"]),
        checkpoint_seconds=order["checkpoint_seconds"], source=order["source"], resources=kind.resources,
    )  # fmt: skip


def _failure(kind: FailureKind, message: str, remedy: str) -> said.Failed:
    return said.Failed(kind.value, message[:2000], remedy)
