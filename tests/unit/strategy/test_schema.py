"""The schema that editors check by: it lets pass what the reader reads, and knows every field that there is."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import jsonschema
import pytest
import yaml

from pitboss.strategy.document import LEVELS, Costs, Sizing
from pitboss.strategy.reader import ENTRY_SETTINGS, KEYS, read_document
from pitboss.strategy.schema import SECTIONS, TOP, document_schema
from pitboss.strategy.starters import starters

EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "strategies").glob("*.yaml"))
TEXTS = {path.stem: path.read_text() for path in EXAMPLES} | starters()


@pytest.mark.parametrize("name", TEXTS)
def test_what_can_be_read_passes(name):
    read_document(TEXTS[name])
    jsonschema.validate(yaml.safe_load(TEXTS[name]), document_schema())


def test_every_field_is_in_it():
    assert set(TOP) | set(SECTIONS) == set(KEYS)
    assert set(SECTIONS["sizing"]) == {field.name for field in fields(Sizing)}
    assert set(SECTIONS["costs"]) == {field.name for field in fields(Costs)}
    assert set(SECTIONS["risk"]) == {*LEVELS, "max_bars"}
    assert set(SECTIONS["entry"]) == {"long", "short", *ENTRY_SETTINGS}


@pytest.mark.parametrize(
    "wrong", [{"name": "x", "entrry": {}}, {"entry": {}}, {"name": "x", "sizing": {"type": "all"}}]
)
def test_what_is_misspelled_does_not(wrong):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, document_schema())
