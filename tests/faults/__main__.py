"""Runs torments by name, one after the other, and prints what came of each; see `script/faults`."""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from faults import scenarios, streams
from faults.endurance import Endurance
from faults.machine import FaultyDatabase, life_cycle
from pitboss.storage.migrate import bring_up_to_date
from support import faults
from support.breakable import Installation
from support.cluster import Cluster
from support.engine import Engine
from support.hostility import cancel_hostile
from support.server import free_port
from support.servers import PgBouncer, PostgresServer


def cancels(folder: Path, chosen) -> dict:
    """500 sweeps and backtests cancelled at random moments, and 100 runs that do not listen."""
    with Engine(folder) as engine:
        faults.make_bars(engine)
        engine.start_worker()
        return faults.random_cancels(engine, 500, chosen.seed) | faults.hostile_cancels(engine, 100)


def crowd(folder: Path, chosen) -> dict:
    """Sixteen processes on one SQLite database for five minutes."""
    with Engine(folder) as engine:
        return faults.crowd(engine, 16, 300, chosen.seed)


def runs(folder: Path, chosen) -> dict:
    """A long sweep and a long backtest, each killed twenty times, every two to ten seconds."""
    figures = {}
    for kind in ("sweep", "backtest"):
        with Engine(folder / kind) as engine:
            faults.make_bars(engine)
            engine.start_worker()
            params = faults.long_sweep_params() if kind == "sweep" else faults.long_backtest_params(engine)
            figures[kind] = faults.kill_runs(engine, kind, params, 20, 2.0, 10.0, chosen.seed)
            assert figures[kind]["kills"] == 20, "it was over too soon"
    return figures


def workers(folder: Path, chosen) -> dict:
    """The worker killed a hundred times under load."""
    with Engine(folder, slots=4) as engine:
        return scenarios.kill_workers(engine, folder / "journal", 100, chosen.seed)


def races(folder: Path, chosen) -> dict:
    """Ten thousand cancels, two at a time, at random points of the life cycle."""
    with Engine(folder, slots=4) as engine:
        return scenarios.race_cancels(engine, folder / "journal", 10_000, chosen.seed)


def database(folder: Path, chosen) -> dict:
    """PostgreSQL restarted and killed for ten minutes under two hundred runs."""
    postgres = PostgresServer(folder / "postgres", free_port())
    postgres.start()
    try:
        with Engine(folder / "data", database_url=postgres.url(), slots=6) as engine:
            return scenarios.restart_database(engine, postgres, folder / "journal", 600, 200, chosen.seed)
    finally:
        postgres.stop("immediate")


def pooler(folder: Path, chosen) -> dict:
    """The same for two minutes through PgBouncer in transaction mode: apt-get install pgbouncer."""
    postgres = PostgresServer(folder / "postgres", free_port())
    bouncer = PgBouncer(folder / "pgbouncer", free_port(), postgres)
    postgres.start()
    bouncer.start()
    try:
        with Engine(folder / "data", database_url=bouncer.url, listen_url=postgres.url(), slots=6) as engine:
            return scenarios.restart_database(engine, postgres, folder / "journal", 120, 40, chosen.seed)
    finally:
        bouncer.kill()
        postgres.stop("immediate")


def broker(folder: Path, chosen) -> dict:
    """Redis killed, flushed, and unreachable for two minutes, under Celery: runs start within a second all the while."""
    cluster = Cluster(folder)
    cluster.redis.start()
    faults.make_bars(cluster)
    try:
        cluster.start_worker()
        waits = {"before": cluster.started_after(cluster.submit())}
        cluster.redis.kill()
        waits["killed"] = max(cluster.started_after(cluster.submit()) for _ in range(5))
        cluster.redis.start()
        cluster.redis.flush()
        waits["flushed"] = max(cluster.started_after(cluster.submit()) for _ in range(5))
        cluster.redis.pause()
        end, unreachable = time.monotonic() + 120, []
        while time.monotonic() < end:
            unreachable.append(cluster.started_after(cluster.submit()))
            time.sleep(3.0)
        waits["unreachable"] = max(unreachable)
        cluster.redis.resume()
        waits["after"] = max(cluster.started_after(cluster.submit()) for _ in range(5))
        assert max(waits.values()) < 1.0, waits
        return {"seconds_to_start": {name: round(seconds, 3) for name, seconds in waits.items()}}
    finally:
        cluster.close()


