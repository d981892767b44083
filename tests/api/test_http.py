"""The API in process: guards, errors, documents, data. Runs themselves are tested with a real server."""

from __future__ import annotations

import gzip
import sys

import pytest
from starlette.testclient import TestClient

from pitboss.api.events import read_cursor
from pitboss.api.schemas import QueueModel, RunModel, RunPage
from pitboss.bootstrap import open_platform
from pitboss.core.errors import InvalidInput
from pitboss.core.settings import load_settings
from pitboss.serving.app import create_app
from pitboss.serving.guard import LOOPBACK
from support.server import STRATEGY, pitboss

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@pytest.fixture(scope="module")
def http(tmp_path_factory):
    folder = tmp_path_factory.mktemp("http")
    pitboss("data", "synth", "-s", "SYN", "-t", "5m", "--days", 9, data_dir=folder)
    platform = open_platform(load_settings(data_dir=folder, max_queue_size=3))
    with TestClient(create_app(platform), base_url="http://127.0.0.1") as client:
        yield client
    platform.close()


def refused(answer, status):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["detail"]
    return body


def body(**params):
    return {"kind": "backtest", "params": {"strategy": STRATEGY, "symbols": ["SYN"], "timeframe": "5m", **params}}


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "https://evil.example"}, {"Host": ""}])
def test_foreign_hosts_and_origins_are_refused(http, headers):
    refused(http.get("/api/v1/runs", headers=headers), 403)


@pytest.mark.parametrize(
    "headers", [{"Host": "localhost:8000"}, {"Origin": "http://localhost:3000"}, {"Host": "[::1]:80"}]
)
def test_this_machine_is_served(http, headers):
    assert http.get("/api/v1/runs", headers=headers).status_code == 200


def test_both_prefixes_answer_and_the_documentation_is_served_from_here(http):
    assert http.get("/api/runs").json() == http.get("/api/v1/runs").json()
    page = http.get("/docs").text
    assert "https://" not in page
    assert http.get("/docs/assets/swagger-ui-bundle.js").status_code == 200
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/readyz").json()["status"] == "ok"
    assert "pitboss_queue_depth" in http.get("/metrics").text


def test_oversized_bodies_are_refused(http):
    refused(http.post("/api/v1/strategies/validate", json={"text": "x" * 10_000_000}), 413)
    chunks = (b"x" * 100_000 for _ in range(20))
    refused(http.post("/api/v1/strategies", content=chunks, headers={"content-type": "application/json"}), 413)


def test_mistakes_in_a_document_come_with_their_places(http):
    answer = http.post("/api/v1/strategies/validate", json={"text": "name: x\nentry: {long: emma(close) > 1}\n"}).json()
    assert answer["valid"] is False
    (error,) = answer["errors"]
    assert (error["line"], error["column"], error["remedy"]) == (2, 15, "did you mean 'ema'?")
    problem = refused(http.post("/api/v1/strategies", json={"text": "name: x\nentry: {long: emma(close) > 1}\n"}), 422)
    assert problem["errors"] == answer["errors"]


