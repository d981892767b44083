"""What database drivers raise, in the program's own words and with the remedy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from pitboss.core.errors import DiskFull, Duplicate, StorageUnavailable, Unstorable


@contextmanager
def translated() -> Iterator[None]:
    """Turn what a driver raises into StorageUnavailable, DiskFull or Unstorable, with the remedy."""
    try:
        yield
    except sa.exc.IntegrityError as error:
        raise Duplicate(f"it is there already: {_first_line(str(error.orig))}", "choose another name") from None
    except sa.exc.DataError as error:
        raise Unstorable(f"the database refuses a value: {_first_line(str(error.orig))}", "send another one") from None
    except sa.exc.DBAPIError as error:
        raise told(str(error.orig)) from None
    except sa.exc.TimeoutError:
        raise StorageUnavailable("every database connection is in use", "try again in a moment") from None
    except sqlite3.Error as error:
        raise told(str(error)) from None


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else "no reason given"


def told(text: str) -> StorageUnavailable:
    """Answer the error for what a driver said."""
    text = _first_line(text)
    if "disk is full" in text or "No space left" in text or "disk I/O" in text:
        return DiskFull("the disk of the database is full", "free some space and try again")
    if "readonly" in text or "read-only" in text:
        return StorageUnavailable(
            "the database is read-only",
            "make it writable: the file and its folder for this user, or the server's default_transaction_read_only",
        )
    return StorageUnavailable(f"the database cannot be used: {text}", "see 'pitboss doctor'")
