"""Series that are kept up to date from a source: only what is missing, only what is complete, each bar once."""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl

from pitboss.calendars.sessions import Session, bar_ends, parse_session
from pitboss.core.clock import micros_to_iso
from pitboss.core.timeframe import Timeframe
from pitboss.market.actions import conform_with_actions, split_adjusted
from pitboss.market.catalog import Series, check_symbol, head_name, vintage_name
from pitboss.market.comparing import Difference, differences
from pitboss.market.dates import EVER
from pitboss.market.frames import to_arrays
from pitboss.market.sources import Source, SourceFailed, Wanted
from pitboss.market.sources.web import Web
from pitboss.market.store import BarStore, Nature
from pitboss.market.vintages import is_continued, revised


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of it: bars that are new, bars that the source has changed since, where another source tells otherwise,
    what is odd where they join those that were there, and the series as it stands."""

    series: Series
    added: int
    changed: int
    was_fetched: bool = True
    differences: tuple[Difference, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        last = self.series.as_dict()["last"]
        counts = {"added": self.added, "changed": self.changed, "differing": len(self.differences)}
        return {**counts, "rows": self.series.rows, "last": last}


@dataclass(frozen=True)
class Provider:
    """A source as it is asked. `secret` is its key."""

    source: Source
    web: Web
    secret: str = ""

    @property
    def session(self) -> Session | None:
        text = str(self.source.config.get("session", ""))
        return parse_session(text) if text else None

    def bars(self, wanted: Wanted) -> pl.DataFrame:
        """Answer what is wanted as far as it has ended by `wanted.until`: ascending, each bar once, the one that came
        last where there are two, with corporate actions where they are known. Raises SourceFailed, InvalidInput."""
        pages = [
            conform_with_actions(page)
            for page in self.source.type.fetch(self.source.config, self.secret, self.web, wanted)
        ]
        if not pages:
            return pl.DataFrame()
        frame = pl.concat(pages).unique("ts", keep="last", maintain_order=True).sort("ts")
        since, until = (pl.lit(at).cast(pl.Datetime("us", "UTC")) for at in (wanted.since, wanted.until))
        frame = frame.filter((pl.col("ts") >= since) & (pl.col("ts") < until))
        if not len(frame):
            return frame
        to_arrays(split_adjusted(frame))  # raises InvalidInput where they are no bars
        starts = frame["ts"].cast(pl.Int64).to_numpy()
        ends = bar_ends(np.ascontiguousarray(starts), wanted.timeframe, self.session)
        return frame.filter(pl.Series(ends <= wanted.until))


@dataclass(frozen=True)
class Witness:
    """Another source that is asked for the same bars. Prices that differ by more than `tolerance`, a fraction, are
    told; where it `must_agree` nothing is stored then."""

    provider: Provider
    tolerance: float
    must_agree: bool = False

    def differences(self, wanted: Wanted, frame: pl.DataFrame) -> tuple[Difference, ...]:
        """Answer where it tells otherwise than `frame` does. Raises SourceFailed where it must not."""
        if not len(frame):
            return ()
        try:
            others = self.provider.bars(wanted)
        except SourceFailed:
            if self.must_agree:
                raise
            others = pl.DataFrame()
        found = differences(frame, others, self.tolerance)
        if found and self.must_agree:
            what = f"{len(found):,} prices of {wanted.symbol} differ from those of {self.provider.source.name}, first"
            raise SourceFailed(f"{what} {found[0]}", "find out which source is right, or ask without the other")
        return found


@dataclass(frozen=True)
class Feed:
    """A store and the source that fills it, with another one that is compared where there is a `witness`."""

    provider: Provider
    store: BarStore
    witness: Witness | None = None

    @property
    def source(self) -> Source:
        return self.provider.source

    def update(
        self, symbol: str, timeframe: Timeframe, start: int, asked_at: float = 0.0, whole: bool = False,
        extends: bool = False,
    ) -> Fetched:  # fmt: skip
        """Fetch what is missing of a series: from `start` (microseconds) on where there is none, before what was asked
        for so far too where it `extends` the series, or the `whole` of it.
        Where several runs want it at once it is fetched once: who comes later finds that it was, after `asked_at`.

        The last bar that is stored is fetched again: where it has changed, so may have others, and all are. Rows that
        change are kept beside as they were; see `vintages`. Raises SourceFailed, InvalidInput.
        """
        check_symbol(symbol)
        now, name = time.time(), self.store.home_name(symbol, timeframe)
        with self.store.files.turn(f"fetching/{self.source.name}/{name}"):
            before = self.store.describe(name)
            if before is not None and not whole and self._fetched_at(name) > asked_at > 0:
                return Fetched(before, 0, 0, was_fetched=False)
            is_from_start = before is None or whole or (extends and start < self._asked_from(name))
            since = start if before is None or is_from_start else before.last
            wanted = Wanted(symbol, timeframe, since, int(now * 1e6))
            found = self._begun(wanted) if before is None else self._gone_on(wanted, start, name, before)
            self._note(name, now, start if is_from_start else None)
            return found

    def _begun(self, wanted: Wanted) -> Fetched:
        """Fetch a series of which there is nothing yet."""
        frame = self.provider.bars(wanted)
        if not len(frame):
            what = f"{self.source.name} has no {wanted.timeframe} bars of {wanted.symbol}"
            raise SourceFailed(what, "check the symbol")
        told = self._compared(wanted, frame)
        series = self.store.store(frame, wanted.symbol, wanted.timeframe, self._nature())
        return Fetched(series, series.rows, 0, differences=told)

    def _gone_on(self, wanted: Wanted, start: int, name: str, before: Series) -> Fetched:
        """Fetch bars for a series that there is: all of it where the overlapping bar has changed."""
        stored = self.store.frame(wanted.symbol, wanted.timeframe)
        frame = self.provider.bars(wanted)
        if before.first < wanted.since and revised(stored, frame):
            wanted = replace(wanted, since=min(start, before.first))
            frame = self.provider.bars(wanted)
        if not len(frame):
            return Fetched(before, 0, 0)
        begins = int(frame["ts"].cast(pl.Int64)[0])
        if wanted.since == before.last < begins:
            last, first = micros_to_iso(before.last)[:10], micros_to_iso(begins)[:10]
            what = f"the stored bars of {wanted.symbol} end on {last}, those of {self.source.name} begin on {first}"
            raise SourceFailed(what, "fetch the whole of it, or remove the series first")
        told, changed = self._compared(wanted, frame), revised(stored, frame)
        is_head = not changed and is_continued(stored, frame)
        if not is_head:
            self._keep(name, before)
        warnings: list[str] = []
        series = self.store.store(frame, wanted.symbol, wanted.timeframe, self._nature(), warnings)
        if is_head and series.digest != before.digest:
            self.store.files.put(head_name(name, before.digest), lambda to: to.touch())
        return Fetched(series, series.rows - before.rows, changed, differences=told, warnings=tuple(warnings))

    def _compared(self, wanted: Wanted, frame: pl.DataFrame) -> tuple[Difference, ...]:
        return () if self.witness is None else self.witness.differences(wanted, frame)

    def _nature(self) -> Nature:
        config = self.source.config
        return Nature(
            self.source.name, str(config.get("zone", "")), str(config.get("session", "")), self.source.prices
        )  # fmt: skip

    def _keep(self, name: str, before: Series) -> None:
        """Keep a series as it was: runs that saw it can be gone on with, and compared."""
        path = self.store.fetch(before)
        self.store.files.put(vintage_name(name, before.digest), lambda to: shutil.copyfile(path, to))

    def _fetched_at(self, name: str) -> float:
        path = self.store.files.fetch(f"fetching/{self.source.name}/{name}/at")
        try:
            return float(path.read_text()) if path else 0.0
        except ValueError:
            return 0.0

    def _asked_from(self, name: str) -> int:
        """Answer from when on (microseconds) the source was asked for a series; the first moment there is where it was
        not: then what is there came otherwise, and is only gone on with."""
        path = self.store.files.fetch(f"fetching/{self.source.name}/{name}/from")
        try:
            return int(path.read_text()) if path else EVER[0]
        except ValueError:
            return EVER[0]

    def _note(self, name: str, now: float, start: int | None = None) -> None:
        self.store.files.put(f"fetching/{self.source.name}/{name}/at", lambda to: to.write_text(f"{now:.3f}"))
        if start is not None:
            self.store.files.put(f"fetching/{self.source.name}/{name}/from", lambda to: to.write_text(str(start)))
