"""What a sweep is asked to do."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic.config import JsonDict

from pitboss.backtesting.ranking import MIN_TRADES, RANKABLE, read_ranking
from pitboss.core.errors import InvalidInput
from pitboss.kinds.documents.params import DocumentParams
from pitboss.runs.kinds import mistake

EXAMPLE: JsonDict = {
    "strategy": "ema-cross",
    "symbols": ["EURUSD"],
    "timeframe": "5m",
    "grid": {"fast_period": {"low": 5, "high": 50, "step": 5}},
    "metric": "sharpe",
}
_GRID = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "oneOf": [
            {"type": "array", "items": {"type": ["number", "string"]}, "minItems": 1},
            {
                "type": "object",
                "properties": {name: {"type": ["number", "string"]} for name in ("low", "high", "step")},
                "required": ["low", "high", "step"],
                "additionalProperties": False,
            },
        ]
    },
}


def _metric(given: Any) -> str:
    try:
        return read_ranking(given).text
    except InvalidInput as error:
        raise mistake(error.problems[0].message, error.problems[0].remedy) from None


class SweepParams(DocumentParams):
    """Every combination of a grid of parameters of a strategy document."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    grid: Annotated[Any, WithJsonSchema(_GRID)] = Field(
        None,
        title="Grid",
        description="values of each parameter, or low, high and step",
        examples=[{"fast": [5, 10, 20]}],
    )
    metric: Annotated[str, BeforeValidator(_metric)] = Field(
        "sharpe",
        title="Metric",
        description=f"what the best variant has most of: {', '.join(RANKABLE)}, or an expression of them",
        examples=["sharpe", "sharpe * trade_count"],
    )
    min_trades: int = Field(
        MIN_TRADES,
        ge=0,
        le=1_000_000_000,
        title="Least number of trades",
        description="variants with fewer are ranked after all others",
        examples=[30],
    )
