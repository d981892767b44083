"""A screen document is read with every mistake at its place, and says what it was asked to say."""

from __future__ import annotations

import numpy as np
import pytest

from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import DAY_MICROS
from pitboss.kernel.bars import BarArrays
from pitboss.screening.evaluate import judge
from pitboss.screening.program import compile_screen
from pitboss.screening.reader import inspect_screen, read_screen

TEXT = """name: cheap
timeframe: 1d
least_bars: 3
parameters:
  mark: {default: 10, low: 0, high: 30}
indicators:
  mean: sma(close, 3)
filters:
  - {name: price, keep: close >= 2, reason: below two}
criteria:
  - {name: up, when: close > mean, points: 10}
  - {name: grade, points: 2 * (close - mean), least: -4, most: 6}
overlay:
  - {name: loud, when: volume > 5, points: 3}
pass_mark: mark
score: {lowest: 0, highest: 15}
classes: {good: passed and score > 12, fair: passed, poor: otherwise}
risk: {High: close > 6, Low: otherwise}
stop: 0.9 * close
metrics:
  distance: close / mean - 1
  side: {above: close > mean, below: otherwise}
"""


def bars(*closes):
    close = np.array(closes, np.float64)
    return BarArrays(np.arange(len(close)) * DAY_MICROS, close, close, close, close, np.arange(len(close)) + 2.0)


def rows(text, *closes, **parameters):
    judged = judge(compile_screen(read_screen(text), parameters), {"A": bars(*closes)}, "A")
    return [judged.row(at) for at in range(len(closes))]


def test_a_row_says_what_was_asked():
    few, last, flat, cheap, dear = rows(TEXT, 3, 3, 3, 1, 8)
    assert (few["class"], few["passed"], few["reasons"]) == ("insufficient", False, ["1 bars: 3 are needed"])
    assert last["class"] == "insufficient"
    assert (flat["base"], flat["score"], flat["class"], flat["reasons"]) == (0, 0, "poor", [])
    assert (cheap["passed"], cheap["reasons"]) == (False, ["below two", "grade -2.66667"])
    assert (cheap["base"], cheap["score"]) == (pytest.approx(-8 / 3), 0)
    assert (dear["base"], dear["score"], dear["class"]) == (16, 15, "good")
    assert dear["reasons"] == ["up +10", "grade +6", "loud +3"]
    assert dear["metrics"] == {"distance": 1.0, "stop": pytest.approx(7.2), "risk": "High", "side": "above"}
    assert rows(TEXT, 3, 3, 3, 1, 8, mark=16)[-1]["passed"] is True
    with pytest.raises(InvalidInput, match="the pass mark is 17, and the criteria give 16 points at most"):
        rows(TEXT, 3, mark=17)


def test_what_a_condition_cannot_tell_gives_no_points():
    text = "name: x\ncriteria:\n  - {name: a, when: \"not sma(close, 9) > 1\", points: 5}\n" \
           "  - {name: b, points: \"sma(close, 9)\", most: 5}\nclasses: {no: not passed, yes: otherwise}\n"  # fmt: skip
    (row,) = rows(text, 3)
    assert (row["base"], row["class"]) == (0, "yes")


MISTAKES = [
    ("pass_mark: mark", "pass_mark: 17", "the criteria give 16 points at most", 15),
    ("when: close > mean", "when: close + mean", "is a series", 11),
    ("when: close > mean", 'when: "close[-1] > mean"', "look into the future", 11),
    ("when: close > mean", "when: score > 3", "used before it is defined", 11),
    ("keep: close >= 2", "keep: closed >= 2", "unknown name 'closed'", 9),
    ("points: 10}", "points: close}", "is a series", 11),
    (", most: 6", "", "neither a condition nor a bound", 12),
    ("{name: up, ", "{", "an entry has no name", 11),
    ("name: grade", "name: up", "'up' stands twice", 12),
    ("poor: otherwise", "poor: otherwise, last: passed", "can never be said", 17),
    ("passed and score > 12", "'on(\"1w\", score) > 12'", "of the screen's own bars", 17),
    ("distance:", "score:", "cannot name a metric", 21),
    ("indicators:\n  mean:", "indicators:\n  base:", "the name 'base' is taken", 7),
    ("least_bars: 3", "least_bars: 2.5", "least_bars is 2.5", 3),
    ("overlay:", "extras:", "unknown key 'extras'", 13),
    ("filters:\n  - {name: price, keep: close >= 2, reason: below two}", "filters: close", "is a list", 8),
]


@pytest.mark.parametrize(("before", "after", "said", "line"), MISTAKES, ids=lambda value: str(value)[:24])
def test_a_mistake_is_told_at_its_place(before, after, said, line):
    assert before in TEXT
    _, problems = inspect_screen(TEXT.replace(before, after))
    assert any(said in problem.message and problem.line == line for problem in problems), problems


def test_all_mistakes_are_told_at_once():
    text = TEXT.replace("close > mean, points", "close > men, points").replace("0.9 * close", "0.9 * clos")
    _, problems = inspect_screen(text.replace("pass_mark: mark", "pass_mark: marc"))
    assert [problem.line for problem in problems] == [11, 15, 19]


def test_a_screen_that_asks_nothing_is_refused():
    with pytest.raises(InvalidInput, match="neither criteria nor filters"):
        read_screen("name: x\n")


@pytest.mark.parametrize("values", [{"mark": 31}, {"mrk": 1}, {"mark": "x"}])
def test_a_parameter_that_does_not_fit_is_refused(values):
    with pytest.raises(InvalidInput):
        compile_screen(read_screen(TEXT), values)
