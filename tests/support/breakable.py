"""An installation of pitboss of which parts can be broken and mended while it is in use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

from support.server import STRATEGY, ApiServer

SCRIPT = """#!/bin/bash
# which process this is, and whether somebody has broken it
case "$*" in
    *pitboss.worker.forkserver*) part=forks ;;
    *"pitboss.cli.main worker"*) part=worker ;;
    *) part=other ;;
esac
[ -e "{folder}/broken-$part" ] && . "{folder}/broken-$part"
exec -a "$0" "{python}" "$@"
"""


class Installation:
    """A virtual environment whose interpreter does first what was broken into it, and a data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data_dir = folder / "data"
        self.python = folder / "bin" / "python"
        real = Path(sys.executable)
        self.python.parent.mkdir(parents=True)
        self.python.write_text(SCRIPT.format(folder=folder, python=real.resolve()))
        self.python.chmod(0o755)
        shutil.copy(real.parents[1] / "pyvenv.cfg", folder / "pyvenv.cfg")
        (folder / "lib").symlink_to(real.parents[1] / "lib")
        self.strategy = folder / "ema.yaml"
        self.strategy.write_text(STRATEGY)
        self.environment = os.environ | {"PITBOSS_MIN_FREE_DISK_MB": "0", "PITBOSS_MIN_FREE_MEMORY_MB": "0"}

    def command(self, *arguments: object) -> list[str]:
        return [str(self.python), "-m", "pitboss.cli.main", *map(str, arguments), "--data-dir", str(self.data_dir)]

    def pitboss(self, *arguments: object, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=seconds, check=False,
            env=self.environment, cwd=self.folder,
        )  # fmt: skip

    def break_into(self, part: str, how: str) -> None:
        """Have every new process of a part (`worker` or `forks`) begin with a line of bash."""
        (self.folder / f"broken-{part}").write_text(how + "\n")

    def mend(self) -> None:
        for path in self.folder.glob("broken-*"):
            path.unlink()

    def processes(self) -> list[psutil.Process]:
        """Answer the processes that work on the data folder, but for those of the tests."""
        found = []
        for process in psutil.process_iter(["environ", "cmdline"]):
            environment, words = process.info["environ"] or {}, process.info["cmdline"] or []
            is_ours = environment.get("PITBOSS_DATA_DIR") == str(self.data_dir) or str(self.data_dir) in words
            if is_ours and process.pid != os.getpid():
                found.append(process)
        return found

    def close(self) -> None:
        for process in self.processes():
            try:
                process.kill()
            except psutil.Error:
                continue


class WaitingCommand:
    """A command that waits for its run, and what it says."""

    def __init__(self, installation: Installation, *arguments: object) -> None:
        self._said = installation.folder / f"said-{len(list(installation.folder.glob('said-*')))}"
        with self._said.open("w") as said:
            self.process = subprocess.Popen(
                installation.command(*arguments), stdout=said, stderr=said, env=installation.environment,
                cwd=installation.folder,
            )  # fmt: skip

    def said(self) -> str:
        return self._said.read_text()


def api_of(installation: Installation) -> ApiServer:
    return ApiServer(installation.data_dir)
