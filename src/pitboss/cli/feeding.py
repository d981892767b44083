"""`pitboss data fetch` and `pitboss data update`: bars from a source, by the kind of run that brings them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from pitboss.cli.desk import desk_of
from pitboss.cli.flags import Launch, grouped
from pitboss.cli.watching import follow_submitted
from pitboss.market.universes import INDEXES
from pitboss.runs.submission import Submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which bars, and of which source."""

    source: Annotated[str | None, typer.Option(help="One of the setting 'sources'.", show_default="the first")] = None
    timeframe: Annotated[str, typer.Option("--timeframe", "-t", help="The length of a bar: 1d, 1h.")] = "1d"
    whole: Annotated[bool, typer.Option("--whole", help="All of it again, for what the source has changed.")] = False
    compare_with: Annotated[str | None, typer.Option(help="Another source that is asked too.")] = None
    must_agree: Annotated[bool, typer.Option("--must-agree", help="Store nothing that the two differ in.")] = False

    def params(self, **more: Any) -> dict[str, Any]:
        """Answer the params of a run, those alone that are given."""
        own = {name: getattr(self, name) for name in ("source", "timeframe", "whole", "compare_with", "must_agree")}
        return {name: value for name, value in (own | more).items() if value not in (None, False)}


@grouped
def fetch(
    symbols: Annotated[list[str], typer.Argument(help="What is fetched, or the name of an index: sp500.")],
    asked: Asked,
    launch: Launch,
    start: Annotated[str | None, typer.Option("--from", help="First date of a series that is new.")] = None,
) -> None:
    """Fetch bars of symbols from a source, as far as they are missing."""
    is_index = len(symbols) == 1 and symbols[0] in INDEXES
    of = {"universe_source": symbols[0]} if is_index else {"symbols": symbols}
    _submitted(asked.params(start=start, **of), launch)


@grouped
def update(asked: Asked, launch: Launch) -> None:
    """Bring everything that there is of a timeframe up to date from a source."""
    _submitted(asked.params(universe_source="catalog"), launch)


def _submitted(params: dict[str, Any], launch: Launch) -> None:
    request = Submission(kind="fetch", params=params, **launch.fields_of_submission())
    with desk_of(launch.data_dir) as desk:
        follow_submitted(desk, desk.service.submit(desk.who, request), launch.as_json, launch.detach)
