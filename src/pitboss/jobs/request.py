"""What a backtest or a sweep is asked to do: checked before it is queued, fixed in a snapshot."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from pitboss.backtesting.engine import RULES, resolve
from pitboss.backtesting.library import check_cash
from pitboss.backtesting.universe import Universe
from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import InvalidInput, NotFound, Problem, suggest
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.market.catalog import Catalog, Series
from pitboss.market.frames import between, range_of
from pitboss.strategy.document import Document
from pitboss.strategy.program import compile_document
from pitboss.strategy.reader import read_document

KEYS = ("strategy", "symbols", "timeframe", "start", "end", "cash", "parameters", "costs", "sizing")
DEFAULT_CASH = 10_000.0
PACKAGES = ("pitboss", "numpy", "numba", "polars", "ta-lib")
DECISIVE = ("rules", "numpy", "numba", "polars", "ta-lib")  # a change of these may change a result's last digit


@dataclass(frozen=True)
class Request:
    """A checked request: the document, what it trades on which bars, and with which money."""

    document: Document
    symbols: tuple[str, ...]
    timeframe: Timeframe
    start: str | None
    end: str | None
    cash: float
    parameters: Mapping[str, Any]
    costs: Mapping[str, Any] | None
    sizing: Mapping[str, Any] | None

    @property
    def all_symbols(self) -> tuple[str, ...]:
        """The traded symbols, then those that the strategy only looks at."""
        return self.symbols + tuple(sorted(self.document.symbols - set(self.symbols)))


def read_request(params: Mapping[str, Any], text: str, further: tuple[str, ...] = ()) -> Request:
    """Check the parameters against the strategy `text`. Raises InvalidInput with every mistake."""
    problems: list[Problem] = []

    def attempt(check: Callable[[], Any], default: Any = None) -> Any:
        try:
            return check()
        except InvalidInput as error:
            problems.extend(error.problems)
            return default

    known = (*KEYS, *further)
    for name in params:
        if name not in known:
            problems.append(Problem(f"unknown parameter '{str(name)[:40]}'", suggest(str(name), known), where="params"))
    document: Document | None = attempt(lambda: read_document(text))
    complete = len(problems)
    symbols = attempt(lambda: _symbols(params.get("symbols")), ())
    timeframe = attempt(lambda: _timeframe(params.get("timeframe"), document))
    start, end = (attempt(partial(_date, params, name)) for name in ("start", "end"))
    attempt(lambda: range_of(start, end))
    cash = attempt(lambda: check_cash(params.get("cash", DEFAULT_CASH)), DEFAULT_CASH)
    chosen = {name: attempt(partial(_mapping, params, name)) for name in ("parameters", "costs", "sizing")}
    if document is not None and len(problems) == complete:
        document = replace(document, timeframe=timeframe)  # what on("1h", …) is made of
    if document is not None:
        attempt(lambda: compile_document(document, chosen["parameters"]))
        attempt(lambda: resolve(document, chosen["sizing"], chosen["costs"]))
    if problems or document is None:
        raise InvalidInput(list(dict.fromkeys(problems)))
    return Request(
        document,
        symbols,
        timeframe,
        start,
        end,
        cash,
        chosen["parameters"] or {},
        chosen["costs"],
        chosen["sizing"],
    )


def _symbols(given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        given = [given]
    if not isinstance(given, list | tuple) or not given or not all(isinstance(s, str) and s for s in given):
        raise InvalidInput("no symbols are given", 'write ["EURUSD"]', "symbols")
    if len(set(given)) < len(given):
        raise InvalidInput("a symbol stands twice", "name each once", "symbols")
    if len(given) > 1000:
        raise InvalidInput(f"{len(given)} symbols are too many", "at most 1,000", "symbols")
    return tuple(given)


def _timeframe(given: Any, document: Document | None) -> Timeframe | None:
    if given is None:
        if document is not None and document.timeframe is None:
            raise InvalidInput("no timeframe is given", "write one such as 5m, here or in the document", "timeframe")
        return document.timeframe if document else None
    return parse_timeframe(given)


def _date(params: Mapping[str, Any], name: str) -> str | None:
    value = params.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInput(f"'{str(value)[:40]}' is no date", "write 2018-01-31", name)
    return value or None


def _mapping(params: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    value = params.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise InvalidInput(f"'{name}' is not a mapping", f'write {{"name": value}} in {name}', name)
    return value


def strategy_text(reference: Any, lookup: Callable[[str], str]) -> str:
    """Answer the text of a strategy given inline, or by the name of a stored one. Raises InvalidInput."""
    if not isinstance(reference, str) or not reference.strip():
        raise InvalidInput("no strategy is given", "give a stored strategy's name, or a document's text", "strategy")
    if "\n" in reference or ":" in reference:
        return reference
    try:
        return lookup(reference)
    except NotFound as error:
        raise InvalidInput(error.message, error.remedy, "strategy") from None


def fix_sources(request: Request, catalog: Catalog) -> dict[str, Any]:
    """Answer the snapshot of a request: strategy text, data fingerprints and versions.

    Raises InvalidInput for unknown symbols and for ranges without bars, naming which there are.
    """
    low, high = range_of(request.start, request.end)
    problems: list[Problem] = []
    data = []
    for symbol in request.all_symbols:
        try:
            series = catalog.find(symbol, request.timeframe)
            _check_range(catalog, series, low, high)
        except InvalidInput as error:
            problems.extend(error.problems)
            continue
        data.append(series.as_dict())
    if problems:
        raise InvalidInput(problems)
    text = request.document.text
    return {
        "strategy": {
            "name": request.document.name,
            "text": text,
            "digest": hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
        },
        "data": data,
        "is_synthetic": any(described["is_synthetic"] for described in data),
        "versions": dict(versions()),
        "seed": None,  # nothing in a backtest is random
    }


def identity_of(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """Answer what decides a result: digests of strategy and bars, and the versions installed now."""
    return {
        "the strategy's text": snapshot["strategy"]["digest"],
        **{f"the bars of {series['symbol']}": series["digest"] for series in snapshot["data"]},
        **{name: found for name, found in versions() if name in DECISIVE},
    }


def source_of(snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Answer where a result comes from: digests of strategy and data, and the versions that computed it.

    The text is the snapshot's. Its versions are those of the submit: an upgrade may have come in between.
    """
    strategy = snapshot.get("strategy", {})
    described = ("symbol", "timeframe", "rows", "digest", "source", "is_synthetic")
    return {
        "strategy": {name: strategy.get(name) for name in ("name", "digest")},
        "data": [{name: series[name] for name in described} for series in snapshot.get("data", [])],
        "is_synthetic": snapshot.get("is_synthetic", False),
        "versions": dict(versions()),
    }


