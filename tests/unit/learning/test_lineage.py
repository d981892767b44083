"""How a version is traded: by the rules of its document, or by what it expects where that has none."""

from __future__ import annotations

import pytest

from pitboss.learning.lineage import trading_text
from pitboss.strategy.reader import read_document
from support.learning import SMALL

OWN = """
entry:
  long: "model('small').probability > 0.6"
  short: 'model("small@old-one!final").probability < 0.2'
exit: {long: "model('other').prediction < 0"}
"""


@pytest.mark.parametrize(
    ("is_class", "asked"),
    [(True, ("probability > 0.5", "probability < 0.5")), (False, ("prediction > 0", "prediction < 0"))],
)
def test_a_document_without_rules_is_long_while_its_model_expects_a_rise(is_class, asked):
    text = trading_text("small@3", {"text": SMALL, "is_class": is_class})
    document = read_document(text)
    assert document.has_entry
    assert document.train == read_document(SMALL).train
    assert [f"model('small@3').{each}" in text for each in asked] == [True, True]


def test_rules_of_its_own_ask_the_version_and_other_models_as_they_did():
    text = trading_text("small@3", {"text": SMALL + OWN, "is_class": True})
    assert "model('small@3').probability > 0.6" in text
    assert 'model("small@3!final").probability < 0.2' in text
    assert "model('other').prediction" in text
    assert read_document(text).has_entry
