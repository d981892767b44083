"""Versions of models over every adapter: a run that ends adds one, and names point at them."""

from __future__ import annotations

import pytest

from pitboss.core.errors import Conflict, NotFound
from pitboss.core.files import LocalFiles
from pitboss.core.ids import new_id
from pitboss.core.principal import LOCAL, Principal
from pitboss.learning.registry import Registry
from pitboss.runs.model import Artifact, Limits, NewRun, Serves
from pitboss.runs.ports import Move, RunWrite
from pitboss.runs.states import State
from pitboss.storage.models import SqlModels
from pitboss.storage.pruning import Pruner
from pitboss.storage.runs import SqlRunStore

MODEL = {"name": "small", "digest": "d1", "scores": {}, "folds": []}
ANN = Principal("ann")


@pytest.fixture
def registry(database):
    return Registry(SqlModels(database))


def ended(database, to=State.COMPLETED, owner="local", model=MODEL, keeps=True, artifacts=()):
    """End a run that has made a model."""
    runs = SqlRunStore(database)
    new = NewRun(id=new_id(), kind="training", subject="strategy/small", owner=owner, params={}, snapshot={})
    runs.submit(new, 1000)
    claims = runs.claim("worker-1", 15.0, Limits(99, {}, 99, 60.0), Serves(("training",), {"default": 9}))
    token = next(claim for claim in claims if claim.run.id == new.id).token
    result = {"model": model} if model else {}
    moves = [Move(State.RUNNING, pid=1)]
    if to is State.CANCELLED:
        moves.append(Move(to, result=result))
    else:
        moves += [Move(State.COMPLETING), Move(to, result=result)]
    for number, move in enumerate(moves, 1):
        if move.to is State.CANCELLED:
            runs.request_cancel(new.id, keeps, "")
        runs.write(
            [RunWrite(new.id, token, number, move=move, artifacts=list(artifacts) if number == len(moves) else [])]
        )
    return new.id


def test_the_first_that_is_whole_is_champion_until_another_is_promoted(database, registry):
    partial = ended(database, State.CANCELLED)
    with pytest.raises(NotFound, match="has no champion yet"):
        registry.find(LOCAL, "small")
    assert registry.find(LOCAL, "small@1").run == partial
    assert registry.find(LOCAL, "small@1").is_partial
    first, second = ended(database), ended(database)
    assert registry.find(LOCAL, "small").run == first
    assert registry.promote(LOCAL, "small@3").run == second
    assert registry.find(LOCAL, "small").version == 3
    assert [each.aliases for each in registry.versions(LOCAL, "small")] == [(), (), ("champion",)]


def test_what_is_discarded_failed_or_made_nothing_adds_no_version(database, registry):
    ended(database, State.CANCELLED, keeps=False)
    ended(database, model=None)
    assert registry.all(LOCAL) == []


def test_everybody_has_their_own(database, registry):
    ended(database, owner="ann")
    ended(database)
    assert [each.version for each in registry.versions(ANN, "small")] == [1]
    assert [each.version for each in registry.versions(LOCAL, "small")] == [1]
    registry.promote(ANN, "small@1", "mine")
    with pytest.raises(NotFound):
        registry.find(LOCAL, "small@mine")


def test_a_version_is_forgotten_but_not_the_champion_of_others(database, registry):
    ended(database)
    ended(database)
    with pytest.raises(Conflict):
        registry.remove(LOCAL, "small@1")
    registry.remove(LOCAL, "small@2")
    assert registry.remove(LOCAL, "small").version == 1
    with pytest.raises(NotFound, match="there is no model 'small'"):
        registry.versions(LOCAL, "small")


def test_the_files_of_a_version_outlive_their_run(database, registry, tmp_path):
    files = LocalFiles(tmp_path)

    def stored(name):
        kept = files.put(f"artifacts/{name}", lambda path: path.write_bytes(b"x"))
        return Artifact(name.partition("/")[2], kept.name, kept.size, kept.digest)

    ended(database, artifacts=[stored("a/model.json")])
    ended(database, model=None, artifacts=[stored("b/trades.parquet")])
    Pruner(database, files, age_seconds=-1.0).prune()
    assert files.fetch("artifacts/a/model.json") is not None
    assert files.fetch("artifacts/b/trades.parquet") is None
    registry.remove(LOCAL, "small")
    Pruner(database, files, age_seconds=-1.0).prune()
    assert files.fetch("artifacts/a/model.json") is None
