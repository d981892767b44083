"""The logs of processes that serve: one JSON object a line, or aligned text on a terminal.

Everything here logs through Python's `logging`, below `pitboss`, with what it tells of in `extra`; so whoever imports
pitboss decides what becomes of it. What the processes of runs write is raw.
"""

from __future__ import annotations

import logging
import sys
import threading

import structlog


def configure_logs(level: str) -> None:
    """Send logs to standard error: ours of `level` and above, warnings of other libraries, and what nobody caught."""
    common: list[structlog.types.Processor] = [
        structlog.stdlib.ExtraAdder(),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=common,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    logger = logging.getLogger("pitboss")
    logger.setLevel(level)
    sys.excepthook = lambda _, error, __: logger.critical("uncaught", exc_info=error)
    sys.unraisablehook = lambda found: logger.error("uncaught", exc_info=found.exc_value)
    threading.excepthook = lambda found: logger.error("uncaught in a thread", exc_info=found.exc_value)
