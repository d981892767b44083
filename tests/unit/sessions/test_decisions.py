"""What another program answers is a decision, or is told in words what it is not."""

from __future__ import annotations

import pytest

from pitboss.sessions.decisions import decision_of, read_answer


def test_orders_and_their_reason_are_read_and_kept():
    given = {"orders": [{"action": "buy", "symbol": "SYN", "quantity": 2.5, "reason": "cheap"}], "reason": "dip"}
    decision = read_answer(given)
    assert (decision.action, decision.reason) == ("buy", "dip")
    assert [each.as_dict() for each in decision.intents] == [
        {"action": "buy", "symbol": "SYN", "quantity": "2.5", "reason": "cheap"}
    ]
    assert decision_of(decision.as_dict()) == decision


@pytest.mark.parametrize(
    "quantity", ["ten", "NaN", "sNaN", "Infinity", float("nan"), True, None, [1], "1e400", "1" * 65]
)
def test_a_quantity_that_is_no_number_is_told(quantity):
    with pytest.raises(ValueError, match="is no number"):
        read_answer({"orders": [{"action": "buy", "symbol": "SYN", "quantity": quantity}]})


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("hold", "the answer is no"),
        ({"orders": "buy"}, "the answer is no"),
        ({"orders": ["buy"]}, "is no order"),
        ({"orders": [{"action": "hodl", "symbol": "SYN", "quantity": 1}]}, "unknown action"),
        ({"orders": [{"action": "buy", "quantity": 1}]}, "names no symbol"),
    ],
)
def test_what_is_no_decision_is_told(given, why):
    with pytest.raises(ValueError, match=why):
        read_answer(given)
