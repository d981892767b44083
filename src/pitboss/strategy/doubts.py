"""How a strategy's conditions fared on the bars at hand, and what of that is odd: is it meant?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pitboss.strategy.evaluate import Scope
from pitboss.strategy.expression import Call, Node, Number, Offset
from pitboss.strategy.program import Program

BOOL = npt.NDArray[np.bool_]
MOST_UNDEFINED = 0.03  # of the bars after the warm-up


@dataclass(frozen=True)
class Condition:
    """How a condition fared on the bars of one symbol: the shares of them, after its warm-up, on which it was undefined
    and on which it held; `warm_up` is how many bars passed before it was defined."""

    where: str
    symbol: str
    bars: int
    warm_up: int
    undefined: float
    held: float

    @property
    def doubt(self) -> str:
        """Answer what is odd about it, empty where nothing is."""
        if self.warm_up == self.bars:
            return f"{self.where} is undefined on all bars of {self.symbol}: a value that it needs is missing"
        if self.undefined > MOST_UNDEFINED:
            share = f"{100 * self.undefined:.1f} %"
            return f"{self.where} is undefined, and so false, on {share} of the bars of {self.symbol} after its warm-up"
        if self.held == 0:
            return f"{self.where} never held on the bars of {self.symbol}"
        if self.held == 1:
            return f"{self.where} held on every bar of {self.symbol}"
        return ""


def conditions_of(program: Program, scope: Scope) -> Iterator[Condition]:
    """Yield how each condition of a program fared on the bars of a scope."""
    for section, conditions in (("entry", program.entry), ("exit", program.exit)):
        for side, node in conditions.items():
            undefined = undefined_on(node, scope)
            defined = np.flatnonzero(~undefined)
            first = int(defined[0]) if len(defined) else len(undefined)
            held = scope.evaluate(node)[defined]
            yield Condition(
                where=f"{section}.{side}",
                symbol=scope.symbol,
                bars=len(undefined),
                warm_up=first,
                undefined=float(undefined[first:].mean()) if len(defined) else 1.0,
                held=float(held.mean()) if len(defined) else 0.0,
            )


def undefined_on(node: Node, scope: Scope) -> BOOL:
    """Answer the bars on which something that a condition compares is not a number."""
    nowhere = np.zeros(len(scope.bars.ts), dtype=np.bool_)
    if isinstance(node, Number) or (isinstance(node, Call) and node.name == "on"):
        return nowhere
    if scope.evaluate(node).dtype != np.bool_:
        return np.asarray(np.isnan(scope.evaluate(node)))
    if isinstance(node, Offset):
        assert isinstance(node.bars, Number)
        before = np.ones(int(node.bars.value), np.bool_)
        return np.concatenate((before, undefined_on(node.base, scope)))[: len(nowhere)]
    return np.asarray(np.logical_or.reduce([nowhere, *(undefined_on(child, scope) for child in node.children())]))
