"""Loads what trainings learn by, in the process that they are forked from."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec


def warm_up() -> None:
    """Load the learners whose libraries are installed; nothing is learned."""
    for library, module in (("lightgbm", "boosting"), ("sklearn", "classic"), ("torch", "nets")):
        if find_spec(library) is not None:
            import_module(f"pitboss.learning.{module}")
