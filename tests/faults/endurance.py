"""Everything at once for a long time: a driver that submits, cancels, streams and checks, and a tormentor.

Two workers and two API servers over one database. One of each is left alone, so that its memory and its
descriptors can be measured; the others are killed, stopped and started again. Both follow a plan that is
made from the seed before anything begins.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

from faults import journal
from faults.scenarios import check_log, every_run, patiently, retry_or_resume
from faults.streams import Stream
from pitboss.core.principal import LOCAL
from pitboss.storage.pruning import Pruner
from support import faults
from support.engine import Engine, until
from support.server import ApiServer

KINDS = ("nothing", "journaled", "journaled", "journaled", "backtest", "sweep", "sleeping")
TORMENTS = (
    "kill run",
    "kill run",
    "kill worker",
    "stop worker",
    "kill fork server",
    "stop fork server",
    "kill api",
    "doorbells",
)
EXPLAINED = {
    "lease lost",  # of a worker that was stopped
    "no fork server",  # it was killed
    "database trouble",  # only where a database was restarted
    "event stream waits for the database",
    "worker claims nothing",
}  # fmt: skip


def plan(
    rng: random.Random, seconds: float, pauses: tuple[float, float], what: tuple[str, ...]
) -> list[tuple[float, str]]:
    """Answer what happens when: the same for the same seed."""
    moments, now = [], rng.uniform(*pauses)
    while now < seconds:
        moments.append((now, rng.choice(what)))
        now += rng.uniform(*pauses)
    return moments


class Endurance:
    """One long test over an engine."""

    def __init__(self, engine: Engine, path: Path, seconds: float, seed: int, per_second: float = 1.0) -> None:
        self.engine, self.path, self.seconds, self.seed = engine, path, seconds, seed
        self.submissions = plan(random.Random(seed), seconds, (0.2 / per_second, 1.8 / per_second), KINDS)
        self.torments = plan(random.Random(seed + 1), seconds, (2.0, 12.0), TORMENTS)
        self.apis = [ApiServer(engine.settings.data_dir) for _ in range(2)]
        self.done: Counter[str] = Counter()
        self.submitted: list[str] = []
        self.samples: list[dict] = []
        self.streamed = 0
        self.failure: BaseException | None = None

    def run(self) -> dict:
        """Go through with it; raises AssertionError when a promise is broken, and answers figures."""
        faults.make_bars(self.engine)
        for api in self.apis:
            api.start()
        self.steady = self.engine.start_worker()
        self.victim = self.engine.start_worker()
        self.started = time.monotonic()
        threads = [threading.Thread(target=self._guarded, args=(part,)) for part in
                   (self._drive, self._torment, self._stream, self._measure)]  # fmt: skip
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failure is not None:
            raise self.failure
        try:
            return self._verdict()
        finally:
            for api in self.apis:
                api.kill()

    def _guarded(self, part) -> None:
        try:
            part()
        except BaseException as error:
            self.failure = self.failure or error

    def _left(self) -> float:
        return 0.0 if self.failure else self.seconds - (time.monotonic() - self.started)

    def _until(self, moment: float) -> bool:
        """Wait for a moment of the plan; False when the test is over."""
        while time.monotonic() - self.started < moment:
            if self._left() <= 0:
                return False
            time.sleep(min(0.1, max(0.0, moment - (time.monotonic() - self.started))))
        return self._left() > 0

    # --- the driver

    def _drive(self) -> None:
        rng = random.Random(self.seed + 2)
        for moment, kind in self.submissions:
            if not self._until(moment):
                break
            run = patiently(lambda kind=kind: self.engine.submit(kind, self._params(kind, rng)))
            self.submitted.append(run.id)
            chance = rng.random()
            victim = run.id if kind == "sleeping" else rng.choice(self.submitted[-8:])
            if chance < 0.25 or kind == "sleeping":
                patiently(lambda victim=victim, keep=chance < 0.15: self.engine.service.cancel(LOCAL, victim, keep))
            elif chance < 0.30:
                now = self.engine.service.get(LOCAL, victim)
                if now.state in ("failed", "cancelled") and now.kind != "sleeping":
                    self.submitted.append(retry_or_resume(self.engine, victim).id)

    def _params(self, kind: str, rng: random.Random) -> dict:
        if kind == "backtest":
            return faults.backtest_params() | {"symbols": ["SHORT"]}
        if kind == "sweep":
            return faults.sweep_params() | {
                "grid": {"fast_period": [5, 9, 12], "slow_period": {"low": 50, "high": 90, "step": 5}}
            }
        return {"count": rng.randint(1, 60), "seconds": 0.02, "journal": str(self.path)}

    # --- the tormentor

    def _torment(self) -> None:
        rng = random.Random(self.seed + 3)
        for moment, what in self.torments:
            if not self._until(moment):
                break
            self.done[what] += 1
            getattr(self, "_" + what.replace(" ", "_"))(rng)

    def _kill_run(self, rng: random.Random) -> None:
        active = [run for run in patiently(lambda: self.engine.store.queue().active) if run.pid]
        if active:
            with contextlib.suppress(ProcessLookupError):
                os.kill(rng.choice(active).pid, signal.SIGKILL)

    def _kill_worker(self, _: random.Random) -> None:
        self.victim.kill()
        self.victim.wait()
        self.victim = self.engine.start_worker(waits=False)

    def _stop_worker(self, rng: random.Random) -> None:
        self.victim.send_signal(signal.SIGSTOP)
        time.sleep(rng.uniform(0.5, 2.0) * self.engine.settings.lease_seconds)
        self.victim.send_signal(signal.SIGCONT)

    def _kill_fork_server(self, _: random.Random) -> None:
        for server in self._fork_servers():
            server.kill()

    def _stop_fork_server(self, _: random.Random) -> None:
        for server in self._fork_servers():
            server.suspend()

    def _fork_servers(self) -> list[psutil.Process]:
        found = []
        for child in psutil.Process(self.victim.pid).children():
            with contextlib.suppress(psutil.Error):
                if "pitboss.worker.forkserver" in child.cmdline():
                    found.append(child)
        return found

    def _kill_api(self, _: random.Random) -> None:
        self.apis[1].kill()
        self.apis[1].start()

    def _doorbells(self, _: random.Random) -> None:
        for _ in range(100):
            faults.ring(self.engine.settings.data_dir)

    # --- the listeners

    def _stream(self) -> None:
        """Follow one run in four, each over both servers with connections that drop."""
        asyncio.run(self._follow_all())

    async def _follow_all(self) -> None:
        followed: dict[str, tuple[Stream, asyncio.Task]] = {}
        while self._left() > 0 or any(not task.done() for _, task in followed.values()):
            for run_id in self.submitted[::4]:
                if run_id not in followed and self._left() > 0:
                    stream = Stream(run_id, [api.port for api in self.apis], random.Random(run_id), (0.2, 5.0))
                    followed[run_id] = (stream, asyncio.create_task(stream.follow()))
            await asyncio.sleep(0.25)
            for run_id, (stream, task) in followed.items():
                if task.done() and stream.connections:
                    task.result()
                    stream.connections = 0
                    await asyncio.to_thread(self._compare, run_id, stream)
            assert self._left() > -180, "streams do not end"

    def _compare(self, run_id: str, stream: Stream) -> None:
        truth = [(event.seq, event.type) for event in self.engine.service.events(LOCAL, run_id, limit=100_000)]
        if [seq for seq, _ in truth] == list(range(1, len(truth) + 1)):  # not thinned meanwhile
            assert stream.events == truth, run_id
        self.streamed += 1

    # --- figures

    def _measure(self) -> None:
        while self._left() > 0:
            self._until(time.monotonic() - self.started + min(15.0, self.seconds / 8))
            Pruner(self.engine.platform.database, self.engine.platform.files, 60.0).prune()
            assert self.steady.poll() is None
            assert self.apis[0].process.poll() is None
            self.samples.append({
                "at": round(time.monotonic() - self.started), "worker": self._size(self.steady.pid),
                "api": self._size(self.apis[0].process.pid), "database": self._database_bytes(),
                "runs": len(self.submitted),
            })  # fmt: skip

    def _size(self, pid: int) -> dict:
        process = psutil.Process(pid)
        return {"rss": process.memory_info().rss, "fds": process.num_fds()}

    def _database_bytes(self) -> int:
        folder = self.engine.settings.data_dir
        return sum(path.stat().st_size for path in folder.glob("pitboss.db*"))

    # --- the verdict

    def _verdict(self) -> dict:
        self.victim.send_signal(signal.SIGCONT)
        until(
            lambda: not self.engine.store.queue().queued and not self.engine.store.queue().active, 180, "all runs end"
        )
        runs = every_run(self.engine)
        assert {run.id for run in runs} >= set(self.submitted)
        states = Counter(run.state.value for run in runs)
        for run in runs:
            assert run.state.is_terminal
            assert run.state != "failed" or "killed by signal 9" in run.error["message"] or run.kind == "sleeping", (
                run.error
            )
            if self._is_whole(run):
                check_log(self.engine, run)
        attempts = journal.assert_no_overlap(self.path)
        # work may be done again when its end was not yet recorded; an end is recorded once: `check_log`
        finished_again = sum(count > 1 for count in journal.finishes(self.path).values())
        unexplained = [line for line in self._complaints() if line["event"] not in EXPLAINED]
        assert not unexplained, unexplained[:3]
        return {"seconds": self.seconds, "runs": len(runs), **states, "attempts": attempts, "done_again": finished_again, "streams": self.streamed,
                "torments": dict(self.done), "complaints": dict(Counter(line["event"] for line in self._complaints())),
                **self._growth()}  # fmt: skip

    def _is_whole(self, run) -> bool:
        events = self.engine.service.events(LOCAL, run.id, limit=100_000)
        return len(events) == run.last_seq

    def _complaints(self) -> list[dict]:
        """Answer the log lines that are more than information."""
        found = []
        for name in ("worker.log", "serve.log"):
            for line in (self.engine.settings.data_dir / name).read_text().splitlines():
                if line.startswith("{"):
                    said = json.loads(line)
                    if said["level"] in ("warning", "error", "critical"):
                        found.append(said)
                elif not line.startswith("pitboss serves"):
                    found.append({"event": line})
        return found

    def _growth(self) -> dict:
        """Answer how much memory and descriptors grew after the first eighth (five of forty minutes)."""
        settled = self.samples[len(self.samples) // 8 :]
        first, last = settled[0], settled[-1]
        figures: dict = {"database_mb": [round(s["database"] / 1e6, 1) for s in (first, last)]}
        for who in ("worker", "api"):
            figures[who] = {
                "rss_mb": [round(s[who]["rss"] / 1e6, 1) for s in (first, last)],
                "growth": round(last[who]["rss"] / first[who]["rss"] - 1, 3),
                "fds": [s[who]["fds"] for s in (first, last)],
            }
        return figures