@cache
def versions() -> tuple[tuple[str, str], ...]:
    """Answer the versions of Python and of the packages that a result depends on."""
    packages = ((name, version(name)) for name in PACKAGES)
    return (("python", platform.python_version()), ("rules", RULES), *packages)


def _check_range(catalog: Catalog, series: Series, low: int | None, high: int | None) -> None:
    if (low is not None or high is not None) and not catalog.count(series, low, high):
        have = f"{micros_to_iso(series.first)} to {micros_to_iso(series.last)}"
        raise InvalidInput(f"{series.symbol} has no bars in that range", f"there are bars from {have}", "start")


def load_universe(request: Request, snapshot: Mapping[str, Any], catalog: Catalog) -> Universe:
    """Load the bars of a request, and make sure that they are those of its snapshot.

    Raises InvalidInput when the stored bars have changed since, or none lie in the range.
    """
    promised = {described["symbol"]: described["digest"] for described in snapshot["data"]}
    bars = {}
    for symbol in request.all_symbols:
        bars[symbol] = between(catalog.load(symbol, request.timeframe), request.start, request.end)
        # asked after they were read: whatever is imported meanwhile shows here
        if catalog.find(symbol, request.timeframe).digest != promised.get(symbol):
            raise InvalidInput(f"the bars of {symbol} have changed since the run was submitted", "rerun it", "symbols")
    for symbol in request.symbols:
        if not len(bars[symbol].ts):
            raise InvalidInput(f"{symbol} has no bars in that range", "see 'pitboss data gaps'", "start")
    return Universe(request.symbols, bars, request.timeframe)
