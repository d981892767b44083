"""What PostgreSQL is asked outside transactions: notices of changes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import sqlalchemy as sa

from pitboss.storage.refusals import told

CHANNEL = "pitboss"
RELISTEN_SECONDS = 1.0
# a server that does not answer is given up well before a lease ends: otherwise TCP would wait for a quarter of an hour
PATIENCE: dict[str, Any] = {
    "connect_timeout": 4, "tcp_user_timeout": 5_000,
    "keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 2, "application_name": "pitboss",
    "prepare_threshold": None,  # a pooler may hand the next statement to another connection
}  # fmt: skip


class PostgresChanges:
    """Notices writes by LISTEN; after a lost connection it listens anew and says 'changed'.

    Whoever asks looks for itself now and then: behind a pooler notices may never come. It connects in a thread of its
    own, since an address that does not answer must not hold up who asks.
    """

    def __init__(self, url: sa.URL) -> None:
        self._address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._connection: Any = None
        self._attempt: Future[Any] | None = None
        self._retry_at = 0.0

    def poll(self) -> bool:
        import psycopg  # the driver is an extra: absent, nobody gets here

        try:
            if self._connection is not None:
                return any(True for _ in self._connection.notifies(timeout=0))
            return self._is_connected()
        except psycopg.Error as error:
            self.close()
            self._retry_at = time.monotonic() + RELISTEN_SECONDS
            raise told(str(error)) from None

    def _is_connected(self) -> bool:
        if self._attempt is None and time.monotonic() >= self._retry_at:
            self._attempt = _in_background(self._listen)
        if self._attempt is None or not self._attempt.done():
            return False
        attempt, self._attempt = self._attempt, None
        self._connection = attempt.result()
        return True

    def _listen(self) -> Any:
        import psycopg

        connection = psycopg.connect(self._address, autocommit=True, **PATIENCE)
        try:
            connection.execute(f"LISTEN {CHANNEL}")
        except psycopg.Error:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        if self._attempt is not None:
            self._attempt.add_done_callback(_close_what_came)
            self._attempt = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _in_background(action: Callable[[], Any]) -> Future[Any]:
    """Begin something in a thread that nobody waits for, not even the end of the program."""
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(action())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


def _close_what_came(attempt: Future[Any]) -> None:
    if attempt.exception() is None:
        attempt.result().close()
