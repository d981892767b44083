"""The outside journal: jobs write down when they begin, work and end, where no database can lose or reorder it."""

from __future__ import annotations

import itertools
import os
import time
from collections import defaultdict
from pathlib import Path


def write(path: Path | str, run_id: str, attempt: int, what: str) -> None:
    """Append a line in one write; the monotonic clock is the same for all processes of a machine."""
    line = f"{run_id} {attempt} {time.monotonic():.6f} {os.getpid()} {what}\n".encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)


def spans(path: Path) -> dict[str, dict[int, tuple[float, float]]]:
    """Answer when each attempt of each run first and last wrote."""
    found: dict[str, dict[int, tuple[float, float]]] = defaultdict(dict)
    if not path.exists():
        return found
    for line in path.read_text().splitlines():
        run_id, attempt, moment, _, _ = line.split(maxsplit=4)
        first, last = found[run_id].get(int(attempt), (float("inf"), 0.0))
        found[run_id][int(attempt)] = (min(first, float(moment)), max(last, float(moment)))
    return found


def assert_no_overlap(path: Path) -> int:
    """Check that no attempt wrote after a later one had begun; answer how many attempts there were."""
    count = 0
    for run_id, attempts in spans(path).items():
        ordered = [attempts[number] for number in sorted(attempts)]
        for (_, ended), (began, _) in itertools.pairwise(ordered):
            assert ended < began, f"attempts of {run_id} overlap by {ended - began:.3f} s"
        count += len(ordered)
    return count


def finishes(path: Path) -> dict[str, int]:
    """Answer how often each run has come to the end of its work."""
    found: dict[str, int] = defaultdict(int)
    if path.exists():
        for line in path.read_text().splitlines():
            run_id, *_, what = line.split(maxsplit=4)
            found[run_id] += what == "end"
    return found
