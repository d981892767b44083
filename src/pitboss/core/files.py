"""The files of pitboss (bars, artifacts, checkpoints): in the data folder, or in a bucket that many hosts share.

A name is relative, with slashes between. A file is there whole or not at all, and its content never changes
under its name but by being replaced as a whole.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from pitboss.core.errors import DiskFull, InvalidInput, StorageUnavailable
from pitboss.core.ids import new_token
from pitboss.core.places import literally

Write = Callable[[Path], object]
LOCK = ".lock"
_IN_THE_WAY = frozenset((errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS))
TRIM_SECONDS = 3600.0
CACHE_SECONDS = 7 * 86_400.0  # without use, after which a copy of what is in a bucket goes


@dataclass(frozen=True, slots=True)
class Stored:
    """A file that was put: `digest` is BLAKE2b, 128 bits, of its content."""

    name: str
    size: int
    digest: str


class Files(Protocol):
    """Where files are kept. Safe to use from any thread and process.

    Raises DiskFull when there is no room to write, StorageUnavailable when a bucket cannot be reached.
    """

    def put(self, name: str, write: Write) -> Stored:
        """Have `write` make a file at a path of this machine, then store it under `name`."""

    def fetch(self, name: str) -> Path | None:
        """Answer a path of this machine with the file's content, None when there is no such file."""

    def names(self, folder: str) -> list[str]:
        """Answer the names of all files under a folder, sorted."""

    def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""

    def remove_folder(self, folder: str) -> None:
        """Remove all files under a folder."""

    def turn(self, folder: str) -> AbstractContextManager[None]:
        """Hold a folder against other writers of this machine that ask for their turn."""


def open_files(data_dir: Path, url: str) -> Files:
    """Answer the files at `url` (such as `s3://bucket/prefix`), or in the data folder when it is empty."""
    return BucketFiles(url, data_dir / "cache") if url else LocalFiles(data_dir)


def digest_of_file(path: Path) -> str:
    """Answer the digest of a file's content (BLAKE2b, 128 bits)."""
    with path.open("rb") as file:
        return digest_of(file)


def digest_of(file: BufferedReader) -> str:
    """Answer the digest of what is left to read of a file."""
    return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()


def _made(name: str, temporary: Path, write: Write) -> Stored:
    """Have the file written, and synced to the disk. Raises DiskFull."""
    try:
        temporary.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        return Stored(name, temporary.stat().st_size, digest_of_file(temporary))
    except Exception as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        # the libraries that write files wrap what the system said in errors of their own
        if isinstance(error, OSError) or "os error" in str(error) or "No space left" in str(error):
            reason = getattr(error, "strerror", None) or error
            what = f"cannot write {Path(name).name}: {reason}"
            if getattr(error, "errno", None) in _IN_THE_WAY:
                remedy = f"look at what is in the place of {temporary.parent}, then retry"
                raise StorageUnavailable(what, remedy) from None
            raise DiskFull(what, "free some disk space, then retry") from None
        raise


def _inside(name: str) -> str:
    """Answer a name if it stays inside the place where files are kept. Raises InvalidInput."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise InvalidInput(f"'{name[:80]}' is no file of pitboss", "names are relative", "file")
    return name


class LocalFiles:
    """Files in a folder: written beside their place, synced and renamed; see `Files` for the contract."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, name: str, write: Write) -> Stored:
        path = self.root / _inside(name)
        for left in path.parent.glob(f".{literally(path.name)}.*.tmp"):  # by one that was killed while it wrote
            left.unlink(missing_ok=True)
        temporary = path.with_name(f".{path.name}.{new_token()}.tmp")
        stored = _made(name, temporary, write)
        os.replace(temporary, path)
        _sync_folder(path.parent)
        return stored

    def fetch(self, name: str) -> Path | None:
        path = self.root / _inside(name)
        return path if path.is_file() else None

    def names(self, folder: str) -> list[str]:
        found = (path for path in _files_under(self.root / _inside(folder)) if not path.name.startswith("."))
        return sorted(path.relative_to(self.root).as_posix() for path in found)

    def remove(self, name: str) -> None:
        path = self.root / _inside(name)
        path.unlink(missing_ok=True)
        if path.parent != self.root and path.parent.is_dir() and not any(path.parent.iterdir()):
            path.parent.rmdir()

    def remove_folder(self, folder: str) -> None:
        shutil.rmtree(self.root / _inside(folder), ignore_errors=True)

    def turn(self, folder: str) -> AbstractContextManager[None]:
        return _locked(self.root / _inside(folder) / LOCK)


