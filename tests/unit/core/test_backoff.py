from hypothesis import given
from hypothesis import strategies as st

from pitboss.core import backoff
from pitboss.core.backoff import FIRST_SECONDS, LONGEST_SECONDS, MOST_SECONDS, Backoff


@given(st.integers(1, 100))
def test_pauses_grow_up_to_a_bound(failures):
    tries = Backoff()
    pauses = [tries.failed() for _ in range(failures)]
    assert pauses == sorted(pauses)
    assert pauses[0] == FIRST_SECONDS
    assert max(pauses) <= MOST_SECONDS
    assert not tries.is_due
    tries.worked()
    assert tries.is_due
    assert tries.failed() == FIRST_SECONDS


@given(st.floats(0, 100))
def test_what_costs_much_is_tried_more_rarely(cost):
    spent = iter([5.0, 5.0 + cost])
    original, backoff._spent_by_children = backoff._spent_by_children, lambda: next(spent)
    try:
        tries = Backoff()
        tries.begin()
        pause = tries.failed()
    finally:
        backoff._spent_by_children = original
    assert FIRST_SECONDS <= pause <= LONGEST_SECONDS
    assert cost / pause <= 0.025 + 1e-9 or pause == LONGEST_SECONDS