def machine(folder: Path, _chosen) -> dict:
    """Twenty thousand random sequences of calls, any of which may fail, on each database."""
    postgres = PostgresServer(folder / "postgres", free_port())
    postgres.start()
    figures = {}
    many = settings(max_examples=20_000, stateful_step_count=10, deadline=None, database=None,
                    suppress_health_check=list(HealthCheck))  # fmt: skip
    for name, address in (("sqlite", f"sqlite:///{folder / 'machine.db'}"), ("postgresql", postgres.url())):
        faulty = FaultyDatabase(address)
        bring_up_to_date(faulty)
        run_state_machine_as_test(life_cycle(faulty), settings=many)
        faulty.close()
        figures[name] = many.max_examples
    postgres.stop("immediate")
    return figures


def scripts(folder: Path, chosen) -> dict:
    """A hundred scripts that ignore SIGTERM, with daemons and much output, cancelled at random moments."""
    (folder / "scripts").mkdir(parents=True)
    with Engine(folder / "data", script_folders=[folder / "scripts"]) as engine:
        return cancel_hostile(engine, folder / "scripts", 100, chosen.seed)


def listeners(folder: Path, chosen) -> dict:
    """A thousand event streams over two servers, with connections that drop, for a minute."""
    with Engine(folder) as engine:
        return streams.fan_out(engine, 1000, 50, 60, chosen.seed)


def reconnects(folder: Path, chosen) -> dict:
    """A thousand streams that come back at once, three times three hundred, and readers that stop reading."""
    with Engine(folder) as engine:
        figures = {"thousand": streams.storm(engine, 1000, 50, 1000, chosen.seed)}
        for number in range(3):
            figures[f"three hundred, {number + 1}"] = streams.storm(engine, 300, 10, 1000, chosen.seed + number)
        figures["stalled"] = streams.stalled(engine, 50, 20_000)
    assert figures["thousand"]["slowest_seconds"] < 5.0, figures
    assert all(figure["memory_mb_more"] < 150 for figure in figures.values()), figures
    return figures


def kept(folder: Path, chosen) -> dict:
    """Fifty sweeps whose worker is killed at a random moment and which are cancelled at another: what was saved is kept."""
    with Engine(folder, slots=1, checkpoint_seconds=0.1) as engine:
        faults.make_bars(engine)
        return scenarios.keep_what_was_saved(engine, 50, chosen.seed)


def starts(folder: Path, chosen) -> dict:
    """Thirty starts of workers and fork servers that are broken in some way and mended after a while."""
    return scenarios.break_starts(Installation(folder / "home"), 30, chosen.seed)


def endurance(folder: Path, chosen) -> dict:
    """Everything at once, for as long as one likes."""
    with Engine(folder / "data", lease_seconds=4.0, renew_seconds=0.8, slots=3) as engine:
        return Endurance(engine, folder / "journal", chosen.hours * 3600, chosen.seed).run()


TORMENTS = {torment.__name__: torment for torment in
            (cancels, crowd, runs, workers, races, database, pooler, broker, machine, listeners, reconnects, kept, starts, scripts,
             endurance)}  # fmt: skip


def main() -> None:
    described = "\n".join(f"  {name:<10} {torment.__doc__}" for name, torment in TORMENTS.items())
    parser = argparse.ArgumentParser(description=f"{__doc__}\n\n{described}\n  all",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("names", nargs="*", default=["endurance"], help="torments; endurance without any")
    parser.add_argument("--hours", type=float, default=40 / 60, help="length of the endurance")
    parser.add_argument("--seed", type=int, default=1, help="the same seed does the same things")
    chosen = parser.parse_args()
    names = list(TORMENTS) if chosen.names == ["all"] else chosen.names
    unknown = [name for name in names if name not in TORMENTS]
    if unknown:
        parser.error(f"unknown torment '{unknown[0]}': one of {', '.join(TORMENTS)}, all")
    logging.getLogger("pitboss").setLevel(logging.ERROR)
    failed = [name for name in names if not survived(name, chosen)]
    sys.exit(1 if failed else 0)


def survived(name: str, chosen: argparse.Namespace) -> bool:
    """Run one torment in a folder of its own, which is kept when a promise was broken."""
    folder = Path(tempfile.mkdtemp(prefix=f"pitboss-{name}-", dir="/tmp"))
    folder.chmod(0o755)
    started = time.monotonic()
    try:
        outcome = TORMENTS[name](folder, chosen)
    except AssertionError as error:
        print(f"{name}: BROKEN with seed {chosen.seed}: {error} (see {folder})", flush=True)
        return False
    print(f"{name}: {json.dumps(outcome)} in {time.monotonic() - started:.0f} s", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    return True


if __name__ == "__main__":
    main()
