"""Parquet without polars: the same rows as polars reads, and CSV and JSON as it writes them."""

import csv
import io
import json

import polars as pl
import pytest

from pitboss.core.errors import StorageUnavailable
from pitboss.core.parquet import any_between, as_csv, as_json, columns_of, metadata_of, rows_of, tail_of


@pytest.fixture
def table(tmp_path):
    count = 10_000
    frame = pl.DataFrame(
        {
            "ts": pl.Series([1_577_836_800_000_000 + 3_600_000_000 * i for i in range(count)]).cast(pl.Datetime("us", "UTC")),
            "name": [f"n{i}, \"q\"" if i % 3 else None for i in range(count)],
            "value": [i / 7 if i % 5 else float("nan") for i in range(count)],
            "count": list(range(count)),
            "flag": [i % 2 == 0 for i in range(count)],
        }
    )  # fmt: skip
    path = tmp_path / "table [1] *.parquet"
    frame.write_parquet(path, metadata={"digest": "abc"})
    return path, frame


def test_rows_and_descriptions_are_those_of_polars(table):
    path, frame = table
    assert metadata_of(path)["digest"] == "abc"
    assert columns_of(path) == frame.columns
    assert list(rows_of(path, ["count", "ts"], 4090, 10)) == frame.slice(4090, 10).select("count", "ts").rows()
    rows, total = tail_of(path, ["count"], 3)
    assert (rows, total) == ([(9997,), (9998,), (9999,)], 10_000)
    assert list(rows_of(path, offset=20_000)) == []


@pytest.mark.parametrize(("offset", "limit"), [(0, None), (4095, 3), (0, 0), (9_999, 5), (50_000, 1)])
def test_csv_and_json_say_what_polars_says(table, offset, limit):
    path, frame = table
    part = frame.slice(offset, limit)
    ours = list(csv.reader(io.StringIO("".join(as_csv(path, offset, limit)))))
    theirs = list(csv.reader(io.StringIO(part.write_csv())))
    assert ours == theirs
    assert json.loads("".join(as_json(path, offset, limit))) == json.loads(part.write_json())


def test_a_range_has_bars_or_not(tmp_path):
    path = tmp_path / "gap.parquet"
    moments = [*range(5000), *range(9000, 12_000)]
    pl.DataFrame({"ts": pl.Series(moments).cast(pl.Datetime("us", "UTC"))}).write_parquet(path)
    for low, high, has in ((None, None, True), (5000, 9000, False), (4999, 5000, True), (8000, 9001, True),
                           (12_000, None, False), (None, 0, False), (11_999, None, True)):  # fmt: skip
        assert any_between(path, "ts", low, high) is has, (low, high)


def test_what_cannot_be_read_is_said(tmp_path):
    pl.DataFrame({"a": range(1000)}).write_parquet(tmp_path / "whole.parquet")
    content = (tmp_path / "whole.parquet").read_bytes()
    damaged = (
        b"PAR1 torn",
        b"",
        content[:-20],
        content[:-30] + b"x" * 22 + content[-8:],
        content[:-8] + b"\xff" * 4 + b"PAR1",
    )
    for number, written in enumerate(damaged):
        (tmp_path / f"{number}.parquet").write_bytes(written)
    for path in (*(tmp_path / f"{number}.parquet" for number in range(len(damaged))), tmp_path / "gone.parquet"):
        with pytest.raises(StorageUnavailable, match="cannot be read"):
            metadata_of(path)
