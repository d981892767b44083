"""A server elsewhere as commands see it: what they ask of the platform here is asked over HTTP."""

from __future__ import annotations

import os
import queue
import sys
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any
from urllib.parse import quote

import typer

from pitboss.cli.options import settings_of
from pitboss.cli.remoteaccounts import RemoteAccounts, RemoteSecrets
from pitboss.client.client import Client
from pitboss.core.clock import from_iso
from pitboss.core.errors import InvalidInput, NotFound, PitbossError
from pitboss.core.files import open_files
from pitboss.core.principal import Principal
from pitboss.core.timeframe import Timeframe
from pitboss.market.catalog import SHARED, Catalog, Series
from pitboss.market.options import ImportOptions
from pitboss.runs.kinds import Kinds
from pitboss.runs.model import DEFAULT_RESOURCE, Artifact, QueuePlace, Run, RunQuery, StoredEvent
from pitboss.runs.references import artifact_named, run_named
from pitboss.runs.report import Report
from pitboss.runs.service import CancelAnswer
from pitboss.runs.states import State
from pitboss.runs.submission import Submission

LOOK_SECONDS = 0.25  # between two words to whoever watches, where nothing is new
MOST = 500  # of a list that a server answers at once


class RemoteDesk:
    """A server elsewhere: who works is whom the token names."""

    def __init__(self) -> None:
        self.client = Client()
        self.kinds = Kinds()
        self.service = RemoteRuns(self.client, self.kinds)
        client = self.client
        self.strategies = RemoteShelf(client.add_strategy, client.strategy, client.strategies)
        self.screens = RemoteShelf(client.add_screen, client.screen, client.screens)
        self.presets = RemotePresets(client)
        self.accounts = RemoteAccounts(self.client)
        self.vault = RemoteSecrets(self.client)
        self.launcher = NoLauncher()
        self._folder = tempfile.TemporaryDirectory(prefix="pitboss-")
        self.files = RemoteFiles(self.client, Path(self._folder.name))
        self.place = self.client.url
        self.who = Principal("")  # the server knows by the token

    def __enter__(self) -> RemoteDesk:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.client.close()
        self._folder.cleanup()

    def log_of(self, run: Run) -> str:
        raise InvalidInput(
            f"what run {run.id} wrote is kept on the server's machine",
            "ask for it there: pitboss runs show --log",
            "--log",
        )

    def bring(self, symbols: Collection[str], data_dir: Path | None) -> None:
        """Upload the bars of symbols that are at hand here and not there."""
        settings = settings_of(data_dir)
        known = {series["symbol"] for series in self.client.series()}
        here = Catalog(open_files(settings.data_dir, settings.files_url))
        missing = [series for series in here.all() if series.symbol in set(symbols) - known]
        for series in missing:
            self.client.upload(here.fetch(series), series.symbol, series.timeframe)
            print(f"{series.symbol} {series.timeframe}: {series.rows:,} bars uploaded", file=sys.stderr)

    def prove(self) -> None:
        """Sign in by name and password where there is no token."""
        if not self.client.has_token:
            name = typer.prompt("name", err=True)
            self.client.sign_in(name, typer.prompt("password", hide_input=True, err=True))


class NoLauncher:
    """The server sees to its workers itself."""

    def ensure(self) -> None:
        return None