def test_versions_of_a_strategy_are_kept(http):
    texts = [STRATEGY, STRATEGY, STRATEGY.replace("default: 12", "default: 13")]
    assert [http.post("/api/v1/strategies", json={"text": text}).json()["version"] for text in texts] == [1, 1, 2]
    assert http.get("/api/v1/strategies/ema-cross?version=1").json()["text"] == STRATEGY
    assert len(http.get("/api/v1/strategies/ema-cross/versions").json()) == 2
    refused(http.get("/api/v1/strategies/nope"), 404)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"symbols": ["NOPE"]}, "symbols"), ({"symbols": []}, "symbols"), ({"symbols": None}, "symbols"),
        ({"symbols": [1]}, "symbols"), ({"symbols": ["SYN", "SYN"]}, "symbols"), ({"symbols": ["../x"]}, "symbol"),
        ({"timeframe": "7x"}, "timeframe"), ({"timeframe": 5}, "timeframe"), ({"timeframe": "1m"}, "timeframe"),
        ({"start": "2031-01-01"}, "start"), ({"start": 5}, "start"), ({"start": "2022-02-01", "end": "2022-01-01"}, "start"),
        ({"cash": -1}, "cash"), ({"cash": "x"}, "cash"), ({"cash": None}, "cash"), ({"cash": True}, "cash"),
        ({"parameters": {"x": 1}}, "parameters.x"), ({"parameters": [1]}, "parameters"),
        ({"parameters": {"fast_period": "12; rm"}}, "parameters.fast_period"), ({"costs": {"x": 1}}, "costs.x"),
        ({"sizing": {"type": "all"}}, "sizing.type"), ({"strategy": "nope"}, "strategy"), ({"strategy": None}, "strategy"),
        ({"strategy": 5}, "strategy"), ({"surprise": 1}, "params"),
    ],
)  # fmt: skip
def test_a_wrong_param_is_named_and_nothing_is_queued(http, change, where):
    before = http.get("/api/v1/runs").json()
    problem = refused(http.post("/api/v1/runs", json=body(**change)), 422)
    assert where in [error["where"] for error in problem["errors"]], problem
    assert all(error["message"] for error in problem["errors"])
    assert http.get("/api/v1/runs").json() == before


@pytest.mark.parametrize(
    "request_body",
    [{}, [], "x", {"kind": "dance", "params": {}}, {"kind": "backtest", "params": []}, body() | {"priority": "urgent"},
     body() | {"priority": 1.5}, body() | {"tags": [""]}, body() | {"options": {"x": 1}},
     body() | {"options": {"max_execution_seconds": -1}}, body() | {"unknown": 1}],
)  # fmt: skip
def test_a_wrong_request_is_refused(http, request_body):
    refused(http.post("/api/v1/runs", json=request_body), 422)


def test_all_mistakes_of_a_request_are_told_at_once(http):
    wrong = body(symbols=[], cash=-1, parameters={"x": 1}, start="soon")
    problem = refused(http.post("/api/v1/runs", json=wrong), 422)
    assert {error["where"] for error in problem["errors"]} >= {"symbols", "cash", "parameters.x", "start"}


def test_runs_are_queued_once_for_a_key_and_refused_when_the_queue_is_full(http):
    first = http.post("/api/v1/runs", json=body(), headers={"Idempotency-Key": "k"})
    assert first.status_code == 202
    assert first.headers["location"] == f"/api/v1/runs/{first.json()['id']}"
    assert first.json()["queue"] == {
        "position": 1, "estimated_start": None, "waiting_reason": "no worker is running",
    }  # fmt: skip
    again = http.post("/api/v1/runs", json=body(), headers={"Idempotency-Key": "k"})
    assert again.json()["id"] == first.json()["id"]
    refused(http.post("/api/v1/runs", json=body(cash=5), headers={"Idempotency-Key": "k"}), 409)
    numbers = [http.post("/api/v1/runs", json=body()).json()["number"] for _ in range(2)]
    assert numbers == [2, 3]
    full = http.post("/api/v1/runs", json=body())
    refused(full, 429)
    assert int(full.headers["retry-after"]) > 0
    assert [run["queue"]["position"] for run in http.get("/api/v1/queue").json()["queued"]] == [1, 2, 3]
    for run in http.get("/api/v1/runs").json()["items"]:
        cancelled = http.post(f"/api/v1/runs/{run['id']}/cancel", json={"keep_partial": False}).json()
        assert (cancelled["state"], cancelled["message"]) == ("cancelled", "cancelled")
        assert http.get(f"/api/v1/runs/{run['id']}/events", headers={"Last-Event-ID": "3"}).status_code == 204
    assert http.get("/api/v1/runs/statistics").json()["by_state"]["cancelled"] == 3


