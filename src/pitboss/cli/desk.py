"""What commands work at: the platform of this machine, or a server elsewhere by the same words."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from pitboss.accounts.model import Account, Token
from pitboss.accounts.ports import Entry
from pitboss.accounts.vault import Secret
from pitboss.bootstrap import Platform
from pitboss.cli.options import URL
from pitboss.cli.platform import opened_here
from pitboss.core.errors import PitbossError
from pitboss.core.principal import LOCAL, Principal
from pitboss.runs.kinds import Kinds
from pitboss.runs.model import Artifact, QueuePlace, Run, RunQuery, StoredEvent
from pitboss.runs.report import Report
from pitboss.runs.service import CancelAnswer
from pitboss.runs.submission import Submission

CHANGES = (  # commands that change something and note it nowhere else
    "backtest", "sweep", "run ", "strategy add", "runs cancel", "runs priority", "runs retry", "runs resume",
    "runs rerun", "runs stop-all", "traders add", "traders order", "session start", "session fork",
)  # fmt: skip


class Service(Protocol):
    """As much of `runs.service.RunService` as commands ask for."""

    @property
    def kinds(self) -> Kinds: ...

    def submit(self, who: Principal, request: Submission) -> Run: ...

    def get(self, who: Principal, run_id: str) -> Run: ...

    def find(self, who: Principal, query: RunQuery) -> list[Run]: ...

    def resolve(self, who: Principal, reference: str) -> Run: ...

    def cancel(self, who: Principal, run_id: str, keep_partial: bool, reason: str = "") -> CancelAnswer: ...

    def stop_everything(self, who: Principal, keep_partial: bool) -> list[Run]: ...

    def prioritize(self, who: Principal, run_id: str, priority: str | int) -> Run: ...

    def unconfirmed(self, run: Run) -> str: ...

    def retry(self, who: Principal, run_id: str) -> Run: ...

    def resume(self, who: Principal, run_id: str) -> Run: ...

    def rerun(
        self, who: Principal, run_id: str, overrides: Mapping[str, Any] | None = None, *, newest: bool = False
    ) -> Run: ...  # fmt: skip

    def place(self, run: Run) -> QueuePlace | None: ...

    def waits_for(self, run: Run) -> str: ...

    def queued(self, who: Principal) -> list[tuple[Run | None, QueuePlace]]: ...

    def active(self, who: Principal) -> list[Run]: ...

    def report(self, who: Principal, run_id: str) -> Report: ...

    def artifact(self, who: Principal, run_id: str, name: str) -> Artifact: ...

    def watch(self, who: Principal, run_id: str, after: int = 0) -> Iterator[StoredEvent | None]: ...


class Shelf(Protocol):
    """As much of `storage.documents.DocumentShelf`."""

    def add(self, owner: str, name: str, text: str) -> Any: ...

    def get(self, owner: str, name: str, version: int | None = None) -> Any: ...

    def all(self, owner: str) -> list[Any]: ...


class Presets(Protocol):
    """As much of `runs.presets.Presets`."""

    def under(self, who: Principal, kind: str, name: str | None, params: Mapping[str, Any]) -> dict[str, Any]: ...


class Accounts(Protocol):
    """As much of `accounts.service.AccountService`."""

    def all(self, who: Principal) -> list[Account]: ...

    def add(self, who: Principal, name: str, password: str, role: str) -> Account: ...

    def set_role(self, who: Principal, name: str, role: str) -> Account: ...

    def enable(self, who: Principal, name: str) -> Account: ...

    def disable(self, who: Principal, name: str) -> Account: ...

    def set_password(self, who: Principal, name: str, password: str) -> Account: ...

    def remove(self, who: Principal, name: str) -> None: ...

    def acting_for(self, who: Principal, name: str | None) -> Principal: ...

    def create_token(self, who: Principal, name: str, scope: str, lasts: float | None) -> tuple[Token, str]: ...

    def tokens(self, who: Principal) -> list[Token]: ...

    def revoke(self, who: Principal, reference: str) -> Token: ...

    def entries(self, who: Principal, after: str, limit: int, of: str | None) -> list[dict[str, Any]]: ...


class Secrets(Protocol):
    """As much of `accounts.vault.Vault`."""

    def put(self, who: Principal, name: str, value: str) -> Secret: ...

    def all(self, who: Principal) -> list[Secret]: ...

    def remove(self, who: Principal, name: str) -> None: ...


class FilesAt(Protocol):
    """Where what runs left behind can be read."""

    def fetch(self, name: str) -> Path | None: ...


class Starter(Protocol):
    """Sees to it that somebody works on what is queued."""

    def ensure(self) -> None: ...


class Desk(Protocol):
    """What commands work at; `place` says where that is."""

    @property
    def who(self) -> Principal: ...

    @property
    def place(self) -> str: ...

    @property
    def service(self) -> Service: ...

    @property
    def strategies(self) -> Shelf: ...

    @property
    def screens(self) -> Shelf: ...

    @property
    def presets(self) -> Presets: ...

    @property
    def accounts(self) -> Accounts: ...

    @property
    def vault(self) -> Secrets: ...

    @property
    def files(self) -> FilesAt: ...

    @property
    def launcher(self) -> Starter: ...

    def log_of(self, run: Run) -> str: ...

    def bring(self, symbols: Collection[str], data_dir: Path | None) -> None:
        """See to it that bars which are at hand here are there too."""

    def prove(self) -> None:
        """See to it that whoever works here is known there."""


@contextmanager
def desk_of(data_dir: Path | None, takes_up: bool = True) -> Iterator[Desk]:
    """Open what one command works at; what others have left unfinished on this machine is taken up, unless the command
    is about something else."""
    if os.environ.get(URL):
        from pitboss.cli.remote import RemoteDesk

        with RemoteDesk() as remote:
            yield remote
        return
    with opened_here(data_dir, takes_up) as platform:
        try:
            yield platform
        except PitbossError:
            raise
        except BaseException:  # a run that failed leaves by its exit code
            _note(platform)
            raise
        _note(platform)


def _note(platform: Platform) -> None:
    """Note in the audit that a command of this machine changed something, where there are accounts."""
    words = " ".join([word for word in sys.argv[1:] if not word.startswith("-")][:2])
    if platform.who != LOCAL and words.startswith(CHANGES):
        platform.accounts.audit.record([Entry.of(platform.who, "command", words)])
