"""Two owners: whatever a stranger asks, of whichever method of whichever face, what is not theirs is not there."""

import inspect
from contextlib import suppress

import pytest
from starlette.testclient import TestClient

from pitboss.core.errors import NotFound
from pitboss.core.principal import LOCAL, Principal
from pitboss.http.deps import principal_of
from pitboss.kinds.backtest.saved import SavedBacktests
from pitboss.runs.model import RunQuery
from pitboss.runs.service import RunService
from pitboss.runs.submission import Submission
from pitboss.serving.app import create_app
from support.engine import Engine

ANN, EVE = Principal("ann"), Principal("eve")
# methods about the engine as a whole, which name nobody
OF_ALL = {"has_unfinished", "unconfirmed", "snapshot", "places", "ready_resources", "place", "waits_for", "obstacle", "report_of", "companions",
          "workers", "drain", "measures"}  # fmt: skip
# how a stranger asks each of the others about Ann's run, and what it comes to where it does not raise NotFound
ASKED = {
    "stop_everything": lambda service, run: service.stop_everything(EVE, keep_partial=True) or None,
    "submit": lambda service, run: (
        service.submit(EVE, Submission(kind="nothing", params={}, parent=None)).owner == "eve"
    ),
    "sources": lambda service, run: service.sources(EVE).strategies.names() == [],
    "get": lambda service, run: service.get(EVE, run.id),
    "own": lambda service, run: service.own(EVE, run.id),
    "several": lambda service, run: isinstance(service.several(EVE, [run.id])[run.id], NotFound),
    "find": lambda service, run: run.id not in [found.id for found in service.find(EVE, RunQuery(owner="ann"))],
    "resolve": lambda service, run: service.resolve(EVE, run.id[-12:]),
    "positions": lambda service, run: service.positions(EVE, ["nightly"]) == {"nightly": ()},
    "cancel": lambda service, run: service.cancel(EVE, run.id, True),
    "prioritize": lambda service, run: service.prioritize(EVE, run.id, 9),
    "notes": lambda service, run: service.notes(EVE, run.id),
    "write_notes": lambda service, run: service.write_notes(EVE, run.id, "mine now"),
    "settled": lambda service, run: service.settled(EVE, run.id),
    "retry": lambda service, run: service.retry(EVE, run.id),
    "resume": lambda service, run: service.resume(EVE, run.id),
    "rerun": lambda service, run: service.rerun(EVE, run.id),
    "queued": lambda service, run: [(queued, place.position) for queued, place in service.queued(EVE)] == [(None, 1)],
    "active": lambda service, run: run.id not in [active.id for active in service.active(EVE)],
    "statistics": lambda service, run: service.statistics(Principal("mallory"))["by_state"]["queued"] == 0,
    "report": lambda service, run: service.report(EVE, run.id),
    "kind_faults": lambda service, run: service.kind_faults(EVE) == [],
    "events": lambda service, run: service.events(EVE, run.id),
    "artifacts": lambda service, run: service.artifacts(EVE, run.id),
    "artifact": lambda service, run: service.artifact(EVE, run.id, "steps.txt"),
    "checkpoints": lambda service, run: service.checkpoints(EVE, run.id),
    "watch": lambda service, run: next(service.watch(EVE, run.id)),
}


@pytest.fixture
def engine(tmp_path):
    with Engine(tmp_path) as engine:
        yield engine


def public(cls):
    return {name for name, _ in inspect.getmembers(cls, inspect.isfunction) if not name.startswith("_")}


def test_every_method_of_the_service_knows_who_asks():
    assert public(RunService) == OF_ALL | set(ASKED)
    for name in ASKED:
        asked = list(inspect.signature(getattr(RunService, name)).parameters.values())
        assert (asked[1].name, asked[1].default) == ("who", inspect.Parameter.empty), name
    for name in public(SavedBacktests) - {"tag", "remarks"}:  # these are told of what was read for somebody
        asked = list(inspect.signature(getattr(SavedBacktests, name)).parameters.values())
        assert (asked[1].name, asked[1].default) == ("who", inspect.Parameter.empty), name


