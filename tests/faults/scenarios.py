"""What is done to the engine, and what must hold afterwards. Short in the test suite, long in `script/faults`.

Every scenario answers its figures and raises AssertionError when a promise is broken. Randomness comes from
a seed: the same seed does the same things in the same order.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil

from faults import journal
from pitboss.core.errors import Conflict, StorageUnavailable
from pitboss.core.principal import LOCAL
from pitboss.runs.model import RunQuery
from pitboss.runs.states import State
from pitboss.runs.submission import Submission
from support import faults
from support.breakable import Installation, WaitingCommand
from support.engine import Engine, is_gone, marked_processes, until

ENDS = ("completed", "failed", "cancelled")


def patiently(action: Callable, seconds: float = 60.0):
    """Do what a client does while the database is away: ask again."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except StorageUnavailable:
            assert time.monotonic() < deadline, "the database stays away"
            time.sleep(0.05)


def percentile(values: list[float], share: float) -> float:
    return round(sorted(values)[min(len(values) - 1, int(share * len(values)))], 3) if values else 0.0


def check_log(engine: Engine, run) -> None:
    """Exactly one terminal event, the last, and no gap in the numbers."""
    events = engine.events(run)
    ends = [event.type for event in events if event.type in ENDS]
    assert ends == [run.state.value], (run.id, ends)
    assert events[-1].type == run.state.value, (run.id, events[-1].type)


def kill_workers(engine: Engine, path: Path, kills: int, seed: int, within: float = 3.0) -> dict:
    """SIGKILL the worker under load, start another at once: its processes go, its runs go on, none overlaps."""
    rng = random.Random(seed)
    worker = engine.start_worker()
    params = {"seconds": 0.02, "journal": str(path)}
    slots = engine.settings.slots["default"]
    load = [engine.submit("journaled", params | {"count": 40 * kills + 200}) for _ in range(slots)]
    gone, again = [], []
    for attempt in range(1, kills + 1):
        started = [engine.wait_attempt(run, attempt, seconds=20) for run in load]
        engine.submit("nothing")  # and something in the queue
        time.sleep(rng.uniform(0.05, 0.6))
        family = psutil.Process(worker.pid).children(recursive=True)
        worker.kill()
        killed = time.monotonic()
        worker.wait()
        until(lambda family=family: all(is_gone(p.pid) for p in family), 2, "its processes are gone")
        gone.append(time.monotonic() - killed)
        assert all(is_gone(run.pid) for run in started)
        worker = engine.start_worker(waits=False)
        for run in load:
            engine.wait_attempt(run, attempt + 1, seconds=10)
        again.append(time.monotonic() - killed)
        assert again[-1] <= within, f"kill {attempt}: going again after {again[-1]:.2f} s"
    for run in load:
        engine.service.cancel(LOCAL, run.id, keep_partial=True)
        assert engine.wait(run).state == "cancelled"
        check_log(engine, engine.service.get(LOCAL, run.id))
    until(lambda: not engine.store.queue().queued and not engine.store.queue().active, 30, "the queue is done")
    attempts = journal.assert_no_overlap(path)
    assert not marked_processes()
    return {"kills": kills, "attempts": attempts, "gone_slowest": percentile(gone, 1), "again_p50": percentile(again, 0.5),
            "again_slowest": percentile(again, 1)}  # fmt: skip


