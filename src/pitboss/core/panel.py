"""The instrument panel: the 64-bit cells through which a running job and the world outside speak.

They may lie in memory shared between processes. One side writes a cell, the other reads it; a cell is eight aligned
bytes, so no value is ever seen half written.
"""

from __future__ import annotations

CANCEL = 0  # set from outside: 1 asks the job to end
KEEP_PARTIAL = 1  # set from outside: 1 asks it to hand over what it has
DONE = 2  # units of work done in this stage
TOTAL = 3  # units of work of this stage
STAGE = 4  # which stage this is, counted from 1; changed before the cells of the one before are
CURRENT = 5  # the moment being worked on, microseconds since 1970; 0 is none
KILL_AT = 7  # boot nanoseconds after which the fork server kills the process group; 0 is never
KILL_REASON = 8  # why: one of the REASON_ values
LEASE_UNTIL = 9  # boot nanoseconds after which the worker's lease is no longer certain; 0 is none
SUSPEND = 10  # set from outside: 1 asks the job to save its state and end; another attempt goes on
GAUGES = 16  # the first of the cells that a stage gives names, such as trades so far: whole numbers or float64
MOST_GAUGES = 8
CELLS = GAUGES + MOST_GAUGES
BYTES = 8 * CELLS

REASON_NONE = 0
REASON_CANCEL = 1
REASON_TIMEOUT = 2
REASON_MEMORY = 3
REASON_LEASE = 4
REASON_SHUTDOWN = 5
REASON_FORK_SERVER = 6
