"""Members of universes: from files with dates, and of indexes as they are today."""

from __future__ import annotations

import pytest

from pitboss.core.clock import parse_date
from pitboss.core.errors import InvalidInput
from pitboss.core.files import LocalFiles
from pitboss.market.universes import INDEXES, members_of


@pytest.fixture
def write(tmp_path):
    (tmp_path / "universes").mkdir()

    def written(text, name="mine"):
        (tmp_path / "universes" / f"{name}.csv").write_text(text)
        return LocalFiles(tmp_path)

    return written


def days(*pair):
    return tuple(parse_date(day) for day in pair)


def test_who_was_a_member_when(write):
    files = write(
        "Ticker,From,To\nAAPL,1982-11-30,\nLEH,1998-01-12,2008-09-16\n# left twice\nDELL,1996-09-06,2013-10-28\nDELL,2024-09-23,\n"
    )
    members = members_of(files, "mine")
    assert members.is_dated
    assert list(members.between(*days("2008-01-01", "2009-01-01")).spans) == ["AAPL", "LEH", "DELL"]
    assert list(members.between(*days("2008-09-17", "2009-01-01")).spans) == ["AAPL", "DELL"], (
        "its last day was the 16th"
    )
    assert list(members.between(*days("2014-01-01", "2014-01-02")).spans) == ["AAPL"]
    assert len(members.spans["DELL"]) == 2


def test_a_list_of_tickers_is_enough_and_is_no_history(write):
    members = members_of(write("AAPL\nMSFT\n\nBRK.B\n"), "mine")
    assert (list(members.spans), members.is_dated) == (["AAPL", "MSFT", "BRK.B"], False)


@pytest.mark.parametrize(("name", "least", "most"), [("sp500", 495, 510), ("dow30", 30, 30), ("nasdaq100", 99, 105)])
def test_the_indexes_are_known_as_they_are_today(tmp_path, name, least, most):
    members = members_of(LocalFiles(tmp_path), name)
    assert least <= len(members.spans) <= most
    assert not members.is_dated
    assert {"AAPL", "MSFT"} <= members.spans.keys()


def test_a_file_of_ones_own_takes_the_place_of_an_index(write):
    assert list(members_of(write("ONLY\n", "sp500"), "sp500").spans) == ["ONLY"]
    assert set(INDEXES) == {"sp500", "dow30", "nasdaq100"}


def test_every_mistake_in_a_file_is_told_with_its_line(write):
    files = write("ticker,from,to\n../x,,\nAAPL,yesterday,\nMSFT,2020-01-01,2019-01-01\n")
    with pytest.raises(InvalidInput) as told:
        members_of(files, "mine")
    assert [problem.line for problem in told.value.problems] == [2, 3, 4]
    with pytest.raises(InvalidInput, match="is empty"):
        members_of(write("ticker,from,to\n"), "mine")
    for name in ("none", "../secret", ""):
        with pytest.raises(InvalidInput, match="there is no universe"):
            members_of(files, name)
