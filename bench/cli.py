"""The command line's figures: how long a user waits for the simplest answers."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from table import Row


def rows():
    with tempfile.TemporaryDirectory() as folder:
        for arguments, limit in ((["--help"], 0.3), (["runs", "list", "--data-dir", folder], 0.5)):
            command = [sys.executable, "-m", "pitboss.cli.main", *arguments]
            seconds = []
            for _ in range(9):
                start = time.perf_counter()
                subprocess.run(command, capture_output=True, check=True)
                seconds.append(time.perf_counter() - start)
            yield Row(
                f"`pitboss {' '.join(word for word in arguments if word not in (folder, '--data-dir'))}`",
                sorted(seconds)[4],
                "s",
                limit,
                "limit",
            )
