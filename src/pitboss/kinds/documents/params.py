"""The params of a run that trades a strategy document over stored bars."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from pitboss.core.errors import InvalidInput
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.dates import range_of
from pitboss.runs.kinds import Params, mistake

DEFAULT_CASH = 10_000.0
MOST_SYMBOLS = 1000
MOST_TICKERS = 20_000  # of a universe


def _strategy(given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise mistake("no strategy is given", "give a stored strategy's name, or a document's text")
    return given


def _symbols(given: Any) -> list[str]:
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list | tuple) or not given or not all(isinstance(s, str) and s for s in given):
        raise mistake("no symbols are given", 'write ["EURUSD"]')
    if len(set(given)) < len(given):
        raise mistake("a symbol stands twice", "name each once")
    if len(given) > MOST_SYMBOLS:
        raise mistake(f"{len(given)} symbols are too many", f"at most {MOST_SYMBOLS:,}")
    return list(given)


def tickers_of(given: Any) -> list[str]:
    """Read names of tickers: a list, or a text with spaces or commas between."""
    if isinstance(given, str):
        given = given.replace(",", " ").split()
    if not isinstance(given, list | tuple) or not all(isinstance(ticker, str) and ticker for ticker in given):
        raise mistake("the tickers are no list of names", 'write ["AAPL", "MSFT"]')
    if len(given) > MOST_TICKERS:
        raise mistake(f"{len(given):,} tickers are too many", f"at most {MOST_TICKERS:,}")
    return list(dict.fromkeys(given))


def _timeframe(given: Any) -> str | None:
    if given is None:
        return None
    try:
        return str(parse_timeframe(given))
    except InvalidInput as error:
        raise mistake(error.problems[0].message, error.problems[0].remedy) from None


def _date(given: Any) -> str | None:
    if given is not None and not isinstance(given, str):
        raise mistake(f"'{str(given)[:40]}' is no date", "write 2018-01-31")
    try:
        range_of(given, None)
    except InvalidInput as error:
        raise mistake(error.problems[0].message, error.problems[0].remedy) from None
    return given or None


def _cash(given: Any) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not 0 < given < 1e15:
        raise mistake(f"the starting cash {given!r} is no amount", "write a number greater than 0")
    return float(given)


def _mapping(name: str) -> BeforeValidator:
    def check(given: Any) -> dict[str, Any]:
        if given is not None and not isinstance(given, dict):
            raise mistake(f"'{name}' is not a mapping", f'write {{"name": value}} in {name}')
        return given or {}

    return BeforeValidator(check)


Timeframe = Annotated[str | None, BeforeValidator(_timeframe)]
Moment = Annotated[str | None, BeforeValidator(_date)]
_NUMBER_OR_SHARE = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^\s*[\d.eE+-]+\s*%?\s*$"}]}


class BarsParams(Params):
    """A strategy document, and the bars that it is of."""

    strategy: Annotated[str, BeforeValidator(_strategy)] = Field(
        title="Strategy", description="a stored strategy's name, or a document's text", examples=["ema-cross"]
    )
    symbols: Annotated[list[str], BeforeValidator(_symbols)] = Field(
        title="Symbols", description="of which the bars are, in this order", examples=[["EURUSD"]],
        min_length=1, max_length=MOST_SYMBOLS,
    )  # fmt: skip
    timeframe: Timeframe = Field(
        None, title="Timeframe", description="length of a bar; the document's own without", examples=["5m", "1h", "1d"]
    )
    start: Moment = Field(None, title="Start", description="first date, UTC", examples=["2018-01-01"])
    end: Moment = Field(None, title="End", description="last date, included, UTC", examples=["2018-12-31"])
    parameters: Annotated[
        dict[str, Any],
        _mapping("parameters"),
        WithJsonSchema({"type": "object", "additionalProperties": _NUMBER_OR_SHARE}),
    ] = Field({}, title="Parameters", description="values of the document's parameters", examples=[{"fast_period": 10}])


class DocumentParams(BarsParams):
    """A strategy document, what it trades on which bars, and with which money."""

    universe: Annotated[
        dict[str, Any] | None,
        _mapping("universe"),
        WithJsonSchema(
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "screen": {"type": "string", "description": "a screen's name or text, by which it is chosen"},
                    "top": {"type": "integer", "description": "how many of the best are members"},
                    "rebalance": {"enum": ["daily", "weekly", "monthly"], "description": "how often it is chosen"},
                    "parameters": {"type": "object", "description": "of the screen"},
                    "members": {"type": "object", "description": "instead, symbols with pairs of dates"},
                },
            }
        ),
    ] = Field(
        {}, title="Universe", description="which of the symbols may be held when; all of them, always, without",
        examples=[{"screen": "bullish-breakout", "top": 10, "rebalance": "weekly"}],
    )  # fmt: skip
    cash: Annotated[float, BeforeValidator(_cash)] = Field(
        DEFAULT_CASH,
        title="Cash",
        description="cash at the start",
        examples=[10_000],
        json_schema_extra={"unit": "money"},
    )
    costs: Annotated[
        dict[str, Any] | None,
        _mapping("costs"),
        WithJsonSchema(
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    name: {**_NUMBER_OR_SHARE, "description": meaning}
                    for name, meaning in (
                        ("commission", "fraction of the notional, such as 0.02%, on both sides"),
                        ("slippage", "fraction of the price, on both sides"),
                        ("per_share", "money for each unit"),
                        ("per_order", "money for each order"),
                        ("minimum", "least commission of an order, money"),
                        ("borrow", "fraction a year, on shorts"),
                        ("margin_interest", "fraction a year, on cash that is owed"),
                    )
                },
            }
        ),
    ] = Field(
        {}, title="Costs", description="what differs from the document's costs", examples=[{"commission": "0.02%"}]
    )
    sizing: Annotated[
        dict[str, Any] | None,
        _mapping("sizing"),
        WithJsonSchema(
            {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "type": {"enum": ["fixed_cash", "fixed_quantity", "percent_equity", "risk"]},
                    "value": {**_NUMBER_OR_SHARE, "description": "cash, quantity, or a fraction of equity"},
                    "lot": {**_NUMBER_OR_SHARE, "description": "quantities are multiples of it; 0 is fractional"},
                    "leverage": {**_NUMBER_OR_SHARE, "description": "how many times the equity positions may be worth"},
                    "maintenance": {**_NUMBER_OR_SHARE, "description": "fraction of their worth that equity must keep"},
                    "when_short": {"enum": ["fill", "reject"], "description": "of what cannot be paid in full"},
                },
            }
        ),
    ] = Field({}, title="Sizing", description="what differs from the document's sizing", examples=[{"value": "25%"}])
