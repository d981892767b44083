"""A run rewound to its last event is the run; rewound to any other it is what the log tells up to there."""

from __future__ import annotations

from pitboss.core.principal import LOCAL
from pitboss.runs.rewind import rewound
from support.engine import Engine


def test_the_whole_log_gives_the_run_as_the_database_has_it(tmp_path):
    with Engine(tmp_path) as engine:
        run = engine.submit("nothing")
        engine.service.prioritize(LOCAL, run.id, "high")
        engine.service.cancel(LOCAL, run.id, keep_partial=False, reason="no more")
        run = engine.service.get(LOCAL, run.id)
        events = engine.service.events(LOCAL, run.id)
    again = rewound(run, events)
    for name in ("state", "priority", "last_seq", "cancel_reason", "partial", "result", "error", "attempt"):
        assert getattr(again, name) == getattr(run, name), name
    assert [rewound(run, events[:count]).state for count in range(1, len(events) + 1)] == [
        "queued", "queued", "cancelling", "cancelled",
    ]  # fmt: skip
    assert rewound(run, events[:2]).priority == 10
    assert rewound(run, events[:1]).cancel_requested_at is None
