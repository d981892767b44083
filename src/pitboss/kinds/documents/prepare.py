"""What a run of a document is asked to do: checked before it is queued, fixed in a snapshot."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.metadata import version
from typing import Any, Protocol, TypeVar

from pitboss.backtesting.options import RULES, resolve
from pitboss.core.clock import micros_to_iso, parse_date
from pitboss.core.errors import InvalidInput, Problem
from pitboss.core.timeframe import Timeframe, parse_timeframe
from pitboss.kinds.documents.membership import Choice, read_choice
from pitboss.kinds.documents.models import Models, check_features, fix_models
from pitboss.kinds.documents.params import DocumentParams
from pitboss.market.catalog import Catalog, Series
from pitboss.market.dates import range_of
from pitboss.runs.kinds import Prepared, Secrets
from pitboss.runs.model import Run
from pitboss.screening.builtin import screen_text
from pitboss.strategy.document import Costs, Document, Sizing
from pitboss.strategy.program import Program, compile_document
from pitboss.strategy.reader import read_document
from pitboss.strategy.reference import StrategyRef, TextsByName

T = TypeVar("T")
Given = TypeVar("Given", bound=DocumentParams)
PACKAGES = ("pitboss", "numpy", "numba", "polars", "ta-lib")
DECISIVE = ("rules", "numpy", "numba", "polars", "ta-lib")  # a change of these may change a result's last digit


class Sources(Protocol):
    """Where a document and its bars come from."""

    @property
    def strategies(self) -> TextsByName: ...

    @property
    def screens(self) -> Mapping[str, str]:
        """The texts of the screens that there are, by name."""
        ...

    @property
    def bars(self) -> Catalog: ...

    @property
    def feeds(self) -> Mapping[str, Mapping[str, Any]]:
        """The sources of market data that are configured."""
        ...

    @property
    def seen(self) -> Mapping[str, Any]:
        """The snapshot of the run that is done again; empty for one that is new."""
        ...

    @property
    def secrets(self) -> Secrets: ...

    @property
    def models(self) -> Models: ...

    def earlier(self, subject: str) -> Iterable[Run]:
        """Answer the runs of a subject that there are, the latest ones."""
        ...


@dataclass(frozen=True, kw_only=True)
class Request:
    """A checked request: what runs on which bars, and with which money."""

    document: Document
    program: Program
    sizing: Sizing
    costs: Costs
    symbols: tuple[str, ...]
    timeframe: Timeframe
    start: str | None
    end: str | None
    cash: float
    work: Mapping[str, float]
    universe: Choice | None = None

    @property
    def all_symbols(self) -> tuple[str, ...]:
        """The traded symbols, then those that the strategy and the screen of its universe only look at."""
        others = self.document.symbols | (self.universe.symbols if self.universe else frozenset())
        return self.symbols + tuple(sorted(others - set(self.symbols)))

    @property
    def all_models(self) -> frozenset[str]:
        """The models that the strategy asks, and the screen of its universe."""
        return self.document.models | (self.universe.models if self.universe else frozenset())


Check = Callable[[Document], Mapping[str, float]]


def _nothing_more(_document: Document) -> Mapping[str, float]:
    return {}


class Mistakes:
    """Collects what is wrong, so that all of it can be told at once."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def attempt(self, check: Callable[[], T]) -> T | None:
        """Answer what `check` answers, None after noting its mistakes."""
        try:
            return check()
        except InvalidInput as error:
            self.problems += error.problems
            return None

    def tell(self) -> None:
        """Raise InvalidInput with every mistake, when there is any."""
        if self.problems:
            raise InvalidInput(list(dict.fromkeys(self.problems)))


