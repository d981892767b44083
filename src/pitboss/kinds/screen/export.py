"""A screen's results as a small database, for those who query them: the tables of the earlier system."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE strategy_run (
    run_id TEXT PRIMARY KEY, strategy_code TEXT NOT NULL, date TEXT, parameters TEXT NOT NULL,
    total_tickers INTEGER NOT NULL, processed_tickers INTEGER NOT NULL, passed_count INTEGER NOT NULL
);
CREATE TABLE strategy_result (
    run_id TEXT NOT NULL REFERENCES strategy_run, ticker TEXT NOT NULL, date TEXT, passed INTEGER NOT NULL, score REAL,
    base REAL, class TEXT NOT NULL, reasons TEXT NOT NULL, metrics TEXT NOT NULL, PRIMARY KEY (run_id, ticker)
);
"""


def write_sqlite(path: Path, run_id: str, run: Mapping[str, Any], items: Iterable[Mapping[str, Any]]) -> None:
    """Write the tables `strategy_run`, of one row, and `strategy_result`, of one for each ticker; reasons and metrics
    are JSON. run: the other columns of its row, by name."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(_SCHEMA)
        columns = ("strategy_code", "date", "parameters", "total_tickers", "processed_tickers", "passed_count")
        row = (run_id, *(run[name] for name in columns))
        database.execute("INSERT INTO strategy_run VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        database.executemany(
            "INSERT INTO strategy_result VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (run_id, item["ticker"], item["date"], item["passed"], item["score"], item["base"], item["class"],
                 json.dumps(item["reasons"]), json.dumps(item["metrics"]))
                for item in items
            ),
        )  # fmt: skip
