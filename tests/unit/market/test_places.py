"""Whose bars are found: one's own before what others share, and each folder its account's alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from pitboss.core.errors import Forbidden, NotFound
from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.catalog import LOCAL, home_of
from pitboss.market.store import BarStore, Nature
from pitboss.market.synth import synthesize

M5, H1 = parse_timeframe("5m"), parse_timeframe("1h")


def made(store, timeframe, seed):
    frame = synthesize(timeframe, datetime(2024, 1, 1, tzinfo=UTC), 3, seed)
    return store.store(frame, "EUR", timeframe, Nature(f"seed {seed}", is_synthetic=True))


@pytest.fixture
def of(tmp_path):
    files = LocalFiles(tmp_path)
    return lambda name: BarStore(files, LOCAL if name == "ann" else home_of(name))


def test_ones_own_bars_come_before_what_another_shares_though_it_fits_better(of):
    made(of("ann"), M5, 1)
    made(of("bob"), H1, 99)
    of("bob").share("EUR", H1, True)
    assert of("ann").find("EUR", H1).source == "seed 1"
    assert of("eve").find("EUR", H1).source == "seed 99"
    of("ann").remove("EUR", M5)
    assert of("ann").find("EUR", H1).source == "seed 99"


@pytest.mark.parametrize("name", ["bars", "shared", "private", "local"])
def test_no_name_of_an_account_reaches_what_others_share(of, name):
    made(of("ann"), H1, 1)
    of("ann").share("EUR", H1, True)
    for change in (lambda: of(name).share("EUR", H1, False), lambda: of(name).remove("EUR", H1)):
        with pytest.raises(Forbidden):
            change()
    made(of(name), H1, 7)
    assert of("ann").find("EUR", H1).source == "seed 1"


def test_what_is_not_shared_is_not_there(of):
    made(of("ann"), H1, 1)
    with pytest.raises(NotFound):
        of("bob").exact("EUR", H1)
    assert of("bob").all() == []
    of("ann").share("EUR", H1, True)
    assert of("bob").exact("EUR", H1).is_shared
    of("ann").share("EUR", H1, False)
    assert of("bob").all() == []
    assert not of("ann").exact("EUR", H1).is_shared
