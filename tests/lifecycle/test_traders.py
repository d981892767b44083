"""The interface of the earlier system, and traders over HTTP and at the terminal, word for word."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from pitboss.core.files import LocalFiles
from pitboss.core.timeframe import parse_timeframe
from pitboss.market.store import BarStore, Nature
from pitboss.sessions.clock import minutes_of
from support.engine import until
from support.server import Server, pitboss
from support.sessions import DAY, RULES, walk


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    minutes = [tick.at for tick in minutes_of("XNYS", DAY)]
    BarStore(LocalFiles(folder)).store(walk(minutes, 7), "SYN", parse_timeframe("1m"), Nature("made", session="XNYS"))
    with Server(folder) as running:
        yield running


def made(server, name, agent=None, **fields):
    asked = {
        "name": name,
        "cash": 10_000,
        "agent": agent or {"type": "random", "parameters": {"trades": 90, "holding": 3}},
    }
    answer = server.http.post("/traders", json=asked | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def started(server, trader, **params):
    begun = time.monotonic()
    asked = {"symbol": "SYN", "date": DAY, "session": "regular", "base_model": "some-model", **params}
    answer = server.http.post(f"/trading/start-intraday/{trader}", json=asked)
    assert time.monotonic() - begun < 1.0
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_session_is_started_watched_and_cancelled_in_the_words_of_the_earlier_system(server):
    trader = made(server, "dice")
    assert server.http.get(f"/trading/status/{trader}").json() == {"status": "not_running"}
    first = started(server, trader, pace=50)
    assert first == {
        "status": "queued", "job_id": first["run_id"], "run_id": first["run_id"], "run_number": 1, "model_id": trader,
        "message": "base_model is ignored: this trader decides by random",
    }  # fmt: skip

    def at_fifty():
        status = server.http.get(f"/trading/status/{trader}").json()
        return status if status.get("current_minute", 0) >= 50 else None

    status = until(at_fifty, 30, "minute 50")
    assert set(status) == {"status", "model_id", "job_id", "run_id", "progress", "current_minute", "total_minutes"}
    assert (status["status"], status["total_minutes"]) == ("running", 390)
    assert status["progress"] == pytest.approx(100 * status["current_minute"] / 390, abs=1)
    asked = time.monotonic()
    cancelled = server.http.post(f"/trading/cancel-intraday/{trader}", json={"keep_partial": True}).json()
    assert cancelled == {"status": "cancellation_requested", "run_id": first["run_id"]}
    until(lambda: server.http.get(f"/trading/status/{trader}").json() == {"status": "not_running"}, 2.0, "it is over")
    assert time.monotonic() - asked < 2.0
    job = server.http.get(f"/trading/jobs/{first['job_id']}").json()
    assert set(job) == {"job_id", "status", "progress", "data", "result", "error"}
    assert (job["status"], job["error"]) == ("cancelled", None)
    assert job["result"]["metrics"]["orders_filled"] > 0
    again = server.http.post(f"/trading/cancel-intraday/{trader}").json()
    assert again == {"status": "no_active_run", "run_id": None}
    assert server.http.get(f"/traders/{trader}/trades").json() == []

    second = started(server, trader)
    assert second["run_number"] == 2
    assert server.wait(second["run_id"])["state"] == "completed"
    assert {fill["run_id"] for fill in server.http.get(f"/traders/{trader}/trades").json()} == {second["run_id"]}
    assert server.http.get(f"/traders/{trader}/performance").json()["sessions"] == 1


def test_its_stream_tells_status_progress_trades_and_the_end(server):
    trader = made(server, "streamed")
    run = started(server, trader, pace=100)["run_id"]
    names, trades, ids = [], [], []
    with server.http.stream("GET", f"/trading/stream/{trader}") as stream:
        for line in stream.iter_lines():
            if line.startswith("id:"):
                ids.append(line.removeprefix("id:").strip())
            if line.startswith("event:"):
                names.append(line.removeprefix("event:").strip())
            if line.startswith("data:") and names[-1] == "trade":
                trades.append(json.loads(line.removeprefix("data:")))
            if names and names[-1] == "complete" and line == "":
                break
    assert set(names) == {"status", "progress", "trade", "complete"}
    done = server.http.get(f"/runs/{run}").json()["result"]["metrics"]["orders_filled"]
    assert len(trades) == done > 10
    assert {"symbol", "side", "quantity", "price", "fee", "cash", "position", "at", "run_id"} <= set(trades[0])
    rest = server.http.get(f"/trading/stream/{trader}", params={"after": ids[-1]})
    assert rest.status_code == 204
    whole = server.http.get(f"/trading/stream/{trader}", headers={"Accept": "application/json"}).json()
    assert [each["event"] for each in whole if each["event"] == "trade"] == ["trade"] * done


def test_days_are_traded_and_stopped_with_or_without_what_was_done(server):
    trader = made(server, "daily")
    asked = {"symbol": "SYN", "start": "2024-01-03", "end": "2024-01-03"}
    once = server.http.post(f"/trading/start/{trader}", json=asked).json()
    assert once["status"] == "queued"
    assert server.wait(once["run_id"])["state"] == "completed"
    slow = started(server, trader, pace=5)
    until(lambda: server.http.get(f"/trading/status/{trader}").json().get("current_minute"), 20, "it trades")
    stopped = server.http.post(f"/trading/stop/{trader}", json={"keep_partial": False}).json()
    assert stopped == {"status": "stopped", "job_id": slow["job_id"]}
    job = server.http.get(f"/trading/jobs/{slow['job_id']}").json()
    assert (job["status"], job["result"]) == ("cancelled", None)
    assert server.http.get(f"/sessions/{slow['run_id']}/steps").json() == []
    assert server.http.post(f"/trading/stop/{trader}").json() == {"status": "no_active_run", "job_id": None}


def test_mistakes_are_told_with_what_to_do_and_nothing_is_queued(server):
    trader = made(server, "mistaken")
    for body, said in (
        ({"symbol": "SYN", "date": "2024-01-06", "session": "regular"}, "SYN has no bars of 1m then"),
        ({"symbol": "NOPE", "date": DAY, "session": "regular"}, "NOPE"),
        ({"symbol": "SYN", "date": DAY, "session": "lunch"}, "'lunch' is no session"),
        ({"symbol": "SYN", "date": "soon", "session": "regular"}, "date"),
    ):
        answer = server.http.post(f"/trading/start-intraday/{trader}", json=body)
        assert answer.status_code == 422, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert said in answer.text
    assert server.http.post("/trading/start-intraday/nobody", json={"symbol": "SYN", "date": DAY}).status_code == 404
    assert server.http.get(f"/trading/status/{trader}").json() == {"status": "not_running"}
    bad = {"name": "x", "cash": -5, "agent": {"type": "oracle"}, "rules": {"leverage": 0}}
    answer = server.http.post("/traders", json=bad)
    assert answer.status_code == 422
    assert {error["where"] for error in answer.json()["errors"]} >= {"cash", "agent.type", "rules.leverage"}


def test_orders_by_hand_are_filled_or_refused_and_never_twice(server):
    trader = made(server, "hand", costs={"commission": "0.1%"})
    order = {"action": "buy", "symbol": "SYN", "quantity": 3, "at": f"{DAY}T15:00"}
    first = server.http.post(f"/traders/{trader}/orders", json=order, headers={"Idempotency-Key": "one"}).json()
    again = server.http.post(f"/traders/{trader}/orders", json=order, headers={"Idempotency-Key": "one"}).json()
    assert first == again
    assert {
        "order_id",
        "status",
        "reason",
        "symbol",
        "side",
        "quantity",
        "price",
        "fee",
        "cash",
        "position",
        "at",
    } <= set(first)
    assert (first["status"], first["position"]) == ("filled", 3)
    other = server.http.post(
        f"/traders/{trader}/orders", json=order | {"quantity": 4}, headers={"Idempotency-Key": "one"}
    )  # fmt: skip
    assert other.status_code == 409
    refused = server.http.post(f"/traders/{trader}/orders", json=order | {"at": f"{DAY}T22:00"}).json()
    assert refused["reason"].startswith("the market of SYN (XNYS) is closed at")
    late = server.http.post(f"/traders/{trader}/orders", json=order | {"at": "2024-01-04T15:00"}).json()
    assert "the last bar is of 2024-01-03T20:59" in late["reason"]
    assert server.http.post(f"/traders/{trader}/orders", json=order | {"quantity": 1e9}).json()["status"] == "refused"
    assert [each["symbol"] for each in server.http.get(f"/traders/{trader}/positions").json()] == ["SYN"]
    found = server.http.get(f"/traders/{trader}").json()
    assert found["cash"] == first["cash"]
    assert found["equity"] != found["cash"]


def test_the_terminal_makes_traders_forks_sessions_and_proves_the_ledger(server, tmp_path):
    folder, strategy = server.data_dir, tmp_path / "rules.yaml"
    strategy.write_text(RULES)
    made_one = pitboss("traders", "add", "rules", "--strategy", strategy, "--json", data_dir=folder)
    assert made_one.returncode == 0, made_one.stderr
    run = pitboss("session", "start", "rules", "-s", "SYN", "--date", DAY, "--json", data_dir=folder)
    assert run.returncode == 0, run.stderr
    done = json.loads(run.stdout.splitlines()[-1])
    fork = pitboss("session", "fork", done["id"], "--at-minute", 100, "--json", data_dir=folder)
    assert fork.returncode == 0, fork.stderr
    assert json.loads(fork.stdout.splitlines()[-1])["result"]["metrics"] == done["result"]["metrics"]
    for words, said in (
        (("traders", "list"), "rules"), (("traders", "leaderboard"), "rules"), (("traders", "trades", "rules"), "buy"),
        (("traders", "performance", "rules"), "net_return"), (("ledger", "verify"), "every chain holds"),
        (("ledger", "replay", "rules", "--at", "2020-01-01"), "0.00"),
    ):  # fmt: skip
        answer = pitboss(*words, data_dir=folder)
        assert answer.returncode == 0, answer.stderr
        assert said in answer.stdout, words
    refused = pitboss("traders", "order", "rules", "sell", "SYN", 5, "--at", f"{DAY}T15:00", data_dir=folder)
    assert (refused.returncode, refused.stdout.strip()) == (1, "refused: shares 0, needed 5")
    wrong = pitboss("traders", "add", "rules", "--agent", "type=oracle", data_dir=folder)
    assert (wrong.returncode, "Traceback" in wrong.stderr) == (2, False)


MCP = """
import sys
from mcp.server import MCPServer
server = MCPServer("almanac")
@server.tool()
def forecast(symbol: str) -> str:
    return f"{symbol} closes at 123.45"
