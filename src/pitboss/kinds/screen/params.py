"""What a screen is asked to do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from pitboss.kinds.documents.params import Moment, tickers_of
from pitboss.runs.kinds import Params, mistake

EXAMPLE: JsonDict = {"screen": "bullish-breakout", "universe_source": "list", "tickers": ["AAPL", "MSFT"]}


def _screen(given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise mistake("no screen is given", "give the name of a screen, or a document's text")
    return given


class ScreenParams(Params):
    """Which of many symbols pass by a screen document."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    screen: Annotated[str, BeforeValidator(_screen)] = Field(
        title="Screen",
        description="the name of a screen, or a document's text",
        examples=["bullish-breakout", "leap-entry"],
    )
    universe_source: Literal["catalog", "list", "sp500", "dow30", "nasdaq100", "file"] | None = Field(
        None,
        title="Universe",
        description="what is screened: everything that there are bars of (catalog), the tickers (list), an index's "
        "members, or those of a file; without, the list if there is one, else the document's own universe, else the "
        "catalog",
        examples=["sp500"],
    )
    universe_file: str | None = Field(
        None, title="Universe file", description="the name of a file in the data folder's universes", examples=["mine"]
    )
    tickers: Annotated[list[str], BeforeValidator(tickers_of)] = Field(
        [], title="Tickers", description="what is screened, where the universe is a list", examples=[["AAPL", "MSFT"]]
    )
    date: Moment = Field(
        None,
        title="Date",
        description="at whose close it is judged; the last session that is complete without",
        examples=["2018-06-29"],
    )
    start: Moment = Field(None, title="Start", description="first of a range of dates", examples=["2018-01-01"])
    end: Moment = Field(None, title="End", description="last of a range of dates, included", examples=["2018-12-31"])
    fetch: Literal["missing", "never"] = Field(
        "missing",
        title="Fetch",
        description="whether bars that are absent or stale are fetched first, where a source is configured",
        examples=["never"],
    )
    min_score: float | None = Field(
        None, ge=0, le=1000, title="Least score", description="the document's min_score", examples=[70]
    )
    min_volume_multiple: float | None = Field(
        None, ge=0, le=1000, title="Least volume", description="the document's min_volume_multiple", examples=[1.5]
    )
    parameters: dict[str, float | bool | str] = Field(
        {}, title="Parameters", description="values of the document's parameters", examples=[{"strict": True}]
    )
    horizons: list[Annotated[int, Field(ge=1, le=1000)]] = Field(
        [1, 5, 20, 60], title="Horizons", max_length=10, examples=[[1, 5, 20, 60]],
        description="of a range: after how many bars it is asked what became of what passed",
    )  # fmt: skip
    cost: float = Field(
        0.0005, ge=0, lt=1, title="Cost", description="fraction of the price, paid when buying and when selling",
        examples=[0.0005],
    )  # fmt: skip
    max_workers: int | None = Field(
        None, ge=1, le=64, title="Readers", description="at most so many tickers are read ahead at once; one without",
        examples=[2],
    )  # fmt: skip

    @property
    def values(self) -> dict[str, Any]:
        """The document's parameters, those among them that have fields of their own."""
        own = {"min_score": self.min_score, "min_volume_multiple": self.min_volume_multiple}
        return dict(self.parameters) | {name: value for name, value in own.items() if value is not None}