def _files_under(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder; what is removed meanwhile is passed over."""
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise StorageUnavailable(f"cannot write to {path.parent}: {error.strerror}", "make it writable") from None
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync_folder(folder: Path) -> None:
    """Make a rename outlast a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BucketFiles:
    """Files in a bucket, through fsspec, with copies in a local cache; see `Files` for the contract.

    Credentials and the endpoint come from where the bucket's library looks for them, such as AWS_… variables.
    """

    def __init__(self, url: str, cache: Path) -> None:
        self.url = url
        self.cache = cache
        self._trim_at = 0.0
        self._system, self._prefix = _file_system(url)

    def put(self, name: str, write: Write) -> Stored:
        temporary = self.cache / f".{Path(name).name}.{new_token()}.tmp"
        stored = _made(name, temporary, write)
        try:
            self._reached(lambda: self._system.put_file(str(temporary), self._at(name)))
        finally:
            temporary.unlink(missing_ok=True)
        return stored

    def fetch(self, name: str) -> Path | None:
        try:
            described = self._reached(lambda: self._system.info(self._at(name)))
        except FileNotFoundError:
            return None
        mark = hashlib.blake2b(str(described.get("ETag") or described).encode(), digest_size=8).hexdigest()
        copy = self.cache / f"{name}.{mark}"
        if not _is_used(copy):
            temporary = copy.with_name(f".{copy.name}.{new_token()}.tmp")
            temporary.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._reached(lambda: self._system.get_file(self._at(name), str(temporary)))
            except FileNotFoundError:
                return None  # removed since
            self._drop_copies(name)
            os.replace(temporary, copy)
            self._trim()
        return copy

    def _drop_copies(self, name: str) -> None:
        copy = self.cache / name
        for stale in copy.parent.glob(f"{literally(copy.name)}.*"):
            stale.unlink(missing_ok=True)

    def _trim(self) -> None:
        """Drop the copies that nobody has used for long; the bucket has them. Looks once an hour."""
        if time.monotonic() < self._trim_at:
            return
        self._trim_at = time.monotonic() + TRIM_SECONDS
        unused_since = time.time() - CACHE_SECONDS
        for copy in _files_under(self.cache):
            with suppress(OSError):
                if copy.name != LOCK and copy.stat().st_mtime < unused_since:
                    copy.unlink()

    def names(self, folder: str) -> list[str]:
        found = self._reached(lambda: self._system.find(self._at(folder)))
        return sorted(str(path).removeprefix(f"{self._prefix}/") for path in found)

    def remove(self, name: str) -> None:
        with suppress(FileNotFoundError):
            self._reached(lambda: self._system.rm_file(self._at(name)))
        self._drop_copies(name)

    def remove_folder(self, folder: str) -> None:
        for name in self.names(folder):
            self.remove(name)
        shutil.rmtree(self.cache / folder, ignore_errors=True)

    def turn(self, folder: str) -> AbstractContextManager[None]:
        return _locked(self.cache / folder / LOCK)

    def _at(self, name: str) -> str:
        return f"{self._prefix}/{_inside(name)}"

    def _reached(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except FileNotFoundError:
            raise
        except Exception as error:  # each bucket's library has errors of its own
            raise StorageUnavailable(
                f"{self.url} cannot be used: {type(error).__name__}: {error}",
                "check the address, the credentials and the network",
            ) from None


def _is_used(copy: Path) -> bool:
    """Note that a copy is used just now; answer whether it is there."""
    try:
        os.utime(copy)
    except FileNotFoundError:
        return False
    except OSError:  # somebody else's, or a disk that is read-only: it is there, and that is enough
        return True
    return True


def _file_system(url: str) -> tuple[Any, str]:
    try:
        import fsspec

        # listings are not cached: another host may have written meanwhile
        system, prefix = fsspec.core.url_to_fs(url.rstrip("/"), use_listings_cache=False, skip_instance_cache=True)
    except Exception as error:  # a missing library, or what a bucket's library says of the address
        raise InvalidInput(
            f"files at {url} cannot be used: {error}",
            "write s3://bucket/prefix; pip install 'pitboss[s3]'",
            "files_url",
        ) from None
    return system, str(prefix).rstrip("/")
