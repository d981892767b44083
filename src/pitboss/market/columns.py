"""What the columns of a table of bars are, told by their names and by what stands in them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pitboss.core.errors import InvalidInput

PRICE_NAMES = ("open", "high", "low", "close")
NEEDED = ("ts", *PRICE_NAMES)
CHOICES = (*NEEDED, "volume", "adj close", "ticker")
_SYNONYMS = {
    "ts": (
        "ts timestamp datetime date_time time date gmt_time utc_time local_time time_utc date_utc datetime_utc"
        " open_time opentime time_open time_period_start period_start start begin unix unix_timestamp unix_time epoch"
        " epoch_time t d day bar_time trade_date trading_date trading_day dt dtyyyymmdd datum zeit datum_uhrzeit"
        " fecha data"
    ),
    "clock": "time clock hour timestamp uhrzeit zeit hora heure t time_utc gmt_time local_time",
    "open": "open o open_price opening_price price_open first_price opn eröffnung eröffnungskurs apertura ouverture",
    "high": "high h high_price price_high max hoch höchst tageshoch hochkurs máximo plus_haut",
    "low": "low l low_price price_low min tief tiefst tagestief tiefkurs mínimo plus_bas",
    "close": (
        "close c close_price price_close close_last last last_price closing_price schluss schlusskurs cierre clôture"
    ),
    "volume": "volume vol v shares qty quantity total_volume trade_volume volumen stücke",
    "tick volume": "tickvol tick_volume tickvolume ticks tick_count",
    "adj close": "adj_close adjclose adjusted_close close_adj adjusted_closing_price",
    "ticker": (
        "ticker symbol tic stock sym ric instrument pair security ticker_symbol stock_symbol asset name code isin"
    ),
}  # fmt: skip
_ROLES = {role: words.split() for role, words in _SYNONYMS.items()}
_FALLBACK_CLOSE = ("price", "kurs")  # what some call the close where no other column is one
_IN_PAIRS = re.compile(r"\('([^']*)', '([^']*)'\)")  # how Pandas writes a name of two levels


@dataclass(frozen=True, slots=True)
class Roles:
    """Which column, by its index, is what; `clock` is of the second of two columns that make the time."""

    places: dict[str, int]
    ticker: str = ""

    def __getitem__(self, role: str) -> int:
        return self.places[role]

    def __contains__(self, role: str) -> bool:
        return role in self.places

    def described(self, names: Sequence[str]) -> dict[str, str]:
        """Answer what each role's column is called."""
        found = {role: names[place] for role, place in self.places.items() if role != "clock"}
        if "clock" in self.places:
            found["ts"] += f" + {names[self.places['clock']]}"
        return found


def plain(name: str) -> str:
    """Answer a column's name without what people put around and between its words."""
    words = re.split(r"[^\w]+|_", name.strip().strip("<>").lower())
    return "_".join(word for word in words if word)


def role_of(name: str) -> str:
    """Answer what a column of this name is by itself, empty for none that is known."""
    return next((role for role, words in _ROLES.items() if plain(name) in words), "")


def roles_of(
    names: Sequence[str], tickers: Sequence[str], sample: Sequence[Sequence[str]], chosen: Mapping[str, str],
    wanted: str | None, is_daily: bool,
) -> Roles:  # fmt: skip
    """Answer what the columns are.

    names: (C,) of a header; tickers: (C,) of a row of tickers above or below it, or empty; sample: some rows as text;
    chosen: `{"ts": "Date", …}` said by the user. Raises InvalidInput when one that is needed is missing, or when
    there are several tickers side by side and none is `wanted`.
    """
    known = tickers_in(names, tickers)
    names, tickers = _unpaired(names, tickers)
    ticker = pick_ticker(known, wanted) if known else ""
    if known:  # what belongs to others has no name
        names = [name if tickers[k] in ("", ticker) else "" for k, name in enumerate(names)]
    places: dict[str, int] = {}
    for role, column in chosen.items():
        if role not in CHOICES:
            raise InvalidInput(f"'{role}' is no bar column", f"choose of {', '.join(CHOICES)}", "columns")
        if column not in names:
            raise InvalidInput(f"there is no column '{column}'", f"there are {_listed(names)}", "columns")
        places[role] = list(names).index(column)
    taken = set(places.values())
    for role in ("adj close", *PRICE_NAMES, "volume", "tick volume", "ticker"):
        found = _place_of(role, names, taken)
        if role not in places and found is not None:
            places[role] = found
            taken.add(found)
    if "close" not in places:
        found = next((k for k, name in enumerate(names) if plain(name) in _FALLBACK_CLOSE and k not in taken), None)
        if found is not None:
            places["close"] = found
            taken.add(found)
    if "ts" not in places:
        places |= _time_places(names, sample, taken, is_daily)
    missing = [name for name in NEEDED if name not in places]
    if missing:
        raise InvalidInput(
            f"no column for {', '.join(missing)} among {_listed(names)}",
            "name them: --columns " + ",".join(f"{name}=…" for name in missing), "columns",
        )  # fmt: skip
    return Roles(places, ticker)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(name for name in names[:12] if name) + (", …" if len(names) > 12 else "")


def tickers_in(names: Sequence[str], tickers: Sequence[str]) -> tuple[str, ...]:
    """Answer the tickers whose prices stand side by side in a table, none where it has one set of prices."""
    names, tickers = _unpaired(names, tickers)
    pairs = zip(tickers, names, strict=False)
    return tuple(dict.fromkeys(ticker for ticker, name in pairs if ticker and role_of(name) in PRICE_NAMES))


