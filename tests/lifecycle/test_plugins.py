"""Somebody else's kind of run, from a wheel, in an environment of its own; and plug-ins that are at fault."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import psutil
import pytest

from support.engine import until
from support.plugin import ROOT, Environment
from support.server import free_port

PROFITS = "profits=[120,-80,45,-30,60,-20,15]"


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    environment = Environment(tmp_path_factory.mktemp("plugins"))
    environment.install(environment.build(ROOT))
    environment.install(environment.build(ROOT / "examples" / "plugin"))
    return environment


@pytest.fixture
def data(tmp_path):
    return {
        "PITBOSS_DATA_DIR": str(tmp_path / "data"),
        "PITBOSS_IDLE_EXIT_SECONDS": "1",
        "PITBOSS_CHECKPOINT_SECONDS": "0.3",
    }


@pytest.fixture
def server(env, data):
    port = free_port()
    process = subprocess.Popen(
        [env.python, "-m", "pitboss.cli.main", "serve", "--port", str(port)], env=os.environ | data, cwd=env.folder,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", trust_env=False, timeout=20) as http:
        until(lambda: is_open(port), 30, "the server listens")
        yield http
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=20)


def is_open(port):
    with socket.socket() as attempt:
        return attempt.connect_ex(("127.0.0.1", port)) == 0


def submit(http, **params):
    asked = {"profits": [120, -80, 45, -30, 60, -20, 15], "seed": 3} | params
    answer = http.post("/runs", json={"kind": "montecarlo", "params": asked})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def wait(http, run_id, *states, seconds=60):
    states = states or ("completed", "failed", "cancelled")

    def reached():
        run = http.get(f"/runs/{run_id}").json()
        return run if run["state"] in states else None

    return until(reached, seconds, f"the run is {states}")


def test_it_is_a_command_like_any_other(env, data):
    listed = {kind["name"]: kind for kind in json.loads(env.pitboss("kinds", "list", "--json", **data).stdout)["kinds"]}
    assert set(listed) == {
        "audit",
        "backtest",
        "fetch",
        "montecarlo",
        "screen",
        "script",
        "session",
        "sweep",
        "training",
    }
    assert listed["montecarlo"]["source"] == "pitboss-montecarlo 0.1.0"
    assert "how often the trades are drawn" in env.pitboss("kinds", "show", "montecarlo", **data).stdout
    shown = env.pitboss("run", "montecarlo", "--param", PROFITS, "--param", "paths=200", **data)
    assert "Deepest fall" in shown.stdout
    assert "200 paths" in env.pitboss("runs", "list", **data).stdout
    refused = env.pitboss("run", "montecarlo", "--param", "paths=1", "--param", "path=2", check=False, **data)
    assert refused.returncode == 2
    assert all(word in refused.stderr for word in ("profits", "is missing", "unknown parameter 'path'", "at least 10"))


def test_it_has_a_schema_and_a_report_over_http(server):
    document = server.get("http://" + server.base_url.netloc.decode() + "/openapi.json").json()
    schemas = document["components"]["schemas"]
    assert {"$ref": "#/components/schemas/MontecarloRunRequest"} in schemas["RunRequest"]["oneOf"]
    assert schemas["MontecarloParams"]["properties"]["paths"]["maximum"] == 10_000_000
    run_id = submit(server, paths=300)
    ended = wait(server, run_id)
    assert ended["state"] == "completed", ended["error"]
    report = server.get(f"/runs/{run_id}/report").json()
    assert {figure["name"] for figure in report["figures"]} == {"low", "high", "deepest", "paths"}
    table = server.get(f"/runs/{run_id}/artifacts/paths.csv")
    assert table.headers["content-type"].startswith("text/csv")
    assert len(table.text.splitlines()) == 301
    assert server.get(f"/runs/{run_id}/artifacts/paths.csv", params={"format": "json"}).status_code == 422


def test_it_is_cancelled_in_time_with_what_there_is(server):
    run_id = submit(server, paths=10_000_000)
    until(lambda: (server.get(f"/runs/{run_id}").json()["progress"] or {}).get("done", 0) > 100, 30, "it draws")
    asked = time.monotonic()
    server.post(f"/runs/{run_id}/cancel", json={"keep_partial": True})
    ended = wait(server, run_id)
    assert time.monotonic() - asked < 3
    assert (ended["state"], ended["partial"]) == ("cancelled", True)
    assert ended["result"]["paths"] > 100
    assert server.get(f"/runs/{run_id}/report").json()["notes"][0]["is_warning"]


def test_killed_it_goes_on_and_ends_with_the_same_result(server):
    whole = wait(server, submit(server, paths=100_000))
    run_id = submit(server, paths=100_000)
    for attempt in (1, 2):
        until(lambda attempt=attempt: has_saved(server, run_id, attempt), 30, "it has saved its state")
        os.kill(process_of(server, run_id), signal.SIGKILL)
    ended = wait(server, run_id)
    assert ended["attempt"] == 3
    assert ended["result"] == whole["result"]


def has_saved(http, run_id, attempt):
    """Answer whether that attempt of the run has saved its state."""
    events = http.get(f"/runs/{run_id}/events", headers={"Accept": "application/json"}).json()["events"]
    started = [event["seq"] for event in events if event["type"] == "started"]
    saved = [event["seq"] for event in events if event["type"] == "checkpointed"]
    return len(started) == attempt and max(saved, default=0) > started[-1]


def process_of(http, run_id):
    events = http.get(f"/runs/{run_id}/events", headers={"Accept": "application/json"}).json()["events"]
    pid = [e["payload"]["pid"] for e in events if e["type"] == "started"][-1]
    assert psutil.pid_exists(pid)
    return pid


def test_a_cancelled_one_is_resumed(server):
    run_id = submit(server, paths=40_000)
    until(lambda: has_saved(server, run_id, 1), 30, "it has saved its state")
    server.post(f"/runs/{run_id}/cancel", json={"keep_partial": True})
    wait(server, run_id)
    answer = server.post(f"/runs/{run_id}/resume")
    assert answer.status_code == 202, answer.text
    ended = wait(server, answer.json()["id"])
    assert ended["result"]["paths"] == 40_000


def test_its_types_are_known_outside(env):
    def checked(code):
        command = [sys.executable, "-m", "mypy", "--strict", "--python-executable", env.python, "--cache-dir",
                   env.folder / "mypy", "-c", code]  # fmt: skip
        return subprocess.run(command, cwd=env.folder, capture_output=True, text=True).stdout

    assert "Success" in checked("import pitboss\nname: str = pitboss.Client().get('x')['id']\n")
    assert 'has incompatible type "int"' in checked("import pitboss\npitboss.Client().get(1)\n")


FAULTY = {
    "cannot": ("import nothing_of_the_kind", "ModuleNotFoundError"),
    "leaves": ("import sys; print('noise'); sys.exit(3)", "SystemExit"),
    "other": ("KIND = 'no kind'", "no pitboss.runs.kinds.Kind"),
    "twin": ("from pitboss_montecarlo import KIND", "a kind 'montecarlo' already"),
}


def test_plugins_at_fault_are_named_and_harm_nobody(env, data):
    made = []
    for name, (source, _) in FAULTY.items():
        module = env.packages / f"pitboss_{name}.py"
        module.write_text(source + "\n")
        described = env.packages / f"pitboss_zz_{name}-1.0.dist-info"
        described.mkdir()
        (described / "METADATA").write_text(f"Metadata-Version: 2.1\nName: pitboss-zz-{name}\nVersion: 1.0\n")
        (described / "entry_points.txt").write_text(f"[pitboss.kinds]\n{name} = pitboss_{name}:KIND\n")
        made += [module, described]
    breaking = env.packages / "pitboss_broken.py"
    breaking.write_text(
        "from pitboss.runs.kinds import Kind, Params\n"
        "def run(params, context): return {'answer': 42}\n"
        "def report(run): raise KeyError('of its own making')\n"
        "KIND = Kind(name='broken', title='Broken', params=Params, entry='pitboss_broken:run', report=report)\n"
    )
    described = env.packages / "pitboss_zz_broken-1.0.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: pitboss-zz-broken\nVersion: 1.0\n")
    (described / "entry_points.txt").write_text("[pitboss.kinds]\nbroken = pitboss_broken:KIND\n")
    try:
        shown = env.pitboss("run", "broken", **data)
        assert "42" in shown.stdout
        assert "its report fails: KeyError" in shown.stdout
        listed = json.loads(env.pitboss("kinds", "list", "--json", **data).stdout)
        faults = {fault["name"]: fault for fault in listed["faults"]}
        assert set(faults) == {*FAULTY, "broken"}
        for name, (_, reason) in FAULTY.items():
            assert reason in faults[name]["reason"], faults[name]
            assert faults[name]["source"] == f"pitboss-zz-{name} 1.0"
        doctor = env.pitboss("doctor", check=False, **data)
        assert doctor.returncode == 1
        assert "pitboss-zz-cannot" in doctor.stdout
        assert "Deepest fall" in env.pitboss("run", "montecarlo", "-p", PROFITS, "-p", "paths=50", **data).stdout
    finally:
        for path in (*made, breaking, described):
            if path.is_dir():
                for file in path.iterdir():
                    file.unlink()
                path.rmdir()
            else:
                path.unlink()