@pytest.mark.parametrize("path", ["", "/result", "/events", "/artifacts", "/artifacts/..%2f..%2fpitboss.db"])
def test_unknown_runs_are_not_found(http, path):
    refused(http.get(f"/api/v1/runs/nope{path}"), 404)


def test_positions_in_streams_are_checked():
    assert read_cursor("12.0.45", 3) == [12, 0, 45]
    assert read_cursor(None, 2) == [0, 0]
    for wrong in ("x", "1.2", "-1", "1.", "9" * 30, "²"):
        with pytest.raises(InvalidInput):
            read_cursor(wrong, 1)


def test_bars_are_imported_read_and_removed(http):
    csv = "ts,open,high,low,close,volume\n" + "".join(f"2024-01-02 14:{m:02}:00,1,2,0.5,1.5,10\n" for m in range(60))
    stored = http.put("/api/v1/data/UP/1m", content=csv.encode())
    assert stored.status_code == 200, stored.text
    assert stored.json()["series"]["rows"] == 60
    assert len(http.get("/api/v1/data/UP/15m/bars").json()) == 4
    assert http.get("/api/v1/data/UP/1m/gaps").json() == []
    refused(http.put("/api/v1/data/UP/5m", content=csv.encode()), 422)
    refused(http.put("/api/v1/data/UP/1m", content=b""), 422)
    refused(http.put("/api/v1/data/..%2f..%2fx/1m", content=csv.encode()), 422)
    refused(http.put("/api/v1/data/a%20b/1m", content=csv.encode()), 422)
    assert http.delete("/api/v1/data/UP/1m").status_code == 204
    refused(http.get("/api/v1/data/UP/1m"), 404)


@pytest.mark.parametrize(
    ("path", "allowed"), [("/runs", "GET, HEAD, POST"), ("/backtests/x", "DELETE, GET, HEAD, PATCH")]
)
def test_a_wrong_method_is_told_the_right_ones(http, path, allowed):
    answer = http.put(f"/api/v1{path}")
    refused(answer, 405)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("headers", [{"Host": "[::1"}, {"Host": "a]b"}, {"Origin": "http://["}])
def test_addresses_that_are_none_are_refused(http, headers):
    refused(http.get("/api/v1/runs", headers=headers), 403)


def test_half_a_character_is_refused_wherever_it_stands(http):
    for text in (r'{"text": "\ud800"}', r'{"text": "name: \ud800"}'):
        answer = http.post("/api/v1/strategies", content=text, headers={"content-type": "application/json"})
        refused(answer, 422)
    wrong = r'{"kind": "\ud800", "params": {}}'
    refused(http.post("/api/v1/runs", content=wrong, headers={"content-type": "application/json"}), 422)


def test_a_retry_runs_the_text_that_was_run(http):
    first = STRATEGY.replace("ema-cross", "changing")
    http.post("/api/v1/strategies", json={"text": first})
    run = http.post("/api/v1/runs", json=body(strategy="changing")).json()
    http.post(f"/api/v1/runs/{run['id']}/cancel")
    http.post("/api/v1/strategies", json={"text": first.replace("default: 12", "default: 20")})
    again = http.post(f"/api/v1/runs/{run['id']}/retry").json()
    assert again["params"]["strategy"] == first
    http.post(f"/api/v1/runs/{again['id']}/cancel")


def test_a_grid_that_looks_into_the_future_is_refused(http):
    text = "name: g\ntimeframe: 5m\nentry: {long: 'close[n] > 1'}\nparameters: {n: 1}\n"
    request = body(strategy=text, grid={"n": [1, -1]}) | {"kind": "sweep"}
    assert "future" in refused(http.post("/api/v1/runs", json=request), 422)["detail"]


