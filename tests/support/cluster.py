"""A data folder, a real Redis, and Celery workers, as an operator would start them."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil

from pitboss.bootstrap import open_platform
from pitboss.core.principal import LOCAL
from pitboss.core.settings import load_settings
from pitboss.runs.submission import Submission
from support import faults
from support.engine import until
from support.server import free_port
from support.servers import RedisServer


class Cluster:
    """A data folder, a broker, and Celery workers."""

    def __init__(self, folder, redis=None) -> None:
        self.redis = redis or RedisServer(folder / "redis", free_port())
        self.settings = load_settings(data_dir=folder / "data", broker_url=self.redis.url, slots=2, min_free_disk_mb=0)
        self.platform = open_platform(self.settings)
        self.service = self.platform.service
        self.log = folder / "celery.log"
        self.workers: list[subprocess.Popen] = []

    def start_worker(self, *arguments: str) -> subprocess.Popen:
        environment = os.environ | {"PITBOSS_BROKER_URL": self.redis.url, "PITBOSS_MIN_FREE_DISK_MB": "0"}
        with self.log.open("ab") as log:
            command = ["worker", "--celery", "--slots", "2", "--data-dir", str(self.settings.data_dir), *arguments]
            worker = subprocess.Popen(
                [sys.executable, "-m", "pitboss.cli.main", *command], env=environment, stdout=log, stderr=log
            )
        self.workers.append(worker)
        count = len(self.workers)
        until(lambda: len(self.service.workers()) >= count, 30, "the worker signs on")
        return worker

    def submit(self, **fields):
        return self.service.submit(
            LOCAL, Submission(kind="backtest", params=faults.backtest_params() | {"symbols": ["SHORT"]}, **fields)
        )

    def wait(self, run, seconds=20.0):
        return until(
            lambda: (now := self.service.get(LOCAL, run.id)).state.is_terminal and now, seconds, "the run ends"
        )

    def started_after(self, run) -> float:
        ended = self.wait(run)
        assert ended.state == "completed", ended.error
        return ended.started_at - ended.created_at

    def close(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                children = psutil.Process(worker.pid).children(recursive=True)
                worker.kill()
                worker.wait()
                psutil.wait_procs(children, 15)
        self.redis.kill()
        self.platform.close()
