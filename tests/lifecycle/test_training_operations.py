"""Trainings in the words of the earlier system, over HTTP."""

from __future__ import annotations

import pytest

import pitboss
from pitboss.core.errors import NotFound
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.frames import to_frame
from pitboss.market.store import Nature
from support.engine import Engine, until
from support.learning import SMALL, swinging
from support.server import Server

LONG = SMALL.replace("rounds: 30", "rounds: 50000")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("operations")
    with Engine(folder) as engine:
        engine.platform.bars.store(
            to_frame(swinging(4000)), "SWING", parse_timeframe("5m"), Nature("made up", session="24x7")
        )
    with Server(folder) as server:
        for text in (SMALL, LONG.replace("name: small", "name: long"), "name: plain\nentry: {long: close > open}\n"):
            assert server.http.post("/strategies", json={"text": text}).status_code == 201
        yield server


def started(server, name="small", **more):
    asked = {
        "symbols": ["SWING"], "timeframes": ["5m"], "strategy_name": name, "start_date": "2018-01-01",
        "end_date": "2018-12-31", **more,
    }  # fmt: skip
    return server.http.post("/trainings/start", json=asked)


def operation(server, task):
    answer = server.http.get(f"/operations/{task}").json()
    assert answer["success"] is True
    return answer["data"]


def ended(server, task):
    until(lambda: operation(server, task)["status"] in ("completed", "failed", "cancelled"), 60, "it ends")
    return operation(server, task)


def test_a_training_is_started_watched_and_cancelled_word_for_word(server):
    answer = started(server, "long")
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert told | {"task_id": "", "message": ""} == {
        "success": True, "task_id": "", "status": "training_started", "message": "", "symbols": ["SWING"],
        "timeframes": ["5m"], "strategy_name": "long",
    }  # fmt: skip
    task = told["task_id"]
    until(lambda: operation(server, task)["progress"]["percentage"] > 6, 30, "a fold is being learned")
    running = operation(server, task)
    assert (running["operation_type"], running["status"]) == ("training", "running")
    assert set(running) == {
        "operation_id", "operation_type", "status", "progress", "metrics", "result_summary", "created_at", "started_at",
        "completed_at", "error_message",
    }  # fmt: skip
    assert set(running["progress"]) == {
        "percentage", "current_step", "steps_completed", "steps_total", "items_processed", "items_total", "current_item",
        "context",
    }  # fmt: skip
    assert running["progress"]["current_step"].startswith("fold ")
    (child,) = server.http.get(f"/operations/{task}/children").json()["data"]
    gone = server.http.request("DELETE", f"/operations/{task}", json={"reason": "enough"})
    assert gone.status_code == 200, gone.text
    assert gone.json()["data"]["status"] == "cancelled"
    assert gone.json()["data"]["cancelled_at"] is not None
    after = operation(server, task)
    assert after["status"] == "cancelled"
    assert 0 < after["progress"]["percentage"] < 100
    assert operation(server, task)["progress"] == after["progress"]
    assert server.http.delete(f"/operations/{task}").status_code == 400
    assert ended(server, child["operation_id"])["status"] == "cancelled"
    done = ended(server, started(server).json()["task_id"])
    assert (done["status"], done["progress"]["percentage"]) == ("completed", 100.0)
    assert done["result_summary"]["training_metrics"]["training_time"] > 0
    results = server.http.get(f"/operations/{done['operation_id']}/results").json()["data"]
    assert results["model"]["name"] == "small"
    listed = server.http.get("/operations", params={"status": "completed", "operation_type": "training"}).json()
    assert done["operation_id"] in [each["operation_id"] for each in listed["data"]]
    assert {each["status"] for each in listed["data"]} == {"completed"}


def test_what_was_cancelled_is_resumed_and_retried(server):
    task = started(server, "long").json()["task_id"]
    until(lambda: operation(server, task)["progress"]["percentage"] > 6, 30, "a fold is being learned")
    assert server.http.get(f"/operations/{task}/results").status_code == 404
    assert server.http.get(f"/operations/{task}/metrics").json()["data"]["metrics"]["epochs"]
    server.http.delete(f"/operations/{task}")
    again = server.http.post(f"/operations/{task}/retry")
    assert again.status_code == 200, again.text
    server.http.delete(f"/operations/{again.json()['data']['operation_id']}")
    resumed = server.http.post(f"/operations/{task}/resume")
    assert resumed.status_code in (200, 409), resumed.text  # no fold was done: there may be nothing to go on from


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"name": "smal"}, "small"), ({"symbols": ["NOPE"]}, "SWING"), ({"timeframes": ["5m", "1h"]}, "of one length"),
        ({"name": "plain"}, "no 'train' section"), ({"start_date": "soon"}, "start"), ({"symbols": []}, "symbols"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_what_there_is(server, more, said):
    answer = started(server, **more)
    assert answer.status_code in (400, 422)
    assert said in answer.text


def test_what_is_unknown_is_not_found(server):
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/results"), ("GET", "/children"), ("POST", "/retry")):
        assert server.http.request(method, f"/operations/nobody{path}").status_code == 404


def test_a_backtest_is_an_operation_too(server):
    asked = {"strategy_name": "plain", "symbol": "SWING", "timeframe": "5m", "initial_capital": 5000}
    answer = server.http.post("/backtests/start", json=asked)
    assert answer.status_code == 200, answer.text
    done = ended(server, answer.json()["data"]["operation_id"])
    assert (done["operation_type"], done["status"]) == ("backtesting", "completed"), done["error_message"]
    assert done["result_summary"]["metrics"]["final_equity"] > 0


def test_versions_are_listed_promoted_and_forgotten(server):
    for _ in range(2):
        assert ended(server, started(server).json()["task_id"])["status"] == "completed"
    found = server.http.get("/models/small").json()
    assert [each["is_partial"] for each in found][-2:] == [False, False]
    last = found[-1]["version"]
    promoted = server.http.post(f"/models/small/{last}/promote").json()
    assert promoted["aliases"] == ["champion"]
    assert server.http.get("/models/small/champion").json()["version"] == last
    assert server.http.delete(f"/models/small/{last}").status_code == 409
    assert server.http.delete(f"/models/small/{found[-2]['version']}").status_code == 204
    assert server.http.get("/models/other").status_code == 404
    assert {each["name"] for each in server.http.get("/models").json()} >= {"small"}


def test_a_notebook_trains_and_promotes(server):
    with pitboss.Client(f"http://127.0.0.1:{server.port}") as client:
        run = client.train("small", ["SWING"], twin=False)
        assert client.wait(run["id"])["state"] == "completed"
        newest = client.models("small")[-1]
        assert (newest["run"], newest["is_partial"]) == (run["id"], False)
        assert client.promote("small", newest["version"], "night")["aliases"] == ["night"]
        assert {each["name"] for each in client.models()} >= {"small"}
        with pytest.raises(NotFound, match="no model 'other'"):
            client.models("other")
