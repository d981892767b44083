"""Structured logs: one JSON object a line, or aligned text on a terminal. What the processes of runs write is raw."""

from __future__ import annotations

import logging
import sys
import threading
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


def configure_server_logs(level: str) -> None:
    """The same for a process that serves: what other libraries say, and what nobody caught, becomes such lines too."""
    configure_logs(level)
    processors = structlog.get_config()["processors"]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors[:-2],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *processors[-2:]],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    logger = structlog.get_logger("pitboss")
    sys.excepthook = lambda _, error, __: logger.critical("uncaught", exc_info=error)
    sys.unraisablehook = lambda found: logger.error("uncaught", exc_info=found.exc_value)
    threading.excepthook = lambda found: logger.error("uncaught in a thread", exc_info=found.exc_value)


def work_folder(data_dir: Path, run_id: str) -> Path:
    """Answer the folder in which a run works, on the machine where it runs; it goes with the run's end."""
    return data_dir / "work" / run_id


def run_log(data_dir: Path, run_id: str) -> Path:
    """Answer the file of what a run's process writes, on the machine where it runs."""
    return data_dir / "logs" / "runs" / f"{run_id}.log"
