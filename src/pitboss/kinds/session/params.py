"""What a session is asked to do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from pitboss.kinds.documents.params import Moment, Timeframe
from pitboss.runs.kinds import Params, mistake

EXAMPLE: JsonDict = {"trader": "momentum", "symbols": ["AAPL"], "date": "2014-06-05"}
MOST_SYMBOLS = 50
PACES = ("max", "real")


def symbols_of(given: Any) -> list[str]:
    if isinstance(given, str):
        given = given.replace(",", " ").split()
    if not isinstance(given, list | tuple) or not given or not all(isinstance(each, str) and each for each in given):
        raise mistake("no symbols are given", 'write ["AAPL"]')
    if len(set(given)) < len(given) or len(given) > MOST_SYMBOLS:
        raise mistake("a symbol stands twice, or there are too many", f"name each once, at most {MOST_SYMBOLS}")
    return list(given)


def _parts(given: Any) -> list[str]:
    named = ["pre", "regular", "after"] if given == "all" else given
    named = [named] if isinstance(named, str) else named
    known = ("pre", "regular", "after")
    if not isinstance(named, list | tuple) or not named or any(part not in known for part in named):
        raise mistake(f"{str(given)[:40]!r} is no session", "write regular, pre, after or all")
    return [part for part in known if part in named]


def _pace(given: Any) -> str:
    text = str(given).strip().lower()
    if text in PACES:
        return text
    try:
        is_pace = 0 < float(text) <= 100_000
    except ValueError:
        is_pace = False
    if isinstance(given, bool) or not is_pace:
        raise mistake(f"{str(given)[:40]!r} is no pace", "write max, real, or how many steps a second, such as 10")
    return text


def _fork(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    fits = isinstance(given, dict) and set(given) <= {"run", "at_minute"} and isinstance(given.get("run"), str)
    minute = given.get("at_minute") if fits else None
    if not fits or isinstance(minute, bool) or not isinstance(minute, int) or minute < 0:
        raise mistake("a fork names a run and the minute at which it begins", 'write {"run": "…", "at_minute": 120}')
    return dict(given)


class SessionParams(Params):
    """A trader, what it trades, and when: one trading day step by step, or the days of a range."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    trader: str = Field(title="Trader", description="its id or its name", examples=["momentum"], max_length=64)
    mode: Literal["intraday", "daily"] = Field(
        "intraday", title="Mode", description="one day minute by minute, or a range of days", examples=["intraday"]
    )
    symbols: Annotated[list[str], BeforeValidator(symbols_of)] = Field(
        title="Symbols", description="what is traded, in this order", examples=[["AAPL"]]
    )
    date: str | None = Field(
        None, title="Date", description="the trading day of an intraday session", examples=["2014-06-05"],
        pattern=r"^\d{4}-\d\d-\d\d$",
    )  # fmt: skip
    start: Moment = Field(None, title="Start", description="first day of a daily session", examples=["2014-01-02"])
    end: Moment = Field(None, title="End", description="last day of a daily session", examples=["2014-01-31"])
    session: Annotated[list[str], BeforeValidator(_parts)] = Field(
        ["regular"], title="Session", description="regular, pre, after or all", examples=["regular"]
    )
    calendar: str | None = Field(
        None, title="Calendar", examples=["XNYS"],
        description="whose trading days and hours; that of the symbols' series, or XNYS, without",
    )  # fmt: skip
    timeframe: Timeframe = Field(
        None, title="Timeframe", description="length of a step: 1m or 1d without", examples=["1m", "5m"]
    )
    model: str | None = Field(
        None, title="Model", description="instead of the trader's own", examples=["anthropic:claude-opus-4-5"],
        max_length=200,
    )  # fmt: skip
    instructions: str | None = Field(
        None, title="Instructions", description="instead of the trader's own", max_length=20_000
    )
    strategy: str | None = Field(
        None, title="Strategy", description="instead of the trader's own, for one that trades by rules"
    )
    parameters: dict[str, Any] | None = Field(
        None, title="Parameters", description="instead of the trader's own", examples=[{"temperature": 0.2}]
    )
    cash: Annotated[float, Field(gt=0, le=1e12)] | None = Field(
        None, title="Cash", description="that the session begins with; what the trader has without", examples=[10_000],
        json_schema_extra={"unit": "money"},
    )  # fmt: skip
    pace: Annotated[str, BeforeValidator(_pace)] = Field(
        "max", title="Pace", description="max, real, or steps a second", examples=["max", "10", "real"]
    )
    live: str | None = Field(
        None, title="Live", description="a source whose minutes are traded as they come, on the day they come",
        examples=["alpaca"], max_length=64,
    )  # fmt: skip
    broker: str | None = Field(
        None, title="Broker", description="a source of type alpaca, whose paper account fills the orders",
        examples=["alpaca"], max_length=64,
    )  # fmt: skip
    fork: Annotated[dict[str, Any] | None, BeforeValidator(_fork)] = Field(
        None, title="Fork", description="go on from a minute of an earlier session, sharing what came before",
        examples=[{"run": "0198…", "at_minute": 120}],
    )  # fmt: skip
