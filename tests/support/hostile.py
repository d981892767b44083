"""A script that does not want to end: it ignores SIGTERM, as do its children, one of which is a daemon.

python hostile.py MARK MEGABYTES        first prints so much, then tells that all are there, and waits
"""

import os
import signal
import subprocess
import sys
import time

mark, megabytes = sys.argv[1], int(sys.argv[2])
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = ["import signal, time", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", "time.sleep(600)"]
command = [sys.executable, "-c", "\n".join(child), mark]
subprocess.Popen(command)
subprocess.Popen(command, start_new_session=True)
if os.fork() == 0:  # and one that nobody is the parent of
    os.setsid()
    if os.fork() == 0:
        os.execv(command[0], command)
    os._exit(0)
line = b"x" * 1023 + b"\n"
for _ in range(1024 * megabytes):
    os.write(1, line)
print("[1/2] waiting", flush=True)
while True:
    time.sleep(0.01)
