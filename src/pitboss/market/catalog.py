"""The catalog: one Parquet file for each symbol and timeframe, its description inside the file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from pitboss.core.clock import micros_to_iso
from pitboss.core.errors import Forbidden, InvalidInput, NotFound, StorageUnavailable, suggest
from pitboss.core.files import Files
from pitboss.core.parquet import any_between, metadata_of
from pitboss.core.timeframe import Timeframe, parse_timeframe

LOCAL, SHARED, PRIVATE = FOLDERS = ("bars", "shared", "private")  # of whoever works here, of all, of each account
LONGEST_SYMBOL = 32
_SYMBOL = re.compile(r"[A-Za-z0-9^$@#._=&!+*:-]+(/[A-Za-z0-9^$@#._=&!+*:-]+)*")
_PLAIN = "._=^-"  # besides letters and digits: what stands for itself in a file's name


@dataclass(frozen=True, slots=True)
class Series:
    """One stored series. `digest` is of its rows: equal digests are equal bars; times are UTC."""

    symbol: str
    timeframe: str
    rows: int
    first: int
    last: int
    digest: str
    source: str
    is_synthetic: bool
    zone: str = ""  # of its days, empty where nobody said
    session: str = ""  # 24x7, an exchange's code or a rule, empty where nobody said
    prices: str = ""  # raw, split-adjusted or total-return, empty where nobody said
    place: str = ""  # the folder that holds it

    @property
    def is_shared(self) -> bool:
        return self.place.startswith(SHARED)

    def as_dict(self) -> dict[str, object]:
        described = asdict(self)
        del described["place"]
        moments = {"first": micros_to_iso(self.first), "last": micros_to_iso(self.last)}
        return described | moments | {"is_shared": self.is_shared}


OF_LOCAL = "_local"  # among what is shared; no account is called so


def all_series(files: Files) -> list[str]:
    """Answer the names of the files of every series, whose ever it is."""
    return [name for folder in FOLDERS for name in files.names(folder)]


def home_of(owner: str) -> str:
    """Answer the folder of an account's own series."""
    return f"{PRIVATE}/{owner}"


