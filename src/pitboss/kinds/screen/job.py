"""The screen in its own process."""

from __future__ import annotations

import io
import json
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from pitboss.core.clock import micros_to_iso, parse_date
from pitboss.core.errors import PitbossError, RunCancelled
from pitboss.core.timeframe import Timeframe
from pitboss.kernel.bars import BarArrays
from pitboss.kinds.documents.bars import save_frame
from pitboss.kinds.documents.feeds import feed_of
from pitboss.kinds.documents.models import models_in
from pitboss.kinds.screen.export import write_sqlite
from pitboss.kinds.screen.params import ScreenParams
from pitboss.kinds.screen.prepare import Request, data_digest, identity_of, last_session, read_request
from pitboss.market.actions import as_known
from pitboss.market.dates import latest_shared, range_of
from pitboss.market.store import BarStore, Seen
from pitboss.runs.context import RunContext
from pitboss.screening.evaluate import INSUFFICIENT, Judged, judge
from pitboss.screening.reader import read_screen
from pitboss.screening.tables import Columns, ranked, rows_of, table_of, text_lines
from pitboss.screening.worth import COMPARED, GROUPS, forward_names, forward_returns, worth_of
from pitboss.strategy.evaluate import Forecaster

Item = dict[str, Any]
BEST = 50
LONGEST_REASON = 200
FRESH_SECONDS = 3600.0  # within which nothing is fetched again
FIRST = parse_date("2010-01-01")  # of series that are new
AHEAD = 4  # tickers under way for each reader
READERS = 1  # keeps ahead of the one that judges, and takes the least from it


def run(params: ScreenParams, context: RunContext) -> dict[str, Any]:
    """Judge each ticker, reporting it as it is known, then rank what passed; see `runs.kinds.Kind`."""
    tickers = context.snapshot["universe"]["tickers"].split(" ")
    screening = _opened(params, context, tickers)
    screening.restore(context)
    context.begin_stage("analysis", len(tickers), len(screening.items))
    readers = min(context.threads, params.max_workers or READERS)
    for item in screening.judge([t for t in tickers if t not in screening.items], readers, context):
        context.item(item["ticker"], item)
        context.report(len(screening.items), current_item=item["ticker"], passed_count=screening.passed)
        if context.is_checkpoint_due:
            context.checkpoint(screening.state())
    if len(screening.items) < len(tickers) and not context.is_cancelled:
        context.checkpoint(screening.state())  # it was stopped to go on later: this raises RunSuspended
    context.end_stage(len(screening.items))
    is_whole = len(screening.items) == len(tickers)
    if is_whole:
        context.begin_stage("ranking", len(tickers))
    elif context.keeps_partial:
        context.checkpoint_at_cancel(screening.state())
    else:
        raise RunCancelled("the screen was cancelled")
    ranking = screening.ranked(context.snapshot["tried"])
    if is_whole:
        context.report(len(tickers), passed_count=sum(item["passed"] for item in ranking.items))
        context.end_stage()
        context.begin_results()
    return results(ranking, len(tickers), screening.digests, context)


def _opened(params: ScreenParams, context: RunContext, tickers: list[str]) -> _Screening:
    """Answer what judges the tickers, once the bars are there: fetched, where that is asked for."""
    snapshot, text = context.snapshot, context.snapshot["screen"]["text"]
    document = read_screen(text)
    if "source" in snapshot:
        reasons = _fetched(params, context, [*sorted(document.symbols), *tickers], document.timeframe)
    else:
        context.begin_stage("data")
        absent = snapshot["universe"]["absent"].split(" ")
        reasons = dict.fromkeys(absent, f"there are no {document.timeframe} bars of it")
    store, date = context.resource("bars").at(snapshot["places"]), snapshot["date"]
    if date == "":
        stored = store.fitting(document.timeframe)
        date = last_session(stored[each] for each in tickers if each in stored)
    request = read_request(params, text, date)
    looked_at = {symbol: store.seen(symbol, document.timeframe) for symbol in document.symbols}
    context.end_stage()
    return _Screening(
        request, store, {symbol: seen.bars for symbol, seen in looked_at.items()}, reasons,
        snapshot["universe"]["spans"], models_in(snapshot, context.files),
        digests={symbol: seen.digest for symbol, seen in looked_at.items()},
    )  # fmt: skip


def _fetched(
    params: ScreenParams, context: RunContext, symbols: list[str], timeframe: Timeframe
) -> dict[str, str]:  # fmt: skip
    """Fetch what is missing of each symbol up to the last date that is judged, and answer why there are no bars of
    some."""
    _, until = range_of(None, params.date or params.end)
    feed = feed_of(context, BarStore(context.files, context.snapshot["home"]))
    asked_at, reasons = time.time() - FRESH_SECONDS, {}
    known = context.resource("bars").at(context.snapshot["places"]).fitting(timeframe)
    context.begin_stage("data", len(symbols))
    for number, symbol in enumerate(symbols, 1):
        context.check_cancel()
        series = None
        try:
            series = known.get(symbol)
            if series is None or until is None or series.last < until - timeframe.micros:
                feed.update(symbol, timeframe, FIRST, asked_at)
        except RunCancelled:
            raise
        except PitbossError as error:
            if series is None:
                reasons[symbol] = str(error)[:LONGEST_REASON]
            else:
                context.log(f"{symbol} is not brought up to date: {error}"[:LONGEST_REASON], "warning")
        context.report(number, current_item=symbol, failed_count=len(reasons))
    return reasons


