"""Jobs that behave as badly as the worst of users' code, and some that behave."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pydantic import ConfigDict

from faults import journal
from pitboss.core.errors import RunCancelled
from pitboss.runs.kinds import Family, Kind, Params, Prepared

# in the command line of every grandchild, so that a test can look for its survivors, and not those of its neighbours
MARK = f"31415.9{os.environ.get('PYTEST_XDIST_WORKER', 'gw0').removeprefix('gw')}"


def nothing(params, context):
    return {"attempt": context.attempt}


def numeric(params, context):
    return nothing(params, context)


def steps(params, context):
    """Does `count` steps of `seconds` each, and writes down which attempt did them, outside the database."""
    journal = Path(params["journal"]) if "journal" in params else None
    context.begin_stage("stepping", total=params["count"])
    done = 0
    for i in range(params["count"]):
        if context.is_cancelled:
            break
        time.sleep(params["seconds"])
        if journal:
            with journal.open("a") as file:
                file.write(f"{context.run_id} {context.attempt} {time.time()}\n")
        done = i + 1
        context.item(str(i), {"step": i})
        context.report(done)
    context.end_stage(done)
    if done < params["count"] and not context.keeps_partial:
        raise RunCancelled("stopped")
    if done == params["count"]:
        context.begin_results()
    context.save_artifact("steps.txt", lambda path: path.write_text(f"{done}\n"))
    return {"done": done}


def careful_steps(params, context):
    """Like `steps`, but saves its state after each: what an earlier attempt has done is not done again."""
    done = (context.restore({"version": params.get("version", "1")}) or {"done": 0})["done"]
    context.begin_stage("stepping", params["count"], done)
    for i in range(done, params["count"]):
        context.check_cancel()
        time.sleep(params["seconds"])
        with Path(params["journal"]).open("a") as file:
            file.write(f"{context.run_id} {context.attempt} {time.time()} {i}\n")
        context.item(str(i), {"step": i})
        context.report(i + 1)
        context.checkpoint({"done": i + 1, "blob": b"x" * 1000})
    context.begin_results()
    return {"done": params["count"]}


def journaled(params, context):
    """Works for `count` times `seconds`, saves its state, and writes down each step outside the database."""
    saved = context.restore({"version": "1"}) or {"done": 0}
    journal.write(params["journal"], context.run_id, context.attempt, "begin")
    context.begin_stage("stepping", params["count"], saved["done"])
    for i in range(saved["done"], params["count"]):
        if context.is_cancelled:
            break
        time.sleep(params["seconds"])
        journal.write(params["journal"], context.run_id, context.attempt, f"step {i}")
        context.item(str(i), {"step": i})
        context.report(i + 1)
        if context.is_checkpoint_due:
            context.checkpoint({"done": i + 1})
    else:
        journal.write(params["journal"], context.run_id, context.attempt, "end")
        context.begin_results()
        context.save_artifact("steps.txt", lambda path: path.write_text(f"{params['count']}\n"))
        return {"done": params["count"]}
    if not context.keeps_partial:
        raise RunCancelled("stopped")
    return {"done": i}


def heavy_artifact(params, context):
    """Leaves a file of many megabytes."""
    context.begin_results()
    context.save_artifact("big.bin", lambda path: path.write_bytes(bytes(params["megabytes"] << 20)))
    return {}


def deaf_loop(params, context):
    """A Python loop that ignores every signal it can, and the cancel flag."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    context.begin_stage("deaf")
    while True:
        try:
            sum(range(10_000))
        except BaseException:
            continue


def locked(params, context):
    """Compiled code that never gives the interpreter lock back."""
    context.begin_stage("locked")
    ctypes.PyDLL(None).sleep(100_000)


def sleeping(params, context):
    """A system call that blocks."""
    context.begin_stage("sleeping")
    while True:
        time.sleep(100_000)


def grandchildren(params, context):
    """Three processes of its own: a plain one, one in a session of its own, and an orphan in a session of its own."""
    subprocess.Popen(["sleep", MARK])
    subprocess.Popen(["sleep", MARK], start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        subprocess.Popen(["sleep", MARK], start_new_session=True)
        os._exit(0)
    os.wait()
    context.begin_stage("with grandchildren")
    while True:
        time.sleep(100_000)


def leaves_one_behind(params, context):
    """Ends well but leaves a daemon."""
    subprocess.Popen(["sleep", MARK], start_new_session=True)
    return {}


def hungry(params, context):
    """Takes memory until somebody stops it."""
    hoard = []
    context.begin_stage("eating")
    while True:
        hoard.append(bytearray(os.urandom(1 << 20)) * 16)
        time.sleep(0.02)


def broken(params, context):
    raise ZeroDivisionError("of its own making")


def silent_exit(params, context):
    sys.stdout.flush()
    os._exit(3)


class Anything(Params):
    """Params that a job reads by name, as it likes."""

    model_config = ConfigDict(extra="allow")

    def __getitem__(self, name):
        return getattr(self, name)

    def __contains__(self, name):
        return name in (self.model_extra or {})

    def get(self, name, default=None):
        return getattr(self, name, default)


NUMERIC = ("numeric",)  # jobs whose process is forked from one with the libraries of numbers


def kind_of(job):
    """A kind whose params need no preparation."""
    name = job.__name__
    return Kind(
        name=name,
        title=name,
        params=Anything,
        entry=f"support.jobs:{name}",
        is_resumable=name != "sleeping",
        preload=Family.NUMERIC if name in NUMERIC else Family.BARE,
        prepare=lambda params, sources: Prepared(f"test/{name}", {}, {"version": "1"}),
        address=f"support.jobs:KIND_{name}",
    )


JOBS = (
    nothing,
    numeric,
    steps,
    careful_steps,
    journaled,
    heavy_artifact,
    deaf_loop,
    locked,
    sleeping,
    grandchildren,
    leaves_one_behind,
    hungry,
    broken,
    silent_exit,
)
HOSTILE = ("deaf_loop", "locked", "sleeping", "grandchildren")
KINDS = {job.__name__: kind_of(job) for job in JOBS}
globals().update({f"KIND_{name}": kind for name, kind in KINDS.items()})
