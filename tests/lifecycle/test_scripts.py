"""Scripts as runs, with real processes: progress of what knows nothing of us, cancels of what does not want to end."""

import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

from pitboss.core.places import work_folder
from pitboss.core.principal import LOCAL
from support.engine import Engine, until
from support.hostility import cancel_hostile

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples" / "scripts"


@pytest.fixture
def scripts(tmp_path):
    folder = tmp_path / "scripts"
    folder.mkdir()
    return folder


@pytest.fixture
def engine(tmp_path, scripts):
    with Engine(tmp_path / "data", script_folders=[scripts]) as engine:
        yield engine


def declare(folder, name, source, more="", command="[python, {file}]"):
    """Put a Python script and its declaration into the folder."""
    (folder / f"{name}.py").write_text(source)
    command = command.replace("{file}", f"{name}.py")
    (folder / f"{name}.pitboss.yaml").write_text(f"name: {name}\ncommand: {command}\n{more}")


def logged(engine, run):
    return [event.payload["message"] for event in engine.events(run) if event.type == "log"]


def test_a_screener_that_knows_nothing_of_us_is_followed_and_keeps_its_files(tmp_path):
    with Engine(tmp_path, script_folders=[EXAMPLES]) as engine:
        engine.start_worker()
        run = engine.submit("script", {"script": "breakout-screen", "min_score": 60, "pause": 0.03})
        seen = until(
            lambda: (p := engine.service.get(LOCAL, run.id).progress) and p["eta_seconds"] is not None and p,
            30,
            "an end",
        )
        assert seen["total"] == 300
        assert 0 < seen["percent"] < 100
        assert seen["current_item"] in (EXAMPLES / "tickers.txt").read_text().split()
        ended = engine.wait(run)
        assert (ended.state, ended.progress["percent"]) == ("completed", 100)
        names = {artifact.name: artifact for artifact in engine.service.artifacts(LOCAL, run.id)}
        assert set(names) == {"passed.csv", "scores.db"} == set(ended.result["artifacts"])
        with sqlite3.connect(engine.platform.files.fetch(names["scores.db"].path)) as scores:
            assert scores.execute("SELECT count(*) FROM scores").fetchone() == (300,)
        assert names["passed.csv"].media_type == "text/csv"
        report = engine.service.report(LOCAL, run.id)
        assert [download.artifact for download in report.downloads] == ["passed.csv", "scores.db"]
        until(lambda: not work_folder(engine.settings.data_dir, run.id).exists(), 5, "the working folder is gone")


def test_stages_that_a_script_says_itself_are_those_of_the_run(tmp_path):
    with Engine(tmp_path, script_folders=[EXAMPLES]) as engine:
        engine.start_worker()
        run = engine.submit("script", {"script": "stages", "pause": 0.01})
        assert engine.wait(run).state == "completed"
        events = engine.events(run)
        stages = [event.payload["stage"] for event in events if event.type == "stage_completed"]
        assert stages == ["running", "loading", "computing", "writing"]
        last = [e.payload for e in events if e.type == "progress" and e.payload["stage"] == "computing"][-1]
        assert (last["done"], last["total"], last["metrics"]["squares"]) == (30, 30, 900)
        assert logged(engine, run) == ["done"]


def test_a_script_in_shell_gets_its_arguments_and_no_shell_reads_them(engine, scripts):
    shutil.copy(EXAMPLES / "snapshot.sh", scripts)
    (scripts / "echo.sh").write_text('#!/bin/sh\nfor each in "$@"; do echo "<$each>"; done\n')
    (scripts / "echo.sh").chmod(0o755)
    (scripts / "e.pitboss.yaml").write_text(
        "name: echo\ncommand: [echo.sh, '{texts}', '--x', '{none}']\nparams: {texts: {type: list}, none: {}}\n"
    )
    engine.start_worker()
    run = engine.submit("script", {"script": "echo", "texts": ["a b", "$(id)", "; ls", "*", "%", "{none}"]})
    assert engine.wait(run).state == "completed"
    assert logged(engine, run) == ["<a b>", "<$(id)>", "<; ls>", "<*>", "<%>", "<{none}>"]


