"""Process 1 of a container inherits every orphan in it, and has to take leave of them."""

from __future__ import annotations

import os
import signal
import sys

_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def reap_as_the_first() -> None:
    """Where this is process 1, go on in a child and stay behind: reap, pass on signals, and end as the child does."""
    if os.getpid() != 1:
        return
    child = os.fork()
    if child == 0:
        return
    for number in _PASSED_ON:
        signal.signal(number, lambda number, _frame: os.kill(child, number))
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code if code >= 0 else 128 - code)
