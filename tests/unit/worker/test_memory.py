"""What is said of a process that was killed: the kernel's own kills count where they were of our own group."""

from __future__ import annotations

import signal

from pitboss.worker.memory import KernelKills


def test_a_kill_is_put_down_to_memory_when_our_group_lost_a_process_meanwhile():
    kills = iter([3, 3, 4])
    seen = KernelKills(lambda: next(kills))
    assert not seen.explain(-signal.SIGKILL)
    assert seen.explain(-signal.SIGKILL)


def test_other_ends_and_older_kills_are_not():
    seen = KernelKills(lambda: 1)
    assert not seen.explain(-signal.SIGTERM)
    counts = iter([0, 1, 1, 1])
    seen = KernelKills(lambda: next(counts))
    seen.look()
    seen.look()
    assert not seen.explain(-signal.SIGKILL)
