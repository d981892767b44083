"""The command line as a user meets it: output, exit codes, mistakes, Ctrl-C."""

from __future__ import annotations

import json
import os
import sqlite3
import sys

import pytest

from support.engine import until
from support.server import STRATEGY, pitboss
from support.terminal import at_the_question


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    data = folder / "data"
    (folder / "ema.yaml").write_text(STRATEGY)
    made = pitboss("data", "synth", "-s", "SYN", "-t", "5m", "--days", 300, data_dir=data)
    assert made.returncode == 0, made.stderr
    return folder


def run(home, *arguments, **options):
    return pitboss(*arguments, data_dir=home / "data", cwd=home, **options)


def test_a_backtest_shows_progress_metrics_and_trades(home):
    done = run(home, "backtest", "ema.yaml", "-s", "SYN", "--set", "fast_period=9")
    assert done.returncode == 0
    assert "Sharpe" in done.stdout
    assert "trades:" in done.stdout
    assert "simulating 100 %" in done.stderr


def test_json_is_all_that_stands_on_standard_output(home):
    for arguments in (
        ("backtest", "ema.yaml", "-s", "SYN"),
        ("sweep", "ema.yaml", "-s", "SYN", "--grid", "fast_period=5:15:5"),
        ("backtest", "ema.yaml", "-s", "SYN", "--detach"),
        ("runs", "list"), ("runs", "show", "latest"), ("queue",), ("strategy", "list"), ("strategy", "show", "ema-cross"),
        ("data", "list"), ("data", "gaps", "-s", "SYN", "-t", "5m"), ("config", "show"), ("doctor",),
    ):  # fmt: skip
        done = run(home, *arguments, "--json")
        assert done.returncode == 0, (arguments, done.stderr)
        json.loads(done.stdout)


def test_a_sweep_is_exported(home):
    done = run(home, "sweep", "ema.yaml", "-s", "SYN", "--grid", "fast_period=5,10", "--grid", "slow_period=40:60:10")
    assert "6 of 6 variants" in done.stdout
    out = run(home, "runs", "export", "latest", "--what", "variants")
    assert len(out.stdout.splitlines()) == 7
    for name in ("v.csv", "v.parquet", "v.json"):
        assert run(home, "runs", "export", "latest", "--what", "variants", "--to", home / name).returncode == 0
        assert (home / name).stat().st_size > 100


def test_runs_are_detached_watched_cancelled_retried_and_rerun(home):
    big = ("--grid", "fast_period=2:41:1", "--grid", "slow_period=50:345:5")
    started = run(home, "sweep", "ema.yaml", "-s", "SYN", *big, "--detach").stdout.strip()
    cancelled = run(home, "runs", "cancel", started)
    assert cancelled.stdout.strip() in ("cancelled", "cancel requested")
    assert run(home, "runs", "watch", started).returncode == 3
    again = run(home, "runs", "retry", started, "--json")
    assert json.loads(again.stdout)["parent"] == started
    run(home, "runs", "cancel", json.loads(again.stdout)["id"], "--discard")
    other = run(home, "runs", "rerun", started, "--param", 'grid={"fast_period": [5, 6]}').stdout.strip()
    assert run(home, "runs", "watch", other).returncode == 0
    assert "2 of 2" in run(home, "runs", "show", other).stdout
    events = [json.loads(line) for line in run(home, "runs", "watch", other, "--json").stdout.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))


