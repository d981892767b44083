"""`pitboss.Client`: submit, watch, cancel and read results over HTTP, surviving lost connections."""

from __future__ import annotations

import io
import ipaddress
import os
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

import httpx
from httpx_sse import SSEError, connect_sse

from pitboss.core.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    PitbossError,
    Problem,
    QueueFull,
    StorageUnavailable,
    TooManyGuesses,
    Unauthorized,
)

if TYPE_CHECKING:
    import polars as pl

TERMINAL_EVENTS = frozenset({"completed", "failed", "cancelled"})
POLL_SECONDS = 0.5
RECONNECT_SECONDS = 0.2
STREAM_FAILURES_BEFORE_POLLING = 3
_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
_UPLOAD_TIMEOUT = httpx.Timeout(10.0, read=600.0)
_STREAM_TIMEOUT = httpx.Timeout(10.0, read=40.0)  # the server says something every 15 s


class Client:
    """A connection to a pitboss server. Not thread-safe; use one for each thread.

    Errors of the server are raised as those of the library: InvalidInput with its problems, NotFound,
    Conflict, QueueFull, StorageUnavailable. A server that is down raises StorageUnavailable, but `watch`
    and `wait` outlast it for `patience` seconds.

    Where `url` or `token` are not given, PITBOSS_URL and PITBOSS_TOKEN of the environment are.
    HTTP_PROXY and the like are heeded, but for this machine itself. Raises InvalidInput for a URL or for variables of
    the environment that cannot be used.
    """

    def __init__(
        self, url: str | None = None, timeout: float = 10.0, patience: float = 60.0, token: str | None = None
    ) -> None:
        self.url = url if url is not None else os.environ.get("PITBOSS_URL") or "http://127.0.0.1:8000"
        self._token = token if token is not None else os.environ.get("PITBOSS_TOKEN", "")
        self._timeout = timeout
        self._patience = patience
        self._http = _opened(self.url, timeout)
        if self._token:
            self._http.headers["Authorization"] = f"Bearer {_checked(self._token)}"

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    @property
    def has_token(self) -> bool:
        """True where requests carry a token."""
        return bool(self._token)

    def another(self) -> Client:
        """Answer another connection to the same server, such as for another thread."""
        return Client(self.url, self._timeout, self._patience, self._token)

    def sign_in(self, name: str, password: str) -> None:
        """Come in with a password instead of a token, for as long as this connection lasts. Raises Unauthorized, and
        InvalidInput where the password would cross a network unencrypted."""
        parsed = _parsed(self.url)
        if parsed.scheme != "https" and not _is_here(parsed.host):
            what = f"{self.url} is not encrypted: the password could be read on the way"
            raise InvalidInput(what, "use its https:// address", "url")
        told = self._send("POST", "/session", json={"name": name, "password": password})
        brought = "; ".join(f"{cookie.name}={cookie.value}" for cookie in told.cookies.jar)
        self._http.headers.update({"Cookie": brought, "X-CSRF-Token": told.json()["csrf_token"]})

    def submit(
        self,
        kind: str,
        params: Mapping[str, Any],
        priority: str | int = "normal",
        tags: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Queue a run and answer it; with an `idempotency_key` it is safe to ask again."""
        body = {
            "kind": kind,
            "params": dict(params),
            "priority": priority,
            "tags": list(tags),
            "options": options or {},
        }
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        return self._json("POST", "/runs", json=body, headers=headers)

    def backtest(self, strategy: str, symbols: Sequence[str], **params: Any) -> dict[str, Any]:
        """Queue a backtest of a stored strategy's name or a document's text."""
        return self.submit("backtest", {"strategy": strategy, "symbols": list(symbols), **params})

    def sweep(self, strategy: str, symbols: Sequence[str], grid: Mapping[str, Any], **params: Any) -> dict[str, Any]:
        """Queue a sweep over a grid of parameters."""
        return self.submit("sweep", {"strategy": strategy, "symbols": list(symbols), "grid": dict(grid), **params})

    def train(self, strategy: str, symbols: Sequence[str], **params: Any) -> dict[str, Any]:
        """Queue the training of a document's model, and its twin with shuffled labels behind it unless `twin=False`."""
        return self.submit("training", {"strategy": strategy, "symbols": list(symbols), **params})

    def models(self, name: str | None = None) -> list[dict[str, Any]]:
        """Answer the versions of one's own models, or of one of them, oldest first. Raises NotFound."""
        found: list[dict[str, Any]] = self.call("GET", f"/models/{quote(name, safe='')}" if name else "/models")
        return found

    def promote(self, name: str, version: int, alias: str = "champion") -> dict[str, Any]:
        """Have an alias of a model mean a version, by default what the bare name means. Raises NotFound."""
        return self._json("POST", f"/models/{quote(name, safe='')}/{version}/promote", json={"alias": alias})

    def get(self, run_id: str) -> dict[str, Any]:
        """Answer a run."""
        return self._json("GET", f"/runs/{run_id}")

    def runs(self, **filters: Any) -> list[dict[str, Any]]:
        """Answer runs, newest first; `state`, `kind`, `subject`, `tag`, `limit`, `cursor` narrow them."""
        found: list[dict[str, Any]] = self._json("GET", "/runs", params=filters)["items"]
        return found

    def cancel(self, run_id: str, keep_partial: bool = True, reason: str = "") -> dict[str, Any]:
        """Ask a run to end; `message` of the answer says what that did."""
        return self._json("POST", f"/runs/{run_id}/cancel", json={"keep_partial": keep_partial, "reason": reason})

    def stop_everything(self, keep_partial: bool = True) -> list[str]:
        """Cancel all that has not ended, whatever its kind; answer the ids of the runs."""
        stopped: list[str] = self._json("POST", "/emergency-stop", json={"keep_partial": keep_partial})["runs"]
        return stopped

    def prioritize(self, run_id: str, priority: str | int) -> dict[str, Any]:
        """Move a queued run forward or back: low, normal, high, or -1000 to 1000."""
        return self._json("POST", f"/runs/{run_id}/priority", json={"priority": priority})

    def retry(self, run_id: str) -> dict[str, Any]:
        """Queue a failed or cancelled run again, as a new run."""
        return self._json("POST", f"/runs/{run_id}/retry")

    def resume(self, run_id: str) -> dict[str, Any]:
        """Go on from where a failed or cancelled run last saved its state, as a new run. Raises Conflict."""
        return self._json("POST", f"/runs/{run_id}/resume")

    def rerun(self, run_id: str, *, newest: bool = False, **params: Any) -> dict[str, Any]:
        """Queue any run again with some params changed, as a new run: on the bars that it saw, or on the newest."""
        return self._json("POST", f"/runs/{run_id}/rerun", json={"params": params, "newest": newest})

    def add_strategy(self, text: str) -> dict[str, Any]:
        """Store a strategy document and answer its name and version."""
        return self._json("POST", "/strategies", json={"text": text})

    def strategy(self, name: str, version: int | None = None) -> dict[str, Any]:
        """Answer a stored strategy, the newest version unless one is named. Raises NotFound."""
        named = {} if version is None else {"version": version}
        return self._json("GET", f"/strategies/{quote(name, safe='')}", params=named)

    def keep_preset(self, kind: str, name: str, **params: Any) -> dict[str, Any]:
        """Keep params of a kind under a name, in place of those that were."""
        return self._json("PUT", f"/presets/{quote(kind, safe='')}/{quote(name, safe='')}", json={"params": params})

    def presets(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Answer one's own presets, by kind and name."""
        found: list[dict[str, Any]] = self.call("GET", "/presets", params={"kind": kind} if kind else {})
        return found

    def remove_preset(self, kind: str, name: str) -> None:
        """Remove a preset. Raises NotFound."""
        self.call("DELETE", f"/presets/{quote(kind, safe='')}/{quote(name, safe='')}")

    def add_screen(self, text: str) -> dict[str, Any]:
        """Store a screen document and answer its name and version."""
        return self._json("POST", "/screens", json={"text": text})

    def screen(self, name: str, version: int | None = None) -> dict[str, Any]:
        """Answer a screen of one's own, the newest version unless one is named. Raises NotFound."""
        named = {} if version is None else {"version": version}
        return self._json("GET", f"/screens/{quote(name, safe='')}", params=named)

    def screens(self) -> list[dict[str, Any]]:
        """Answer the screens that there are; those of one's own have a version."""
        found: list[dict[str, Any]] = self.call("GET", "/screens")
        return found

    def strategies(self) -> list[dict[str, Any]]:
        """Answer the newest version of every strategy of one's own."""
        found: list[dict[str, Any]] = self.call("GET", "/strategies")
        return found

    def series(self) -> list[dict[str, Any]]:
        """Answer the series of bars that there are: one's own and those that are shared."""
        found: list[dict[str, Any]] = self.call("GET", "/data")
        return found

    def upload(self, file: str | Path, symbol: str, timeframe: str, **options: Any) -> dict[str, Any]:
        """Import a file of bars, CSV or Parquet, with the options of `PUT /data/…`; answer series and report."""
        with Path(file).open("rb") as opened:
            path = f"/data/{quote(symbol)}/{timeframe}"
            return self._json("PUT", path, content=_pieces(opened), params=options, timeout=_UPLOAD_TIMEOUT,
                              headers={"Content-Type": "application/octet-stream"})  # fmt: skip

    def queue(self) -> dict[str, Any]:
        """Answer what waits and what is active: one's own runs, and which places are others'."""
        return self._json("GET", "/queue")

    def report(self, run_id: str) -> dict[str, Any]:
        """Answer what came of a run: figures, notes, tables and charts."""
        return self._json("GET", f"/runs/{run_id}/report")

    def artifacts(self, run_id: str) -> list[dict[str, Any]]:
        """Answer the files that a run left behind."""
        found: list[dict[str, Any]] = self.call("GET", f"/runs/{run_id}/artifacts")
        return found

    def download(self, run_id: str, name: str, to: str | Path) -> None:
        """Write a file that a run left behind to a place of one's own. Raises NotFound."""
        with self._http.stream("GET", f"/runs/{run_id}/artifacts/{quote(name, safe='')}") as response:
            if response.is_error:
                response.read()
                raise _error_of(response)
            with Path(to).open("wb") as file:
                for piece in response.iter_bytes():
                    file.write(piece)

    def call(self, method: str, path: str, body: Any = None, **request: Any) -> Any:
        """Answer what any address of the API does, below `/api/v1`; None where there is nothing to say."""
        response = self._send(method, path, **request | ({} if body is None else {"json": body}))
        return response.json() if response.content else None

    def result(self, run_id: str) -> dict[str, Any]:
        """Answer the result of a run. Raises NotFound while there is none."""
        return self._json("GET", f"/runs/{run_id}/result")

    def frame(self, run_id: str, name: str = "trades") -> pl.DataFrame:
        """Answer `trades`, `orders`, `equity`, `drawdown` or `variants` of a run as a Polars frame."""
        import polars as pl

        response = self._send("GET", f"/runs/{run_id}/artifacts/{name}.parquet")
        return pl.read_parquet(io.BytesIO(response.content))

    def wait(self, run_id: str) -> dict[str, Any]:
        """Watch a run to its end and answer it."""
        for _ in self.watch(run_id):
            pass
        return self.get(run_id)

    def watch(self, run_id: str, after: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the events of a run to its last, each once and in order, over lost connections.

        A stream that breaks is resumed where it broke; where streams do not get through at all, pages are
        polled. Raises StorageUnavailable when the server stays away for longer than the patience.
        """
        failures = 0
        silent_since = time.monotonic()
        while True:
            source = self._stream if failures < STREAM_FAILURES_BEFORE_POLLING else self._poll
            before = after
            try:
                for event in source(run_id, after):
                    after = event["seq"]
                    silent_since = time.monotonic()
                    yield event
                    if event["type"] in TERMINAL_EVENTS:
                        return
                if source == self._stream and after == before and self._has_ended(run_id, after):
                    return
            except (httpx.HTTPError, SSEError, StorageUnavailable) as error:
                if time.monotonic() - silent_since > self._patience:
                    raise _unreachable("the server does not answer", error) from None
            failures = 0 if after > before else failures + 1
            time.sleep(RECONNECT_SECONDS)

    def _has_ended(self, run_id: str, after: int) -> bool:
        return not self._page(run_id, after) and self.get(run_id)["state"] in TERMINAL_EVENTS

    def _stream(self, run_id: str, after: int) -> Iterator[dict[str, Any]]:
        headers = {"Last-Event-ID": str(after)}
        path = f"/runs/{run_id}/events"
        with connect_sse(self._http, "GET", path, headers=headers, timeout=_STREAM_TIMEOUT) as source:
            if source.response.status_code == 204:
                return
            if source.response.is_error:
                source.response.read()
                raise _error_of(source.response)
            for message in source.iter_sse():
                if message.data:
                    yield message.json()

    def _poll(self, run_id: str, after: int) -> Iterator[dict[str, Any]]:
        events = self._page(run_id, after)
        if not events:
            time.sleep(POLL_SECONDS)
        yield from events

    def _page(self, run_id: str, after: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._json(
            "GET", f"/runs/{run_id}/events", params={"after": after}, headers={"Accept": "application/json"}
        )["events"]
        return found

    def _json(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self._send(method, path, **request).json()
        return answer

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **request)
        except httpx.HTTPError as error:
            raise _unreachable(f"the server at {self._http.base_url} does not answer", error) from None
        if response.is_error:
            raise _error_of(response)
        return response


def _opened(url: str, timeout: float) -> httpx.Client:
    parsed = _parsed(url)
    base, uses_tls = f"{url.rstrip('/')}/api/v1", parsed.scheme == "https"
    try:
        # without TLS no certificate is asked for, and none of the variables that name one may be in the way
        verify = _certificates() if uses_tls else False
        return httpx.Client(base_url=base, timeout=timeout, verify=verify, trust_env=not _is_here(parsed.host))
    except (ValueError, OSError, ImportError, httpx.InvalidURL) as error:
        remedy = f"mend or unset {', '.join(_VARIABLES)}"
        raise InvalidInput(f"the environment's proxy or certificates cannot be used: {error}", remedy, "url") from None


def _certificates() -> ssl.SSLContext | bool:
    """Answer by what a server's certificate is checked: the authorities that the environment names, else the usual."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    return ssl.create_default_context(cafile=file, capath=folder) if file or folder else True


def _unreachable(what: str, error: Exception) -> StorageUnavailable:
    """Answer that no answer came, and what to do about it."""
    reason = str(error) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        return StorageUnavailable(f"{what}: {reason}", "name the authority of its certificate with SSL_CERT_FILE")
    return StorageUnavailable(f"{what}: {reason}", "is it running there?")


def _checked(token: str) -> str:
    """Answer a token that can be sent. Raises InvalidInput."""
    if not token.isascii() or not token.isprintable() or " " in token:
        raise InvalidInput("the token has characters that no token has", "copy it again: pb_…", "token")
    return token


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(1 << 20):
        yield piece


def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
        if parsed.scheme not in ("http", "https"):
            reason = "it does not begin with http://"
        elif not parsed.host:
            reason = "it names no host"
        elif parsed.query or parsed.fragment:
            reason = "it has a query or a fragment"
        else:
            return parsed
    except (httpx.InvalidURL, TypeError) as error:
        reason = str(error)
    raise InvalidInput(f"'{str(url)[:80]}' is no address of a server: {reason}", "write http://127.0.0.1:8000", "url")


def _is_here(host: str) -> bool:
    """Answer whether a host is this machine: then no proxy stands between."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _error_of(response: httpx.Response) -> PitbossError:
    """Answer the library's error for an error response."""
    try:
        body = response.json()
    except ValueError:
        body = {}
    detail, remedy = body.get("detail", f"HTTP {response.status_code}"), body.get("remedy", "")
    match response.status_code:
        case 400 | 413 | 415 | 422:
            return InvalidInput([Problem(**problem) for problem in body.get("errors", [])] or detail)
        case 401:
            return Unauthorized(detail, "sign in, or set PITBOSS_TOKEN to a token that holds")
        case 403:
            return Forbidden(detail, remedy)
        case 404:
            return NotFound(detail, remedy)
        case 409:
            return Conflict(detail, remedy)
        case 429 if "Retry-After" in response.headers and "password" in detail:
            return TooManyGuesses(detail, float(response.headers["Retry-After"]))
        case 429:
            return QueueFull(detail, int(response.headers.get("Retry-After", 5)))
        case 503 | 507:
            return StorageUnavailable(detail, remedy)
    return PitbossError(detail, remedy)
