"""The bars of a run, as its process has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from pitboss.core.errors import InvalidInput
from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import parse_timeframe
from pitboss.kinds.documents.bars import load_universe
from pitboss.market.options import ImportOptions
from pitboss.market.store import BarStore
from pitboss.strategy.reader import read_document

DAILY = "name: t\ntimeframe: 1d\nentry: {long: close > open}"


def test_prices_below_0_are_kept_but_not_traded(tmp_path):
    file = tmp_path / "spread.csv"
    days = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=k) for k in range(4)]
    rows = [f"{day:%Y-%m-%d},{k - 1},{k},{k - 2},{k - 1},5" for k, day in enumerate(days)]
    file.write_text("\n".join(["ts,open,high,low,close,volume", *rows]))
    store, daily = BarStore(LocalFiles(tmp_path / "data")), parse_timeframe("1d")
    [(series, _)] = store.import_file(file, "S", daily, ImportOptions(allow_negative=True))
    snapshot = {"data": [{"symbol": "S", "digest": series.digest}]}

    def request(start):
        return SimpleNamespace(
            document=read_document(DAILY),
            symbols=("S",),
            all_symbols=("S",),
            timeframe=daily,
            start=start,
            end=None,
            universe=None,
        )

    with pytest.raises(InvalidInput, match="prices of 0 or less in that range"):
        load_universe(request(None), snapshot, store, pytest.fail)
    assert len(load_universe(request("2024-01-04"), snapshot, store, pytest.fail).bars["S"].ts) == 1
