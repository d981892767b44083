"""How the loops are compiled: once, and kept on disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from numba import njit

_FOLDER = Path(__file__).parent


def _forget_stale() -> None:
    """Remove what was compiled before any kernel changed: numba looks at a function's own file only, not at those it
    calls."""
    newest = max(source.stat().st_mtime for source in _FOLDER.glob("*.py"))
    for index in (_FOLDER / "__pycache__").glob("*.nbi"):
        with suppress(OSError):  # another process was faster, or nobody may write there
            if index.stat().st_mtime < newest:
                index.unlink()


_forget_stale()
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function with numba, to run without the interpreter lock.

    Where no folder for the compiled code can be written, each process compiles for itself.
    """
    return _compiled(function)


def inlined(function: Function) -> Function:
    """The same for a function that becomes part of those that call it."""
    return _compiled(function, inline="always")


def _compiled(function: Function, **options: Any) -> Function:
    try:
        made: Function = njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # numba found no place to keep it
        made = njit(nogil=True, **options)(function)
    return made
