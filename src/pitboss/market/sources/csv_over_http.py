"""Any CSV or Parquet over HTTP, by a template of its address.

    url = "https://example.com/daily/{symbol}.csv?from={start}&to={end}&key={key}"

`{symbol}`, `{start}` and `{end}` (dates, `{end}` not included), `{timeframe}`, and `{key}` for the secret.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import polars as pl

from pitboss.core.errors import InvalidInput
from pitboss.market.inputs import Source as Input
from pitboss.market.options import ImportOptions
from pitboss.market.readers import read_file
from pitboss.market.repair import clean
from pitboss.market.sources import SourceFailed, SourceType, Wanted
from pitboss.market.sources.web import Web


def fetch(config: Mapping[str, Any], secret: str, web: Web, wanted: Wanted) -> Iterator[pl.DataFrame]:
    """Yield the one page of a table; see `SourceType`."""
    places = {
        "symbol": quote(wanted.symbol, safe=""), "timeframe": str(wanted.timeframe), "key": quote(secret, safe=""),
        "start": _date(wanted.since), "end": _date(wanted.until),
    }  # fmt: skip
    try:
        url = str(config["url"]).format_map(places)
    except (KeyError, ValueError, IndexError) as error:
        raise SourceFailed(f"{web.name}'s url has no place {error}", f"write {', '.join(places)} in braces") from None
    content = web.get(url)
    if not content.strip():
        return
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(content)
        file.flush()
        options = ImportOptions.from_values({name: config[name] for name in ("tz", "columns") if name in config})
        try:
            for rows, reading in read_file(Input(Path(file.name), web.name), options, wanted.timeframe.is_daily):
                yield clean(rows, reading, wanted.timeframe, options, None)[0]
        except InvalidInput as error:
            raise SourceFailed(
                f"{web.name} answered no bars: {error.problems[0].message}", "look at its file"
            ) from None


def _date(micros: int) -> str:
    return f"{datetime.fromtimestamp(micros / 1e6, UTC):%Y-%m-%d}"


SOURCE = SourceType(name="csv", fetch=fetch, needs=("url",), may=("tz", "columns"))