def _unpaired(names: Sequence[str], tickers: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Answer names and tickers apart, where each name holds both."""
    pairs = [_IN_PAIRS.fullmatch(name) for name in names]
    if not any(pairs):
        return names, tickers
    both = [(pair[1], pair[2]) if pair else (name, "") for pair, name in zip(pairs, names, strict=True)]
    if sum(bool(role_of(second)) for _, second in both) > sum(bool(role_of(first)) for first, _ in both):
        both = [(second or first, first if second else "") for first, second in both]
    return [first for first, _ in both], [second for _, second in both]


def pick_ticker(known: Sequence[str], wanted: str | None) -> str:
    """Answer the one ticker to read. Raises InvalidInput when it is not there, or when there are several."""
    shown = ", ".join(known[:6]) + (f" and {len(known) - 6} more" if len(known) > 6 else "")
    if wanted is None:
        if len(known) > 1:
            what = f"the file holds {len(known)} tickers: {shown}"
            raise InvalidInput(what, "choose one with --ticker NAME, or store all with --each-ticker", "ticker")
        return known[0]
    found = [name for name in known if name == wanted] or [n for n in known if n.casefold() == wanted.casefold()]
    if not found:
        raise InvalidInput(f"there is no ticker '{wanted}' in the file", f"there are {shown}", "ticker")
    return found[0]


def _place_of(role: str, names: Sequence[str], taken: set[int]) -> int | None:
    """Answer the first column that is called so, else one whose first or last word is: AAPL.Open, Volume BTC."""
    words = _ROLES[role]
    plains = [(k, plain(name)) for k, name in enumerate(names) if name and k not in taken]
    exact = [(words.index(name), k) for k, name in plains if name in words]
    if exact:
        return min(exact)[1]
    if role in ("ticker", "adj close", "tick volume"):
        return next((k for k, name in plains if role == "adj close" and "adj" in name and "close" in name), None)
    long = [word for word in words if len(word) > 2]
    return next((k for k, name in plains for part in (name.split("_")[-1], name.split("_")[0]) if part in long), None)


# --- time

_CLOCK = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[ap]\.?m\.?)?( ?(z|utc|gmt|[+-]\d\d:?\d*))?", re.IGNORECASE)
_BARE_CLOCK = re.compile(r"\d{1,6}")
_DATE = re.compile(
    r"\d{4}([-/. ])\d{1,2}\1\d{1,2}|\d{1,2}([-/. ])(\d{1,2}|[a-z]{3,9})\2(\d{4}|\d\d)|\d{8}", re.IGNORECASE
)
_MOMENT = re.compile(r"[+-]?\d{9,19}(\.\d+)?|.*\d.*[T ,]\d{1,2}:\d\d.*|\d{8} \d{3,6}|.*\d{4}.*\d[ap]m.*", re.IGNORECASE)
_NAMED_DATE = re.compile(r"[a-z]+[ ,.]+\d{1,2}.*\d{4}|\d{1,2}[- ][a-z]+[- ]\d{2,4}", re.IGNORECASE)


def _is_mostly(pattern: re.Pattern[str], cells: Sequence[str]) -> bool:
    filled = [cell for cell in cells if cell]
    return bool(filled) and sum(bool(pattern.fullmatch(cell)) for cell in filled) > len(filled) // 2


def is_time(cell: str) -> bool:
    """Answer whether a cell looks like a time and not like a price."""
    return bool(_MOMENT.fullmatch(cell) or _DATE.fullmatch(cell) or _NAMED_DATE.fullmatch(cell))


def is_moment(cells: Sequence[str]) -> bool:
    """Answer whether cells are mostly epochs, or dates with a clock."""
    return _is_mostly(_MOMENT, cells)


def is_date(cells: Sequence[str]) -> bool:
    return _is_mostly(_DATE, cells) or _is_mostly(_NAMED_DATE, cells)


def is_clock(cells: Sequence[str]) -> bool:
    return _is_mostly(_CLOCK, cells)


def _time_places(
    names: Sequence[str], sample: Sequence[Sequence[str]], taken: set[int], is_daily: bool
) -> dict[str, int]:
    """Answer the column of the time, or the two that make it up."""
    ranks = {word: rank for rank, word in enumerate(_ROLES["ts"])}
    clocks = set(_ROLES["clock"])
    named = [(ranks.get(plain(name)), k) for k, name in enumerate(names) if k not in taken]
    candidates = [k for _, k in sorted((rank, k) for rank, k in named if rank is not None)]
    cells = {k: [row[k].strip() if k < len(row) else "" for row in sample] for k in range(len(names))}
    if not candidates:  # without a name, as an index is
        bare = [k for k, name in enumerate(names) if k not in taken and not plain(name)]
        candidates = [k for k in bare if is_moment(cells[k]) or is_date(cells[k])][:1]
    dates = [k for k in candidates if is_date(cells[k]) and not is_moment(cells[k])]
    if dates:
        of_clock = [k for k, name in enumerate(names) if k not in taken and plain(name) in clocks and k != dates[0]]
        clock = [k for k in of_clock if is_clock(cells[k]) or _is_mostly(_BARE_CLOCK, cells[k])]
        if clock:
            return {"ts": dates[0], "clock": clock[0]}
    moments = [k for k in candidates if is_moment(cells[k])]
    preferred = [*dates, *moments] if is_daily else [*sorted(moments), *dates]
    found = next(iter([*preferred, *candidates]), None)
    return {} if found is None else {"ts": found}
