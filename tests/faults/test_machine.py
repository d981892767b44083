"""The state machine over both databases: briefly here, twenty thousand sequences in `script/faults`."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from faults.machine import FaultyDatabase, life_cycle
from pitboss.storage.migrate import bring_up_to_date


def test_the_life_of_runs_holds_whatever_call_fails(database):
    faulty = FaultyDatabase(database.url.render_as_string(hide_password=False))
    bring_up_to_date(faulty)
    chosen = settings(max_examples=40, stateful_step_count=20, deadline=None, database=None,
                      suppress_health_check=list(HealthCheck))  # fmt: skip
    run_state_machine_as_test(life_cycle(faulty), settings=chosen)
    faulty.close()