class RemoteRuns:
    """Runs of a server; see `cli.desk.Service`."""

    def __init__(self, client: Client, kinds: Kinds) -> None:
        self.kinds = kinds
        self._client = client
        self._places: dict[str, QueuePlace | None] = {}  # of the runs that were answered last

    def _run(self, told: Mapping[str, Any]) -> Run:
        place = told["queue"]
        self._places[told["id"]] = _place(place) if place else None
        return run_of(told)

    def submit(self, _who: Principal, request: Submission) -> Run:
        return self._run(
            self._client.submit(
                request.kind, request.params, request.priority, request.tags, request.options, request.idempotency_key
            )
        )

    def get(self, _who: Principal, run_id: str) -> Run:
        return self._run(self._client.get(run_id))

    def find(self, _who: Principal, query: RunQuery) -> list[Run]:
        given = {"kind": query.kind, "subject": query.subject, "tag": query.tag, "owner": query.owner,
                 "cursor": query.cursor, "state": [state.value for state in query.states] or None,
                 "limit": query.limit}  # fmt: skip
        return [self._run(told) for told in self._client.runs(**{k: v for k, v in given.items() if v is not None})]

    def resolve(self, who: Principal, reference: str) -> Run:
        if len(reference) >= 36:
            return self.get(who, reference)
        recent = self.find(who, RunQuery(limit=1 if reference == "latest" else MOST))
        if reference != "latest":
            return run_named(recent, reference)
        if not recent:
            raise NotFound("there are no runs yet", "start one first")
        return recent[0]

    def cancel(self, _who: Principal, run_id: str, keep_partial: bool, reason: str = "") -> CancelAnswer:
        told = self._client.cancel(run_id, keep_partial, reason)
        return CancelAnswer(self._run(told), told["message"])

    def stop_everything(self, _who: Principal, keep_partial: bool) -> list[Run]:
        return [self._run(self._client.get(run_id)) for run_id in self._client.stop_everything(keep_partial)]

    def prioritize(self, _who: Principal, run_id: str, priority: str | int) -> Run:
        return self._run(self._client.prioritize(run_id, priority))

    def unconfirmed(self, _run: Run) -> str:
        return ""

    def retry(self, _who: Principal, run_id: str) -> Run:
        return self._run(self._client.retry(run_id))

    def resume(self, _who: Principal, run_id: str) -> Run:
        return self._run(self._client.resume(run_id))

    def rerun(
        self, _who: Principal, run_id: str, overrides: Mapping[str, Any] | None = None, *, newest: bool = False
    ) -> Run:  # fmt: skip
        return self._run(self._client.rerun(run_id, newest=newest, **(overrides or {})))

    def place(self, run: Run) -> QueuePlace | None:
        return self._places.get(run.id)

    def waits_for(self, run: Run) -> str:
        place = self.place(run)
        return place.waiting_reason if place else ""

    def queued(self, _who: Principal) -> list[tuple[Run | None, QueuePlace]]:
        told = self._client.queue()
        own = [(self._run(run), _place(run["queue"])) for run in told["queued"]]
        others = [(None, QueuePlace(other["position"], None, "")) for other in told["others"]]
        return sorted([*own, *others], key=lambda pair: pair[1].position)

    def active(self, _who: Principal) -> list[Run]:
        return [self._run(run) for run in self._client.queue()["active"]]

    def report(self, _who: Principal, run_id: str) -> Report:
        return Report.model_validate(self._client.report(run_id))

    def artifact(self, _who: Principal, run_id: str, name: str) -> Artifact:
        found = [
            Artifact(
                each["name"], f"artifacts/{run_id}/{each['name']}", each["size"], each["digest"], each["media_type"]
            )
            for each in self._client.artifacts(run_id)
        ]
        return artifact_named(found, name, run_id)

    def watch(self, _who: Principal, run_id: str, after: int = 0) -> Iterator[StoredEvent | None]:
        """Yield the events of a run as they come, over lost connections; None now and then."""
        told: queue.SimpleQueue[dict[str, Any] | PitbossError | None] = queue.SimpleQueue()
        is_over = threading.Event()

        def listen() -> None:
            with self._client.another() as own:
                try:
                    for event in own.watch(run_id, after):
                        told.put(event)
                        if is_over.is_set():
                            return
                    told.put(None)
                except PitbossError as error:
                    told.put(error)

        threading.Thread(target=listen, name="watch", daemon=True).start()
        try:
            while True:
                try:
                    found = told.get(timeout=LOOK_SECONDS)
                except queue.Empty:
                    yield None
                    continue
                if found is None:
                    return
                if isinstance(found, PitbossError):
                    raise found
                yield StoredEvent(run_id, found["seq"], from_iso(found["ts"]) or 0.0, found["type"], found["payload"])
        finally:
            is_over.set()


@dataclass(frozen=True)
class RemoteShelf:
    """Documents of a server, by what asks it for them; see `cli.desk.Shelf`."""

    _add: Callable[[str], Mapping[str, Any]]
    _get: Callable[[str, int | None], Mapping[str, Any]]
    _all: Callable[[], Sequence[Mapping[str, Any]]]

    def add(self, _owner: str, _name: str, text: str) -> Any:
        return _stored(self._add(text))

    def get(self, _owner: str, name: str, version: int | None = None) -> Any:
        return _stored(self._get(name, version))

    def all(self, _owner: str) -> list[Any]:
        return [_stored(told) for told in self._all() if told["version"] is not None]


