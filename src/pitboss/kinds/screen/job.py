"""The screen in its own process."""

from __future__ import annotations

import io
import json
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import PitbossError, RunCancelled
from pitboss.kernel.bars import BarArrays
from pitboss.kinds.documents.bars import save_frame
from pitboss.kinds.screen.params import ScreenParams
from pitboss.kinds.screen.prepare import Request, identity_of, read_request
from pitboss.market.store import BarStore
from pitboss.runs.context import RunContext
from pitboss.screening.evaluate import INSUFFICIENT, judge
from pitboss.screening.tables import rows_frame, text_lines

Item = dict[str, Any]
BEST = 50
LONGEST_REASON = 200
AHEAD = 4  # tickers under way for each thread


def run(params: ScreenParams, context: RunContext) -> dict[str, Any]:
    """Judge each ticker, reporting it as it is known, then rank what passed; see `runs.kinds.Kind`."""
    context.begin_stage("data")
    snapshot = context.snapshot
    request = read_request(params, snapshot["screen"]["text"], snapshot["date"])
    store = context.resource("bars").at(snapshot["places"])
    timeframe = request.screen.document.timeframe
    others = {symbol: store.load(symbol, timeframe) for symbol in request.screen.document.symbols}
    tickers = snapshot["universe"]["tickers"].split(" ")
    context.end_stage()
    screening = _Screening(request, store, others, set(snapshot["universe"]["absent"].split(" ")))
    screening.restore(context)
    context.begin_stage("analysis", len(tickers), len(screening.items))
    threads = min(context.threads, params.max_workers or context.threads)
    for item in screening.judge([t for t in tickers if t not in screening.items], threads, context):
        context.item(item["ticker"], item)
        context.report(len(screening.items), current_item=item["ticker"], passed=screening.passed)
        if context.is_checkpoint_due:
            context.checkpoint(screening.state())
    if len(screening.items) < len(tickers) and not context.is_cancelled:
        context.checkpoint(screening.state())  # it was stopped to go on later: this raises RunSuspended
    context.end_stage(len(screening.items))
    if len(screening.items) == len(tickers):
        context.begin_stage("ranking")
        context.begin_results()
    elif context.keeps_partial:
        context.checkpoint_at_cancel(screening.state())
    else:
        raise RunCancelled("the screen was cancelled")
    return results(screening, len(tickers), context)


@dataclass
class _Screening:
    """The tickers that are judged by now, and the rows of all of them."""

    request: Request
    store: BarStore
    others: Mapping[str, BarArrays]
    absent: Collection[str]
    items: dict[str, Item] = field(default_factory=dict)
    frames: list[pl.DataFrame] = field(default_factory=list)

    @property
    def passed(self) -> int:
        return sum(item["passed"] for item in self.items.values())

    def judge(self, tickers: list[str], threads: int, context: RunContext) -> Iterator[Item]:
        """Yield the item of each ticker in turn, until somebody asks the run to end."""
        waiting, running = iter(tickers), deque[Future[tuple[Item, pl.DataFrame | None]]]()
        with ThreadPoolExecutor(threads, "screen") as pool:
            while not (context.is_cancelled or context.is_suspended):
                while len(running) < AHEAD * threads and (ticker := next(waiting, None)) is not None:
                    running.append(pool.submit(self._judged, ticker))
                if not running:
                    break
                item, frame = running.popleft().result()
                self.items[item["ticker"]] = item
                if frame is not None:
                    self.frames.append(frame)
                yield item
            for future in running:
                future.cancel()

    def _judged(self, ticker: str) -> tuple[Item, pl.DataFrame | None]:
        """Answer a ticker's item, of the last date that is judged, and its rows. What goes wrong with one ticker is
        said in its row."""
        screen, request = self.request.screen, self.request
        if ticker in self.absent:
            return _unknown(ticker, f"there are no {screen.document.timeframe} bars of it"), None
        try:
            bars = self.store.load(ticker, screen.document.timeframe)
        except (PitbossError, OSError, pl.exceptions.PolarsError) as error:
            return _unknown(ticker, f"its bars cannot be read: {error}".splitlines()[0][:LONGEST_REASON]), None
        first, last = (int(np.searchsorted(bars.ts, bound)) for bound in (request.low, request.high))
        if first == last:
            seen = f"its last is of {micros_to_iso(int(bars.ts[last - 1]))[:10]}" if last else "all are later"
            return _unknown(ticker, f"there is no bar {request.when}: {seen}"), None
        judged = judge(screen, {**self.others, ticker: bars.head(last)}, ticker)
        item = {"ticker": ticker, "date": micros_to_iso(int(bars.ts[last - 1]))[:10], **judged.row(last - 1)}
        return item, rows_frame(judged, ticker, first, last)

    def state(self) -> dict[str, bytes]:
        """Answer what is done, to go on from."""
        rows = io.BytesIO()
        if self.frames:
            pl.concat(self.frames).write_ipc(rows, compression="zstd")
        return {"items": json.dumps(list(self.items.values())).encode(), "rows": rows.getvalue()}

    def restore(self, context: RunContext) -> None:
        """Take up what was done before; in the log of a run that takes up another's it stands too."""
        state = context.restore(identity_of(context.snapshot))
        if state is None:
            return
        self.items = {item["ticker"]: item for item in json.loads(state["items"])}
        self.frames = [pl.read_ipc(io.BytesIO(state["rows"]))] if state["rows"] else []
        if not context.has_own_checkpoint:
            for ticker, item in self.items.items():
                context.item(ticker, item)


def _unknown(ticker: str, reason: str) -> Item:
    return {
        "ticker": ticker, "date": None, "score": None, "base": None, "passed": False, "class": INSUFFICIENT,
        "reasons": [reason], "metrics": {},
    }  # fmt: skip


def results(screening: _Screening, total: int, context: RunContext) -> dict[str, Any]:
    """Write the table and the text, and answer the result of a screen."""
    items = sorted(
        screening.items.values(), key=lambda item: (not item["passed"], -(item["score"] or 0.0), item["ticker"])
    )
    artifacts = []
    if screening.frames:
        frame = pl.concat(screening.frames).sort("date", "score", "ticker", descending=[True, True, False])
        artifacts.append(save_frame(context, "rows", frame))
        name = context.snapshot["screen"]["name"]
        text = text_lines(frame.filter(pl.col("date") == frame["date"].max()), name)
        context.save_artifact("passed.txt", lambda path: path.write_text(text), "text/plain")
    known = [item for item in items if item["date"] is not None]
    return {
        "tickers": len(items),
        "total": total,
        "passed": screening.passed,
        "unknown": len(items) - len(known),
        "classes": dict(Counter(item["class"] for item in items)),
        "date": max((item["date"] for item in known), default=None),
        "rows": sum(map(len, screening.frames)),
        "best": [item for item in items if item["passed"]][:BEST],
        "failed": [item for item in items if item["date"] is None][:BEST],
        "artifacts": artifacts,
        "source": {"screen": {name: context.snapshot["screen"][name] for name in ("name", "digest")},
                   "data_digest": context.snapshot["data_digest"], "is_synthetic": context.snapshot["is_synthetic"]},
    }  # fmt: skip
