"""How pitboss starts its own processes: with its own code, and none that happens to lie in a folder."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path

NEUTRAL_FOLDER = "/"  # where processes without a terminal stand: nobody's, always there, and never unmounted


def command_of(module: str, *arguments: str) -> list[str]:
    """Answer the command that runs a module of ours.

    Neither the current folder nor the user's own packages are on its path, unless pitboss itself is among those.
    """
    return [sys.executable, "-P", *_without_user_site(), "-m", module, *arguments]


def own_environment(**more: str) -> dict[str, str]:
    """Answer this process's environment without PYTHONPATH, and with `more`.

    What an operator wants on the path of jobs stands in the setting `python_path`.
    """
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")} | more


def extend_path(folders: list[str]) -> None:
    """Let modules be imported from `folders` too, after all others: none hides one of Python's or ours."""
    sys.path += [folder for folder in folders if folder not in sys.path]


def _without_user_site() -> list[str]:
    own = site.getusersitepackages()
    return [] if Path(__file__).is_relative_to(own) else ["-s"]
