"""Standard streams as they come, text from outside, and packed or piped files."""

from __future__ import annotations

import gzip
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time

import pytest

from support.engine import Engine, until
from support.server import STRATEGY, pitboss, pitboss_here

PROGRAM = [sys.executable, "-m", "pitboss.cli.main"]
# a list, a report, a file, a stream in words and in JSON, tables of bars, a text, a check, and help
COMMANDS = [("runs", "list"), ("runs", "show", "latest"), ("runs", "export", "latest"), ("runs", "watch", "latest"),
            ("runs", "watch", "latest", "--json"), ("doctor",), ("data", "show", "-s", "SYN", "-t", "5m"),
            ("strategy", "show", "ema-cross"), ("db", "check"), ("runs", "--help")]  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    (folder / "ema.yaml").write_text(STRATEGY)
    for command in (
        ("data", "synth", "-s", "SYN", "-t", "5m", "--days", 60),
        ("backtest", folder / "ema.yaml", "-s", "SYN"),
    ):
        done = pitboss(*command, data_dir=folder / "data")
        assert done.returncode == 0, done.stderr
    return folder


def redirected(home, command, how, **environment):
    """Run a command with its streams redirected by a shell; answer its exit code and what it said on standard error."""
    words = " ".join(f"'{word}'" for word in [*PROGRAM, *command])
    complaints = home / "complaints"
    done = subprocess.run(["bash", "-c", f"{words} {how} 2>'{complaints}'; exit ${{PIPESTATUS[0]}}"], check=False, timeout=60,
                          env=os.environ | {"PITBOSS_DATA_DIR": str(home / "data")} | environment)  # fmt: skip
    return done.returncode, complaints.read_text(errors="replace")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_stream_makes_a_command_fail_in_an_ugly_way(home, command):
    code, said = redirected(home, command, ">/dev/full")
    assert (code, "No space left" in said, "→" in said) == (5, True, True), said
    assert "Traceback" not in said
    for how, environment in ((">&- ", {}), (">/dev/null <&-", {}), (">/dev/null", {"PYTHONIOENCODING": "ascii"}),
                             (">/dev/null", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})):  # fmt: skip
        code, said = redirected(home, command, how, **environment)
        assert code == 0, (how, said)
        assert "Traceback" not in said
        assert "Exception" not in said
    words = " ".join(f"'{word}'" for word in [*PROGRAM, *command])
    for pipe in ("2>/dev/full >/dev/null", "2>&- >/dev/null", "2>&1 | head -c 1", "2>&1 | true"):
        done = subprocess.run(["bash", "-c", f"{words} {pipe}; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False,
                              timeout=60, env=os.environ | {"PITBOSS_DATA_DIR": str(home / "data")})  # fmt: skip
        assert done.returncode == 0, (pipe, done.stdout, done.stderr)
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("ending", ["head", "sigterm", "sighup"])
def test_the_cursor_is_shown_again_however_a_command_ends(home, ending):
    leader, follower = pty.openpty()
    grid = ("--grid", "fast_period=2:60:1", "--grid", "slow_period=70:300:2")
    output = subprocess.PIPE if ending == "head" else subprocess.DEVNULL
    process = subprocess.Popen(
        [*PROGRAM, "sweep", str(home / "ema.yaml"), "-s", "SYN", *grid], stdout=output, stderr=follower,
        env=os.environ | {"PITBOSS_DATA_DIR": str(home / "data"), "TERM": "xterm"},
    )  # fmt: skip
    os.close(follower)
    shown = bytearray()

    def listen() -> None:
        try:
            while chunk := os.read(leader, 4096):
                shown.extend(chunk)
        except OSError:
            pass

    listener = threading.Thread(target=listen)
    listener.start()
    until(lambda: b"sweeping" in shown, 30, "it is under way")
    if ending == "head":
        process.stdout.close()
        pitboss_here("runs", "cancel", "latest", data_dir=home / "data")
    else:
        process.send_signal(signal.SIGTERM if ending == "sigterm" else signal.SIGHUP)
    process.wait(timeout=30)
    listener.join(timeout=10)
    os.close(leader)
    pitboss_here("runs", "cancel", "latest", data_dir=home / "data")
    assert shown.rfind(b"\x1b[?25h") > shown.rfind(b"\x1b[?25l"), bytes(shown[-300:])
    assert b"Traceback" not in shown


def test_text_from_outside_is_shown_as_it_is(home, tmp_path):
    with Engine(home / "data") as engine:
        run = engine.submit("broken")
        odd = "[old] [/nope] [red]not red[/red] [link=http://x]y[/link] :smile: \\[x] \x1b[31m"
        with engine.platform.database.writing() as connection:
            connection.exec_driver_sql(
                "UPDATE runs SET state='failed', subject=?, error=? WHERE id=?",
                (f"test/{odd}", json.dumps({"kind": "error", "message": odd, "remedy": odd}), run.id),
            )
        for command in (("runs", "list"), ("runs", "show", run.id)):
            done = pitboss(*command, data_dir=home / "data")
            assert done.returncode == 0, done.stderr
            assert "[old] [/nope] [red]not red[/red]" in done.stdout
        assert "\x1b" not in pitboss("runs", "list", data_dir=home / "data").stdout
        with engine.platform.database.writing() as connection:
            connection.exec_driver_sql(
                "UPDATE runs SET subject='x', error=NULL, state='cancelled' WHERE id=?", (run.id,)
            )


@pytest.mark.parametrize("how", ["gzip", "zstd", "pipe", "packed pipe"])
def test_bars_come_packed_or_through_a_pipe(tmp_path, how):
    from pitboss.market.inputs import zstd

    text = (
        "ts,open,high,low,close,volume\n"
        + "".join(f"2024-01-{d:02},{d},{d + 1},{d - 0.5},{d},1\n" for d in range(1, 29))
    ).encode()
    packed = {
        "gzip": gzip.compress(text),
        "zstd": zstd.compress(text),
        "pipe": text,
        "packed pipe": gzip.compress(text),
    }[how]
    if "pipe" in how:
        done = subprocess.run([*PROGRAM, "data", "import", "-", "-s", "SYN", "-t", "1d", "--data-dir", str(tmp_path)], input=packed,
                              capture_output=True, check=False)  # fmt: skip
        assert done.returncode == 0, done.stderr
    else:
        path = tmp_path / f"bars.csv.{'gz' if how == 'gzip' else 'zst'}"
        path.write_bytes(packed)
        assert pitboss_here("data", "import", path, "-s", "SYN", "-t", "1d", data_dir=tmp_path).returncode == 0
    (series,) = json.loads(pitboss_here("data", "list", "--json", data_dir=tmp_path).stdout)
    assert series["rows"] == 28
    assert series["source"] == ("standard input" if "pipe" in how else path.name)


def test_a_packed_file_that_is_torn_is_named(tmp_path):
    path = tmp_path / "bars.csv.gz"
    path.write_bytes(gzip.compress(b"ts,open,high,low,close\n2024-01-01,1,2,0.5,1\n" * 50)[:-30])
    done = pitboss_here("data", "import", path, "-s", "SYN", "-t", "1d", data_dir=tmp_path)
    assert (done.returncode, "bars.csv.gz" in done.stderr) == (2, True), done.stderr


def test_every_line_of_a_servers_log_is_json(tmp_path):
    import socket

    from support.server import Server

    with Server(tmp_path) as server:
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
            connection.recv(1000)
        server.http.get("/runs/nope")
        server.http.post("/runs", content=b"{" * 1000)
        os.kill(server.worker_pids()[0], signal.SIGKILL)
        time.sleep(1.0)
    for name in ("serve.log", "logs/worker.log"):
        lines = (tmp_path / name).read_text().splitlines()
        assert lines
        for line in lines:
            assert json.loads(line)["event"], line