def race_cancels(engine: Engine, path: Path, count: int, seed: int, users: int = 6) -> dict:
    """Cancel at random points of the life cycle, two at a time, against completion, kills and retries."""
    worker = engine.start_worker()
    outcomes: Counter[str] = Counter()
    slowest: list[float] = []
    lock = threading.Lock()

    def user(number: int) -> None:
        rng = random.Random(seed * 1000 + number)
        for _ in range(-(-count // users)):
            run, seconds = one_race(engine, path, rng)
            with lock:
                outcomes[run.state.value + (" partial" if run.partial else "")] += 1
                slowest.append(seconds)

    with ThreadPoolExecutor(users) as pool:
        for done in [pool.submit(user, number) for number in range(users)]:
            done.result()
    assert worker.poll() is None
    assert not engine.store.queue().active
    journal.assert_no_overlap(path)
    check_statistics(engine)
    return {
        "cancels": sum(outcomes.values()),
        **outcomes,
        "p99": percentile(slowest, 0.99),
        "slowest": percentile(slowest, 1),
    }


def one_race(engine: Engine, path: Path, rng: random.Random):
    """Submit one short run, cancel it twice at once at a random moment; answer it and how long its end took."""
    length = rng.choice((0, 1, 3, 10))
    kind = "nothing" if length == 0 else "journaled"
    run = engine.submit(kind, {"count": length, "seconds": 0.01, "journal": str(path)})
    time.sleep(rng.choice((0, 0.01, 0.03, 0.08, 0.15, 0.3)) * rng.random())
    if rng.random() < 0.1:
        now = engine.service.get(LOCAL, run.id)
        if now.pid and now.state is State.RUNNING:
            with contextlib.suppress(ProcessLookupError):
                os.kill(now.pid, signal.SIGKILL)
    asked = time.monotonic()
    keeps = [rng.random() < 0.5 for _ in range(2)]
    cancels = [threading.Thread(target=engine.service.cancel, args=(LOCAL, run.id, keep)) for keep in keeps]
    for cancel in cancels:
        cancel.start()
    for cancel in cancels:
        cancel.join()
    ended = wait_end(engine, run, 5.0)
    seconds = time.monotonic() - asked
    check_log(engine, ended)
    assert ended.pid is None or is_gone(ended.pid)
    assert bool(engine.service.artifacts(LOCAL, run.id)) <= (ended.state is State.COMPLETED or ended.partial)
    if rng.random() < 0.05 and ended.state is not State.COMPLETED:
        again = engine.service.retry(LOCAL, run.id)
        engine.service.cancel(LOCAL, again.id, keep_partial=True)
        check_log(engine, wait_end(engine, again, 5.0))
    return ended, seconds


def wait_end(engine: Engine, run, seconds: float):
    """Like `Engine.wait`, asking less often: many wait at once."""
    deadline = time.monotonic() + seconds
    while not (now := engine.service.get(LOCAL, run.id)).state.is_terminal:
        assert time.monotonic() < deadline, f"{run.id} is {now.state} {seconds} s after its cancel"
        time.sleep(0.03)
    return now


def check_statistics(engine: Engine) -> None:
    """Figures are over completed runs alone."""
    told = engine.figures.statistics("local")
    completed = [run for run in every_run(engine) if run.state is State.COMPLETED]
    assert told["completed"] == told["by_state"]["completed"] == len(completed)
    if completed:
        seconds = [run.ended_at - run.started_at for run in completed]
        assert abs(told["mean_seconds"] - sum(seconds) / len(seconds)) < 1e-6


def every_run(engine: Engine) -> list:
    found: list = []
    while page := engine.service.find(LOCAL, RunQuery(limit=1000, cursor=found[-1].id if found else None)):
        found += page
    return found


def restart_database(engine: Engine, postgres, path: Path, seconds: float, runs: int, seed: int,
                     pauses: tuple[float, float] = (5, 40)) -> dict:  # fmt: skip
    """Restart PostgreSQL and kill its backends at random while runs are submitted, cancelled and finished."""
    rng = random.Random(seed)
    engine.start_worker()
    end = time.monotonic() + seconds
    submitted: list[str] = []
    cancelled: set[str] = set()
    returns: list[float] = []

    def client() -> None:
        mine = random.Random(seed + 1)
        while time.monotonic() < end or len(submitted) < runs:
            key = f"{seed}-{len(submitted)}"
            params = {"count": mine.randint(1, 60), "seconds": 0.05, "journal": str(path)}
            run = patiently(
                lambda k=key, p=params: engine.service.submit(
                    LOCAL, Submission(kind="journaled", params=p, idempotency_key=k)
                )
            )
            submitted.append(run.id)
            if mine.random() < 0.3:
                victim = mine.choice(submitted[-5:])
                patiently(lambda v=victim: engine.service.cancel(LOCAL, v, keep_partial=True))
                cancelled.add(victim)
            time.sleep(max(0.05, seconds / runs * mine.uniform(0.4, 1.4)))

    thread = threading.Thread(target=client)
    thread.start()
    disturbances: Counter[str] = Counter()
    while time.monotonic() < end:
        time.sleep(min(rng.uniform(*pauses), max(0.0, end - time.monotonic())))
        what = rng.choice(("fast", "immediate", "backend", "killed"))
        disturbances[what] += 1
        disturb(postgres, what, rng)
        returns.append(started_again(engine))
    thread.join(timeout=120)
    assert not thread.is_alive()
    ended = [wait_for_end_of(engine, run_id) for run_id in submitted]
    ends = journal.finishes(path)
    for run in ended:
        assert run.state in (State.COMPLETED, State.CANCELLED), (run.id, run.error)
        check_log(engine, run)
        assert ends.get(run.id, 0) <= run.attempt, "an attempt finished twice"
        assert run.state is State.CANCELLED or ends[run.id] >= 1
        assert run.state is State.COMPLETED or run.id in cancelled
    assert len({run.id for run in ended}) == len(submitted)
    journal.assert_no_overlap(path)
    assert max(returns) <= 10.0, f"new runs started {max(returns):.1f} s after a return"
    return {"runs": len(submitted), "states": dict(Counter(run.state.value for run in ended)), **disturbances,
            "attempts_most": max(run.attempt for run in ended), "start_after_return_slowest": percentile(returns, 1)}  # fmt: skip


def disturb(postgres, what: str, rng: random.Random) -> None:
    if what == "backend":
        backends = postgres.backends()
        with contextlib.suppress(psutil.NoSuchProcess, IndexError):
            rng.choice(backends).kill()  # the whole server recovers after that
    elif what == "killed":
        postgres.kill()
        postgres.start()
    else:
        postgres.restart(what)


def started_again(engine: Engine) -> float:
    """Answer how long after the database's return a new run starts."""
    patiently(lambda: engine.store.queue())
    returned = time.monotonic()
    probe = patiently(lambda: engine.service.submit(LOCAL, Submission(kind="nothing", params={}, priority=1000)))
    until(lambda: patiently(lambda: engine.service.get(LOCAL, probe.id)).started_at, 30, "a new run starts")
    return time.monotonic() - returned


def wait_for_end_of(engine: Engine, run_id: str, seconds: float = 120.0):
    return until(
        lambda: (run := patiently(lambda: engine.service.get(LOCAL, run_id))).state.is_terminal and run,
        seconds,
        f"{run_id} ends",
    )


def retry_or_resume(engine: Engine, run_id: str):
    """Go on with an ended run as a user would."""
    try:
        return engine.service.resume(LOCAL, run_id)
    except Conflict:
        return engine.service.retry(LOCAL, run_id)


def keep_what_was_saved(engine: Engine, times: int, seed: int) -> dict:
    """Kill the worker of a sweep, then cancel that and keep: what a checkpoint holds must be among the results."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for _ in range(times):
        worker = engine.start_worker()
        run = engine.submit("sweep", faults.sweep_params())
        engine.wait_progress(run, "sweeping", 1, seconds=30)
        time.sleep(rng.uniform(0.0, 2.0))
        worker.kill()
        worker.wait()
        if rng.random() < 0.5:
            engine.start_worker(waits=False)
            time.sleep(rng.uniform(0.0, 1.5))
        saved = sum(event.type == "item_completed" for event in engine.service.events(LOCAL, run.id, limit=100_000))
        asked = time.monotonic()
        engine.service.cancel(LOCAL, run.id, keep_partial=True)
        engine.start_worker(waits=False)
        ended = engine.wait(run, seconds=30)
        slowest = max(slowest, time.monotonic() - asked)
        outcomes[f"{ended.state.value}{' with partial results' if ended.result and ended.partial else ''}"] += 1
        now = sum(event.type == "item_completed" and not event.payload.get("discarded")
                  for event in engine.service.events(LOCAL, run.id, limit=100_000))  # fmt: skip
        assert now >= saved, (run.id, saved, now)
        assert ended.state == "completed" or ended.partial == bool(now or ended.checkpointed_attempt), run.id
        for left in engine.workers:
            left.kill()
            left.wait()
    return {"sweeps": times, **outcomes, "slowest_seconds": round(slowest, 2)}


def says_why(waiting: WaitingCommand) -> bool:
    told = [line for line in waiting.said().splitlines() if line.startswith("waits: ")]
    return any(line not in ("waits: about to start", "waits: no worker is running") for line in told)


def break_starts(home: Installation, times: int, seed: int) -> dict:
    """Break starts in random ways, mend them after a random while: every command must say why, and end well."""
    rng = random.Random(seed)
    ways = [(part, how) for part in ("worker", "forks") for how in
            ("kill -SEGV $$", "kill -KILL $$", "exit 7", "set -- -S \"$@\"", "ulimit -n 8", "ulimit -v 60000")]  # fmt: skip
    assert home.pitboss("data", "synth", "-s", "SYN", "-t", "5m", "--days", 30).returncode == 0
    waits = []
    try:
        for _ in range(times):
            until(lambda: not home.processes(), 30, "nothing works on the folder")
            home.break_into(*rng.choice(ways))
            waiting = WaitingCommand(home, "backtest", home.strategy, "-s", "SYN")
            began = time.monotonic()
            until(lambda waiting=waiting: says_why(waiting), 15, "it says why")
            waits.append(time.monotonic() - began)
            time.sleep(rng.uniform(0.0, 5.0))
            home.mend()
            assert waiting.process.wait(timeout=60) == 0, waiting.said()
    finally:
        home.close()
    waits.sort()
    return {"starts": times, "told_after_seconds": [round(waits[len(waits) // 2], 2), round(waits[-1], 2)]}
