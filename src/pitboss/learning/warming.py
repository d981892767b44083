"""Loads what trainings learn by, in the process that they are forked from."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec


def warm_up() -> None:
    """Load the learners whose libraries are installed; nothing is learned. PyTorch is left to the runs that need it:
    it takes as much memory as all the rest."""
    for library, module in (("lightgbm", "boosting"), ("sklearn", "classic")):
        if find_spec(library) is not None:
            import_module(f"pitboss.learning.{module}")
