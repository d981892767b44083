"""The interface of the earlier system, with curl and jq, as programs that know nothing else use it."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from support.bars import store_days
from support.engine import until
from support.server import STRATEGY, Server

EXAMPLE = Path(__file__).parents[2] / "examples" / "execute.sh"
KEYS = {"event_type", "timestamp", "run_id", "stage", "progress_percent", "current_item", "total_items",
        "completed_items", "message", "metrics"}  # fmt: skip
TICKERS = [f"T{at:02}" for at in range(20)]
SLOW = {"strategy_code": "slow"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    store_days(folder, TICKERS, 300)
    scripts = tmp_path_factory.mktemp("scripts")
    (scripts / "slow.pitboss.yaml").write_text("name: slow\ncommand: [sleep, '600']\n")
    environment = {"MAX_CONCURRENT_EXECUTIONS": "1", "EXECUTION_QUEUE_SIZE": "3",
                   "PITBOSS_SCRIPT_FOLDERS": json.dumps([str(scripts)])}  # fmt: skip
    with Server(folder, **environment) as server:
        server.http.post("/strategies", json={"text": STRATEGY}).raise_for_status()
        yield server


@pytest.fixture
def host(server):
    return f"http://127.0.0.1:{server.port}"


def asked(server, method, path, **body):
    answer = server.http.request(method, f"/strategies{path}", json=body or None)
    assert answer.is_success, answer.text
    return answer.json()


def messages(server, run, **headers):
    """Answer what a stream tells, as types with their messages, and the ids."""
    with server.http.stream("GET", f"/strategies/sse/{run}", headers=headers) as stream:
        lines = [line for line in stream.iter_lines() if line and not line.startswith(":")]
    names = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    told = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert names == [each["event_type"] for each in told]
    return told, [int(line.removeprefix("id: ")) for line in lines if line.startswith("id: ")]


def test_a_script_of_curl_and_jq_runs_a_screen(host):
    done = subprocess.run(["bash", EXAMPLE, host, "bullish_breakout", '{"universe_source": "catalog", "max_workers": 1}'],
                          capture_output=True, text=True, timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    assert (status["status"], status["progress_percent"], status["can_cancel"]) == ("completed", 100, False)
    assert status["metrics"]["total_tickers"] is not None
    assert "100% completed" in done.stderr


def test_the_stream_tells_every_ticker_once_and_the_whole_runs_percentage(server):
    started = asked(server, "POST", "/execute", strategy_code="bullish-breakout",
                    parameters={"tickers": [*TICKERS, "NOPE"], "min_score": 50, "strict": True})  # fmt: skip
    assert started.keys() == {"run_id", "status", "position_in_queue", "estimated_start_time", "sse_endpoint"}
    assert started["sse_endpoint"] == f"/api/strategies/sse/{started['run_id']}"
    told, ids = messages(server, started["run_id"])
    assert ids == sorted(set(ids))
    assert all(each.keys() == KEYS and each["metrics"].keys() == {"tickers_per_second", "estimated_remaining"} for each in told)  # fmt: skip
    kinds = Counter(each["event_type"] for each in told)
    assert (kinds["started"], kinds["ticker_completed"], kinds["stage_completed"], kinds["completed"]) == (1, 21, 3, 1)
    assert [each["current_item"] for each in told if each["event_type"] == "ticker_completed"] == [*TICKERS, "NOPE"]
    percents = [each["progress_percent"] for each in told]
    assert percents == sorted(percents)
    assert (percents[0], percents[-1]) == (0, 100)
    again, _ = messages(server, started["run_id"], **{"Last-Event-ID": str(ids[-3])})
    assert again[-1]["event_type"] == "completed"
    assert len(again) == 2
    whole = server.http.get(f"/runs/{started['run_id']}").json()
    assert whole["params"]["parameters"] == {"strict": True}


def test_what_runs_comes_first_and_what_waits_has_its_place(server):
    runs = [asked(server, "POST", "/execute", **SLOW)["run_id"]]
    until(lambda: asked(server, "GET", f"/runs/{runs[0]}/status")["status"] == "running", 20, "the first one runs")
    runs.append(asked(server, "POST", "/execute", **SLOW)["run_id"])
    screen = asked(server, "POST", "/execute", strategy_code="bullish_breakout", options={"priority": "high"})
    found = asked(server, "GET", "/queue")
    assert (found["max_concurrent"], found["total_queued"]) == (1, 2)
    assert [(each["run_id"], each["strategy_code"], each["position"]) for each in found["queue"]] == [
        (runs[0], "slow", 0), (screen["run_id"], "bullish_breakout", 1), (runs[1], "slow", 2),
    ]  # fmt: skip
    assert "started_at" in found["queue"][0]
    assert "estimated_start" in found["queue"][1]
    for run in (*runs, screen["run_id"]):
        answer = asked(server, "POST", f"/runs/{run}/cancel", keep_partial=False)
        assert answer["cancelled"] is True
        assert answer.keys() == {"cancelled", "message"}
        until(lambda run=run: asked(server, "GET", f"/runs/{run}/status")["status"] == "cancelled", 5, "it ends")
        told, _ = messages(server, run)
        assert told[-1]["event_type"] == "cancelled"
    answer = asked(server, "POST", f"/runs/{runs[0]}/cancel")
    assert answer == {"cancelled": True, "message": "already finished: cancelled"}


def test_a_full_queue_says_so(server):
    runs = [asked(server, "POST", "/execute", **SLOW)["run_id"]]
    until(lambda: asked(server, "GET", f"/runs/{runs[0]}/status")["status"] == "running", 20, "the first one runs")
    runs += [asked(server, "POST", "/execute", **SLOW)["run_id"] for _ in range(3)]
    refused = server.http.post("/strategies/execute", json=SLOW)
    assert refused.status_code == 429
    assert "Retry-After" in refused.headers
    for run in reversed(runs):
        asked(server, "POST", f"/runs/{run}/cancel", keep_partial=False)


@pytest.mark.parametrize(("body", "where", "said"), [
    ({"strategy_code": "bullish_brekout"}, "strategy_code", "there is no screen, strategy or script 'bullish_brekout'"),
    ({"strategy_code": "leap_entry"}, "screen", "the screen looks at SPY"),
    ({"strategy_code": "bullish_breakout", "parameters": {"tickers": ["NOPE"]}}, "tickers", "none of the tickers is known"),
    ({"strategy_code": "bullish_breakout", "parameters": {"min_scor": 3}}, "parameters", "unknown parameter 'min_scor'"),
    ({"strategy_code": "bullish_breakout", "parameters": {"universe_source": "sp50"}}, "universe_source", "input should be"),
    ({"strategy_code": "bullish_breakout", "parameters": {"screen": "leap-entry"}}, "parameters.screen", "strategy_code says"),
    ({"strategy_code": "ema-cross", "parameters": {}}, "symbols", "'symbols' is missing"),
    ({"strategy_code": "ema-cross", "options": {"priority": "urgent"}}, "options.priority", ""),
])  # fmt: skip
def test_what_is_wrong_is_a_422_and_nothing_is_queued(server, body, where, said):
    before = server.http.get("/runs?limit=1").json()["items"][0]["id"]
    refused = server.http.post("/strategies/execute", json=body)
    assert refused.status_code == 422
    problems = refused.json()["errors"]
    assert any(where in (each["where"] or "") and said in each["message"] for each in problems), problems
    assert server.http.get("/runs?limit=1").json()["items"][0]["id"] == before
