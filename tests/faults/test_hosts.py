"""Several hosts: namespaces of this machine's network, each with a name, and one with another idea of the time."""

from __future__ import annotations

import os
import shutil
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from faults import journal
from faults.scenarios import check_log
from support.engine import Engine, is_gone, until
from support.privileges import may_make_hosts, needs
from support.server import free_port
from support.servers import Hosts, PostgresServer

pytestmark = needs(may_make_hosts(), "namespaces of the network need root on Linux, and iproute2")
LEASE = 4.0


@pytest.fixture
def cluster(tmp_path_factory):
    """Two hosts and a PostgreSQL that both reach."""
    folder = Path("/tmp") / f"pitboss-hosts-{os.getpid()}"
    with Hosts("hosta", "hostb") as hosts:
        postgres = PostgresServer(folder, free_port(), hosts.address)
        postgres.start()
        data_dir = tmp_path_factory.mktemp("data")
        with Engine(data_dir, database_url=postgres.url(), lease_seconds=LEASE, renew_seconds=0.5) as engine:
            yield engine, hosts
        postgres.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


def test_a_host_cut_off_loses_its_runs_before_its_lease_ends_and_writes_nothing_later(cluster, tmp_path):
    engine, hosts = cluster
    path = tmp_path / "journal"
    engine.start_worker(on=lambda command: hosts.command("hosta", command))
    run = engine.submit("journaled", {"count": 180, "seconds": 0.05, "journal": str(path)})
    first = engine.wait_progress(run, "stepping", 5)
    until(lambda: engine.store.checkpoints(run.id), 10, "it has saved its state")
    engine.start_worker(on=lambda command: hosts.command("hostb", command))
    assert {worker.host for worker in engine.service.workers()} == {"hosta", "hostb"}
    hosts.cut("hosta")
    cut = time.monotonic()
    until(lambda: is_gone(first.pid), LEASE, "its child is dead before the lease ends")
    dead = time.monotonic() - cut
    second = engine.wait_attempt(run, 2, seconds=LEASE + 20)  # two seconds on an idle machine
    assert dead < time.monotonic() - cut
    assert second.worker_id != first.worker_id
    hosts.join("hosta")
    ended = engine.wait(run, seconds=60)
    assert (ended.state, ended.attempt, ended.worker_id) == ("completed", 2, second.worker_id)
    check_log(engine, ended)
    assert journal.assert_no_overlap(path) == 2
    until(lambda: all(w.silent_seconds < 2 for w in engine.service.workers()), 20, "the host is back")
    assert len(engine.service.workers()) == 2
    again = [engine.submit("steps", {"count": 20, "seconds": 0.05}) for _ in range(4)]
    assert {engine.wait(run).worker_id for run in again} == {first.worker_id, second.worker_id}


def test_clocks_ten_minutes_apart_steal_no_lease(cluster, tmp_path):
    engine, hosts = cluster
    found = find_spec("libfaketime")
    assert found, "libfaketime is not installed"
    library = next(Path(found.submodule_search_locations[0]).rglob("libfaketime.so.1"))
    path = tmp_path / "journal"
    for name, shift in (("hosta", "+600"), ("hostb", "-600")):
        engine.start_worker(
            on=lambda command, name=name: hosts.command(name, command),
            LD_PRELOAD=str(library), FAKETIME=shift, DONT_FAKE_MONOTONIC="1",
        )  # fmt: skip
    runs = [engine.submit("journaled", {"count": 80, "seconds": 0.05, "journal": str(path)}) for _ in range(4)]
    ended = [engine.wait(run, seconds=60) for run in runs]
    assert [(run.state, run.attempt) for run in ended] == [("completed", 1)] * 4
    assert {run.worker_id for run in ended} == {worker.id for worker in engine.service.workers()}
    assert journal.assert_no_overlap(path) == 4
    now = time.time()
    assert all(now - 120 < run.started_at < now + 5 for run in ended), "the database's clock is what is written down"
