"""The API under load: 64 connections that ask for runs, lists and the queue, one question after the other each."""

from __future__ import annotations

import selectors
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from before import checked_out, python_of
from table import Row

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.engine import Engine
from support.server import Server

CONNECTIONS, SECONDS, WARM_UP = 64, 4.0, 0.5
LEAST = {"GET /runs/{id}": 2000}  # a second


def rows():
    with tempfile.TemporaryDirectory(dir="/tmp") as folder, Engine(Path(folder), slots=2) as engine:
        worker = engine.start_worker()
        runs = [engine.submit("nothing") for _ in range(60)]
        for run in runs:
            engine.wait(run)
        worker.terminate()
        worker.wait()
        for _ in range(50):
            engine.submit("nothing")
        questions = {
            "GET /runs/{id}": [f"/api/v1/runs/{run.id}" for run in runs],
            "GET /runs, 50 of them": ["/api/v1/runs?limit=50"],
            "GET /queue, 50 wait": ["/api/v1/queue"],
        }
        now = asked(Server(engine.settings.data_dir), questions)
        before = {}
        if checked_out(source := Path(folder) / "before"):
            server = Server(engine.settings.data_dir)
            server.python = python_of(source)
            before = asked(server, questions)
    for name, (rate, p99) in now.items():
        what = f"{name} at {CONNECTIONS} connections"
        if name in LEAST:
            yield Row(what, rate, "/s", LEAST[name], "limit", more_is_better=True)
        yield Row(f"{what}, p99", p99, "ms", 50 if name in LEAST else 100, "limit")
        if name in before:
            was_rate, was_p99 = before[name]
            yield Row(what, rate, "/s", was_rate, "the version before", more_is_better=True)
            yield Row(f"{what}, p99", p99, "ms", was_p99, "the version before")


def asked(server, questions):
    """Start a server and answer its figures by question."""
    with server:
        return {name: loaded(server.port, paths) for name, paths in questions.items()}


def loaded(port, paths, key="none"):
    """Answer requests a second and the 99th percentile in ms, as another process sees them."""
    command = [sys.executable, __file__, str(port), key, *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rate, p99 = map(float, done.stdout.split())
    return rate, p99


def main(port, key, paths):
    waiting = selectors.DefaultSelector()
    head = f"HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n"
    requests = [f"GET {path} {head}".encode() for path in paths]
    sent = {}
    for number in range(CONNECTIONS):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting.register(connection, selectors.EVENT_READ, number)
    start = time.perf_counter()
    for key in list(waiting.get_map().values()):
        sent[key.fileobj] = [time.perf_counter(), b"", key.data]
        key.fileobj.sendall(requests[key.data % len(requests)])
    taken = []
    while (now := time.perf_counter()) < start + WARM_UP + SECONDS:
        for key, _ in waiting.select(0.1):
            state = sent[key.fileobj]
            state[1] += key.fileobj.recv(1 << 20)
            if not is_whole(state[1]):
                continue
            assert state[1].startswith(b"HTTP/1.1 200"), state[1][:200]
            done = time.perf_counter()
            if now > start + WARM_UP:
                taken.append(done - state[0])
            sent[key.fileobj] = [done, b"", state[2] + CONNECTIONS]
            key.fileobj.sendall(requests[state[2] % len(requests)])
    print(len(taken) / SECONDS, 1e3 * statistics.quantiles(taken, n=100)[98])


def is_whole(answer):
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    lower = head.lower()
    at = lower.index(b"content-length:") + 15
    return len(body) >= int(lower[at:].split(b"\r\n", 1)[0])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