import uvicorn
uvicorn.run(server.streamable_http_app(), host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
"""


def test_tools_of_an_mcp_server_are_used_and_marked_as_not_point_in_time(server):
    import httpx

    from support.provider import Provider, called
    from support.server import free_port

    port, seen = free_port(), []

    def ask(handler, body):
        names = [tool["function"]["name"] for tool in body["tools"]]
        if called(body):
            seen.append(body["messages"][-1]["content"])
            handler.answer("I was told")
        else:
            handler.answer(calls=[(next(name for name in names if "forecast" in name), {"symbol": "SYN"})])

    program = subprocess.Popen([sys.executable, "-c", MCP, str(port)])
    try:

        def is_up():
            try:
                return httpx.get(f"http://127.0.0.1:{port}/mcp").status_code
            except httpx.HTTPError:
                return None

        until(is_up, 30, "the MCP server answers")
        with Provider(ask) as provider:
            agent = {"type": "llm", "model": "local", "endpoint": provider.url, "mcp": [f"http://127.0.0.1:{port}/mcp"]}
            run = started(server, made(server, "told", agent), timeframe="1h")["run_id"]
            assert server.wait(run)["state"] == "completed"
    finally:
        program.kill()
        program.wait()
    assert "123.45" in seen[0]
    notes = " ".join(note["message"] for note in server.http.get(f"/runs/{run}/report").json()["notes"])
    assert f"not point in time: the tools of http://127.0.0.1:{port}/mcp" in notes
