"""How long a wrong password makes wait, and whom."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pitboss.accounts.guessing import FORGOTTEN_SECONDS, LONGEST_SECONDS, Failures, counters


def after(count, free, seconds_between=0.0):
    failures = Failures()
    for number in range(count):
        failures = failures.after_another(free, 1000.0 + number * seconds_between)
    return failures


def test_the_first_guesses_are_free_and_the_wait_then_doubles():
    waits = [after(count, 5).until - 1000.0 for count in range(1, 14)]
    assert waits[:5] == [0] * 5
    assert waits[5:11] == [2, 4, 8, 16, 32, LONGEST_SECONDS]
    assert waits[11:] == [LONGEST_SECONDS] * 2


def test_wrong_guesses_are_forgotten_after_a_while():
    old = after(12, 5)
    assert old.after_another(5, 1001.0 + FORGOTTEN_SECONDS) == Failures(
        1, 1001.0 + FORGOTTEN_SECONDS, 1001.0 + FORGOTTEN_SECONDS
    )


@given(st.integers(1, 200), st.integers(0, 20), st.floats(0, 100))
def test_nobody_ever_waits_for_longer_than_a_minute(count, free, between):
    failures = after(count, free, between)
    assert 0 <= failures.until - failures.last_at <= LONGEST_SECONDS + 1e-6


def test_a_browser_that_has_signed_in_is_counted_by_itself():
    assert {counter.key for counter in counters("ann", "1.2.3.4", "")} == {
        "account ann from 1.2.3.4",
        "address 1.2.3.4",
    }
    assert [counter.key for counter in counters("ann", "1.2.3.4", "d")] == ["device d"]


def test_a_customer_of_ipv6_is_one_and_what_is_no_address_is_nowhere():
    one, other = (counters("ann", f"2001:db8:1:2::{n}", "")[1].key for n in (1, 2))
    assert one == other != counters("ann", "2001:db8:1:3::1", "")[1].key
    assert counters("ann", "::ffff:1.2.3.4", "") == counters("ann", "1.2.3.4", "")
    assert counters("ann", "x" * 10_000, "")[1].key == "address nowhere"
