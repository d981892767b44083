"""Torments for a real engine. The test suite runs them briefly, `script/faults` in full; both check the same."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from pitboss.core.files import digest_of_file
from pitboss.core.principal import LOCAL
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.store import Nature
from pitboss.market.synth import synthesize
from pitboss.worker.doorbell import ring
from support.engine import TESTS, Engine, is_gone, marked_processes, until
from support.jobs import HOSTILE
from support.server import STRATEGY

GRID = {"fast_period": {"low": 2, "high": 41, "step": 1}, "slow_period": {"low": 50, "high": 345, "step": 5}}
SYMBOLS = ("LONG", "SHORT")


def make_bars(engine: Engine, seed: int = 1) -> None:
    """Store a series long enough for a backtest of a second, and a short one for sweeps."""
    for symbol, days in (("LONG", 5000), ("SHORT", 100)):
        frame = synthesize(parse_timeframe("5m"), datetime(2005, 1, 1, tzinfo=UTC), days, seed=seed, session="always")
        engine.platform.bars.store(frame, symbol, parse_timeframe("5m"), Nature("synthetic", is_synthetic=True))


def sweep_params() -> dict:
    return {"strategy": STRATEGY, "timeframe": "5m", "symbols": ["SHORT"], "grid": GRID}


def backtest_params() -> dict:
    return {"strategy": STRATEGY, "timeframe": "5m", "symbols": ["LONG"]}


def long_sweep_params() -> dict:
    """A sweep of minutes."""
    grid = {"fast_period": {"low": 2, "high": 61, "step": 1}, "slow_period": {"low": 100, "high": 298, "step": 2}}
    return sweep_params() | {"symbols": ["LONG"], "grid": grid}


def long_backtest_params(engine: Engine) -> dict:
    """A backtest of twelve symbols, which takes a while where it is throttled."""
    return backtest_params() | {"symbols": make_many_bars(engine, 12)}


def digests(engine: Engine, run) -> dict[str, str]:
    """Answer the digests of a run's files, as they are on the disk."""
    return {
        a.name: digest_of_file(engine.platform.files.fetch(a.path)) for a in engine.service.artifacts(LOCAL, run.id)
    }