@pytest.mark.parametrize("name", ASKED)
def test_a_stranger_finds_nothing_and_changes_nothing(engine, name):
    service = engine.service
    run = service.submit(ANN, Submission(kind="nothing", params={"x": 1}))
    told = None
    with suppress(NotFound):
        told = ASKED[name](service, run)
    assert told in (None, True), "a stranger was answered"
    assert service.get(ANN, run.id) == run
    assert len(service.find(ANN, RunQuery())) == 1


def test_a_stranger_finds_nothing_over_http_whatever_the_route(tmp_path):
    with Engine(tmp_path) as engine:
        app = create_app(engine.platform, frozenset({"testserver"}))
        with TestClient(app) as http:
            who = [ANN]
            app.dependency_overrides[principal_of] = lambda: who[0]
            text = "name: mine\ntimeframe: 1d\nentry: {long: 'close > 1'}\n"
            assert http.post("/api/v1/strategies", json={"text": text}).status_code == 201
            saved = http.post("/api/v1/backtests", json={"name": "m", "params": {"strategy": "mine", "symbols": ["A"]}})
            assert saved.status_code == 201, saved.text
            run = engine.service.submit(ANN, Submission(kind="nothing", params={}))
            places = {
                "run_id": run.id,
                "operation_id": run.id,
                "backtest_id": saved.json()["id"],
                "name": "mine",
                "version": "1",
            }
            before = engine.service.get(ANN, run.id), http.get("/api/v1/backtests").json(), listed(http, "/strategies")
            who[0] = EVE
            asked = 0
            for path, methods in app.openapi()["paths"].items():
                owned = [name for name in places if f"{{{name}}}" in path]
                if not owned or path.startswith(
                    ("/api/v1/kinds", "/api/v1/scripts", "/api/v1/data", "/api/v1/users", "/api/v1/secrets")
                ):
                    continue
                address = path.replace("{name}", "steps.txt") if "artifacts" in path else path
                for method in methods:
                    if (path, method) == ("/api/v1/presets/{kind}/{name}", "put"):  # keeps one of her own
                        continue
                    bodies = {
                        "shares": {"account": "mallory"},
                        "priority": {"priority": 9},
                        "notes": {"text": "mine now"},
                        "turn": {"step": 1},
                    }
                    body = bodies.get(path.rpartition("/")[2], {})
                    answer = http.request(
                        method,
                        address.format(**places, share_id="x", kind="nothing"),
                        json=body if method in ("post", "patch", "put") else None,
                    )
                    assert answer.status_code == 404, (method, path, answer.status_code, answer.text)
                    asked += 1
            assert asked > 18
            assert http.get("/api/v1/events", params={"runs": run.id}).status_code == 404
            for path in ("/strategies", "/backtests", "/runs"):
                assert listed(http, path) == []
            others = [{"position": 1, "run": "another's run"}]
            assert http.get("/api/v1/queue").json() == {"queued": [], "active": [], "others": others}
            again = http.post("/api/v1/backtests", json={"name": "m", "params": {"strategy": text, "symbols": ["A"]}})
            assert again.status_code == 201, "names are an owner's own"
            who[0] = ANN
            after = engine.service.get(ANN, run.id), http.get("/api/v1/backtests").json(), listed(http, "/strategies")
            assert after == before


def listed(http, path):
    found = http.get(f"/api/v1{path}").json()
    return found["items"] if isinstance(found, dict) else found


def test_somebody_elses_stored_strategy_cannot_be_run(engine):
    engine.platform.strategies.add(ANN.name, "hers", "name: hers\ntimeframe: 1d\nentry: {long: 'close > 1'}\n")
    with pytest.raises(Exception, match="there is no strategy 'hers'"):
        engine.service.submit(LOCAL, Submission(kind="backtest", params={"strategy": "hers", "symbols": ["A"]}))
