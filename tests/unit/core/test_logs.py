import json
import logging
import sys
import threading

import pytest

from pitboss.core.logs import configure_logs


@pytest.fixture(autouse=True)
def kept_hooks(monkeypatch):
    """Leave logging and the hooks for what nobody caught as they were."""
    root, own = logging.getLogger(), logging.getLogger("pitboss")
    handlers, levels = root.handlers[:], (root.level, own.level)
    for place, hook in ((sys, "excepthook"), (sys, "unraisablehook"), (threading, "excepthook")):
        monkeypatch.setattr(place, hook, getattr(place, hook))
    yield
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    own.setLevel(levels[1])


def test_each_line_is_one_json_object_whoever_writes_it(capsys):
    configure_logs("INFO")
    own = logging.getLogger("pitboss.worker")
    own.info("run moved", extra={"run": "42", "to": "queued"})
    own.debug("not asked for")
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        own.error("failed", exc_info=error)
    logging.getLogger("celery").warning("broker %s", "away")
    logging.getLogger("celery").info("not ours, and no warning")
    sys.excepthook(KeyError, KeyError("x"), None)
    moved, failed, away, uncaught = map(json.loads, capsys.readouterr().err.splitlines())
    assert (moved["event"], moved["level"], moved["run"], moved["to"]) == ("run moved", "info", "42", "queued")
    assert moved["timestamp"].endswith("Z")
    assert "ValueError: two\nlines" in failed["exception"]
    assert (away["event"], away["level"]) == ("broker away", "warning")
    assert (uncaught["event"], uncaught["level"]) == ("uncaught", "critical")
