"""The routine with real servers: schedules, chains and notices go on, whichever server dies."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import sqlalchemy as sa

from pitboss.storage.database import Database
from pitboss.storage.tables import schedules
from support.bars import store_days
from support.engine import until
from support.server import ApiServer, Server, pitboss, pitboss_here

SCREEN = "name: rising\ncriteria:\n  - {name: up, when: 'close > close[1]', points: 1}\npass_mark: 1\n"
DIPS = "name: dips\ntimeframe: 1d\nentry: {long: 'close < close[1]'}\nexit: {long: 'close > close[1]'}\n"
TICKERS = [f"T{at}" for at in range(6)]
MINUTES = 20


@pytest.fixture
def server(tmp_path):
    store_days(tmp_path, TICKERS, 100)
    with Server(tmp_path) as server:
        yield server


@pytest.fixture
def hook():
    """A webhook, and the titles that it was told."""
    titles = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            titles.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["title"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"json://127.0.0.1:{server.server_port}/", titles
    server.shutdown()
    server.server_close()


def posted(server, path, **body):
    answer = server.http.post(path, json=body)
    assert answer.is_success, answer.text
    return answer.json()


def test_every_time_has_one_run_though_servers_die(server):
    screen = {"screen": SCREEN, "tickers": TICKERS}
    posted(server, "/schedules", name="often", when="* * * * *", kind="screen", params=screen, catch_up="all",
           overlap="allow")  # fmt: skip
    with ApiServer(server.data_dir) as other:
        database = Database(f"sqlite:///{server.data_dir / 'pitboss.db'}")
        with database.writing() as connection:  # as if nobody had looked for a while
            connection.execute(sa.update(schedules).values(seen_until=time.time() - 60 * MINUTES))
        until(lambda: len(runs_of(other)) > 3, 20, "some are queued")
        server.kill()
        server.start()
        until(lambda: len(runs_of(other)) >= MINUTES, 40, "all are queued")
        ticks = other.http.get("/schedules/often").json()["ticks"]
        assert all(tick["state"] == "queued" for tick in ticks)
        runs = runs_of(other)
        keys = Counter(run["id"] for run in runs)
        assert len(keys) == len(runs) <= MINUTES + 2
        database.close()


def runs_of(server):
    return server.http.get("/runs?tag=schedule:often&limit=500").json()["items"]


def test_what_passed_is_backtested_and_told(server, hook):
    address, titles = hook
    posted(server, "/channels", name="HOOK", address=address, news=["asked", "passed"])
    links = [
        {"kind": "screen", "params": {"screen": SCREEN, "tickers": TICKERS}},
        {"kind": "backtest", "params": {"strategy": DIPS, "symbols": "{passed}"}},
    ]
    chain = posted(server, "/chains", name="evening", links=links, notify_on_completion=True)

    def ended():
        found = server.http.get(f"/chains/{chain['id']}").json()
        return found if found["state"] != "running" else None

    found = until(ended, 40, "the chain ends")
    assert (found["state"], found["note"]) == ("completed", "")
    screened, backtested = (server.http.get(f"/runs/{link['run_id']}").json() for link in found["links"])
    assert backtested["params"]["symbols"] == screened["result"]["passed_tickers"].split()
    assert backtested["state"] == "completed"
    until(lambda: len(titles) >= 2, 20, "both are told")
    assert sorted(titles) == ["backtest dips #1 completed", "screen rising #1 completed"]
    listed = pitboss("chains", "list", "--json", data_dir=server.data_dir)
    assert json.loads(listed.stdout)[0]["state"] == "completed"


def test_the_commands_keep_params_under_a_name(tmp_path):
    def said(*words, code=0):
        done = pitboss_here(*words, data_dir=tmp_path)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    said("presets", "put", "screen", "evening", "-p", f"screen={json.dumps(SCREEN)}", "-p", "min_score=2")
    assert "no params" not in said("presets", "list")
    assert "unknown parameter 'min_score'" in said("run", "screen", "--preset", "evening", code=2)
    assert "there is no preset 'nightly' of screen" in said("run", "screen", "--preset", "nightly", code=4)
    assert "removed screen evening" in said("presets", "remove", "screen", "evening")
    assert json.loads(said("presets", "list", "--json")) == []


def test_the_commands_keep_schedules_and_channels(server):
    folder = server.data_dir
    (folder / "params.yaml").write_text(json.dumps({"screen": SCREEN, "tickers": TICKERS}))
    added = pitboss("schedules", "add", "evening", "screen", "--when", "30m before the close of XNYS", "--params",
                    folder / "params.yaml", data_dir=folder)  # fmt: skip
    assert added.returncode == 0, added.stderr
    shown = json.loads(pitboss("schedules", "show", "evening", "--json", data_dir=folder).stdout)
    assert len(shown["next"]) == 10
    assert pitboss("schedules", "pause", "evening", data_dir=folder).returncode == 0
    assert "paused" in pitboss("schedules", "list", data_dir=folder).stdout
    for words, said in (
        (("schedules", "add", "x", "screen", "--when", "0 0 31 2 *", "-p", "screen=leap-entry"), "Bad day-of-month"),
        (("schedules", "show", "nothing"), "there is no schedule 'nothing'"),
        (("notify", "test", "MAIL"), "there is no channel 'MAIL'"),
        (("chains", "show", "latest"), "there is no one chain 'latest'"),
    ):
        refused = pitboss(*words, data_dir=folder)
        assert refused.returncode in (2, 4)
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
    kept = pitboss("notify", "add", "HOOK", "--on", "failed", data_dir=folder, input="json://127.0.0.1:9/\n")
    assert "HOOK is told of failed" in kept.stdout
    assert pitboss("schedules", "remove", "evening", data_dir=folder).returncode == 0
