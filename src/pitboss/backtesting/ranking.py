"""By what the variants of a sweep are ranked: a metric or an expression of metrics, and how many trades it takes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np

from pitboss.core.errors import InvalidInput, suggest
from pitboss.strategy.constraint import number_faults_of, value_of
from pitboss.strategy.expression import ExpressionError, Name, Node, parse

RANKABLE = (
    "sharpe", "sortino", "calmar", "omega", "total_return", "annual_return", "final_equity", "profit_factor",
    "win_rate", "expectancy", "probabilistic_sharpe", "alpha", "trade_count", "max_drawdown", "volatility",
)  # fmt: skip
LESS_IS_BETTER = frozenset({"volatility"})
MIN_TRADES = 30  # fewer prove little
SCORE = "score"  # what an expression of metrics comes to


class Ranked(Protocol):
    """One variant."""

    @property
    def index(self) -> int: ...

    @property
    def metrics(self) -> Mapping[str, Any]: ...


Variant = TypeVar("Variant", bound=Ranked)


@dataclass(frozen=True)
class Ranking:
    """What the best variant has most of, and the trades below which a variant ranks after all that have them."""

    text: str
    node: Node
    min_trades: int = MIN_TRADES

    @property
    def column(self) -> str:
        """The name of what is ranked by: the metric's, or `score`."""
        return self.text if isinstance(self.node, Name) else SCORE

    def value(self, metrics: Mapping[str, Any]) -> float | None:
        """Answer a variant's value, infinite ones too; None where it is undefined."""
        known = {name: math.nan if metrics.get(name) is None else metrics[name] for name in RANKABLE}
        with np.errstate(all="ignore"):
            found = float(value_of(self.node, known))
        return None if math.isnan(found) else found

    def has_enough(self, variant: Ranked) -> bool:
        return bool(variant.metrics.get("trade_count", 0) >= self.min_trades)

    def sorted(self, variants: Iterable[Variant]) -> list[Variant]:
        """Answer the variants best first: those with enough trades, then the others; undefined ones after the defined,
        ruined ones last of all; ties in the order of the grid."""
        sign = 1.0 if self.text in LESS_IS_BETTER else -1.0

        def key(variant: Variant) -> tuple[bool, bool, bool, float, int]:
            value = self.value(variant.metrics)
            is_ruined = variant.metrics.get("ruined_at") is not None
            return is_ruined, value is None, not self.has_enough(variant), sign * (value or 0.0), variant.index

        return sorted(variants, key=key)


def read_ranking(metric: Any = "sharpe", min_trades: int = MIN_TRADES) -> Ranking:
    """Read a metric's name, or an expression such as `sharpe * trade_count`. Raises InvalidInput."""
    text = str(metric).strip()
    try:
        node = parse(text)
        faults = list(number_faults_of(node, RANKABLE))
    except ExpressionError as error:
        faults = [error]
    if faults:
        what = f"unknown metric '{text[:40]}'" if text.isidentifier() else f"'{text[:60]}': {faults[0].message}"
        remedy = suggest(text, RANKABLE) if text.isidentifier() else faults[0].remedy
        raise InvalidInput(what, remedy, "metric")
    if isinstance(min_trades, bool) or not isinstance(min_trades, int) or min_trades < 0:
        raise InvalidInput(f"'{min_trades}' is no number of trades", "write 0, 30, …", "min_trades")
    return Ranking(text, node, min_trades)