@dataclass(frozen=True)
class _Ranking:
    """All items, those that passed first, the best of them before; the last date that is judged; all rows; and what
    became of them."""

    items: list[Item]
    date: str | None
    rows: pl.DataFrame | None
    worth: pl.DataFrame | None


@dataclass(frozen=True)
class _Judgement:
    """A ticker's item, of the last date that is judged; its rows; and what became of it after each of them."""

    item: Item
    rows: Sequence[Columns] = ()
    returns: Sequence[pl.DataFrame] = ()


@dataclass
class _Screening:
    """The tickers that are judged by now, and the rows of all of them."""

    request: Request
    store: BarStore
    others: Mapping[str, BarArrays]
    absent: Mapping[str, str]  # why there are no bars of some of the tickers
    spans: Mapping[str, Sequence[tuple[int, int]]]  # in which some of the tickers were members
    models: Mapping[str, Forecaster] = field(default_factory=dict)  # that the screen asks
    items: dict[str, Item] = field(default_factory=dict)
    rows: list[Columns] = field(default_factory=list)
    returns: list[pl.DataFrame] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)  # of the series that were read
    passed: int = 0

    def ranked(self, tried: int) -> _Ranking:
        """Answer what there is by now in its order; `tried` is how many variants of the screen were."""
        date = latest_shared(item["date"] for item in self.items.values() if item["date"] is not None)
        items = sorted(
            (_as_of(date, item) for item in self.items.values()),
            key=lambda item: (not item["passed"], -(item["score"] or 0.0), item["ticker"]),
        )
        return _Ranking(
            items,
            date,
            ranked(self.rows) if self.rows else None,
            worth_of(pl.concat(self.returns), self.request.horizons, tried) if self.returns else None,
        )

    def judge(self, tickers: list[str], readers: int, context: RunContext) -> Iterator[Item]:
        """Yield the item of each ticker in turn, until somebody asks the run to end; so many `readers` read ahead."""
        waiting, loading = iter(tickers), deque[tuple[str, Future[Seen | str]]]()
        with ThreadPoolExecutor(readers, "screen") as pool:  # what judges is one thread's work
            while not (context.is_cancelled or context.is_suspended):
                while len(loading) < AHEAD * readers and (ticker := next(waiting, None)) is not None:
                    loading.append((ticker, pool.submit(self._loaded, ticker)))
                if not loading:
                    break
                ticker, future = loading.popleft()
                judgement = self._judged(ticker, future.result())
                self.items[ticker] = judgement.item
                self.passed += judgement.item["passed"]
                self.rows += judgement.rows
                self.returns += judgement.returns
                yield judgement.item
            for _, future in loading:
                future.cancel()

    def _loaded(self, ticker: str) -> Seen | str:
        """Answer the bars of a ticker with its splits, or why there are none."""
        if ticker in self.absent:
            return self.absent[ticker]
        try:
            return self.store.seen(ticker, self.request.screen.document.timeframe)
        except (PitbossError, OSError, pl.exceptions.PolarsError) as error:
            self.digests[ticker] = "unread"
            return f"its bars cannot be read: {error}".splitlines()[0][:LONGEST_REASON]

    def _judged(self, ticker: str, loaded: Seen | str) -> _Judgement:
        """Judge a ticker, each bar in the shares of its own time. What goes wrong with one is said in its row."""
        screen, request = self.request.screen, self.request
        if isinstance(loaded, str):
            return _Judgement(_unknown(ticker, loaded))
        bars, splits, self.digests[ticker] = loaded
        first, last = (int(np.searchsorted(bars.ts, bound)) for bound in (request.low, request.high))
        if first == last:
            seen = f"its last is of {micros_to_iso(int(bars.ts[last - 1]))[:10]}" if last else "all are later"
            return _Judgement(_unknown(ticker, f"there is no bar {request.when}: {seen}"))
        rows = np.arange(first, last)
        if ticker in self.spans:
            rows = rows[
                np.logical_or.reduce(
                    [(bars.ts[rows] >= low) & (bars.ts[rows] < high) for low, high in self.spans[ticker]]
                )
            ]
            if not len(rows):
                return _Judgement(_unknown(ticker, f"it was no member {request.when}"))
        tables, returns, item, done = [], [], {}, 0
        for then in as_known(bars, splits, first, last):
            here = rows[(rows >= done) & (rows < len(then.ts))]
            done = len(then.ts)
            if not len(here):
                continue
            judged = judge(screen, {**self.others, ticker: then}, ticker, self.models)
            at = int(here[-1])
            item = {"ticker": ticker, "date": micros_to_iso(int(bars.ts[at]))[:10], **judged.row(at)}
            tables.append(rows_of(judged, ticker, here))
            if request.is_range:
                returns.append(self._returns(bars, judged, here))
        return _Judgement(item, tables, returns)

    def _returns(self, bars: BarArrays, judged: Judged, rows: npt.NDArray[np.int64]) -> pl.DataFrame:
        """Answer what became of a ticker after each of its rows that is known enough to be judged."""
        request = self.request
        rows = rows[judged.is_known[rows]]
        found = forward_returns(bars, rows, request.horizons, request.cost)
        columns = {"date": judged.ts[rows], "passed": judged.passed[rows], "score": judged.score[rows]}
        names = forward_names(request.horizons)
        return pl.DataFrame(columns | {name: found[:, at] for at, name in enumerate(names)})

    def state(self) -> dict[str, bytes]:
        """Answer what is done, to go on from."""
        return {
            "when": self.request.when.encode(), "items": json.dumps(list(self.items.values())).encode(),
            "rows": _packed(table_of(self.rows) if self.rows else None),
            "digests": json.dumps(self.digests).encode(),
            "returns": _packed(pl.concat(self.returns) if self.returns else None),
        }  # fmt: skip

    def restore(self, context: RunContext) -> None:
        """Take up what was done before; in the log of a run that takes up another's it stands too."""
        state = context.restore(identity_of(context.snapshot))
        if state is None or state["when"] != self.request.when.encode():  # newer bars were fetched meanwhile
            return
        self.items = {item["ticker"]: item for item in json.loads(state["items"])}
        self.passed = sum(item["passed"] for item in self.items.values())
        self.rows = [{each.name: each.to_numpy() for each in frame} for frame in _unpacked(state["rows"])]
        self.returns = _unpacked(state["returns"])
        self.digests |= json.loads(state["digests"])
        if not context.has_own_checkpoint:
            for ticker, item in self.items.items():
                context.item(ticker, item)


