"""What a session is asked to do: checked before it is queued, fixed in a snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any, Protocol

from pitboss.calendars.spelling import read_session
from pitboss.core.errors import InvalidInput, NotFound, PitbossError, Problem
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.kinds.documents.feeds import chosen
from pitboss.kinds.documents.models import check_features, fix_models
from pitboss.kinds.documents.prepare import Mistakes, Request, digest_of, versions
from pitboss.kinds.documents.prepare import Sources as DocumentSources
from pitboss.kinds.session.params import SessionParams
from pitboss.kinds.session.ruling import STEPS, request_of, terms_under
from pitboss.market.catalog import Series
from pitboss.market.dates import range_of
from pitboss.market.sources import Source
from pitboss.runs.kinds import Prepared
from pitboss.runs.model import Run
from pitboss.sessions.agents.spec import AgentSpec, read_agent
from pitboss.strategy.reference import StrategyRef
from pitboss.trading.model import Account, Trader

USUAL_CALENDAR = "XNYS"
OVERRIDES = ("model", "instructions", "strategy", "parameters")


class Traders(Protocol):
    """Somebody's traders."""

    def get(self, reference: str) -> Trader:
        """Answer a trader by id or name. Raises NotFound."""

    def all(self) -> list[Trader]:
        """Answer them by name."""

    def account(self, trader: Trader) -> Account:
        """Answer its own account."""


class Sources(DocumentSources, Protocol):
    """Where traders, documents and bars come from."""

    @property
    def traders(self) -> Traders: ...

    @property
    def run(self) -> Callable[[str], Run]:
        """Answer one of somebody's runs by its id. Raises NotFound."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A session whose every part has been found and allowed."""

    trader: Trader
    agent: AgentSpec
    timeframe: Timeframe
    series: Sequence[Series]
    calendar: str
    live: Source | None
    broker: Source | None
    shared: Run | None
    strategy: Request | None
    cash: float


def prepare(params: SessionParams, sources: Sources) -> Prepared:
    """Check a session and fix what it comes from. Raises InvalidInput with every mistake."""
    asked = _ask(params, sources)
    snapshot = _snapshot(asked, params, sources)
    cautions = [] if asked.agent.type != "rules" or params.model is None else ["a trader by rules asks no model"]
    identity = identity_of(snapshot, params)
    return Prepared(subject_of(asked.trader), snapshot, identity, {"steps": _steps(params)}, tuple(cautions))


def _ask(params: SessionParams, sources: Sources) -> _Asked:
    mistakes = Mistakes()
    trader = mistakes.attempt(lambda: _trader(params.trader, sources))
    mistakes.attempt(lambda: _check_dates(params))
    timeframe = mistakes.attempt(lambda: _timeframe(params))
    series = mistakes.attempt(lambda: _series(params, timeframe, sources)) if timeframe is not None else None
    calendar = mistakes.attempt(lambda: _calendar(params, series or []))
    agent = mistakes.attempt(lambda: _agent(params, trader)) if trader is not None else None
    mistakes.attempt(lambda: _check_installed(agent, sources))
    live = mistakes.attempt(lambda: _live(params, agent, sources))
    broker = mistakes.attempt(lambda: _broker(params, agent, sources))
    shared = mistakes.attempt(lambda: _shared(params, agent, timeframe, calendar, sources))
    strategy = mistakes.attempt(lambda: _strategy(params, agent, sources, shared))
    cash = mistakes.attempt(lambda: _cash(params, trader, sources)) if trader is not None else None
    mistakes.tell()
    assert trader is not None
    assert agent is not None
    assert timeframe is not None
    assert series is not None
    assert calendar is not None
    assert cash is not None
    return _Asked(
        trader=trader, agent=agent, timeframe=timeframe, series=series, calendar=calendar, live=live, broker=broker,
        shared=shared, strategy=strategy, cash=cash,
    )  # fmt: skip