@dataclass(frozen=True)
class RemotePresets:
    """Presets of a server; see `cli.desk.Presets`."""

    _client: Client

    def under(self, _who: Principal, kind: str, name: str | None, params: Mapping[str, Any]) -> dict[str, Any]:
        if name is None:
            return dict(params)
        kept = self._client.call("GET", f"/presets/{quote(kind, safe='')}/{quote(name, safe='')}")
        return {**kept["params"], **params}


class RemoteBars:
    """Bars of a server: what there is, and what takes them in."""

    def __init__(self) -> None:
        self._client = Client()

    def all(self) -> list[Series]:
        return [_series(told) for told in self._client.series()]

    def import_file(
        self,
        path: Path,
        symbol: str,
        timeframe: Timeframe,
        options: ImportOptions,
        source: str = "",  # noqa: ARG002
    ) -> list[Any]:
        if options.each_ticker:
            raise InvalidInput("a server takes one series at a time", "name one with --ticker", "--each-ticker")
        given = {name: value for name, value in asdict(options).items() if value not in (None, False, "")}
        told = self._client.upload(path, symbol, str(timeframe), **given)
        report = SimpleNamespace(**told["report"])
        report.repairs = lambda: told["report"]["repairs"]
        report.largest_gaps = [SimpleNamespace(**gap) for gap in told["report"]["largest_gaps"]]
        return [SimpleNamespace(series=_series(told["series"]), report=report)]

    def remove(self, symbol: str, timeframe: Timeframe) -> None:
        self._client.call("DELETE", f"/data/{quote(symbol)}/{timeframe}")

    def share(self, symbol: str, timeframe: Timeframe, is_shared: bool) -> Series:
        return _series(self._client.call("PATCH", f"/data/{quote(symbol)}/{timeframe}", {"is_shared": is_shared}))


class RemoteFiles:
    """What runs of a server left behind, fetched into a folder of this command's own."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder

    def fetch(self, name: str) -> Path | None:
        """Answer the file of `artifacts/RUN/NAME`, None where there is none."""
        _, run_id, artifact = name.split("/", 2)
        path = self._folder / f"{run_id}-{artifact.replace('/', '_')}"
        if not path.exists():
            try:
                self._client.download(run_id, artifact, path)
            except NotFound:
                with suppress(OSError):
                    os.unlink(path)
                return None
        return path


def run_of(told: Mapping[str, Any]) -> Run:
    """Answer a run as a server tells it; what it keeps to itself is empty."""
    cancel = told.get("cancel") or {}
    known = {
        **{name: told[name] for name in ("id", "number", "kind", "subject", "owner", "priority", "params", "options",
                                         "attempt", "progress", "result", "partial", "error", "parent")},
        **{name: from_iso(told[name]) for name in ("created_at", "started_at", "ended_at")},
        "state": State(told["state"]), "tags": tuple(told["tags"]), "resource": DEFAULT_RESOURCE, "snapshot": {},
        "cancel_requested_at": from_iso(cancel.get("requested_at")), "cancel_keep_partial": cancel.get("keep_partial"),
        "cancel_reason": cancel.get("reason"), "queued_at": from_iso(told["created_at"]), "is_resumed": False,
    }  # fmt: skip
    numbers = dict.fromkeys(("serial", "checkpointed_attempt", "failed_starts", "memory_kills", "last_seq"), 0)
    empty = {each.name: None for each in fields(Run)}
    return Run(**(empty | numbers | known))


def _series(told: Mapping[str, Any]) -> Series:
    known = {each.name: told.get(each.name, "") for each in fields(Series)}
    moments = {name: round((from_iso(told[name]) or 0.0) * 1e6) for name in ("first", "last")}
    return Series(**(known | moments | {"place": SHARED if told["is_shared"] else ""}))


def _artifact(run_id: str, told: Mapping[str, Any]) -> Artifact:
    path = f"artifacts/{run_id}/{told['name']}"
    return Artifact(told["name"], path, told["size"], told["digest"], told["media_type"])


def _place(told: Mapping[str, Any]) -> QueuePlace:
    return QueuePlace(told["position"], from_iso(told["estimated_start"]), told["waiting_reason"])


def _stored(told: Mapping[str, Any]) -> Any:
    return SimpleNamespace(**{**told, "created_at": from_iso(told["created_at"])})
