"""The torments of `script/faults` in short."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from faults import scenarios, streams
from faults.endurance import Endurance
from support.engine import Engine
from support.server import free_port
from support.servers import PostgresServer


def test_a_worker_killed_under_load_loses_nothing(tmp_path):
    with Engine(tmp_path, slots=3) as engine:
        assert scenarios.kill_workers(engine, tmp_path / "journal", 4, seed=1, within=9.0)["kills"] == 4


def test_cancels_that_race_leave_one_end_each(tmp_path):
    with Engine(tmp_path, slots=4) as engine:
        outcome = scenarios.race_cancels(engine, tmp_path / "journal", 120, seed=1)
        assert outcome["cancelled"] > 0
        assert outcome["slowest"] < 5


def test_a_database_that_restarts_loses_nothing(tmp_path):
    folder = Path("/tmp") / f"pitboss-database-{os.getpid()}"
    postgres = PostgresServer(folder, free_port())
    postgres.start()
    with Engine(tmp_path, database_url=postgres.url(), slots=6) as engine:
        outcome = scenarios.restart_database(engine, postgres, tmp_path / "journal", 10, 15, seed=1, pauses=(1, 3))
        assert outcome["runs"] >= 15
    postgres.stop("immediate")
    shutil.rmtree(folder, ignore_errors=True)


def test_streams_over_two_servers_tell_everything_once(tmp_path):
    with Engine(tmp_path) as engine:
        outcome = streams.fan_out(engine, clients=60, runs=20, seconds=4, seed=1, life=(0.2, 3.0))
        assert outcome["connections"] > 60


def test_a_storm_of_reconnects_is_answered_and_readers_that_stop_cost_little(tmp_path):
    with Engine(tmp_path) as engine:
        told = streams.storm(engine, clients=150, runs=10, events=400, seed=1)
        assert told["memory_mb_more"] < 60, told
        told = streams.stalled(engine, readers=20, events=10_000)
        assert told["memory_mb_more"] < 60, told
        assert told["another_seconds"] < 2.0, told


def test_everything_at_once(tmp_path):
    with Engine(tmp_path, lease_seconds=4.0, renew_seconds=0.8, slots=3) as engine:
        outcome = Endurance(engine, tmp_path / "journal", 25, seed=3, per_second=2.0).run()
        assert outcome["completed"] > 0
        assert sum(outcome["torments"].values()) > 1
