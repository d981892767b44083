"""The torments of `script/faults` in short."""

from __future__ import annotations

import pytest

from support import faults
from support.engine import Engine


@pytest.fixture
def engine(tmp_path):
    with Engine(tmp_path) as engine:
        yield engine


def test_random_cancels_end_in_time_and_once(engine):
    faults.make_bars(engine)
    engine.start_worker()
    outcome = faults.random_cancels(engine, 8, seed=1)
    assert outcome["cancelled"] + outcome.get("cancelled with partial results", 0) > 0


def test_hostile_code_is_ended_in_time(engine):
    engine.start_worker()
    faults.hostile_cancels(engine, 4)


def test_a_crowd_on_one_database_sees_no_lock(engine):
    assert faults.crowd(engine, 8, 5, seed=1)["runs"] > 10
