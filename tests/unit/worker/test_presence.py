"""Which registered workers are dead, as far as can be seen."""

import os

import pytest

from pitboss.runs.model import WorkerInfo
from pitboss.worker import presence as module
from pitboss.worker.presence import Machine, Presence, presence, this_machine
from pitboss.worker.processes import start_time

HERE = Machine("machine", "boot", "pid:[1]")


@pytest.fixture(autouse=True)
def a_machine_with_a_name(monkeypatch):
    monkeypatch.setattr(module, "this_machine", lambda: HERE)


def worker(machine, host="host", pid=None, started_at=None):
    pid = pid or os.getpid()
    started_at = start_time(pid) if started_at is None else started_at
    return WorkerInfo(
        id="w",
        host=host,
        pid=pid,
        process_started_at=started_at or 0.0,
        slots=1,
        version="1",
        started_at=0.0,
        renewed_at=0.0,
        machine=str(machine),
    )


@pytest.mark.parametrize(
    ("registered", "shares_kernel", "seen"),
    [
        (worker(HERE), False, Presence.HERE),
        (worker(HERE, started_at=1e9), False, Presence.GONE),
        (worker(HERE, pid=2**22 + 1, started_at=1.0), False, Presence.GONE),
        (worker(HERE._replace(boot="another")), False, Presence.GONE),
        (worker(HERE._replace(boot="another"), host="elsewhere"), False, Presence.UNSEEN),
        (worker(HERE._replace(boot="another"), host="elsewhere"), True, Presence.GONE),
        (worker(HERE._replace(boot="another", id="other")), False, Presence.UNSEEN),
        (worker(HERE._replace(container="pid:[2]")), True, Presence.UNSEEN),
        (worker(HERE, host="elsewhere"), False, Presence.UNSEEN),
        (worker("boot pid:[1]"), True, Presence.HERE),
        (worker("another pid:[1]"), True, Presence.GONE),
        (worker("another pid:[1]"), False, Presence.UNSEEN),
        (worker(""), True, Presence.UNSEEN),
    ],
)
def test_what_is_seen_of_a_worker(registered, shares_kernel, seen):
    assert presence(registered, "host", shares_kernel) is seen


def test_machines_that_do_not_say_who_they_are_are_not_taken_for_one_another(monkeypatch):
    nameless = HERE._replace(id="-")
    monkeypatch.setattr(module, "this_machine", lambda: nameless)
    assert presence(worker(nameless._replace(boot="another")), "host", False) is Presence.UNSEEN


def test_this_machine_tells_its_boot_and_container():
    here = this_machine()
    assert len(str(here)) <= 100, "it fits its column"
    assert str(here).count(" ") == 2


@pytest.mark.parametrize(
    ("silent", "is_live"), [(0.0, True), (14.0, True), (16.0, False), (-14.0, True), (-3600.0, False)]
)
def test_a_renewal_in_the_future_is_no_sign_of_life(silent, is_live):
    registered = WorkerInfo(
        id="w",
        host="h",
        pid=1,
        process_started_at=1.0,
        slots=1,
        version="1",
        started_at=0.0,
        renewed_at=0.0,
        silent_seconds=silent,
    )
    assert registered.has_renewed(15.0) is is_live
