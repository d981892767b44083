"""Chains over every adapter: each link is one run, made of the one before, and what did not happen is said."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from pitboss.core.errors import InvalidInput, NotFound
from pitboss.core.principal import LOCAL, Principal
from pitboss.routine.chains import Chainer, Chains
from pitboss.runs.kinds import Kinds, Params
from pitboss.runs.model import RunQuery
from pitboss.storage.chains import SqlChains
from pitboss.storage.tables import runs
from support.engine import ALL_KINDS


class Names(Params):
    """A kind that is asked about names."""

    names: list[str] = []
    least: int = 0


FINDER = replace(ALL_KINDS["nothing"], name="finder", params=Names, yields={"passed": lambda run: run.result["passed"]})
KINDS = Kinds([*ALL_KINDS.values(), FINDER])
LINKS = [{"kind": "finder", "params": {"names": ["A", "B"]}}, {"kind": "finder", "params": {"names": "{passed}"}}]


@pytest.fixture
def service(service_of):
    return service_of(KINDS)


@pytest.fixture
def chains(database, service):
    return Chains(SqlChains(database), service)


@pytest.fixture
def chainers(database, service):
    return [Chainer(SqlChains(database), service, lambda _: LOCAL) for _ in range(3)]


def end(database, run_id, state="completed", **values):
    with database.writing() as connection:
        connection.execute(sa.update(runs).where(runs.c.id == run_id).values(state=state, ended_at=1.0, **values))


def go_on(chainers):
    for chainer in chainers:
        chainer.turn()


def test_a_link_is_made_of_the_one_before_and_is_one_run(database, service, chains, chainers):
    chain = chains.start(LOCAL, "evening", LINKS, notify=True)
    go_on(chainers)
    assert len(chains.get(LOCAL, chain.id).runs) == 1, "the first one has not ended"
    end(database, chain.runs[0], result={"passed": ["B"]})
    go_on(chainers)
    chain = chains.get(LOCAL, chain.id)
    second = service.get(LOCAL, chain.runs[1])
    assert (second.params, second.tags) == ({"names": ["B"]}, ("chain:evening",))
    assert second.options == {"notify_on_completion": True}
    end(database, second.id, result={"passed": []})
    go_on(chainers)
    assert chains.get(LOCAL, chain.id).state == "completed"
    assert len(service.find(LOCAL, RunQuery(limit=100))) == 2


def test_a_server_that_dies_leaves_nothing_twice(database, service, chains, chainers, monkeypatch):
    chain = chains.start(LOCAL, "evening", LINKS)
    end(database, chain.runs[0], result={"passed": ["B"]})
    with monkeypatch.context() as patched:
        patched.setattr(SqlChains, "grow", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
        chainers[0].turn()
    go_on(chainers)
    assert len(chains.get(LOCAL, chain.id).runs) == 2
    assert len(service.find(LOCAL, RunQuery(limit=100))) == 2


@pytest.mark.parametrize(("state", "values", "ended", "note"), [
    ("failed", {"error": {"kind": "error", "message": "it broke"}}, "failed", "the finder failed: it broke; did not happen: finder"),
    ("cancelled", {}, "failed", "the finder cancelled; did not happen: finder"),
    ("completed", {"result": {"passed": []}}, "completed", "nothing passed; did not happen: finder"),
])  # fmt: skip
def test_what_did_not_happen_is_said(database, chains, chainers, state, values, ended, note):
    chain = chains.start(LOCAL, "evening", LINKS)
    end(database, chain.runs[0], state, **values)
    go_on(chainers)
    found = chains.get(LOCAL, chain.id)
    assert (found.state, found.note, len(found.runs)) == (ended, note, 1)


def test_a_cancel_ends_the_chain_and_the_run_that_goes_on(service, chains, chainers):
    chain = chains.start(LOCAL, "evening", LINKS)
    ended = chains.cancel(LOCAL, chain.id, keep_partial=False)
    assert (ended.state, ended.note) == ("cancelled", "did not happen: finder")
    assert service.get(LOCAL, chain.runs[0]).state == "cancelled"
    go_on(chainers)
    assert chains.cancel(LOCAL, chain.id, keep_partial=True).note == ended.note
    with pytest.raises(NotFound):
        chains.get(Principal("eve"), chain.id)
    assert chains.find(Principal("eve")) == []


@pytest.mark.parametrize(("links", "where", "message"), [
    ([], "links", "0 links"), ([{"kind": "finde"}], "links.1", "unknown kind 'finde'"),
    ([{"kind": "finder", "params": {"names": "{passed}"}}], "links.1.params", "nothing yields '{passed}'"),
    ([LINKS[0], {"kind": "finder", "params": {"names": "{failed}"}}], "links.2.params", "nothing yields '{failed}'"),
    ([LINKS[0], {"kind": "finder", "params": {"names": "{passed}", "least": "x"}}], "links.2.least", "valid integer"),
    ([{"kind": "finder", "params": {"leest": 3}}], "links.1.params", "unknown parameter 'leest'"),
    ([{"kind": "finder", "after": 1}], "links.1", "unknown key 'after'"),
])  # fmt: skip
def test_what_is_wrong_with_a_chain_is_told_before_anything_is_queued(service, chains, links, where, message):
    with pytest.raises(InvalidInput) as told:
        chains.start(LOCAL, "evening", links)
    assert any(message in each.message and each.where == where for each in told.value.problems), told.value.problems
    assert service.find(LOCAL, RunQuery(limit=9)) == []
    assert chains.find(LOCAL) == []