MISTAKES = [
    (("backtest", "nope.yaml", "-s", "SYN"), "there is no file"),
    (("backtest", "nope", "-s", "SYN"), "no stored strategy"),
    (("backtest", "ema.yaml", "-s", "NOPE"), "unknown symbol 'NOPE'"),
    (("backtest", "ema.yaml", "-s", "../SYN"), "is no symbol"),
    (("backtest", "ema.yaml", "-s", "SYN", "-t", "7x"), "unknown timeframe"),
    (("backtest", "ema.yaml", "-s", "SYN", "-t", "1m"), "has no bars for 1m"),
    (("backtest", "ema.yaml", "-s", "SYN", "--from", "2031-01-01"), "there are bars from"),
    (("backtest", "ema.yaml", "-s", "SYN", "--from", "2022-03-01", "--to", "2022-02-01"), "reversed"),
    (("backtest", "ema.yaml", "-s", "SYN", "--from", "soon"), "is no date"),
    (("backtest", "ema.yaml", "-s", "SYN", "--cash", "0"), "no amount"),
    (("backtest", "ema.yaml", "-s", "SYN", "--set", "fast=3"), "unknown parameter 'fast'"),
    (("backtest", "ema.yaml", "-s", "SYN", "--set", "fast_period"), "is not name=value"),
    (("backtest", "ema.yaml", "-s", "SYN", "--set", "fast_period=1000"), "outside 2 to 100"),
    (("backtest", "ema.yaml", "-s", "SYN", "--cost", "comission=1"), "unknown costs"),
    (("backtest", "ema.yaml", "-s", "SYN", "--priority", "urgent"), "is no priority"),
    (("sweep", "ema.yaml", "-s", "SYN", "--grid", "fast_period=9:5:1"), "reversed"),
    (("sweep", "ema.yaml", "-s", "SYN", "--grid", "fast_period=1:2"), "no range"),
    (("sweep", "ema.yaml", "-s", "SYN", "--grid", "fast_period=5", "--metric", "luck"), "unknown metric"),
    (("data", "import", "nope.csv", "-s", "X", "-t", "5m"), "there is no file"),
    (("data", "import", "ema.yaml", "-s", "X", "-t", "5m"), "no rows of a time and four prices"),
    (("data", "synth", "-s", "X", "-t", "5m", "--session", "moon"), "unknown session"),
    (("runs", "list", "--state", "bored"), "unknown state"),
    (("strategy", "validate", "nope.yaml"), "there is no file"),
    (("serve", "--host", "0.0.0.0"), "nothing is encrypted"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda value: " ".join(map(str, value))[:60])
def test_a_mistake_is_explained_and_changes_nothing(home, arguments, message):
    before = run(home, "runs", "list", "--json", "--limit", 1000).stdout
    done = run(home, *arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "→" in done.stderr
    assert "Traceback" not in done.stderr
    assert run(home, "runs", "list", "--json", "--limit", 1000).stdout == before


def test_what_is_not_there_is_told_apart_from_bad_input(home):
    for arguments in (
        ("runs", "show", "nope"),
        ("strategy", "show", "nope"),
        ("data", "remove", "-s", "NO", "-t", "5m"),
    ):
        done = run(home, *arguments)
        assert (done.returncode, "Traceback" in done.stderr) == (4, False)


def test_a_full_queue_is_told(home, tmp_path):
    environment = os.environ | {"PITBOSS_MAX_QUEUE_SIZE": "1", "PITBOSS_MAX_CONCURRENT": "1"}
    pitboss("data", "synth", "-s", "SYN", "-t", "5m", "--days", 9, data_dir=tmp_path)
    answers = [
        pitboss("backtest", home / "ema.yaml", "-s", "SYN", "--detach", data_dir=tmp_path,
                env=environment | {"PITBOSS_MIN_FREE_MEMORY_MB": "9000000"})
        for _ in range(2)
    ]  # fmt: skip
    assert [a.returncode for a in answers] == [0, 4]
    assert "queue is full" in answers[1].stderr
    pitboss("runs", "cancel", "latest", data_dir=tmp_path)  # its worker would wait for memory for ever


def test_a_database_that_cannot_be_used_is_told(tmp_path):
    (tmp_path / "pitboss.db").write_text("this is no database, but long enough to be read as one " * 20)
    done = pitboss("runs", "list", data_dir=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (5, False)
    assert "database" in done.stderr


def test_a_newer_database_is_refused(tmp_path):
    pitboss("runs", "list", data_dir=tmp_path)
    with sqlite3.connect(tmp_path / "pitboss.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    done = pitboss("runs", "list", data_dir=tmp_path)
    assert done.returncode == 5
    assert "newer than this program" in done.stderr


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [("k", "cancelled", 3), ("d", "cancelled", 3), ("g", "completed", 0), ("l", "running", 130)],
)
def test_control_c_asks_what_to_do(home, answer, state, code):
    grids = ("2:21:1", "50:345:10") if answer == "g" else ("2:41:1", "50:345:5")
    with interrupted(home, *sweeping(grids)) as (child, reply):
        reply(answer)
        assert child.wait(timeout=60) == code
    newest = json.loads(run(home, "runs", "list", "--json", "--limit", 1).stdout)[0]
    run(home, "runs", "cancel", newest["id"])
    assert newest["state"] == state
    assert newest["partial"] is (answer == "k")


def test_an_answer_after_the_end_is_told_what_the_end_was(home):
    with interrupted(home, *sweeping(("2:41:1", "50:345:5"))) as (child, reply):
        until(
            lambda: json.loads(run(home, "runs", "show", "latest", "--json").stdout)["state"] == "completed",
            60,
            "it ends",
        )
        assert "The run has ended meanwhile: completed" in reply("d")
        assert child.wait(timeout=60) == 0


def test_control_c_leaves_a_run_alone_that_was_only_watched(home):
    newest = json.loads(run(home, *sweeping(("2:100:1", "110:400:1")), "--detach", "--json").stdout)["id"]
    with interrupted(home, "runs", "watch", newest) as (child, reply):
        assert "The run goes on without you" in reply("")
        assert child.wait(timeout=60) == 130
    assert json.loads(run(home, "runs", "show", newest, "--json").stdout)["state"] == "running"
    run(home, "runs", "cancel", newest)


def interrupted(home, *command):
    words = [sys.executable, "-m", "pitboss.cli.main", *command, "--data-dir", str(home / "data")]
    return at_the_question(words, home, os.environ | {"TERM": "xterm", "COLUMNS": "160"})


def sweeping(grids):
    fast, slow = grids
    return "sweep", "ema.yaml", "-s", "SYN", "--grid", f"fast_period={fast}", "--grid", f"slow_period={slow}"


@pytest.mark.parametrize("command", [("runs", "list"), ("data", "list"), ("strategy", "list")], ids=" ".join)
def test_an_empty_list_names_the_folder_that_it_looked_at(tmp_path, command):
    done = pitboss(*command, data_dir=tmp_path / "nothing-here")
    assert (done.returncode, str(tmp_path / "nothing-here") in done.stdout) == (0, True)


def test_a_run_is_named_by_its_number_and_a_variant_is_run_again(home):
    swept = run(home, "sweep", "ema.yaml", "-s", "SYN", "--grid", "fast_period=4:8:2", "--min-trades", 1, "--json")
    number = json.loads(swept.stdout)["number"]
    again = run(home, "backtest", "--variant", f"ema-cross#{number}:1", "--json")
    assert json.loads(again.stdout)["params"]["parameters"] == {"fast_period": 6}
    shown = run(home, "runs", "show", f"ema-cross#{json.loads(again.stdout)['number']}").stdout
    assert "SYN 5m" in shown
    assert "fast_period=6" in shown
    for wrong in (f"ema-cross#{number}:99", "ema-cross#999:1", f"ema-cross#{number}", "x"):
        assert run(home, "backtest", "--variant", wrong).returncode in (2, 4), wrong
