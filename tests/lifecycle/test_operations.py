"""What an operator does: drain, upgrade, move to PostgreSQL, keep files in a bucket, back up, prune."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import fsspec
import pytest
import sqlalchemy as sa

from pitboss.bootstrap import open_platform
from pitboss.core.places import run_log
from pitboss.core.principal import LOCAL
from pitboss.core.settings import load_settings
from pitboss.runs.submission import Submission
from pitboss.storage.database import Database
from pitboss.storage.migrate import HEAD, KNOWN, schema_version
from support import faults
from support.engine import Engine, until
from support.postgres import new_postgres_database
from support.server import free_port, pitboss
from support.servers import S3Server


@pytest.fixture
def engine(tmp_path):
    with Engine(tmp_path) as engine:
        yield engine


def test_draining_finishes_what_runs_and_leaves_what_waits(engine):
    worker = engine.start_worker()
    running = [engine.submit("steps", {"count": 100, "seconds": 0.05}) for _ in range(2)]
    for run in running:
        engine.wait_progress(run, "stepping", 2)
    waiting = engine.submit("nothing")
    done = pitboss("worker", "--drain", data_dir=engine.settings.data_dir)
    assert (done.returncode, done.stdout) == (0, "1 workers have ended\n")
    assert worker.wait(timeout=5) == 0
    assert [engine.service.get(LOCAL, run.id).attempt for run in running] == [1, 1]
    assert all(engine.service.get(LOCAL, run.id).state == "completed" for run in running)
    assert engine.service.get(LOCAL, waiting.id).state == "queued"
    assert pitboss("worker", "--drain", data_dir=engine.settings.data_dir).stdout == "No worker was running.\n"
    engine.start_worker()
    assert engine.wait(waiting).state == "completed"


def test_the_list_of_workers_shows_where_what_runs(engine):
    assert "No worker is running" in pitboss("worker", "list", data_dir=engine.settings.data_dir).stdout
    worker = engine.start_worker()
    run = engine.submit("steps", {"count": 100, "seconds": 0.05})
    engine.wait_progress(run, "stepping", 1)
    (told,) = json.loads(pitboss("worker", "list", "--json", data_dir=engine.settings.data_dir).stdout)
    assert (told["pid"], told["runs"]) == (worker.pid, [run.id])
    assert (told["capacity"], told["busy"]) == ({"default": 2, "session": 50}, {"default": 1})
    shown = pitboss("worker", "list", data_dir=engine.settings.data_dir).stdout
    assert "1 of 2 default" in shown
    assert run.id[-8:] in shown


def set_schema(database, version):
    with database.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :v"), {"v": version})


def test_a_worker_that_is_older_than_the_schema_claims_nothing_and_says_why(engine):
    engine.start_worker()
    database = engine.platform.database
    busy = engine.submit("steps", {"count": 60, "seconds": 0.05})
    engine.wait_progress(busy, "stepping", 1)
    set_schema(database, "9999")
    until(lambda: any(w.note for w in engine.service.workers()), 5, "the worker says why it claims nothing")
    run = engine.submit("nothing")
    assert "schema 9999" in engine.service.place(run).waiting_reason
    assert engine.wait(busy).state == "completed", "what runs is finished"
    assert engine.service.get(LOCAL, run.id).state == "queued"
    set_schema(database, HEAD)
    assert engine.wait(run).state == "completed"


def test_a_command_that_is_older_than_the_schema_refuses(tmp_path):
    with Engine(tmp_path) as engine:
        set_schema(engine.platform.database, "9999")
    refused = pitboss("runs", "list", data_dir=tmp_path)
    assert refused.returncode == 5
    assert "newer than this program" in refused.stderr


def test_runs_that_were_queued_before_a_migration_are_run_after_it(tmp_path):
    """A database of the first release, with a run in its queue, taken over by this program."""
    from alembic import command
    from alembic.config import Config

    import pitboss.storage.migrate as migrate

    database = Database(f"sqlite:///{tmp_path / 'pitboss.db'}")
    config = Config()
    config.set_main_option("script_location", str(migrate.__file__).replace("migrate.py", "migrations"))
    with database.writing() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, KNOWN[0])
    with database.writing() as connection:
        connection.execute(sa.text("INSERT INTO subjects VALUES ('test/nothing', 1)"))
        connection.execute(
            sa.text(
                "INSERT INTO runs (id, number, kind, subject, owner, state, priority, tags, params, snapshot, options, attempt,"
                " partial, last_seq, created_at, queued_at) VALUES ('old', 1, 'nothing', 'test/nothing', 'local', 'queued', 0,"
                " '[]', '{}', '{}', '{}', 1, 0, 1, 1.0, 1.0)"
            )
        )
        connection.execute(
            sa.text("INSERT INTO run_events VALUES ('old', 1, 1.0, 'queued', NULL, '{\"priority\": 0}')")
        )
    assert schema_version(database) == KNOWN[0]
    database.close()
    with Engine(tmp_path) as engine:
        assert schema_version(engine.platform.database) == HEAD
        engine.start_worker()
        assert engine.wait(engine.service.get(LOCAL, "old")).state == "completed"
        engine.events(engine.service.get(LOCAL, "old"))


def test_a_folder_moves_to_postgresql_with_all_its_runs(engine, postgres_url):
    faults.make_bars(engine)
    engine.start_worker()
    run = engine.wait(engine.submit("backtest", faults.backtest_params() | {"symbols": ["SHORT"]}))
    data_dir = engine.settings.data_dir
    assert pitboss("worker", "--drain", data_dir=data_dir).returncode == 0
    address = new_postgres_database(postgres_url)
    copied = pitboss("db", "copy", "--to", address, "--json", data_dir=data_dir)
    assert copied.returncode == 0, copied.stderr
    assert json.loads(copied.stdout)["runs"]["rows"] == 1
    refused = pitboss("db", "copy", "--to", address, data_dir=data_dir)
    assert (refused.returncode, "empty database" in refused.stderr) == (4, True)
    environment = os.environ | {"PITBOSS_DATABASE_URL": address}
    shown = pitboss("runs", "show", run.id, "--json", data_dir=data_dir, env=environment)
    assert json.loads(shown.stdout)["result"] == run.result
    checked = pitboss("db", "check", data_dir=data_dir, env=environment)
    assert (checked.returncode, "in order" in checked.stdout) == (0, True)


def test_a_backup_taken_while_runs_go_on_is_restored_and_they_go_on(engine, tmp_path):
    faults.make_bars(engine)
    engine.start_worker()
    done = engine.wait(engine.submit("backtest", faults.backtest_params() | {"symbols": ["SHORT"]}))
    sweep = engine.submit("sweep", faults.sweep_params())
    engine.wait_progress(sweep, "sweeping", 100)
    until(lambda: engine.store.checkpoints(sweep.id), 10, "the sweep has saved its state")
    backup = tmp_path / "backup.tar"
    pid = engine.service.get(LOCAL, sweep.id).pid
    os.kill(pid, signal.SIGSTOP)  # so that it is not over before the backup is taken
    taken = pitboss("db", "backup", backup, data_dir=engine.settings.data_dir)
    os.kill(pid, signal.SIGCONT)
    assert taken.returncode == 0, taken.stderr
    whole = engine.wait(sweep, seconds=60)
    target = tmp_path / "restored"
    restored = pitboss("db", "restore", backup, data_dir=target)
    assert restored.returncode == 0, restored.stderr
    assert pitboss("db", "restore", backup, data_dir=target).returncode == 4, "only into an empty database"
    with Engine(target) as other:
        assert other.service.get(LOCAL, done.id) == done
        with other.platform.database.writing() as connection:  # the lease ends in fifteen seconds; here at once
            connection.execute(sa.text("UPDATE runs SET lease_until = 1 WHERE state = 'running'"))
        other.start_worker()
        ended = other.wait(sweep, seconds=60)
        assert (ended.state, ended.attempt) == ("completed", 2)
        assert faults.digests(other, sweep) == faults.digests(engine, whole)


@pytest.mark.parametrize("command", ["db backup b.tar", "db check", "db copy --to sqlite:///x.db", "worker --drain"])
def test_a_folder_without_a_database_is_refused_and_none_is_made(tmp_path, command):
    refused = pitboss(*command.split(), data_dir=tmp_path / "nowhere", cwd=tmp_path)
    assert refused.returncode != 0
    assert "there is no database at" in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_looks_at_the_database_that_is_set(tmp_path):
    environment = os.environ | {"PITBOSS_DATABASE_URL": f"sqlite:///{tmp_path / 'elsewhere.db'}"}
    assert "none yet" in pitboss("doctor", data_dir=tmp_path / "data", env=environment).stdout
    pitboss("db", "migrate", data_dir=tmp_path / "data", env=environment)
    assert f"schema {HEAD}" in pitboss("doctor", data_dir=tmp_path / "data", env=environment).stdout


def test_a_worker_thins_the_progress_of_what_has_ended(tmp_path):
    def types() -> list[str]:
        return [event.type for event in engine.service.events(LOCAL, run.id)]

    with Engine(tmp_path, thin_seconds=0.0) as engine:
        worker = engine.start_worker()
        run = engine.wait(engine.submit("steps", {"count": 30, "seconds": 0.03}))
        told = types()
        worker.terminate()
        worker.wait()
        engine.start_worker()  # it looks when it starts, and every minute
        until(lambda: types().count("progress") == 1, 10, "the progress is thinned but for its last")
        assert told.count("progress") > 1
        assert [name for name in types() if name != "progress"] == [name for name in told if name != "progress"]


def test_old_runs_are_pruned_and_their_events_still_read(engine):
    engine.start_worker()
    run = engine.wait(engine.submit("steps", {"count": 30, "seconds": 0.03}))
    broken = engine.wait(engine.submit("broken"))
    logs = [run_log(engine.settings.data_dir, each.id) for each in (run, broken)]
    until(lambda: [log.exists() for log in logs] == [False, True], 5, "an empty log is removed")
    refused = pitboss("runs", "prune", "--older-than", "soon", data_dir=engine.settings.data_dir)
    assert (refused.returncode, "no duration" in refused.stderr) == (2, True)
    told = json.loads(
        pitboss("runs", "prune", "--older-than", "0d", "--json", data_dir=engine.settings.data_dir).stdout
    )
    assert told["runs"] == 2
    assert told["files"] == 2, "an artifact and a log"
    assert not logs[1].exists()
    assert engine.service.artifacts(LOCAL, run.id) == []
    watched = pitboss("runs", "watch", run.id, "--json", data_dir=engine.settings.data_dir)
    assert json.loads(watched.stdout.splitlines()[-1])["type"] == "completed"


def test_a_pruned_database_shrinks(engine):
    worker = engine.start_worker()
    engine.wait(engine.submit("steps", {"count": 20_000, "seconds": 0.0}), seconds=120)
    worker.terminate()
    worker.wait()
    with sqlite3.connect(engine.settings.data_dir / "pitboss.db") as connection:
        connection.execute("DELETE FROM run_events WHERE type = 'item_completed'")
    connection.close()
    size = sum(file.stat().st_size for file in engine.settings.data_dir.glob("pitboss.db*"))
    done = pitboss("runs", "prune", "--older-than", "0d", data_dir=engine.settings.data_dir)
    assert done.returncode == 0, done.stderr
    assert (engine.settings.data_dir / "pitboss.db").stat().st_size < size / 4


@pytest.fixture
def bucket(monkeypatch):
    server = S3Server(free_port())
    server.start()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    system, _ = fsspec.core.url_to_fs("s3://pitboss", skip_instance_cache=True)
    system.mkdir("pitboss")
    yield "s3://pitboss/data"
    server.kill()


def test_bars_results_and_checkpoints_live_in_a_bucket(tmp_path, bucket):
    with Engine(tmp_path / "one", files_url=bucket, checkpoint_seconds=0.2) as engine:
        faults.make_bars(engine)
        engine.start_worker()
        whole = engine.wait(engine.submit("sweep", faults.sweep_params()), seconds=60)
        run = engine.submit("sweep", faults.sweep_params())
        engine.wait_progress(run, "sweeping", 200)
        until(lambda: engine.store.checkpoints(run.id), 10, "the sweep has saved its state")
        os.kill(engine.service.get(LOCAL, run.id).pid, 9)
        ended = engine.wait(run, seconds=60)
        assert (ended.state, ended.attempt) == ("completed", 2), ended.error
        assert faults.digests(engine, run) == faults.digests(engine, whole)
        assert not (tmp_path / "one" / "artifacts").exists()
        names = engine.platform.files.names("artifacts")
        assert f"artifacts/{run.id}/variants.parquet" in names
        until(lambda: not engine.platform.files.names("checkpoints"), 5, "spent checkpoints are removed")
        environment = os.environ | {"PITBOSS_FILES_URL": bucket}
        exported = pitboss("runs", "export", run.id, "--what", "variants", data_dir=tmp_path / "one", env=environment)
        assert exported.returncode == 0, exported.stderr
        assert len(exported.stdout.splitlines()) == ended.result["variants"] + 1
        listed = pitboss("data", "list", data_dir=tmp_path / "two", env=environment)
        assert "LONG" in listed.stdout, "another host sees the same bars"


def test_a_bucket_that_is_away_is_said(tmp_path):
    environment = os.environ | {"PITBOSS_FILES_URL": "s3://pitboss/data", "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
                                "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}  # fmt: skip
    refused = pitboss("data", "list", data_dir=tmp_path, env=environment)
    assert refused.returncode == 5
    assert "s3://pitboss/data cannot be used" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_limits_hold_under_a_race_of_workers(tmp_path):
    with Engine(tmp_path, slots=4, max_concurrent=5, kind_limits={"steps": 2}, owner_limit=4) as engine:
        for _ in range(4):
            engine.start_worker(waits=False)
        runs = [engine.submit("steps" if i % 2 else "careful_steps",
                              {"count": 8, "seconds": 0.03, "journal": str(tmp_path / "j")}) for i in range(24)]  # fmt: skip
        most, most_steps = 0, 0
        deadline = time.monotonic() + 60
        while engine.store.queue().queued or engine.store.queue().active:
            assert time.monotonic() < deadline
            active = engine.store.queue().active
            most = max(most, len(active))
            most_steps = max(most_steps, sum(run.kind == "steps" for run in active))
        assert (most, most_steps) == (4, 2)
        assert all(engine.service.get(LOCAL, run.id).state == "completed" for run in runs)


def test_two_servers_without_workers_ring_for_those_elsewhere(tmp_path):
    settings = load_settings(data_dir=tmp_path, local_worker=False)
    platform = open_platform(settings)
    faults.make_bars(platform_holder := Holder(platform))
    command = [sys.executable, "-m", "pitboss.cli.main", "serve", "--no-worker", "--data-dir", str(tmp_path)]
    servers = [subprocess.Popen([*command, "--port", str(free_port())], stderr=subprocess.DEVNULL) for _ in range(2)]
    try:
        run = platform.service.submit(
            LOCAL, Submission(kind="backtest", params=faults.backtest_params() | {"symbols": ["SHORT"]})
        )
        platform.launcher.ensure()
        time.sleep(1.0)
        assert platform.service.workers() == []
        assert platform.service.place(run).waiting_reason == "no worker is running"
        worker = subprocess.Popen([*command[:3], "worker", "--data-dir", str(tmp_path)], stderr=subprocess.DEVNULL)
        until(lambda: platform.service.get(LOCAL, run.id).state == "completed", 20, "the worker does it")
        worker.terminate()
        assert worker.wait(timeout=10) == 0
    finally:
        for server in servers:
            server.terminate()
            server.wait(timeout=10)
        platform_holder.platform.close()


class Holder:
    """As much of an engine as making bars needs."""

    def __init__(self, platform) -> None:
        self.platform = platform