def _snapshot(asked: _Asked, params: SessionParams, sources: Sources) -> dict[str, Any]:
    trader, agent = asked.trader, asked.agent
    return {
        "trader": {"id": trader.id, "name": trader.name, "signature": trader.signature},
        "agent": agent.model_dump(mode="json"),
        "cash": asked.cash,
        "terms": terms_under(trader, asked.strategy),
        "is_mixed": False, "may_be_remembered": agent.may_remember(params.date or (params.start or "")[:10]),
        "calendar": asked.calendar, "timeframe": str(asked.timeframe), "symbols": list(params.symbols),
        "data": [each.as_dict() for each in asked.series], "places": list(sources.bars.places),
        "is_synthetic": any(each.is_synthetic for each in asked.series),
        "versions": dict(_versions()),
        **_strategy_of(asked, params, sources), **_shared_of(asked, params), **_sources_of(asked, sources),
    }  # fmt: skip


def _strategy_of(asked: _Asked, params: SessionParams, sources: Sources) -> dict[str, Any]:
    strategy = asked.strategy
    if strategy is None:
        return {}
    document = strategy.document
    check_features(document, sources.models)
    days = (params.date or params.start, params.date or params.end)
    seen = asked.shared.snapshot if asked.agent.type == "replay" and asked.shared is not None else sources.seen
    models = fix_models(document.models, sources.models, seen, *range_of(*days))
    named = {"name": document.name, "text": document.text, "digest": digest_of(document.text)}
    return {"strategy": named, "strategy_timeframe": str(strategy.timeframe), **models}


def _shared_of(asked: _Asked, params: SessionParams) -> dict[str, Any]:
    """Answer what comes of an earlier session: a fork and a replay trade its account, by its terms."""
    earlier = asked.shared
    if earlier is None:
        return {}
    shared = {"shared": {"run": earlier.id, "number": earlier.number, "agent": earlier.snapshot["agent"]}}
    is_replay = asked.agent.type == "replay"
    if params.fork is None and not is_replay:
        return shared
    is_changed = not is_replay and asked.agent.model_dump(mode="json") != earlier.snapshot["agent"]
    account = {name: earlier.snapshot[name] for name in ("cash", "terms")}
    return {**shared, **account, "is_mixed": is_changed or earlier.snapshot["is_mixed"]}


def _sources_of(asked: _Asked, sources: Sources) -> dict[str, Any]:
    """Answer whose bars come live, who fills the orders, and the secrets that are needed."""
    found: dict[str, Any] = {}
    secrets = {asked.agent.api_key_secret}
    if asked.live is not None:
        found |= {"live": {"name": asked.live.name, "config": dict(asked.live.config)}, "home": sources.bars.home}
        secrets.add(asked.live.secret)
    if asked.broker is not None:
        found["broker"] = {"name": asked.broker.name, "config": dict(asked.broker.config)}
        secrets.add(asked.broker.secret)
    named = sorted(name for name in secrets if name)
    return {**found, "secrets": named} if named else found


def subject_of(trader: Trader) -> str:
    """Answer what the runs of a trader's sessions are numbered within."""
    return f"trader/{trader.name}"


def _steps(params: SessionParams) -> float:
    if params.mode == "intraday":
        return 390.0
    low, high = range_of(params.start, params.end)
    return max(1.0, ((high or 0) - (low or 0)) / 86_400e6 * 5 / 7)


def identity_of(snapshot: Mapping[str, Any], params: SessionParams) -> dict[str, str]:
    """Answer what decides a session: only the state of a session of the same may be gone on from."""
    asked = params.model_dump(mode="json", include={"mode", "date", "start", "end", "session"})
    named = ("agent", "cash", "terms", "calendar", "timeframe", "symbols")
    return {
        "the session": digest_of(json.dumps([asked, *(snapshot[name] for name in named)], sort_keys=True)),
        **({"the strategy's text": snapshot["strategy"]["digest"]} if "strategy" in snapshot else {}),
        **{f"the model {name}": described["digest"] for name, described in snapshot.get("models", {}).items()},
        **{
            f"the bars of {series['symbol']}": series["digest"] for series in snapshot["data"] if "live" not in snapshot
        },
    }