class Throttle(threading.Thread):
    """Lets a run's process work for a hundredth of the time while it simulates: a backtest that takes minutes."""

    def __init__(self, engine: Engine, run, share: float) -> None:
        super().__init__(daemon=True)
        self.engine, self.run_id, self.share = engine, run.id, share
        self.is_over = threading.Event()

    def run(self) -> None:
        while not self.is_over.is_set():
            now = self.engine.service.get(LOCAL, self.run_id)
            if now.state.is_terminal:
                return
            if now.state != "running" or (now.progress or {}).get("stage") != "simulating":
                time.sleep(0.01)
                continue
            for _ in range(20):
                for number, seconds in ((signal.SIGSTOP, 0.1 * (1 - self.share)), (signal.SIGCONT, 0.1 * self.share)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(now.pid, number)
                    time.sleep(seconds)


def make_many_bars(engine: Engine, symbols: int) -> list[str]:
    """Store the long series under many names: a backtest of them all takes a while."""
    frame = engine.platform.bars.frame("LONG", parse_timeframe("5m"))
    names = [f"L{i}" for i in range(symbols)]
    for name in names:
        engine.platform.bars.store(frame, name, parse_timeframe("5m"), Nature("synthetic", is_synthetic=True))
    return names


def kill_runs(engine: Engine, kind: str, params: dict, kills: int, least: float, most: float, seed: int) -> dict:
    """Kill the process of one long run again and again; its files must be those of an undisturbed one."""
    rng = random.Random(seed)
    whole = engine.wait(engine.submit(kind, params), seconds=600)
    assert whole.state == "completed", whole.error
    run = engine.submit(kind, params)
    throttle = Throttle(engine, run, 0.5 if kind == "sweep" else 0.01)
    throttle.start()
    attempt = 1
    while attempt <= kills:
        started = engine.wait_attempt(run, attempt, seconds=60)
        time.sleep(rng.uniform(least, most))
        now = engine.service.get(LOCAL, run.id)
        if now.state.is_terminal:
            break
        if now.attempt == attempt and now.pid == started.pid:
            os.kill(now.pid, signal.SIGKILL)
            attempt += 1
    throttle.is_over.set()
    ended = engine.wait(run, seconds=600)
    assert ended.state == "completed", ended.error
    assert digests(engine, run) == digests(engine, whole)
    assert ended.result == whole.result
    return {"kind": kind, "kills": ended.attempt - 1}


def random_cancels(engine: Engine, count: int, seed: int) -> dict:
    """Cancel sweeps and backtests at random moments, keeping or not; answer what came of them and how fast."""
    rng = random.Random(seed)
    seconds, outcomes = [], Counter()
    for _ in range(count):
        kind, keep = rng.choice(("sweep", "backtest")), rng.random() < 0.5
        params = {"strategy": STRATEGY, "timeframe": "5m", "symbols": ["SHORT" if kind == "sweep" else "LONG"]}
        run = engine.submit(kind, params | ({"grid": GRID} if kind == "sweep" else {}))
        ring(engine.settings.data_dir)
        time.sleep(rng.random() ** 2 * 1.5)
        asked = time.monotonic()
        answer = engine.service.cancel(LOCAL, run.id, keep_partial=keep)
        ended = engine.wait(run, seconds=30)
        if answer.message == "cancel requested":
            seconds.append(time.monotonic() - asked)
            assert seconds[-1] <= 2.0, (run.id, seconds[-1])
        check_end(engine, ended, keep)
        outcomes[f"{ended.state.value}{' with partial results' if ended.partial else ''}"] += 1
    return {"cancels": count, **outcomes, "slowest_seconds": round(max(seconds, default=0), 3)}


def check_end(engine: Engine, run, keep: bool) -> None:
    """Exactly one terminal state, no process, and results where and only where they should be."""
    terminal = [e.type for e in engine.events(run) if e.type in ("completed", "failed", "cancelled")]
    assert terminal == [run.state.value], (run.id, terminal)
    assert run.state.value in ("cancelled", "completed"), run.error
    assert run.pid is None or is_gone(run.pid)
    folder = engine.settings.data_dir / "artifacts" / run.id
    if run.result is None:
        assert not run.partial
        assert not engine.service.artifacts(LOCAL, run.id)
        until(lambda: not folder.exists(), 2, "discarded files are gone")
        return
    assert run.state.value == "completed" or (keep and run.partial)
    for artifact in engine.service.artifacts(LOCAL, run.id):
        pl.read_parquet(engine.settings.data_dir / artifact.path)
    if run.kind == "sweep":
        assert len(pl.read_parquet(folder / "variants.parquet")) == run.result["variants"]
    else:
        assert len(pl.read_parquet(folder / "trades.parquet")) == run.result["trades"]


def hostile_cancels(engine: Engine, count: int) -> dict:
    """Cancel code that does not listen, two at a time; answer how long the slowest took."""
    seconds = []
    for start in range(0, count, 2):
        runs = [engine.submit(HOSTILE[(start + i) % len(HOSTILE)]) for i in range(min(2, count - start))]
        pids = [engine.wait_progress(run).pid for run in runs]
        asked = time.monotonic()
        for run in runs:
            engine.service.cancel(LOCAL, run.id, keep_partial=True)
        for run in runs:
            ended = engine.wait(run, seconds=5)
            assert (ended.state.value, ended.partial) == ("cancelled", False)
        seconds.append(time.monotonic() - asked)
        assert seconds[-1] <= 2.0, seconds[-1]
        assert all(is_gone(pid) for pid in pids)
        until(lambda: not marked_processes(), 1, "no grandchild is left")
    return {"hostile_cancels": count, "slowest_seconds": round(max(seconds), 3)}


def crowd(engine: Engine, processes: int, seconds: float, seed: int) -> dict:
    """Let many processes submit, run and cancel on one database; no error may reach any of them."""
    workers = [engine.start_worker(waits=False) for _ in range(max(1, processes // 4))]
    clients = [
        subprocess.Popen(
            [sys.executable, "-m", "support.faults", str(engine.settings.data_dir), str(seconds), str(seed + i)],
            cwd=TESTS, env=os.environ | {"PYTHONPATH": str(TESTS)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for i in range(processes - len(workers))
    ]  # fmt: skip
    submitted = []
    for client in clients:
        out, complaints = client.communicate(timeout=seconds + 120)
        assert client.returncode == 0, complaints
        submitted += json.loads(out)
    for run_id in submitted:
        until(lambda run_id=run_id: engine.service.get(LOCAL, run_id).state.is_terminal, 120, f"{run_id} ends")
    outcomes = Counter()
    for run_id in submitted:
        run = engine.service.get(LOCAL, run_id)
        outcomes[run.state.value] += 1
        engine.events(run)
    assert "failed" not in outcomes, outcomes
    log = (engine.settings.data_dir / "worker.log").read_text()
    assert "locked" not in log
    assert "database trouble" not in log, [line for line in log.splitlines() if "trouble" in line][:3]
    return {"processes": processes, "seconds": seconds, "runs": len(submitted), **outcomes}


def be_one_of_the_crowd(data_dir: Path, seconds: float, seed: int) -> list[str]:
    """Submit, watch and cancel short runs until the time is up; answer their ids."""
    rng = random.Random(seed)
    submitted = []
    with Engine(data_dir) as engine:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            run = engine.submit("steps", {"count": rng.randint(1, 20), "seconds": 0.005})
            submitted.append(run.id)
            if rng.random() < 0.4:
                time.sleep(rng.random() * 0.2)
                engine.service.cancel(LOCAL, rng.choice(submitted[-5:]), keep_partial=rng.random() < 0.5)
            if rng.random() < 0.3:
                engine.service.events(LOCAL, rng.choice(submitted))
                engine.service.places()
            # a client waits for its runs now and then, so that the queue does not outgrow the workers
            while sum(not engine.service.get(LOCAL, run_id).state.is_terminal for run_id in submitted[-4:]) > 2:
                time.sleep(0.05)
    return submitted


def main() -> None:
    print(json.dumps(be_one_of_the_crowd(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))))


if __name__ == "__main__":
    main()
