"""What needs the libraries of numbers on behalf of a process that has not loaded them.

    python -m pitboss.reader.process DATA_DIR FILES_URL

Reads requests from standard input, one JSON array of a name and its arguments a line, the first of them the folder of
somebody's own bars, and answers each with a line; ends with its input. `reader.client` starts it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pitboss.core.errors import DiskFull, InvalidInput, NotFound, PitbossError
from pitboss.core.files import open_files
from pitboss.core.places import follow_folder, place_caches


def requests() -> dict[str, Callable[..., Any]]:
    """Answer what can be asked, by name. Loads the libraries."""
    from pitboss.reader import bars, luck, quotes, screens, strategies, tables

    modules = (bars, tables, strategies, screens, luck, quotes)
    return {name: getattr(module, name) for module in modules for name in module.REQUESTS}


def main() -> None:
    data_dir = Path(sys.argv[1])
    follow_folder(data_dir)
    place_caches(data_dir)  # before anything compiled is imported
    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints must not get among the answers
    known = requests()
    from pitboss.market.store import BarStore

    files = open_files(data_dir, sys.argv[2])
    for line in sys.stdin:
        name, (home, *arguments) = json.loads(line)
        try:
            answer: dict[str, Any] = {"answer": known[name](BarStore(files, home), *arguments)}
        except PitbossError as error:
            answer = told(error)
        print(json.dumps(answer), file=out, flush=True)


def told(error: PitbossError) -> dict[str, Any]:
    """Answer an error as another process can raise it again."""
    problems = [problem.as_dict() for problem in error.problems] if isinstance(error, InvalidInput) else []
    name = type(error).__name__ if isinstance(error, InvalidInput | NotFound | DiskFull) else "StorageUnavailable"
    return {"error": name, "message": error.message, "remedy": error.remedy, "problems": problems}


if __name__ == "__main__":
    main()