def test_the_world_of_a_script(engine, scripts, monkeypatch):
    source = (
        "import json, os, sys, neighbour\n"
        "names = ('RUN_ID', 'STRATEGY_RUN_ID', 'PITBOSS_RUN_ID', 'MINE', 'PITBOSS_SECRET', 'PITBOSS_DATABASE_URL')\n"
        "print(json.dumps([neighbour.VALUE, *map(os.environ.get, names), os.listdir(), sys.stdin.read()]))\n"
    )
    declare(scripts, "world", source, "environment: {MINE: yes please}\n")
    (scripts / "neighbour.py").write_text("VALUE = 'from beside'\n")
    engine.start_worker(PITBOSS_SECRET="s3cret")
    run = engine.submit("script", {"script": "world"})
    assert engine.wait(run).state == "completed"
    assert logged(engine, run) == [
        f'["from beside", "{run.id}", "{run.id}", "{run.id}", "yes please", null, null, [], ""]'
    ]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import sys; print('so far', flush=True); sys.exit('no such table: x')", ["exit code 1", "no such table: x"]),
        ("import os; os.kill(os.getpid(), 11)", ["signal 11 (SIGSEGV)"]),
        ("raise ValueError('a bad day')", ["ValueError: a bad day"]),
    ],
)
def test_a_script_that_fails_says_how(engine, scripts, source, words):
    declare(scripts, "failing", source)
    engine.start_worker()
    ended = engine.wait(engine.submit("script", {"script": "failing"}))
    assert (ended.state, ended.error["kind"]) == ("failed", "error")
    assert all(word in ended.error["message"] for word in words)


def test_garbage_is_lines_and_never_a_failure(engine, scripts):
    source = (
        "import os\n"
        "os.write(1, b'half')\n"
        "os.write(1, b' a line\\n\\xff\\xfe\\x00\\x01binary\\n')\n"
        "os.write(1, b'PROGRESS:{broken\\nPROGRESS:[1]\\nPROGRESS:{\"progress\": 250}\\n250 %\\n[9/3] X\\n')\n"
        "os.write(2, 'caf\\u00e9 \\U0001f600'.encode()[:-1])\n"
        "os.write(1, b'y' * 100_000)\n"
    )
    declare(scripts, "garbage", source)
    engine.start_worker()
    run = engine.submit("script", {"script": "garbage"})
    ended = engine.wait(run)
    assert ended.state == "completed", ended.error
    told = logged(engine, run)
    assert told[0] == "half a line"
    assert "250 %" in told
    assert any("binary" in line for line in told)
    assert any("café" in line for line in told)


def test_a_changed_script_does_not_run_for_what_was_submitted(engine, scripts):
    declare(scripts, "changing", "print('one')")
    run = engine.submit("script", {"script": "changing"})
    (scripts / "changing.py").write_text("print('two')")
    engine.start_worker()
    ended = engine.wait(run)
    assert (ended.state, ended.error["kind"]) == ("failed", "invalid")
    assert "has changed since" in ended.error["message"]


def test_what_a_script_wrote_before_its_cancel_is_kept_or_not(engine, scripts):
    source = (
        "import time\n"
        "for number in range(10_000):\n"
        "    with open('rows.csv', 'a') as file: file.write(f'{number}\\n')\n"
        "    print(f'[{number + 1}/10000]', flush=True)\n"
        "    time.sleep(0.01)\n"
    )
    declare(scripts, "writing", source, "artifacts: ['*.csv']\n")
    engine.start_worker()
    for keep in (True, False):
        run = engine.submit("script", {"script": "writing"})
        engine.wait_progress(run, "running", 5)
        engine.service.cancel(LOCAL, run.id, keep)
        ended = engine.wait(run)
        assert (ended.state, ended.partial) == ("cancelled", keep)
        assert ended.ended_at - ended.cancel_requested_at < 2
        assert bool(engine.service.artifacts(LOCAL, run.id)) is keep


@pytest.mark.parametrize("count", [12])
def test_hostile_scripts_end_within_two_seconds_of_their_cancel(engine, scripts, count):
    """In full with `script/faults scripts`: a hundred of them."""
    assert cancel_hostile(engine, scripts, count, seed=7)["slowest"] < 2


def test_the_engine_is_not_slowed_by_what_a_script_prints(engine, scripts):
    declare(scripts, "loud", "import os\nwhile True: os.write(1, b'z' * 65536)\n")
    engine.start_worker()
    loud = engine.submit("script", {"script": "loud"})
    engine.wait(loud, "running")
    took = []
    for _ in range(5):
        run = engine.wait(engine.submit("nothing"))
        took.append(run.started_at - run.queued_at)
    assert sorted(took)[2] < 1
    engine.service.cancel(LOCAL, loud.id, False)
    ended = engine.wait(loud)
    assert ended.ended_at - ended.cancel_requested_at < 2


def test_a_script_runs_with_the_interpreter_that_its_declaration_names(engine, scripts):
    (scripts / "own-python").symlink_to(sys.executable)
    declare(scripts, "interpreted", "import sys; print(sys.executable)", "python: ./own-python\n")
    engine.start_worker()
    run = engine.submit("script", {"script": "interpreted"})
    assert engine.wait(run).state == "completed"
    assert logged(engine, run)[0].endswith("own-python")
