"""What a training is asked to do."""

from __future__ import annotations

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from pitboss.kinds.documents.params import BarsParams

EXAMPLE: JsonDict = {
    "strategy": "eurusd-direction", "symbols": ["EURUSD"], "timeframe": "5m", "start": "2018-01-01",
    "end": "2019-12-31",
}  # fmt: skip


class TrainingParams(BarsParams):
    """The model of a strategy document, trained on stored bars."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    shuffled: bool = Field(
        False, title="Shuffled labels", description="learn from labels in a random order: what a score by chance is"
    )
    twin: bool = Field(
        True, title="Twin", description="queue the same with shuffled labels behind it, to be held against"
    )
