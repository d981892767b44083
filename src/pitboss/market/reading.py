"""What needs the libraries of numbers on behalf of a process that has not loaded them: read, made and imported bars.

    python -m pitboss.market.reading DATA_DIR FILES_URL

Reads requests from standard input, one JSON array of a name and its arguments a line, the first of them the folder of
somebody's own bars, and answers each with a line; ends with its input. `serving.reader` starts it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pitboss.core.errors import DiskFull, InvalidInput, NotFound, PitbossError
from pitboss.core.files import open_files
from pitboss.core.places import follow_folder, place_caches
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.options import ImportOptions

if TYPE_CHECKING:
    from pitboss.market.store import BarStore


class Reading:
    """The requests that are answered, about the bars that somebody may use."""

    def __init__(self, store: BarStore) -> None:
        self.store = store

    def bars(self, symbol: str, timeframe: str, start: str | None, end: str | None, limit: int) -> list[dict[str, Any]]:
        """Answer the first bars of a range; longer timeframes are made of shorter ones."""
        from pitboss.market.frames import between, nullable, to_frame

        found = between(self.store.load(symbol, parse_timeframe(timeframe)), start, end)
        rows = nullable(to_frame(found.head(limit))).iter_rows(named=True)
        return [row | {"ts": row["ts"].isoformat()} for row in rows]

    def gaps(self, symbol: str, timeframe: str, limit: int) -> list[dict[str, Any]]:
        """Answer where bars are missing, the largest gaps first."""
        found = sorted(self.store.gaps(symbol, parse_timeframe(timeframe)), key=lambda gap: -gap.missing)
        return [{"after": gap.after, "before": gap.before, "missing": gap.missing} for gap in found[:limit]]

    def import_file(self, path: str, symbol: str, timeframe: str, options: dict[str, Any]) -> dict[str, Any]:
        """Read, clean and store a file of bars."""
        asked = ImportOptions.from_values(options)
        [made] = self.store.import_file(Path(path), symbol, parse_timeframe(timeframe), asked, source="the upload")
        return {"series": made.series.as_dict(), "report": made.report.as_dict()}


def main() -> None:
    data_dir = Path(sys.argv[1])
    follow_folder(data_dir)
    place_caches(data_dir)
    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints must not get among the answers
    from pitboss.market.store import BarStore  # not before it is known where compiled kernels are kept

    files = open_files(data_dir, sys.argv[2])
    for line in sys.stdin:
        name, (home, *arguments) = json.loads(line)
        try:
            answer: dict[str, Any] = {"answer": getattr(Reading(BarStore(files, home)), name)(*arguments)}
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
