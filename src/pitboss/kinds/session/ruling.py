"""The strategy of a trader by rules: the backtest that its sessions trade like, and the terms they trade by."""

from __future__ import annotations

from typing import Any

from pitboss.core.errors import InvalidInput, Problem
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.kinds.documents.params import DocumentParams
from pitboss.kinds.documents.prepare import Request, read_request
from pitboss.kinds.session.params import SessionParams
from pitboss.sessions.agents.spec import AgentSpec
from pitboss.strategy.document import Costs
from pitboss.strategy.reader import inspect_document
from pitboss.trading.model import Rules, Trader

STEPS = {"intraday": "1m", "daily": "1d"}


def request_of(params: SessionParams, text: str, spec: AgentSpec, timeframe: str | None) -> Request:
    """Answer the backtest of a strategy that a session by rules trades like, on bars of the document's own length
    where those fit into the session, else of its steps."""
    steps = parse_timeframe(params.timeframe or STEPS[params.mode])
    if timeframe is None:
        named = _own_timeframe(text)
        fits = named is not None and named.is_made_of(steps) and named.is_daily == steps.is_daily
        timeframe = str(named if fits else steps)
    given = DocumentParams.model_construct(
        strategy=text, symbols=list(params.symbols), timeframe=timeframe, parameters=_values(spec), start=None,
        end=None, universe=None, cash=params.cash or 1.0, costs={}, sizing={},
    )  # fmt: skip
    return read_request(given, text)


def _own_timeframe(text: str) -> Timeframe | None:
    """Answer the length of bars that a document names."""
    document = inspect_document(text)[0]
    return document.timeframe if document is not None else None


def _values(spec: AgentSpec) -> dict[str, Any]:
    return dict(spec.parameters) if spec.type == "rules" else {}


def terms_under(trader: Trader, strategy: Request | None) -> dict[str, Any]:
    """Answer what holds in the session's account: a strategy's own costs and leverage, where the trader says nothing of
    costs."""
    terms = trader.terms.as_dict()
    if strategy is None:
        return terms
    rules = Rules(fractional=True, short=trader.terms.rules.short, leverage=strategy.sizing.leverage)
    goes_short = any(node for side, node in strategy.program.entry.items() if side == "short")
    problems: list[Problem] = []
    if goes_short and not rules.short:
        problems.append(Problem("the strategy sells short, and this trader may not", "allow it", where="strategy"))
    if rules.leverage > trader.terms.rules.leverage:
        what = f"the strategy takes a leverage of {rules.leverage:g}, this trader may take"
        problems.append(Problem(f"{what} {trader.terms.rules.leverage:g}", "allow it more", where="strategy"))
    if problems:
        raise InvalidInput(problems)
    costs: Costs = trader.terms.costs if trader.has_own_costs else strategy.costs
    return type(trader.terms)(rules=rules, costs=costs).as_dict()