def read_request(
    params: DocumentParams, text: str, check: Check = _nothing_more, trades: bool = True
) -> Request:  # fmt: skip
    """Check params against the strategy `text`; `check` adds what a kind asks of the document, and answers what is
    asked besides bars, by name. `trades` says that it is traded, for which it needs an entry.

    Raises InvalidInput with every mistake.
    """
    mistakes = Mistakes()
    document = mistakes.attempt(lambda: read_document(text))
    mistakes.attempt(lambda: range_of(params.start, params.end))
    if document is None:
        mistakes.tell()
    assert document is not None
    work = mistakes.attempt(partial(check, document))
    timeframe = mistakes.attempt(partial(_timeframe, params.timeframe, document))
    document = replace(document, timeframe=timeframe)  # what on("1h", …) is made of
    program = mistakes.attempt(lambda: compile_document(document, params.parameters))
    universe = mistakes.attempt(lambda: read_choice(params.universe, tuple(params.symbols or ())))
    if universe is not None and timeframe is not None and universe.screen is not None:
        mistakes.attempt(partial(_check_length, universe.screen.document.timeframe, timeframe))
    resolved = mistakes.attempt(lambda: resolve(document, params.sizing, params.costs, params.parameters, trades))
    mistakes.tell()
    assert program is not None
    assert resolved is not None
    assert timeframe is not None
    return Request(
        document=document, program=program, sizing=resolved[0], costs=resolved[1], symbols=tuple(params.symbols),
        timeframe=timeframe, start=params.start, end=params.end, cash=params.cash, work=work or {}, universe=universe,
    )  # fmt: skip


def _timeframe(given: str | None, document: Document) -> Timeframe:
    if given is not None:
        return parse_timeframe(given)
    if document.timeframe is None:
        raise InvalidInput("no timeframe is given", "write one such as 5m, here or in the document", "timeframe")
    return document.timeframe


def _check_length(own: Timeframe, timeframe: Timeframe) -> None:
    if not own.is_made_of(timeframe):
        what = f"the screen of the universe is of {own} bars, which are not made of {timeframe} ones"
        raise InvalidInput(what, f"trade bars of {own}, or shorter ones", "universe")


def prepare_document(params: DocumentParams, sources: Sources, check: Check = _nothing_more) -> Prepared:
    """Check a run of a document and fix its sources; `check` is that of `read_request`.

    Raises InvalidInput with every mistake.
    """
    given = (params.universe or {}).get("screen")
    if isinstance(given, str):
        with suppress(InvalidInput):  # a name that is none is told with the other mistakes
            params = with_screen(params, screen_text(given, sources.screens))
    request = read_request(params, StrategyRef.remote(params.strategy).text(sources.strategies), check)
    check_features(request.document, sources.models)
    snapshot = fix_sources(request, sources.bars, sources.seen)
    span = span_of(request, snapshot["data"])
    snapshot |= fix_models(request.all_models, sources.models, sources.seen, *span)
    work = {"bars": bars_of(request, snapshot), **request.work}
    return Prepared(
        f"strategy/{request.document.name}", snapshot | {"work": work}, identity_of(snapshot), work,
        tuple(cautions_of(request)),
    )  # fmt: skip


