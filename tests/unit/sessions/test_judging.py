"""How good a trader is: by its completed sessions, with intervals and the evidence there is."""

from __future__ import annotations

import math
import statistics

import pytest

from pitboss.sessions.judging import Judged, evidence, performance


def session(net, at_random=0.0, **fields):
    given = {
        "opening": 10_000.0, "drawdown": -0.01, "fees": 1.0, "cost": 0.5, "trades": 4,
        "wins": 2, "refused": 1, "held": 0.002,
    }  # fmt: skip
    return Judged(net=net, at_random=at_random, **{**given, **fields})


def test_figures_are_over_the_sessions_chained():
    found = performance([session(0.1), session(-0.05), session(0.02)])
    assert found["sessions"] == 3
    assert found["net_return"] == pytest.approx(1.1 * 0.95 * 1.02 - 1)
    assert found["drawdown"] == pytest.approx(-0.05)
    nets = [0.1, -0.05, 0.02]
    assert found["sharpe"] == pytest.approx(statistics.fmean(nets) / statistics.stdev(nets) * math.sqrt(252))
    assert found["sharpe_low"] < found["sharpe"] < found["sharpe_high"]
    assert (found["hit_rate"], found["trades"], found["orders_refused"]) == (0.5, 12, 3)
    assert (found["fees"], found["model_cost"], found["buy_and_hold"]) == (3.0, 1.5, pytest.approx(0.002))


def test_who_has_no_session_has_no_figures():
    found = performance([])
    assert (found["sessions"], found["net_return"], found["sharpe"], found["hit_rate"]) == (0, 0.0, None, None)


def test_how_many_more_sessions_it_takes_is_told():
    few = [session(0.01), session(-0.008), session(0.005), session(0.004)]
    said = evidence(few)
    assert said.startswith("not enough evidence yet: about ")
    needed = int(said.split("about ")[1].split()[0].replace(",", ""))
    excess = [each.net for each in few]
    least = (1.96 * statistics.stdev(excess) / statistics.fmean(excess)) ** 2
    assert needed == math.ceil(least) + 1 - len(few)
    assert evidence([session(0.01 + 0.0001 * at) for at in range(20)]) == "better than trading at random"
    assert evidence([session(-0.01 - 0.0001 * at) for at in range(20)]) == "worse than trading at random"
    assert "at least 2 sessions" in evidence([session(0.01)])
