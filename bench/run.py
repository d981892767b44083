"""Runs the parts of the benchmark, prints one table and keeps it in bench/results.md."""

from __future__ import annotations

import logging
import os
import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import accounts
import cli
import desk
import engine
import imports
import kernels
import learning
import load
import queues
import screens
import streams
import trading
from table import markdown

PARTS = {
    "kernels": kernels,
    "engine": engine,
    "screens": screens,
    "imports": imports,
    "cli": cli,
    "load": load,
    "accounts": accounts,
    "streams": streams,
    "desk": desk,
    "trading": trading,
    "learning": learning,
    "queues": queues,
}


def main() -> None:
    logging.getLogger("pitboss").setLevel(logging.ERROR)
    chosen = sys.argv[1:] or list(PARTS)
    rows = []
    for name in chosen:
        for row in PARTS[name].rows():
            rows.append(row)
            print("  ".join(cell for cell in row.cells() if cell), flush=True)
    table = markdown(rows)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    if len(chosen) == len(PARTS):
        text = f"# Results\n\nPrinted by `script/bench` on a shared machine: {machine}. Compare ratios.\n\n"
        (Path(__file__).parent / "results.md").write_text(text + table + "\n")
    missed = [row.what for row in rows if "limit" in row.opponent and not row.is_met]
    print(f"\n{len(rows)} figures, {len(missed)} limits missed" + (f": {'; '.join(missed)}" if missed else ""))


if __name__ == "__main__":
    main()