def span_of(request: Request, data: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """Answer when the first bar of a request may open, and when the last has closed: as asked, else as there are."""
    low, high = range_of(request.start, request.end)
    traded = [series for series in data if series["symbol"] in request.symbols]
    first = min(parse_date(series["first"]) for series in traded)
    last = max(parse_date(series["last"]) for series in traded) + request.timeframe.micros
    return (first if low is None else max(low, first)), (last if high is None else min(high, last))


def with_screen(params: Given, text: str) -> Given:
    """Answer params whose universe is chosen by the screen of that text, whatever name it went by."""
    return params.model_copy(update={"universe": {**(params.universe or {}), "screen": text}})


def as_fixed(params: Given, snapshot: Mapping[str, Any]) -> Given:
    """Answer params as they were when their snapshot was made."""
    text = snapshot.get("universe", {}).get("text")
    return with_screen(params, text) if text else params


def bars_of(request: Request, snapshot: Mapping[str, Any]) -> float:
    """Answer about how many bars will be looked at: those stored in the range, joined where they have to be."""
    low, high = range_of(request.start, request.end)
    total = 0.0
    for series in snapshot["data"]:
        first, last = (parse_date(series[end]) for end in ("first", "last"))
        seen = min(last, high or last) - max(first, low or first)
        share = min(1.0, max(0.0, seen / (last - first))) if last > first else 1.0
        total += series["rows"] * share * parse_timeframe(series["timeframe"]).micros / request.timeframe.micros
    return float(round(total))


def cautions_of(request: Request) -> Iterator[str]:
    """Yield what a person should think about before such a run starts."""
    if not {"stop_loss", "trailing_stop"} & set(request.document.levels):
        yield "there is no stop: a position may lose without limit"
    if request.sizing.type == "percent_equity" and request.sizing.value >= 1:
        yield "each position takes all of the equity"
    if request.sizing.leverage > 1:
        yield f"positions may be worth {request.sizing.leverage:g} times the equity"
    costs = request.costs
    if not any((costs.commission, costs.per_share, costs.per_order, costs.minimum, costs.slippage)):
        yield "trading costs nothing here: results will look better than they can be"


def pinned(params: Mapping[str, Any], snapshot: Mapping[str, Any]) -> dict[str, Any]:
    """Name the strategy and the screen of its universe by the texts that were run, not by names that may mean others
    by now."""
    text = snapshot.get("universe", {}).get("text")
    universe = {"universe": {**params["universe"], "screen": text}} if text else {}
    return {**params, **universe, "strategy": snapshot["strategy"]["text"]}


def fix_sources(request: Request, catalog: Catalog, seen: Mapping[str, Any]) -> dict[str, Any]:
    """Answer the snapshot of a request: strategy text, data fingerprints and versions. The bars are those that the run
    which is done again has `seen`, as far as they are kept.

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
        data.append(_as_seen(catalog, series, seen))
    if problems:
        raise InvalidInput(problems)
    text = request.document.text
    return {
        "strategy": {
            "name": request.document.name,
            "text": text,
            "digest": digest_of(text),
        },
        **_universe_of(request),
        "timeframe": str(request.timeframe),
        "data": data,
        "places": list(catalog.places),
        "is_synthetic": any(described["is_synthetic"] for described in data),
        "versions": dict(versions()),
        "seed": None,  # nothing in a backtest is random
    }


def _as_seen(catalog: Catalog, series: Series, seen: Mapping[str, Any]) -> Mapping[str, Any]:
    for promised in seen.get("data", ()):
        is_it = (promised["symbol"], promised["timeframe"]) == (series.symbol, series.timeframe)
        if is_it and catalog.keeps(promised):
            return promised  # type: ignore[no-any-return]
    return series.as_dict()


def _universe_of(request: Request) -> dict[str, Any]:
    """Answer what a snapshot says of a universe that changes."""
    if request.universe is None:
        return {}
    choice, screen = request.universe, request.universe.screen
    if screen is None:
        return {"universe": {"digest": digest_of(repr(sorted(choice.members.items())))}}
    text, values = screen.document.text, {name: value.value for name, value in screen.values.items()}
    described = {"screen": screen.document.name, "text": text, "top": choice.top, "rebalance": choice.rebalance}
    return {"universe": described | {"digest": digest_of(f"{text} {values} {choice.top} {choice.rebalance}")}}


def digest_of(text: str) -> str:
    """Answer what tells a text from another (BLAKE2b, 128 bits)."""
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def identity_of(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """Answer what decides a result: digests of strategy and bars, and the versions installed now."""
    universe = snapshot.get("universe")
    return {
        "the strategy's text": snapshot["strategy"]["digest"],
        **({"the universe": universe["digest"]} if universe else {}),
        **{f"the bars of {series['symbol']}": series["digest"] for series in snapshot["data"]},
        **{f"the model {name}": described["digest"] for name, described in snapshot.get("models", {}).items()},
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
    if (low is not None or high is not None) and not catalog.has_bars(series, low, high):
        have = f"{micros_to_iso(series.first)} to {micros_to_iso(series.last)}"
        raise InvalidInput(f"{series.symbol} has no bars in that range", f"there are bars from {have}", "start")
