"""Says its stages itself, with pitboss.progress, which may also be copied beside the script."""

import sys
import time

from pitboss import progress

pause = float(sys.argv[1]) if len(sys.argv) > 1 else 0.05
for name, items in (("loading", 10), ("computing", 30), ("writing", 5)):
    progress.stage(name)
    for number in range(1, items + 1):
        time.sleep(pause)
        progress.update(number, items, item=f"{name} {number}", squares=number * number)
print("done")
