"""What is to be fetched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from pitboss.kinds.documents.params import Moment, Timeframe, tickers_of
from pitboss.runs.kinds import Params

EXAMPLE: JsonDict = {"source": "tiingo", "symbols": ["AAPL", "MSFT"], "timeframe": "1d", "start": "2015-01-01"}


class FetchParams(Params):
    """Bars of some symbols, from a source that is configured."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    source: str | None = Field(
        None, title="Source", description="one of the setting 'sources'; the first without", examples=["tiingo"]
    )
    symbols: Annotated[list[str], BeforeValidator(tickers_of)] = Field(
        [], title="Symbols", description="what is fetched, where the universe is no index", examples=[["AAPL", "MSFT"]]
    )
    universe_source: Literal["catalog", "sp500", "dow30", "nasdaq100", "file"] | None = Field(
        None, title="Universe", examples=["sp500"],
        description="instead: what there are bars of already, an index's members, or those of a file",
    )  # fmt: skip
    universe_file: str | None = Field(
        None, title="Universe file", description="the name of a file in the data folder's universes", examples=["mine"]
    )
    timeframe: Timeframe = Field("1d", title="Timeframe", description="length of a bar", examples=["1d", "1h"])
    start: Moment = Field(
        "2010-01-01", title="Start", description="first date of a series that is new", examples=["2010-01-01"]
    )
    compare_with: str | None = Field(
        None, title="Compare with", examples=["yahoo"],
        description="another source, which is asked for the same bars: prices that differ are told",
    )  # fmt: skip
    tolerance: float = Field(
        0.005, ge=0, lt=1, title="Tolerance", examples=[0.005],
        description="fraction of a price by which two sources may differ",
    )  # fmt: skip
    must_agree: bool = Field(
        False, title="Must agree", description="store nothing of a symbol whose prices differ", examples=[True]
    )
    whole: bool = Field(
        False, title="Whole", description="fetch all of it again, for what the source has changed", examples=[True]
    )