def test_a_range_without_bars_names_what_there_is(http):
    problem = refused(http.post("/api/v1/runs", json=body(start="2022-01-08", end="2022-01-08")), 422)
    assert "there are bars from" in problem["errors"][0]["remedy"]


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/readyz", "/metrics", "/openapi.json", "/api/v1/runs", "/api/v1/data",
                                  "/api/v1/data/SYN/5m", "/api/v1/queue", "/docs/assets/swagger-ui.css"])  # fmt: skip
def test_head_is_get_without_the_body(http, path):
    head, get = http.head(path), http.get(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


def test_head_tells_of_what_is_not_there_and_of_wrong_methods(http):
    assert http.head("/api/v1/runs/nope").status_code == 404
    assert http.head("/api/v1/strategies/validate").status_code in (404, 405)


def test_the_first_page_is_for_people_or_for_programs(http):
    assert http.get("/").json()["docs"] == "/docs"
    page = http.get("/", headers={"Accept": "text/html,application/xhtml+xml"})
    assert (page.headers["content-type"].partition(";")[0], 'href="/docs"' in page.text) == ("text/html", True)


WRONG_BODIES = [
    ({"content": b"{}", "headers": {"Content-Type": "text/plain"}}, "the content type is 'text/plain'"),
    ({"data": {"kind": "backtest"}}, "the content type is 'application/x-www-form-urlencoded'"),
    ({"content": b"{}"}, "the content type is missing"),
    ({"json": {}, "headers": {"Content-Encoding": "gzip"}}, "packed with gzip"),
    ({"json": {}, "headers": {"Content-Encoding": "br"}}, "packed with br"),
]


@pytest.mark.parametrize(("request_body", "message"), WRONG_BODIES, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("path", ["/runs", "/strategies", "/backtests"])
def test_a_body_of_the_wrong_kind_is_told_what_to_send(http, path, request_body, message):
    told = refused(http.post(f"/api/v1{path}", **request_body), 415)
    assert message in told["detail"]
    assert "send" in told["remedy"]


def test_a_form_with_a_file_is_told_to_send_the_file(http):
    told = refused(http.put("/api/v1/data/F/1d", files={"file": ("bars.csv", b"ts,open\n")}), 415)
    assert "--data-binary" in told["detail"]


def test_a_file_of_bars_may_come_packed(http):
    text = b"ts,open,high,low,close,volume\n2024-01-01,1,2,0.5,1,1\n2024-01-02,1,2,0.5,1,1\n"
    digests = set()
    for symbol, content in (("PLAIN", text), ("GZIP", gzip.compress(text, mtime=0)), ("ZSTD", zstd.compress(text))):
        answer = http.put(f"/api/v1/data/{symbol}/1d", content=content)
        assert answer.status_code == 200, answer.text
        digests.add(answer.json()["series"]["digest"])
    assert len(digests) == 1
    told = refused(http.put("/api/v1/data/TORN/1d", content=gzip.compress(text, mtime=0)[:-20]), 422)
    assert "the upload" in told["detail"]


@pytest.mark.parametrize("cursor", ["abc", "12.0.45", "01a21233-b39b-74f8-83b2-0711e266ac4d", " "])
def test_a_foreign_cursor_is_refused(http, cursor):
    told = refused(http.get("/api/v1/runs", params={"cursor": cursor}), 422)
    assert "no cursor" in told["detail"]
    assert "next_cursor" in told["errors"][0]["remedy"]


def test_an_empty_cursor_is_the_first_page(http):
    assert http.get("/api/v1/runs", params={"cursor": ""}).json() == http.get("/api/v1/runs").json()


def test_pages_follow_the_order_of_submission(http):
    queued = [http.post("/api/v1/runs", json=body()).json()["id"] for _ in range(3)]
    try:
        first = http.get("/api/v1/runs", params={"limit": 2}).json()
        second = http.get("/api/v1/runs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
        assert [run["id"] for run in (*first["items"], *second["items"])][:3] == queued[::-1]
    finally:
        for run_id in queued:
            http.post(f"/api/v1/runs/{run_id}/cancel")


@pytest.mark.parametrize("key", ["", "  "])
def test_an_empty_idempotency_key_is_none(http, key):
    runs = [http.post("/api/v1/runs", json=body(), headers={"Idempotency-Key": key}).json() for _ in range(2)]
    try:
        assert runs[0]["id"] != runs[1]["id"]
    finally:
        for run in runs:
            http.post(f"/api/v1/runs/{run['id']}/cancel")


def test_a_proxys_path_and_names_are_part_of_what_is_told(tmp_path):
    platform = open_platform(load_settings(data_dir=tmp_path))
    hosts = LOOPBACK | {"pitboss.example.com", "*.trading.example"}
    with TestClient(create_app(platform, hosts, "/pit/boss"), base_url="http://pitboss.example.com") as client:
        for prefix in ("", "/pit/boss"):
            assert client.get(f"{prefix}/api/v1/runs").status_code == 200
            assert "/pit/boss/openapi.json" in client.get(f"{prefix}/docs").text
        made = client.post("/api/v1/backtests", json={"name": "x", "params": body()["params"]})
        assert made.headers["Location"].startswith("/pit/boss/api/v1/backtests/")
        assert client.get("/api/v1/runs", headers={"Host": "a.b.trading.example"}).status_code == 200
        refused(client.get("/api/v1/runs", headers={"Host": "trading.example"}), 403)
    platform.close()


def test_a_cursor_of_another_list_is_refused(http):
    runs = [http.post("/api/v1/runs", json=body() | {"tags": [tag]}).json()["id"] for tag in ("a", "b")]
    try:
        assert http.get("/api/v1/runs", params={"cursor": runs[0], "tag": "a"}).status_code == 200
        for other in ({"tag": "b"}, {"kind": "sweep"}, {"subject": "strategy/other"}):
            assert "no cursor" in refused(http.get("/api/v1/runs", params={"cursor": runs[0], **other}), 422)["detail"]
        saved = http.post("/api/v1/backtests", json={"name": "cursors", "params": body()["params"]}).json()
        refused(http.get(f"/api/v1/backtests/{saved['id']}/runs", params={"cursor": runs[0]}), 422)
    finally:
        for run_id in runs:
            http.post(f"/api/v1/runs/{run_id}/cancel")


@pytest.mark.parametrize("content", [b"ts,open", b'[{"ts": 1}]'])
def test_bars_sent_as_json_are_told_how_to_be_sent(http, content):
    told = refused(http.put("/api/v1/data/J/1d", content=content, headers={"Content-Type": "application/json"}), 415)
    assert "octet-stream" in told["remedy"]


@pytest.mark.parametrize(
    ("content", "message"),
    [(gzip.compress(b"{}", mtime=0), "parsing"), (b'{"kind":', "at character"), (b"", "is missing")],
)
def test_a_broken_body_is_told_what_to_send(http, content, message):
    answer = http.post("/api/v1/runs", content=content, headers={"Content-Type": "application/json"} if content else {})
    told = refused(answer, answer.status_code)
    assert answer.status_code in (400, 422)
    assert message in told["detail"]
    assert "JSON" in told["remedy"] or "json" in told["remedy"]


def test_what_is_answered_together_has_the_shape_that_is_promised(http):
    http.post("/api/v1/runs", json=body())
    listed = http.get("/api/v1/runs").json()
    queue = http.get("/api/v1/queue").json()
    one = http.get(f"/api/v1/runs/{listed['items'][0]['id']}").json()
    assert set(listed) == set(RunPage.model_fields)
    assert set(queue) == set(QueueModel.model_fields)
    for run in (one, *listed["items"], *queue["queued"], *queue["active"]):
        assert set(run) == set(RunModel.model_fields)
        RunModel.model_validate(run)
    assert http.get("/api/v1/runs/nobodys").status_code == 404
