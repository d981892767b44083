"""Structured logs: one JSON object a line, or aligned text on a terminal. What the processes of runs write is raw."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import structlog


def configure_logs(level: str, as_json: bool | None = None) -> None:
    """Send logs of `level` and above to standard error; JSON unless it is a terminal."""
    is_terminal = sys.stderr.isatty()
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if (not is_terminal if as_json is None else as_json)
        else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def run_log(data_dir: Path, run_id: str) -> Path:
    """Answer the file of what a run's process writes, on the machine where it runs."""
    return data_dir / "logs" / "runs" / f"{run_id}.log"
