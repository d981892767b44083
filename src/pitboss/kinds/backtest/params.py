"""What a backtest is asked to do."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.config import JsonDict

from pitboss.kinds.documents.params import DocumentParams

EXAMPLE: JsonDict = {
    "strategy": "ema-cross",
    "symbols": ["EURUSD"],
    "timeframe": "5m",
    "start": "2018-01-01",
    "cash": 10000,
    "parameters": {"fast_period": 10},
}


class BacktestParams(DocumentParams):
    """A strategy document over stored bars."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})
