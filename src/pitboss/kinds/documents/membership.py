"""The universe of a backtest that changes over time: chosen by a screen, or written out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pitboss.core.errors import InvalidInput, Problem, suggest
from pitboss.core.timeframe import Timeframe
from pitboss.market.dates import EVER, span_of
from pitboss.screening.builtin import screen_text
from pitboss.screening.program import Screen, compile_screen
from pitboss.screening.reader import read_screen

if TYPE_CHECKING:
    from pitboss.backtesting.membership import Members
    from pitboss.kernel.bars import BarArrays
    from pitboss.market.actions import Splits
    from pitboss.strategy.evaluate import Forecaster
    from pitboss.strategy.times import Times

REBALANCES = ("daily", "weekly", "monthly")
DEFAULT_TOP, MOST_TOP = 10, 1000
_OF_SCREEN, _BY_HAND = ("screen", "top", "rebalance", "parameters"), ("members",)


@dataclass(frozen=True)
class Choice:
    """Who is in the universe when: the `top` of a screen, chosen anew at each rebalance, or members with dates."""

    screen: Screen | None = None
    top: int = DEFAULT_TOP
    rebalance: str = "weekly"
    members: Mapping[str, tuple[tuple[int, int], ...]] = field(default_factory=dict)

    @property
    def symbols(self) -> frozenset[str]:
        """What the screen looks at besides."""
        return self.screen.document.symbols if self.screen else frozenset()

    @property
    def models(self) -> frozenset[str]:
        """What the screen asks."""
        return self.screen.document.models if self.screen else frozenset()

    def spans(
        self, bars: Mapping[str, BarArrays], splits: Mapping[str, Splits], symbols: tuple[str, ...],
        timeframe: Timeframe, times: Times, models: Mapping[str, Forecaster],
    ) -> Members:  # fmt: skip
        """Answer when each of `symbols` is a member, by the openings of its bars. `bars` are whole: a screen needs what
        comes before the first that is traded; they are judged in the shares of their own time, before each of the
        `splits` that they are adjusted for. `models` are those that a screen asks."""
        if self.screen is None:
            return {symbol: spans for symbol, spans in self.members.items() if symbol in symbols}
        import numpy as np

        from pitboss.calendars.sessions import bar_ends
        from pitboss.market.actions import as_known
        from pitboss.screening.evaluate import judge
        from pitboss.screening.selection import chosen, joined, spans_of

        own = self.screen.document.timeframe
        known = dict(bars)
        if own != timeframe:
            known = {symbol: times.joined(symbol, each, timeframe, own) for symbol, each in bars.items()}
        judged = {
            symbol: joined([
                judge(self.screen, {**known, symbol: seen}, symbol, models)
                for seen in as_known(known[symbol], splits.get(symbol, ()), 0, len(known[symbol].ts))
            ])
            for symbol in symbols
            if len(known[symbol].ts)
        }  # fmt: skip
        moments, members = chosen(judged, self.top, self.rebalance)
        if own != timeframe:  # known when the longer bar ends, and to the bars that open from then on
            moments = bar_ends(np.asarray(moments), own, times.followed(symbols[0]))
        return spans_of(moments, members, EVER[1])


def read_choice(given: Mapping[str, Any] | None, symbols: tuple[str, ...]) -> Choice | None:
    """Check the universe that somebody asks for. Raises InvalidInput with every mistake."""
    if not given:
        return None
    keys = _BY_HAND if "members" in given else _OF_SCREEN
    problems = [
        Problem(f"unknown key '{str(name)[:40]}' in the universe", suggest(str(name), keys), where="universe")
        for name in given
        if name not in keys
    ]  # fmt: skip
    if problems:
        raise InvalidInput(problems)
    return _by_hand(given["members"], symbols) if "members" in given else _of_screen(given)


def _of_screen(given: Mapping[str, Any]) -> Choice:
    problems: list[Problem] = []
    top, rebalance = given.get("top", DEFAULT_TOP), given.get("rebalance", "weekly")
    if isinstance(top, bool) or not isinstance(top, int) or not 1 <= top <= MOST_TOP:
        problems.append(Problem(f"the top {str(top)[:40]!r} is no number", f"1 to {MOST_TOP:,}", where="universe.top"))
    if rebalance not in REBALANCES:
        what = f"'{str(rebalance)[:40]}' is no rebalance"
        problems.append(Problem(what, f"write {', '.join(REBALANCES)}", where="universe.rebalance"))
    screen = None
    try:
        if not isinstance(given.get("screen"), str):
            raise InvalidInput("the universe names no screen", "write screen: bullish-breakout", "universe.screen")
        if not isinstance(given.get("parameters", {}), Mapping):
            raise InvalidInput("the screen's parameters are no mapping", "write {min_score: 80}", "universe.parameters")
        screen = compile_screen(read_screen(screen_text(given["screen"])), given.get("parameters"))
    except InvalidInput as error:
        problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return Choice(screen, top, rebalance)


def _by_hand(members: Any, symbols: tuple[str, ...]) -> Choice:
    remedy = 'write {"AAPL": [["2017-01-02", "2017-06-30"]]}: first and last date, both included'
    if not isinstance(members, Mapping) or not members:
        raise InvalidInput("the members are no mapping of symbols to dates", remedy, "universe.members")
    found, problems = {}, []
    for symbol, spans in members.items():
        where = f"universe.members.{symbol}"
        if symbol not in symbols:
            problems.append(
                Problem(f"'{str(symbol)[:40]}' is not traded", "name it among the symbols too", where=where)
            )
            continue
        try:
            if not isinstance(spans, list | tuple) or not all(
                isinstance(s, list | tuple) and len(s) == 2 for s in spans
            ):
                raise InvalidInput(f"the dates of {symbol} are no pairs", remedy, where)
            found[symbol] = tuple(span_of(first, last) for first, last in spans)
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return Choice(members=found)
