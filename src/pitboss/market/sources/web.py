"""Requests to a source: no more than it allows over all processes of this host, repeated where that helps."""

from __future__ import annotations

import fcntl
import json
import random
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx

from pitboss.core.errors import PitbossError
from pitboss.market.sources import MOST_RETRY_AFTER, SourceFailed, held_until

T = TypeVar("T")
R = TypeVar("R", bound="Answer")
ATTEMPTS = 6
FIRST_WAIT, MOST_WAIT = 0.5, 60.0  # seconds
LONGEST_TURN = 3600.0  # ahead, beyond what the source asks for: else the clock was set back
PATIENCE = 900.0  # a symbol does not wait for longer
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})


class Answer(Protocol):
    """What every library that asks over HTTP answers."""

    status_code: int
    headers: Any

    @property
    def content(self) -> bytes: ...


def stumbled(name: str, error: Exception) -> SourceFailed:
    """Answer how a source fails whose library stumbles over an answer: that is a symbol's trouble, not the run's."""
    what = f"{name}: its library fails: {type(error).__name__}: {error}"[:300]
    return SourceFailed(what, "update the library, or tell its makers")


class _AskAgain(Exception):
    """An answer that will be another one later."""

    def __init__(self, response: Answer) -> None:
        super().__init__(f"status {response.status_code}")
        self.response, self.status_code = response, response.status_code


@dataclass
class Web:
    """Asks one source. `folder` is where the processes of this host agree on when each may ask next; `wait` sleeps, and
    raises where the run is to end."""

    name: str
    folder: Path
    per_minute: float
    wait: Callable[[float], None] = time.sleep
    client: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=TIMEOUT, follow_redirects=True))

    def get(self, url: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None) -> bytes:
        """Answer what an address holds. Raises SourceFailed when it is no data, or when asking again does not help."""

        def ask() -> httpx.Response:
            return self.client.get(url, params=dict(params) if params else None, headers=dict(headers or {}))

        lost, refused = (httpx.TransportError, httpx.DecodingError), (httpx.RequestError, httpx.InvalidURL)
        return self.answered(ask, lost, refused).content

    def answered(
        self, ask: Callable[[], R], lost: tuple[type[Exception], ...], refused: tuple[type[Exception], ...] = ()
    ) -> R:
        """Answer an answer that holds data, of whatever library asks; see `call`. Raises SourceFailed."""

        def checked() -> R:
            answer = ask()
            if answer.status_code in _TRANSIENT:
                raise _AskAgain(answer)
            self._check(answer.status_code, answer.content)
            return answer

        return self.call(checked, (*lost, _AskAgain), refused)

    def call(self, ask: Callable[[], T], lost: tuple[type[Exception], ...], refused: tuple[type[Exception], ...]) -> T:
        """Answer what `ask` answers, which speaks to the source or has a library do so. `lost` are the errors after
        which it is asked again, `refused` those after which it is not. Raises SourceFailed."""
        reason, wait = "", FIRST_WAIT
        for attempt in range(ATTEMPTS):
            if attempt:
                self.wait(wait * random.uniform(0.5, 1.0))
                wait = min(2 * wait, MOST_WAIT)
            self.take_turn()
            try:
                return ask()
            except (*lost, *refused) as error:
                status = _status_of(error)
                self._check(status, getattr(error, "doc", "").encode())
                reason = str(error).splitlines()[0][:200] if str(error) else f"status {status}"
                if not isinstance(error, lost) and status not in _TRANSIENT:
                    raise SourceFailed(f"{self.name}: {reason}", "check the symbol and the key") from None
                self._hold(_retry_after_of(error))
            except PitbossError:  # it is told already, or the run is to end
                raise
            except Exception as error:
                raise stumbled(self.name, error) from None
        raise SourceFailed(f"{self.name} does not answer: {reason}", "try again later")

    def json(self, url: str, params: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None) -> Any:
        """Answer JSON. Raises SourceFailed."""
        content = self.get(url, params, headers)
        try:
            return json.loads(content)
        except ValueError:
            shown = content[:60].decode(errors="replace")
            raise SourceFailed(f"{self.name} answered no JSON: {shown}", "look at the address in a browser") from None

    def _check(self, status: int, content: bytes) -> None:
        """Raise SourceFailed for an answer that is no data, and would be none if one asked again."""
        if status in (401, 403):
            raise SourceFailed(f"{self.name} refuses the key (status {status})", "check the secret")
        if status >= 400 and status not in _TRANSIENT:
            said = content[:120].decode(errors="replace").strip()
            what = f"{self.name} answered with status {status}{f': {said}' if said else ''}"
            raise SourceFailed(what, "check the symbol")
        if content.lstrip()[:1] == b"<":
            title = _TITLE.search(content)
            said = f": {title[1].decode(errors='replace').strip()[:80]}" if title else ""
            what = f"{self.name} answered a web page instead of data{said}"
            raise SourceFailed(what, "it may want a key, or have moved: look at the address in a browser")

    def take_turn(self) -> None:
        """Wait until this process may ask: a file that all processes of this host hold in turn tells when."""
        self.folder.mkdir(parents=True, exist_ok=True)
        held = held_until(self.folder, self.name)
        self._check_patience(held)
        with (self.folder / f"{self.name}.next").open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            due, now = _read(file), time.time()
            mine = max(due, now) if due < max(held, now) + LONGEST_TURN else now
            _write(file, mine + 60.0 / self.per_minute)
        if mine > now:
            self.wait(mine - now)
        while (held := held_until(self.folder, self.name)) > time.time():  # somebody was asked to wait meanwhile
            self._check_patience(held)
            self.wait(held - time.time())

    def _check_patience(self, until: float) -> None:
        """Raise SourceFailed for a wait that is too long for a run: whoever asks then finds the source again."""
        if until - time.time() > PATIENCE:
            moment = datetime.fromtimestamp(until, UTC)
            raise SourceFailed(f"{self.name} asks to wait until {moment:%Y-%m-%d %H:%M} UTC", "try again then")

    def _hold(self, seconds: float) -> None:
        """Have every process of this host wait."""
        if seconds <= 0:
            return
        for name in ("next", "held"):
            with (self.folder / f"{self.name}.{name}").open("a+") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                _write(file, max(_read(file), time.time() + seconds))


def _status_of(error: Exception) -> int:
    """Answer the status that a library's error was made of, 0 where it does not tell."""
    try:
        return int(getattr(error, "status_code", 0) or 0)
    except (TypeError, ValueError, AttributeError):
        return 0


def _retry_after_of(error: Exception) -> float:
    """Answer the seconds that a source asks to wait, by the answer that a library's error keeps; 0 without."""
    answer = getattr(getattr(error, "_http_error", error), "response", None)
    headers = getattr(answer, "headers", None)
    return _seconds(headers.get("Retry-After", "")) if headers else 0.0


def _read(file: Any) -> float:
    file.seek(0)
    try:
        return float(file.read() or 0)
    except ValueError:
        return 0.0


def _write(file: Any, moment: float) -> None:
    file.seek(0)
    file.truncate()
    file.write(f"{moment:.6f}")
    file.flush()


def _seconds(text: str) -> float:
    """Read a `Retry-After`: seconds, or a date; 0 for what is neither."""
    try:
        return min(float(text), MOST_RETRY_AFTER)
    except ValueError:
        pass
    try:
        return min(parsedate_to_datetime(text).timestamp() - time.time(), MOST_RETRY_AFTER)
    except (ValueError, TypeError):
        return 0.0
