"""Folders and files that users name, and what the processes of pitboss leave in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pitboss.core.errors import InvalidInput, StorageUnavailable

KERNEL = Path(__file__).parents[1] / "kernel"
_NUMBA_CACHE = "NUMBA_CACHE_DIR"


def absolute(path: Path, where: str) -> Path:
    """Answer a path as it holds from everywhere, links followed. Every character stands for itself.

    Raises InvalidInput for one that no file can have: too long, not UTF-8, in a circle of links, or reckoned from
    a current folder that is gone. `where` names the flag or setting.
    """
    text = os.fspath(path)
    if not text:
        raise InvalidInput("the path is empty", "name a folder or a file", where)
    if "\0" in text or not _is_utf8(text):
        raise InvalidInput(f"the name {text!a} is not UTF-8", "rename it, or choose another place", where)
    try:
        found = Path(text).resolve()
        found.exists()  # asked for what the system says of it
        return found
    except FileNotFoundError:
        raise InvalidInput(
            "the current folder is gone", "cd to one that exists, or write the whole path", where
        ) from None
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or "the links lead in a circle"
        raise InvalidInput(f"cannot use {text[:80]}: {reason}", "choose another place", where) from None


def is_file(path: Path, where: str) -> bool:
    """Answer whether there is such a file. Raises InvalidInput for a name that none can have."""
    return absolute(path, where).is_file()


def printable(text: str) -> str:
    """Answer a file's name as it can be written down: what is not UTF-8 in it is escaped."""
    return text.encode(errors="backslashreplace").decode()


def at_home(text: str) -> Path:
    """Answer the path that a user has written: `~` and `~/…` lie at home, `./~` is a folder of that name."""
    return Path(text).expanduser() if text == "~" or text.startswith("~/") else Path(text)


def folder(path: Path, where: str) -> Path:
    """The same as `absolute` for what is, or is to be, a folder: no part of it may be something else."""
    found = absolute(path, where)
    nearest = next(place for place in (found, *found.parents) if place.exists())
    if not nearest.is_dir():
        raise InvalidInput(f"{nearest} is a file, not a folder", "name a folder", where)
    return found


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


_own_umask: list[int] = []


def follow_folder(folder: Path) -> None:
    """Have this process make files as open as the folder is: where a group shares it, all of them can work."""
    try:
        mode = folder.stat().st_mode
    except OSError:
        return
    before = os.umask(~mode & 0o077)
    if not _own_umask:
        _own_umask.append(before)


@contextmanager
def elsewhere() -> Iterator[None]:
    """Make files outside the data folder with the umask that the user has set."""
    before = os.umask(_own_umask[0]) if _own_umask else None
    try:
        yield
    finally:
        if before is not None:
            os.umask(before)


def place_caches(data_dir: Path) -> None:
    """Have compiled kernels kept in the data folder where they cannot lie beside their source.

    To be called before numba is imported; where nothing can be written they are compiled by each process.
    """
    beside = KERNEL / "__pycache__"
    if not os.environ.get(_NUMBA_CACHE) and not os.access(beside if beside.exists() else KERNEL, os.W_OK):
        os.environ[_NUMBA_CACHE] = str(data_dir / "cache" / "numba")


def literally(name: str) -> str:
    """Answer a name so that a glob finds it and nothing else."""
    return re.sub(r"([*?\[])", r"[\1]", name)


def unusable(place: Path, error: OSError, remedy: str) -> StorageUnavailable:
    """Answer the error for a folder or file that the system refuses."""
    return StorageUnavailable(f"cannot use {place}: {error.strerror or error}", remedy)


def work_folder(data_dir: Path, run_id: str) -> Path:
    """Answer the folder in which a run works, on the machine where it runs; it goes with the run's end."""
    return data_dir / "work" / run_id


def run_log(data_dir: Path, run_id: str) -> Path:
    """Answer the file of what a run's process writes, on the machine where it runs."""
    return data_dir / "logs" / "runs" / f"{run_id}.log"
