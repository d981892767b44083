"""How the loops are compiled: once, and kept on disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from numba import njit
from numba.extending import intrinsic
from numba.np import arrayobj

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
Array = TypeVar("Array")
Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile a function with numba, to run without the interpreter lock.

    Where no folder for the compiled code can be written, each process compiles for itself.
    """
    return _compiled(function)


def inlined(function: Function) -> Function:
    """The same for a function that becomes part of those that call it."""
    return _compiled(function, inline="always")


def _unowned(_context: Any, array: Any) -> Any:
    """Answer the type of `unowned`, and how it is made: the array's description without what counts its references."""

    def lowered(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        made: Any = arrayobj.make_array(signature.return_type)  # type: ignore[no-untyped-call]
        made = made(context, builder, value=arguments[0])
        for field in ("meminfo", "parent"):
            setattr(made, field, getattr(made, field).type(None))
        return made._getvalue()

    return array(array), lowered


# Answers the same array without its owner: what is called with it counts no references, which are atomic and take
# longer than a bar's work. For arrays that somebody else holds for as long as the answer is used.
unowned: Callable[[Array], Array] = intrinsic(_unowned)  # type: ignore[assignment]


def _compiled(function: Function, **options: Any) -> Function:
    try:
        made: Function = njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    except RuntimeError:  # numba found no place to keep it
        made = njit(nogil=True, error_model="numpy", **options)(function)
    return made
