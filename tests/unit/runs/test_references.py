"""How people name runs and what they left."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pitboss.core.errors import Conflict, NotFound
from pitboss.runs.model import PARQUET
from pitboss.runs.references import artifact_named, run_named

RUNS = [
    SimpleNamespace(id=f"0190-{end}", subject=subject, number=number)
    for end, subject, number in (("aaaa1", "strategy/trend", 1), ("bbbb2", "strategy/trend", 2), ("cccc2", "script/trend", 2))
]  # fmt: skip
FILES = [
    SimpleNamespace(name="trades.parquet", media_type=PARQUET),
    SimpleNamespace(name="log.txt", media_type="text/plain"),
]


@pytest.mark.parametrize(
    ("reference", "found"),
    [("bbbb2", 1), ("0190-c", 2), ("trend#1", 0), ("strategy/trend#2", 1), ("script/trend#2", 2)],
)
def test_a_run_is_found_by_less_than_its_id(reference, found):
    assert run_named(RUNS, reference) is RUNS[found]


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        ("0190", Conflict),
        ("trend#2", Conflict),
        ("trend#9", NotFound),
        ("b2", NotFound),
        ("tren#1", NotFound),
        ("#", NotFound),
    ],
)
def test_what_names_no_run_or_several_is_told(reference, error):
    with pytest.raises(error):
        run_named(RUNS, reference)


def test_a_table_answers_without_its_ending():
    assert artifact_named(FILES, "trades", "r") is artifact_named(FILES, "trades.parquet", "r") is FILES[0]
    assert artifact_named(FILES, "log.txt", "r") is FILES[1]
    for name, files in (("log", FILES), ("tradez", FILES), ("trades", [])):
        with pytest.raises(NotFound):
            artifact_named(files, name, "r")
