"""The grid of a sweep: which values of which parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.strategy.constraint import holds
from pitboss.strategy.document import Document, read_number
from pitboss.strategy.expression import Node
from pitboss.strategy.program import compile_document

MAX_VARIANTS = 1_000_000
MAX_VALUES = 100_000  # of one parameter


@dataclass(frozen=True)
class Grid:
    """The values of each parameter; variants are their product without what the document's constraint leaves out, the
    last parameter turning fastest.

    base: the values of the parameters that the grid leaves as they are.
    """

    values: Mapping[str, tuple[float, ...]]
    constraint: Node | None = None
    base: Mapping[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.size if self._kept is None else int(self._kept.sum())

    @property
    def size(self) -> int:
        """How many combinations there are, those among them that the constraint leaves out."""
        return math.prod(len(values) for values in self.values.values())

    @property
    def left_out(self) -> int:
        """How many combinations the constraint leaves out."""
        return self.size - len(self)

    def __iter__(self) -> Iterator[dict[str, float]]:
        combinations: Iterable[tuple[float, ...]] = itertools.product(*self.values.values())
        if self._kept is not None:
            combinations = itertools.compress(combinations, self._kept)
        return (dict(zip(self.values, combination, strict=True)) for combination in combinations)

    @cached_property
    def _kept(self) -> npt.NDArray[np.bool_] | None:
        """Which combinations fulfil the constraint, None where there is none."""
        if self.constraint is None:
            return None
        axes = np.meshgrid(*map(np.array, self.values.values()), indexing="ij", sparse=True)
        found = holds(self.constraint, {**self.base, **dict(zip(self.values, axes, strict=True))})
        return np.broadcast_to(found, [len(values) for values in self.values.values()]).ravel()


def read_grid(document: Document, given: Any, parameters: Mapping[str, Any] | None = None) -> Grid:
    """Read `{"fast": [5, 10], "slow": {"low": 20, "high": 50, "step": 5}}`; `parameters` override what it leaves out.

    Raises InvalidInput for unknown parameters, values that are no numbers or out of range, an empty or
    too large grid, all at once.
    """
    if not isinstance(given, Mapping) or not given:
        raise InvalidInput("the grid is empty", 'write {"fast_period": [5, 10, 20]}', "grid")
    problems: list[Problem] = []
    values: dict[str, tuple[float, ...]] = {}
    for name, choice in given.items():
        where = f"grid.{name}"
        if name not in document.parameters:
            problems.append(Problem(f"unknown parameter '{name}'", suggest(name, document.parameters), where=where))
            continue
        try:
            values[name] = _choices(choice, where)
            if document.parameters[name].is_whole and all(value == int(value) for value in values[name]):
                values[name] = tuple(map(int, values[name]))
            for value in values[name]:
                document.parameter_values({name: value})
            # every expression with the ends and a first few: a length or an offset may not bear them all
            for value in {*values[name][:50], min(values[name]), max(values[name])}:
                document.settled(compile_document(document, {name: value}).values)
        except InvalidInput as error:
            problems.append(error.problems[0])
    if problems:
        raise InvalidInput(problems)
    base = {name: number.value for name, number in document.parameter_values(parameters).items()}
    grid = Grid(values, document.where, base)
    if grid.size > MAX_VARIANTS:
        raise InvalidInput(f"the grid has {grid.size:,} variants", f"at most {MAX_VARIANTS:,}: widen the steps", "grid")
    if not len(grid):
        raise InvalidInput("'where' leaves nothing of the grid", "choose values that fulfil it", "grid")
    return grid


def _choices(choice: Any, where: str) -> tuple[float, ...]:
    wrong = InvalidInput(
        "a grid needs a list or low, high and step", '[5, 10] or {"low": 5, "high": 50, "step": 5}', where
    )
    if isinstance(choice, Mapping):
        if set(choice) != {"low", "high", "step"}:
            raise wrong
        numbers = [read_number(choice[key]) for key in ("low", "high", "step")]
        if any(number is None for number in numbers):
            raise wrong
        low, high, step = (number.value for number in numbers if number)
        if step <= 0 or low > high or (high - low) / step > MAX_VALUES:
            raise InvalidInput(f"the range {low:g} to {high:g} by {step:g} is empty, reversed or too long",
                               "low <= high and step > 0", where)  # fmt: skip
        count = math.floor((high - low) / step + 1e-9) + 1
        return tuple(round(low + i * step, 12) for i in range(count))
    if not isinstance(choice, Sequence) or isinstance(choice, str) or not 0 < len(choice) <= MAX_VALUES:
        raise wrong
    numbers = [read_number(value) for value in choice]
    if any(number is None for number in numbers):
        raise wrong
    return tuple(dict.fromkeys(number.value for number in numbers if number))
