"""The version before, to be measured beside this one."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

BEFORE = "6b6b718"  # the last commit with a loop over every bar and one query for each request


def checked_out(folder):
    """Check its source out into a folder; False, with a word on standard error, where it is not at hand."""
    made = f"git -C '{Path(__file__).parents[1]}' archive {BEFORE} src | tar -x -C '{folder}'"
    folder.mkdir()
    done = subprocess.run(["bash", "-o", "pipefail", "-c", made], capture_output=True, text=True)
    if done.returncode:
        print(f"bench: the version before is left out: {done.stderr.strip()[:200]}", file=sys.stderr)
    return done.returncode == 0


def python_of(folder):
    """Answer an interpreter for what was checked out, with the packages that this one has."""
    venv.create(folder / "venv")
    site = sysconfig.get_path("purelib", vars={"base": str(folder / "venv")})
    Path(site, "before.pth").write_text(f"{folder / 'src'}\n{sysconfig.get_path('purelib')}\n")
    return str(folder / "venv" / "bin" / "python")
