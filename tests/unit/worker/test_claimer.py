"""From a claim to a process: what becomes of a run that cannot be started."""

import errno
from types import SimpleNamespace

import pytest

from pitboss.runs.kinds import Kind, Kinds, Params
from pitboss.runs.model import Claim, Run
from pitboss.runs.states import Setback, State
from pitboss.worker.claimer import Claimer
from pitboss.worker.rhythm import Rhythm

KIND = Kind(name="a", title="A", params=Params, entry="some.module:run")
NOTHING = dict.fromkeys(Run.__dataclass_fields__)
RUN = Run(**(NOTHING | {"id": "r", "kind": "a", "state": State.STARTING, "attempt": 1, "params": {}, "snapshot": {}, "options": {},
                        "resource": "default", "failed_starts": 0}))  # fmt: skip


class Admission:
    def __init__(self):
        self.closed = []

    def is_open(self):
        return True

    def close(self, reason):
        self.closed.append(reason)


class Forks:
    def __init__(self, error):
        self.error, self.kills = error, None

    def need(self, kinds): ...

    def ready_kinds(self):
        return ("a",)

    def hopeless(self):
        return ()

    def spawn(self, kind, order, log, secrets):
        raise self.error


class Store:
    def __init__(self):
        self.written = []

    def claim(self, *_):
        return [Claim(RUN, "token")]

    def waiting_kind(self, kinds):
        return None

    def write(self, writes):
        self.written += writes


@pytest.mark.parametrize(
    ("error", "setback", "closes"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused"), None, False),
        (OSError(errno.EMFILE, "Too many open files"), Setback.START, True),
    ],
)
def test_a_run_that_cannot_be_started_is_queued_again(tmp_path, error, setback, closes):
    config = SimpleNamespace(
        data_dir=tmp_path, files_url="", database_url="", checkpoint_seconds=1.0, slots={"default": 1}, limits=None,
        lease_seconds=15.0,
    )  # fmt: skip
    store, admission = Store(), Admission()
    leases = SimpleNamespace(end=lambda claimed_at: 0)
    claimer = Claimer(config, store, Kinds([KIND]), Forks(error), admission, leases, Rhythm("w"), "w")
    assert claimer.claim({}) == []
    (write,) = store.written
    assert (write.move.to, write.move.setback) == (State.QUEUED, setback)
    assert bool(admission.closed) is closes