def _as_of(date: str | None, item: Item) -> Item:
    """Answer an item as it counts on the last date: one that ended before does not pass there."""
    if item["date"] is None or item["date"] == date:
        return item
    reason = f"there is no bar on {date}: its last is of {item['date']}"
    return {**item, "passed": False, "class": INSUFFICIENT, "reasons": [reason, *item["reasons"]]}


def _packed(frame: pl.DataFrame | None) -> bytes:
    packed = io.BytesIO()
    if frame is not None:
        frame.write_ipc(packed, compression="zstd")
    return packed.getvalue()


def _unpacked(packed: bytes) -> list[pl.DataFrame]:
    return [pl.read_ipc(io.BytesIO(packed))] if packed else []


def _unknown(ticker: str, reason: str) -> Item:
    return {
        "ticker": ticker, "date": None, "score": None, "base": None, "passed": False, "class": INSUFFICIENT,
        "reasons": [reason], "metrics": {},
    }  # fmt: skip


def results(ranking: _Ranking, total: int, digests: Mapping[str, str], context: RunContext) -> dict[str, Any]:
    """Write the tables and the text, and answer the result of a screen; `digests` are of the series that it read."""
    items, rows, worth = ranking.items, ranking.rows, ranking.worth
    snapshot, artifacts, date = context.snapshot, [], ranking.date
    if rows is not None:
        artifacts.append(save_frame(context, "rows", rows))
        text = text_lines(rows.filter(pl.col("date").dt.strftime("%Y-%m-%d") == date), snapshot["screen"]["name"])
        context.save_artifact("passed.txt", lambda path: path.write_text(text), "text/plain")
    if worth is not None:
        artifacts.append(save_frame(context, "worth", worth))
    known = [item for item in items if item["date"] is not None]
    digest = data_digest(digests)
    is_whole = len(items) == total and "source" not in snapshot and "unread" not in digests.values()
    has_other_bars = is_whole and digest != snapshot["data_digest"]
    passed = [item for item in items if item["passed"]]
    described = {
        "strategy_code": snapshot["screen"]["name"], "date": date, "total_tickers": total,
        "processed_tickers": len(items), "passed_count": len(passed),
        "parameters": json.dumps(ScreenParams.model_validate(dict(context.params)).values, sort_keys=True),
    }  # fmt: skip
    write = partial(write_sqlite, run_id=context.run_id, run=described, items=items)
    context.save_artifact("results.sqlite", write, "application/vnd.sqlite3")
    return {
        "tickers": len(items),
        "total": total,
        "passed": len(passed),
        "unknown": len(items) - len(known),
        "classes": dict(Counter(item["class"] for item in items)),
        "date": date,
        "rows": 0 if rows is None else len(rows),
        "worth": [] if worth is None else worth.filter(pl.col("group").is_in([*GROUPS, *COMPARED])).to_dicts(),
        "tried": snapshot["tried"],
        "passed_tickers": " ".join(item["ticker"] for item in passed),
        "best": passed[:BEST],
        "failed": [item for item in items if item["date"] is None][:BEST],
        "artifacts": artifacts,
        "has_other_bars": has_other_bars,
        "source": {"screen": {name: snapshot["screen"][name] for name in ("name", "digest")},
                   "data_digest": digest, "is_synthetic": snapshot["is_synthetic"]},
    }  # fmt: skip