def _trader(reference: str, sources: Sources) -> Trader:
    try:
        return sources.traders.get(reference)
    except NotFound as error:
        raise InvalidInput(error.message, error.remedy, "trader") from None


def _cash(params: SessionParams, trader: Trader, sources: Sources) -> float:
    """Answer what a session begins with: a stated sum, else what its trader has."""
    if params.cash is not None:
        return params.cash
    cash = sources.traders.account(trader).cash
    if cash <= 0:
        what = f"{trader.name} has no cash: {cash:,.2f}"
        raise InvalidInput(what, "sell what it holds, or write how much the session begins with", "cash")
    return float(cash)


def _check_dates(params: SessionParams) -> None:
    problems = []
    if params.mode == "intraday":
        if params.date is None:
            problems.append(Problem("no trading day is given", "write 2014-06-05", where="date"))
        else:
            range_of(params.date, params.date)
        problems += [
            Problem(f"'{name}' is of a daily session", "leave it out, or write mode daily", where=name)
            for name in ("start", "end") if getattr(params, name) is not None
        ]  # fmt: skip
    else:
        range_of(params.start, params.end)
        problems += [
            Problem(f"no {name} is given", "write 2014-01-02", where=name)
            for name in ("start", "end") if getattr(params, name) is None
        ]  # fmt: skip
        if params.date is not None:
            problems.append(Problem("'date' is of an intraday session", "write start and end", where="date"))
    if problems:
        raise InvalidInput(problems)


def _timeframe(params: SessionParams) -> Timeframe:
    timeframe = parse_timeframe(params.timeframe or STEPS[params.mode])
    if timeframe.is_daily != (params.mode == "daily") or (timeframe.is_daily and timeframe.text != "1d"):
        what = f"the steps of a session that is {params.mode} cannot be of {timeframe}"
        raise InvalidInput(what, "write 1m, 5m, … for intraday; daily sessions have 1d", "timeframe")
    return timeframe


def _series(params: SessionParams, timeframe: Timeframe, sources: Sources) -> list[Series]:
    low, high = range_of(params.date or params.start, params.date or params.end)
    found: list[Series] = []
    problems: list[Problem] = []
    for symbol in params.symbols:
        try:
            series = sources.bars.find(symbol, timeframe)
            if params.live is None and not sources.bars.has_bars(series, low, high):
                raise InvalidInput(
                    f"{symbol} has no bars of {timeframe} then", "see 'pitboss data list'",
                    "date" if params.date else "start",
                )  # fmt: skip
            found.append(series)
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(problems)
    return found


def _calendar(params: SessionParams, series: Sequence[Series]) -> str:
    if params.calendar is not None:
        read_session(params.calendar)
        return params.calendar
    own = {each.session for each in series if each.session}
    if len(own) > 1:
        raise InvalidInput(f"the symbols trade by {', '.join(sorted(own))}", "name the calendar", "calendar")
    return own.pop() if own else USUAL_CALENDAR


def _agent(params: SessionParams, trader: Trader) -> AgentSpec:
    """Answer how a trader decides in this session: as it does, but for what the params say differently."""
    given = dict(trader.agent)
    is_model = given["type"] == "llm"
    for name in OVERRIDES:
        value = getattr(params, name)
        if value is not None and (name != "model" or is_model):
            given[name] = value
    return read_agent(given)


def _check_installed(spec: AgentSpec | None, sources: Sources) -> None:
    """Raise InvalidInput for a secret, or a library, that is not there."""
    missing = sources.secrets.missing([spec.api_key_secret]) if spec and spec.api_key_secret else []
    if missing:
        raise InvalidInput(missing)
    if find_spec("exchange_calendars") is None:
        raise InvalidInput("calendars are not installed here", "pip install 'pitboss[agents]'", "calendar")