class Catalog:
    """The series among the files that somebody may use: what there is. Their rows: `market.store`.

    `home` is the folder of their own; what others share lies beside it, under `shared`, by whose it is. Where there
    are several of a symbol and timeframe, one's own comes first. `places` fixes the folders, in that order.
    """

    def __init__(self, files: Files, home: str = LOCAL, places: Sequence[str] = ()) -> None:
        self.files = files
        self.home = home
        self._places = tuple(places)

    @property
    def places(self) -> tuple[str, ...]:
        """The folders that are looked into: one's own, what one shares, what others share."""
        if self._places:
            return self._places
        shared = sorted({name.rpartition("/")[0].rpartition("/")[0] for name in self.files.names(SHARED)})
        own = self._shared_home
        return self.home, *(place for place in (own, *(s for s in shared if s != own)) if place in shared)

    @property
    def _shared_home(self) -> str:
        return f"{SHARED}/{OF_LOCAL if self.home == LOCAL else self.home.rpartition('/')[2]}"

    def all(self) -> list[Series]:
        """Answer every series, by symbol, then by length of its bars."""
        found = [self.describe(name) for place in self.places for name in self.files.names(place)]
        return sorted((s for s in found if s), key=lambda s: (s.symbol, parse_timeframe(s.timeframe)))

    def fitting(self, timeframe: Timeframe) -> dict[str, Series]:
        """Answer for each symbol the series that `find` answers, where there is one."""
        found: dict[str, Series] = {}
        places = {place: at for at, place in enumerate(self.places)}
        for each in self.all():  # by symbol, then by length
            before = found.get(each.symbol)
            if timeframe.is_made_of(parse_timeframe(each.timeframe)) and (
                before is None or places[each.place] <= places[before.place]
            ):
                found[each.symbol] = each
        return found

    def find(self, symbol: str, timeframe: Timeframe) -> Series:
        """Answer the series itself, else the longest shorter one that `timeframe` can be made of.

        Raises InvalidInput naming what exists.
        """
        itself = self.describe(name_of(symbol, timeframe, self.home))
        if itself is not None:
            return itself
        places = self.places
        folders = [f"{place}/{_named(symbol)}" for place in places]
        own = [s for folder in folders for name in self.files.names(folder) if (s := self.describe(name))]
        if not own:
            known = {unquote(name.split("/")[-2]) for place in places for name in self.files.names(place)}
            raise InvalidInput(
                f"unknown symbol '{symbol}'",
                f"{suggest(symbol, known)}; import it with 'pitboss data import'",
                "symbols",
            )
        fitting = [s for s in own if timeframe.is_made_of(parse_timeframe(s.timeframe))]
        fitting = [s for s in fitting if s.place == fitting[0].place]  # one's own, before what others share
        if not fitting:
            have = ", ".join(dict.fromkeys(s.timeframe for s in own))
            raise InvalidInput(
                f"{symbol} has no bars for {timeframe}",
                f"there are {have}: name one, or a multiple",
                "timeframe",
            )
        return max(fitting, key=lambda s: parse_timeframe(s.timeframe))

    def exact(self, symbol: str, timeframe: Timeframe) -> Series:
        """Answer the stored series. Raises NotFound."""
        found = (self.describe(name_of(symbol, timeframe, place)) for place in self.places)
        series = next((each for each in found if each is not None), None)
        if series is None:
            raise _no_bars(symbol, timeframe)
        return series

    def has_bars(self, series: Series, low: int | None, high: int | None) -> bool:
        """Answer whether any stored bar opens in [low, high), microseconds; None is no bound."""
        if any((low is None or at >= low) and (high is None or at < high) for at in (series.first, series.last)):
            return True
        return any_between(self.fetch(series), "ts", low, high)

    def remove(self, symbol: str, timeframe: Timeframe, of_anybody: bool = False) -> None:
        """Remove a series of one's own, or `of_anybody`. Raises NotFound, Forbidden."""
        series = self._changeable(symbol, timeframe, of_anybody)
        self.files.remove(name_of(symbol, timeframe, series.place))

    def share(self, symbol: str, timeframe: Timeframe, is_shared: bool) -> Series:
        """Let all read a series of one's own, or take that back. Raises NotFound, Forbidden."""
        series = self._changeable(symbol, timeframe, False)
        place = self._shared_home if is_shared else self.home
        if series.place == place:
            return series
        with self.files.turn(self.home):
            path = self.fetch(series)
            self.files.put(name_of(symbol, timeframe, place), lambda to: shutil.copyfile(path, to))
            self.files.remove(name_of(symbol, timeframe, series.place))
        return replace(series, place=place)

    def keeps(self, promised: Mapping[str, Any]) -> bool:
        """Answer whether a series can be read as a run was promised it: it is so still, or a source has changed it or
        gone on with it since. See `market.vintages`."""
        timeframe, digest = parse_timeframe(promised["timeframe"]), str(promised["digest"])
        for place in self.places:
            name = name_of(promised["symbol"], timeframe, place)
            series = self.describe(name)
            if series is not None and series.digest == digest:
                return True
            if {vintage_name(name, digest), head_name(name, digest)} & set(self.files.names(vintages_of(name))):
                return True
        return False

    def _changeable(self, symbol: str, timeframe: Timeframe, of_anybody: bool) -> Series:
        series = self.exact(symbol, timeframe)
        if not of_anybody and series.place not in (self.home, self._shared_home):
            raise Forbidden(f"the {timeframe} bars of {symbol} are shared by another", "import bars of your own")
        return series

    def fetch(self, series: Series) -> Path:
        """Answer the file of a series. Raises NotFound."""
        timeframe = parse_timeframe(series.timeframe)
        path = self.files.fetch(name_of(series.symbol, timeframe, series.place or self.home))
        if path is None:
            raise _no_bars(series.symbol, timeframe)
        return path

    def describe(self, name: str) -> Series | None:
        """Answer the series that a file holds, None when it is none or cannot be read."""
        path = self.files.fetch(name)
        try:
            found = metadata_of(path) if path else {}
        except StorageUnavailable:
            return None
        if "digest" not in found:
            return None
        return Series(
            found["symbol"], found["timeframe"], int(found["rows"]), int(found["first"]), int(found["last"]),
            found["digest"], found["source"], found["is_synthetic"] == "True",
            found.get("zone", ""), found.get("session", ""), found.get("prices", ""), name.rsplit("/", 2)[0],
        )  # fmt: skip


def _no_bars(symbol: str, timeframe: Timeframe) -> NotFound:
    return NotFound(f"there are no {timeframe} bars of {symbol}", "see 'pitboss data list'")


def vintages_of(name: str) -> str:
    """Answer the folder of what a series, of the file `name`, was before."""
    return f"vintages/{name.removesuffix('.parquet')}"


def vintage_name(name: str, digest: str) -> str:
    """Answer the name of the file that holds a series as it was when it had that digest."""
    return f"{vintages_of(name)}/{digest}.parquet"


def head_name(name: str, digest: str) -> str:
    """Answer the name of the empty file that says: a series of that digest is how a later one begins."""
    return f"{vintages_of(name)}/{digest}.head"


def name_of(symbol: str, timeframe: Timeframe, place: str = LOCAL) -> str:
    """Answer the name of a series' file. Raises InvalidInput for what is no symbol."""
    return f"{place}/{_named(check_symbol(symbol))}/{timeframe}.parquet"


def _named(symbol: str) -> str:
    """Answer the name of a symbol's folder: BTC/USDT is BTC%2FUSDT."""
    return quote(symbol, safe=_PLAIN)


def check_symbol(symbol: str) -> str:
    """Answer `symbol` if it can name a series (and a folder). Raises InvalidInput."""
    is_one = isinstance(symbol, str) and len(symbol) <= LONGEST_SYMBOL and _SYMBOL.fullmatch(symbol)
    if not is_one or symbol[0] in ".-" or symbol.endswith(".") or set(symbol.split("/")) & {".", ".."}:
        raise InvalidInput(
            f"'{str(symbol)[:40]}' is no symbol",
            f"use letters, digits and . _ - = ^ / & : $ @ # ! + *, at most {LONGEST_SYMBOL}, such as BTC/USDT or ES=F",
            "symbol",
        )
    return symbol
