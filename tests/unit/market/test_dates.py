"""Dates: the last one that counts where series end on different ones."""

from __future__ import annotations

import pytest

from pitboss.market.dates import latest_shared


@pytest.mark.parametrize(
    ("lasts", "expected"),
    [
        ([5, 5, 5, 5, 9], 9),  # one in five
        ([5, 5, 5, 5, 5, 9], 5),
        (["2018-06-29"] * 9 + ["2018-06-30"], "2018-06-29"),
        ([*range(10)], 9),  # no date is shared by as many
        ([], None),
    ],
)
def test_the_last_date_is_one_that_one_series_in_five_has(lasts, expected):
    assert latest_shared(lasts) == expected
