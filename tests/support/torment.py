"""Runs the torments one after the other and prints what came of each."""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
import time
from pathlib import Path

import structlog

from support import faults
from support.engine import Engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("cancels", 500), ("hostile", 100), ("processes", 16), ("seconds", 300), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    chosen = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    torments = {
        "random cancels": lambda e: with_worker(e, lambda: faults.random_cancels(e, chosen.cancels, chosen.seed)),
        "hostile cancels": lambda e: with_worker(e, lambda: faults.hostile_cancels(e, chosen.hostile)),
        "crowd": lambda e: faults.crowd(e, chosen.processes, chosen.seconds, chosen.seed),
    }
    for name, torment in torments.items():
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir="/tmp") as folder, Engine(Path(folder)) as engine:
            outcome = torment(engine)
        print(f"{name}: {json.dumps(outcome)} in {time.monotonic() - started:.0f} s", flush=True)


def with_worker(engine: Engine, torment) -> dict:
    faults.make_bars(engine)
    engine.start_worker()
    return torment()


if __name__ == "__main__":
    main()
