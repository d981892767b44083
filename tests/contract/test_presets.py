"""Presets over every adapter: params under a name, each owner's for themselves, beneath those of a request."""

from __future__ import annotations

import pytest

from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.principal import LOCAL, Principal
from pitboss.runs.presets import Presets
from pitboss.storage.presets import SqlPresets

ANN = Principal("ann")


@pytest.fixture
def presets(database, service):
    return Presets(SqlPresets(database), service)


def test_the_latest_params_stand_under_a_name(presets):
    presets.put(LOCAL, "steps", "long", {"count": 5})
    presets.put(LOCAL, "steps", "long", {"count": 500, "seconds": 0.1})
    presets.put(LOCAL, "nothing", "long", {})
    assert [(each.kind, each.name) for each in presets.all(LOCAL)] == [("nothing", "long"), ("steps", "long")]
    assert presets.under(LOCAL, "steps", "long", {"seconds": 2.0}) == {"count": 500, "seconds": 2.0}
    assert presets.under(LOCAL, "steps", None, {"seconds": 2.0}) == {"seconds": 2.0}
    presets.remove(LOCAL, "steps", "long")
    assert presets.all(LOCAL, "steps") == []


def test_each_owner_has_their_own(presets):
    presets.put(LOCAL, "steps", "long", {"count": 5})
    assert presets.all(ANN) == []
    for ask in (presets.get, presets.remove):
        with pytest.raises(NotFound, match="there is no preset 'long'"):
            ask(ANN, "steps", "long")
    with pytest.raises(NotFound, match="did you mean 'long'"):
        presets.under(LOCAL, "steps", "lomg", {})


@pytest.mark.parametrize(("kind", "name", "params", "message"), [
    ("stepps", "a", {}, "there is no kind 'stepps'"), ("steps", "../a", {}, "'../a' is no name"),
    ("steps", "", {}, "'' is no name"), ("backtest", "a", {"cash": "many"}, "cash"),
    ("backtest", "a", {"csah": 1}, "csah"),
])  # fmt: skip
def test_what_does_not_hold_is_not_kept(presets, kind, name, params, message):
    with pytest.raises(InvalidInput, match=message):
        presets.put(LOCAL, kind, name, params)
    assert presets.all(LOCAL) == []
