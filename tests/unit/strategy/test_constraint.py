"""Constraints on the variants of a sweep."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitboss.backtesting.grid import read_grid
from pitboss.core.errors import InvalidInput
from pitboss.strategy.reader import inspect_document, read_document

TEXT = """
name: t
timeframe: 1h
where: {where}
parameters: {{a: {{default: 3, low: 0, high: 99}}, b: 5, c: 7}}
entry: {{long: close > a and close > b and close > c}}
"""


def grid_of(where, grid, parameters=None):
    return read_grid(read_document(TEXT.format(where=where)), grid, parameters)


VALUES = st.lists(st.integers(1, 60), min_size=1, max_size=6, unique=True)


@given(
    a=VALUES, b=VALUES, c=st.integers(1, 60),
    where=st.sampled_from(["a < b", "a + 2 * b <= c", "a < b and not b == c", "-a < b - c or a != 3", "a / b > 0.5"]),
)  # fmt: skip
def test_the_variants_are_those_that_fulfil_it_in_the_order_of_the_grid(a, b, c, where):
    wanted = [{"a": x, "b": y} for x, y in itertools.product(a, b) if eval(where, {"a": x, "b": y, "c": c})]
    if not wanted:
        with pytest.raises(InvalidInput, match="'where' leaves nothing"):
            grid_of(where, {"a": a, "b": b}, {"c": c})
        return
    grid = grid_of(where, {"a": a, "b": b}, {"c": c})
    assert list(grid) == wanted
    assert (len(grid), grid.left_out) == (len(wanted), len(a) * len(b) - len(wanted))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("a", "is a condition"),
        ("a < slowest", "'slowest' is not known here"),
        ("close > a", "'close' is not known here"),
        ("rsi(close, 3) > a", "only names and numbers"),
        ("a and b", "needs conditions"),
        ("(a < b) + 1 < 2", "needs numbers"),
    ],
)
def test_what_is_no_constraint_is_told_with_its_place(where, message):
    _, problems = inspect_document(TEXT.format(where=where))
    assert message in problems[0].message
    assert (problems[0].line, problems[0].column > 7) == (4, True)
