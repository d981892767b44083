"""The contamination audit: does a trader do as well on days that never were, and does its model remember those that
were?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.config import JsonDict

from pitboss.core.errors import InvalidInput, Problem
from pitboss.kinds.documents.params import Timeframe
from pitboss.kinds.session.params import SessionParams, symbols_of
from pitboss.kinds.session.prepare import Sources, prepare
from pitboss.runs.kinds import Params, Prepared, mistake, read_params
from pitboss.runs.model import Run
from pitboss.runs.report import Column, Figure, Note, Report, Table, Unit

EXAMPLE: JsonDict = {"trader": "model", "symbols": ["AAPL"], "dates": ["2014-06-05", "2014-06-06"], "twins": 3}


def _dates(given: Any) -> list[str]:
    named = given.replace(",", " ").split() if isinstance(given, str) else given
    if not isinstance(named, list | tuple) or not 1 <= len(named) <= 50 or not all(isinstance(d, str) for d in named):
        raise mistake("no dates are given, or more than 50", 'write ["2014-06-05"]')
    return list(dict.fromkeys(named))


class AuditParams(Params):
    """A trader, and the days that it is tried on."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    trader: str = Field(title="Trader", description="its id or its name", examples=["model"], max_length=64)
    symbols: Annotated[list[str], BeforeValidator(symbols_of)] = Field(
        title="Symbols", description="what is traded", examples=[["AAPL"]]
    )
    dates: Annotated[list[str], BeforeValidator(_dates)] = Field(
        title="Dates", description="trading days that were", examples=[["2014-06-05"]]
    )
    twins: int = Field(3, ge=1, le=20, title="Twins", description="days that never were, for each", examples=[3])
    probes: int = Field(20, ge=0, le=200, title="Probes", description="closes that the model is asked for")
    calendar: str | None = Field(None, title="Calendar", description="whose trading hours", examples=["XNYS"])
    timeframe: Timeframe = Field(None, title="Timeframe", description="length of a step", examples=["5m"])
    model: str | None = Field(None, title="Model", description="instead of the trader's own", max_length=200)
    seed: int = Field(1, ge=0, lt=1 << 31, title="Seed", description="of the twins", examples=[1])

    def of_day(self, date: str) -> SessionParams:
        """Answer the session of a day. Raises InvalidInput for one that cannot be."""
        named = ("trader", "symbols", "calendar", "timeframe", "model")
        read, problems = read_params(SessionParams, {"date": date, **{name: getattr(self, name) for name in named}})
        if problems:
            raise InvalidInput(problems)
        asked: SessionParams = read
        return asked


def prepare_audit(params: AuditParams, sources: Sources) -> Prepared:
    """Check an audit and fix what it comes from. Raises InvalidInput with every mistake."""
    if any(value is None for value in (params.trader, params.symbols, params.dates)):  # told already
        raise InvalidInput([])
    prepared: list[Prepared] = []
    problems: list[Problem] = []
    for date in params.dates:
        try:
            prepared.append(prepare(params.of_day(date), sources))
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(list(dict.fromkeys(problems)))
    spec = prepared[0].snapshot["agent"]
    if spec["type"] not in ("llm", "remote") or (spec["type"] == "remote" and spec["endpoint"] is None):
        what = f"a trader that decides by {spec['type']} remembers nothing that could be found out"
        raise InvalidInput(what, "audit one that asks a model, or a program at an address", "trader")
    days = {date: each.snapshot for date, each in zip(params.dates, prepared, strict=True)}
    secrets = [spec["api_key_secret"]] if spec["api_key_secret"] else []
    snapshot = {"days": days, "trader": prepared[0].snapshot["trader"]} | ({"secrets": secrets} if secrets else {})
    return Prepared(prepared[0].subject, snapshot, work={"sessions": float(len(days) * (1 + params.twins))})


def report_of(run: Run) -> Report:
    """Answer the report of an audit: the differences with their intervals, and what they mean."""
    result = run.result
    title = f"{run.snapshot['trader']['name']}, {about_of(run)}"
    if result is None:
        return Report(title=title)
    memory = result["memory"]
    figures = [
        Figure(name="edge", label="Edge", value=result["edge"], unit=Unit.PERCENT,
               meaning="net return less that of trading at random, on the days that were"),
        Figure(name="twin_edge", label="On twins", value=result["twin_edge"], unit=Unit.PERCENT,
               meaning="the same on days that never were"),
        Figure(name="difference", label="Difference", value=result["difference"], unit=Unit.PERCENT, good="low",
               meaning="what is lost where nothing can be remembered"),
    ]  # fmt: skip
    notes = [_verdict(result)]
    if memory:
        figures.append(
            Figure(name="known", label="Closes known", value=memory["known"] / memory["probes"], unit=Unit.PERCENT,
                   meaning="asked for without any bars, within 1 %", good="low")
        )  # fmt: skip
        interval = f"{100 * memory['low']:.0f} to {100 * memory['high']:.0f} %"
        said = f"of {memory['probes']} closes {memory['known']} were known"
        said += f", of as many of invented names {memory['known_of_invented']}"
        notes.append(Note(message=f"{said}: a difference of {interval}", is_warning=memory["low"] > 0))
    units = {
        "date": Unit.TEXT, "twin": Unit.COUNT, "net_return": Unit.PERCENT, "random_return": Unit.PERCENT,
        "edge": Unit.PERCENT, "trades": Unit.COUNT, "undecided": Unit.COUNT,
    }  # fmt: skip
    columns = [Column(name=name, label=name.replace("_", " "), unit=unit) for name, unit in units.items()]
    table = Table(name="sessions", title="Sessions", columns=columns, artifact="sessions.parquet", shown=20)
    return Report(title=title, figures=figures, notes=notes, tables=[table])


def _verdict(result: Mapping[str, Any]) -> Note:
    if result["difference"] is None:
        return Note(message="too few sessions to tell", is_warning=True)
    interval = f"{100 * result['low']:+.2f} to {100 * result['high']:+.2f} %"
    if result["low"] > 0:
        what = "does better on days that were than on their twins: it may remember them"
        return Note(message=f"{what} (difference {interval})", is_warning=True)
    return Note(message=f"no sign that it remembers the days: the difference to their twins is {interval}")


def about_of(run: Run) -> str:
    """Answer which days are audited."""
    params = run.params
    dates = params["dates"] if isinstance(params["dates"], list) else [params["dates"]]
    return f"{len(dates)} days and {params.get('twins', 3)} twins of each, {dates[0]}"
