"""`pitboss session …`: have a trader trade a day or a range of days, go on from a past minute, decide it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer

from pitboss.cli.desk import desk_of
from pitboss.cli.flags import Launch, grouped
from pitboss.cli.options import Symbols
from pitboss.cli.watching import follow_submitted
from pitboss.core.errors import InvalidInput
from pitboss.runs.submission import Submission

app = typer.Typer(help="Start sessions of traders, and fork them.", no_args_is_help=True)
Reference = Annotated[str, typer.Argument(help="A session's run: its id, its beginning, or latest.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be different from the trader's own."""

    model: Annotated[str | None, typer.Option(help="Another model: anthropic:claude-opus-4-5.")] = None
    instructions: Annotated[str | None, typer.Option(help="Other instructions.")] = None
    strategy: Annotated[str | None, typer.Option(help="Another strategy, for a trader by rules.")] = None
    pace: Annotated[str | None, typer.Option(help="max, real, or steps a second.")] = None

    def given(self) -> dict[str, Any]:
        return _those_given(asdict(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """What is traded when: one day, or the days of a range."""

    date: Annotated[str | None, typer.Option(help="The trading day, minute by minute.")] = None
    first: Annotated[str | None, typer.Option("--from", help="First day of a range, one decision a day.")] = None
    last: Annotated[str | None, typer.Option("--to", help="Last day of it.")] = None
    session: Annotated[str, typer.Option(help="regular, pre, after or all.")] = "regular"
    calendar: Annotated[str | None, typer.Option(help="Whose trading hours.", show_default="the series'")] = None
    timeframe: Annotated[
        str | None, typer.Option("--timeframe", "-t", help="Length of a step.", show_default="1m or 1d")
    ] = None

    def given(self) -> dict[str, Any]:
        is_daily = self.date is None and self.first is not None
        when = {"start": self.first, "end": self.last} if is_daily else {"date": self.date}
        named = {"session": self.session, "calendar": self.calendar, "timeframe": self.timeframe, **when}
        return {"mode": "daily" if is_daily else "intraday", **_those_given(named)}


@app.command()
@grouped
def start(
    trader: Annotated[str, typer.Argument(help="A trader's name or id.")],
    days: Days,
    changes: Changes,
    launch: Launch,
    symbols: Symbols = None,
    cash: Annotated[float | None, typer.Option(help="That it begins with.", show_default="the trader's")] = None,
    live: Annotated[str | None, typer.Option(help="A source whose minutes are traded as they come.")] = None,
    broker: Annotated[str | None, typer.Option(help="A source in whose paper account it orders.")] = None,
) -> None:
    """Start a session over one trading day, or over the days of a range."""
    more = _those_given({"cash": cash, "live": live, "broker": broker})
    _submitted({"trader": trader, "symbols": symbols, **days.given(), **changes.given(), **more}, launch)


@app.command()
@grouped
def fork(
    run: Reference,
    changes: Changes,
    launch: Launch,
    at_minute: Annotated[int, typer.Option("--at-minute", help="After which it goes on by itself.", min=0)],
    trader: Annotated[str | None, typer.Option(help="Another trader, that goes on.")] = None,
) -> None:
    """Go on from a minute of an earlier session with another model, prompt or rule, sharing what came before."""
    with desk_of(launch.data_dir) as desk:
        earlier = desk.service.resolve(desk.who, run)
        if earlier.kind != "session":
            raise InvalidInput(f"run {earlier.number} is a {earlier.kind}", "name a session", "run")
    params = {**earlier.params, **changes.given(), "fork": {"run": earlier.id, "at_minute": at_minute}}
    params.pop("cash", None)
    _submitted(params | ({"trader": trader} if trader is not None else {}), launch)


def _those_given(named: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in named.items() if value is not None}


def _submitted(params: dict[str, Any], launch: Launch) -> None:
    request = Submission(kind="session", params=params, **launch.fields_of_submission())
    with desk_of(launch.data_dir) as desk:
        follow_submitted(desk, desk.service.submit(desk.who, request), launch.as_json, launch.detach)