def _live(params: SessionParams, spec: AgentSpec | None, sources: Sources) -> Source | None:
    """Answer the source whose minutes are traded as they come."""
    if params.live is None:
        return None
    problems = []
    if params.mode != "intraday" or params.fork is not None:
        problems.append(Problem("minutes come as they do on one day", "write intraday, and no fork", where="live"))
    if spec is not None and spec.type in ("rules", "replay"):
        what = "a trader by rules trades whole days, which are not there yet"
        problems.append(Problem(what, "let another kind of agent trade live", where="live"))
    if problems:
        raise InvalidInput(problems)
    return chosen(params.live, sources, "live")


def _broker(params: SessionParams, spec: AgentSpec | None, sources: Sources) -> Source | None:
    """Answer the source through whose paper account a session orders."""
    if params.broker is None:
        return None
    source = chosen(params.broker, sources, "broker")
    if source.type.name != "alpaca" or not source.secret:
        raise InvalidInput(f"{source.name} is no broker", "name a source of type alpaca with its secret", "broker")
    if spec is not None and spec.type in ("rules", "replay"):
        what = "a trader by rules finds its fills as its backtest does, and not at a broker"
        raise InvalidInput(what, "let another kind of agent trade there", "broker")
    if params.fork is not None:
        raise InvalidInput("a broker fills nothing of the past", "fork without it", "broker")
    return source


def _shared(
    params: SessionParams, spec: AgentSpec | None, timeframe: Timeframe | None, calendar: str | None, sources: Sources
) -> Run | None:  # fmt: skip
    """Answer the earlier session that is forked, replayed, or traded as often as."""
    where, reference = "fork.run", (params.fork or {}).get("run")
    if reference is None and spec is not None and spec.run is not None:
        where, reference = "agent.run", spec.run
    if reference is None:
        return None
    try:
        run = sources.run(reference)
    except PitbossError as error:
        raise InvalidInput(error.message, error.remedy, where) from None
    if run.kind != "session":
        raise InvalidInput(f"run {run.number} is a {run.kind}", "name a session", where)
    if spec is not None and spec.type == "random" and params.fork is None:  # it takes nothing but how often and long
        return run
    had = SessionParams.model_validate(run.params)
    named = ("mode", "date", "start", "end", "session")
    different = [name for name in named if getattr(had, name) != getattr(params, name)]
    now = {"symbols": list(params.symbols), "timeframe": str(timeframe), "calendar": calendar}
    different += [name for name, value in now.items() if run.snapshot[name] != value]
    if different:
        what = f"session {run.number} had another {' and another '.join(different)}"
        raise InvalidInput(what, "take the same days, hours, steps and symbols", where)
    return run


def _strategy(
    params: SessionParams, spec: AgentSpec | None, sources: Sources, shared: Run | None
) -> Request | None:  # fmt: skip
    """Answer the strategy of a trader by rules, as a backtest over the same bars would have it."""
    if spec is not None and spec.type == "replay" and shared is not None and "strategy" in shared.snapshot:
        own = AgentSpec.model_validate(shared.snapshot["agent"])
        text, timeframe = shared.snapshot["strategy"]["text"], shared.snapshot["strategy_timeframe"]
        return request_of(params, text, own, timeframe)
    if spec is None or spec.type != "rules":
        return None
    return request_of(params, StrategyRef.remote(spec.strategy or "").text(sources.strategies), spec, None)


def pinned(params: Mapping[str, Any], snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Name the strategy by its text, and the cash by its sum: the trader may have others by now."""
    given = {**params, "cash": snapshot["cash"]}
    if "strategy" in snapshot and snapshot["agent"]["type"] == "rules":
        given["strategy"] = snapshot["strategy"]["text"]
    return given


@cache
def _versions() -> tuple[tuple[str, str], ...]:
    found = dict(versions())
    for name in ("pydantic-ai-slim", "exchange-calendars"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return tuple(found.items())
