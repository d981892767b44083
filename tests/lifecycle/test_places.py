"""Places as people have them: every path is taken as it is, beside neighbours that a pattern would catch."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from support.engine import until
from support.privileges import may_mount, needs
from support.server import STRATEGY, Server, free_port, pitboss, pitboss_here

# what to look for, and a neighbour that it would find if it were a pattern, an address or an escape
NAMES = {
    "a*b": "aXb", "what?one": "what?two", "x[ab]": "xa", "my[1]": "my1", "[!a]": "b", "{a,b}": "a", "curly{}": "curly",
    "per%20cent": "per cent", "per%cent": "percent", "100%": "100", "a#b": "a", "a&b=c": "a", "sym=EUR": "sym",
    "it's": "its", 'say "so"': "say so", "with space": "with", "new\nline": "new", "emoji 🦉": "emoji", "~": "home",
    "-leading": "leading", "$HOME": "HOME", "back\\slash": "backslash", "trailing.": "trailing", "file:x?mode=ro": "x",
    "über": "uber", "[old]": "old", "a;b": "a", "comma,ted": "comma",
}  # fmt: skip
BARS = "ts,open,high,low,close,volume\n" + "".join(
    f"2024-01-{day:02} {hour:02}:00,{100 + day},{101 + day},{99 + day},{100.5 + day},10\n"
    for day in range(1, 29) for hour in range(24)
)  # fmt: skip
OTHER_BARS = BARS.replace("2024-", "2019-")


def ok(*arguments, **options):
    done = (pitboss if "env" in options else pitboss_here)(*arguments, **options)
    assert done.returncode == 0, done.stderr
    return done


def told(*arguments, **options):
    return json.loads(ok(*arguments, "--json", **options).stdout)


@pytest.mark.parametrize(("outer", "name"), list(zip([*NAMES][::2], [*NAMES][1::2], strict=False)))
def test_a_name_stands_for_itself_wherever_a_path_can_stand(tmp_path, outer, name):
    """Data folder, strategy file, import, export, backup and restore, one name within another, each next to neighbours
    with other content."""
    for above, folder in itertools.product((outer, NAMES[outer]), (name, NAMES[name])):
        place = tmp_path / above / folder
        place.mkdir(parents=True)
        (place / f"{folder}.csv").write_text(BARS if (above, folder) == (outer, name) else OTHER_BARS)
        ok("data", "import", place / f"{folder}.csv", "-s", "SYN", "-t", "1h", data_dir=place / "data")
    here = tmp_path / outer / name
    data = here / "data"
    series = told("data", "show", "-s", "SYN", "-t", "1h", data_dir=data)
    assert (series["rows"], series["first"][:4], series["source"]) == (672, "2024", f"{name}.csv")
    (here / f"{name}.yaml").write_text(STRATEGY)
    run = told("backtest", here / f"{name}.yaml", "-s", "SYN", "-t", "1h", data_dir=data)
    assert run["state"] == "completed", run["error"]
    (source,) = run["result"]["source"]["data"]
    assert (source["rows"], source["digest"]) == (672, series["digest"])
    for ending in ("csv", "parquet", "json"):
        ok("data", "export", "-s", "SYN", "-t", "1h", "--to", here / f"{name}.{ending}", data_dir=data)
        ok("runs", "export", "latest", "--what", "equity", "--to", here / f"equity {name}.{ending}", data_dir=data)
    assert len((here / f"{name}.csv").read_text().splitlines()) == 673
    ok("data", "import", here / f"{name}.parquet", "-s", "AGAIN", "-t", "1h", data_dir=data)
    assert told("data", "show", "-s", "AGAIN", "-t", "1h", data_dir=data)["digest"] == series["digest"]
    ok("db", "backup", here / f"{name}.tar", data_dir=data)
    ok("db", "restore", here / f"{name}.tar", data_dir=here / "restored")
    assert told("data", "show", "-s", "SYN", "-t", "1h", data_dir=here / "restored")["digest"] == series["digest"]
    assert len(told("runs", "list", data_dir=here / "restored")) == 1
    for above, folder in ((outer, NAMES[name]), (NAMES[outer], name)):
        assert told("runs", "list", data_dir=tmp_path / above / folder / "data") == []
    assert name in ok("data", "list", data_dir=data).stdout.replace("\N{REPLACEMENT CHARACTER}", "\n")


@pytest.mark.parametrize("name", ["a*b", "what?one", "per%20cent", "a#b", "new\nline", "emoji 🦉", "file:x?mode=ro"])
def test_the_address_of_a_database_is_taken_as_it_is(tmp_path, name):
    urls = [f"sqlite:///{tmp_path / each / each}.db" for each in (name, NAMES[name])]
    (tmp_path / "ema.yaml").write_text(STRATEGY)
    ok("data", "synth", "-s", "SYN", "-t", "5m", "--days", 20, data_dir=tmp_path / "data")
    environment = os.environ | {"PITBOSS_DATABASE_URL": urls[0], "PITBOSS_DATA_DIR": str(tmp_path / "data")}
    ok("backtest", tmp_path / "ema.yaml", "-s", "SYN", env=environment)
    assert (tmp_path / name / f"{name}.db").is_file()
    assert len(told("runs", "list", env=environment)) == 1
    assert told("runs", "list", env=environment | {"PITBOSS_DATABASE_URL": urls[1]}) == []


@pytest.mark.parametrize("name", ["a*b", "what?one", "per%20cent", "new\nline"])
def test_a_server_works_in_a_folder_of_that_name(tmp_path, name):
    for each, bars in ((name, BARS), (NAMES[name], OTHER_BARS)):
        (tmp_path / each).mkdir()
        (tmp_path / "bars.csv").write_text(bars)
        ok("data", "import", tmp_path / "bars.csv", "-s", "SYN", "-t", "1h", data_dir=tmp_path / each)
    with Server(tmp_path / name) as server:
        ended = server.wait(server.submit("backtest", timeframe="1h")["id"])
        assert ended["state"] == "completed", ended["error"]
        rows = server.http.get(f"/runs/{ended['id']}/artifacts/equity.parquet?format=json").json()
        assert len(rows) == 672
        first = server.http.get("/data/SYN/1h/bars?limit=1").json()[0]
        assert first["ts"].startswith("2024")


MISTAKES = {
    "a name that is too long": (lambda folder: folder / ("x" * 300), "too long"),
    "a circle of links": (lambda folder: circle(folder), "circle"),
    "a name that is not UTF-8": (lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/\xff")), "not UTF-8"),
    "a file": (lambda folder: file_in(folder), "is a file, not a folder"),
    "a folder in a file": (lambda folder: file_in(folder) / "x", "is a file, not a folder"),
}


def circle(folder: Path) -> Path:
    (folder / "one").symlink_to(folder / "two")
    (folder / "two").symlink_to(folder / "one")
    return folder / "one"


def file_in(folder: Path) -> Path:
    (folder / "plain").write_text("text")
    return folder / "plain"


@pytest.mark.parametrize("name", MISTAKES)
def test_a_place_that_cannot_be_used_is_named_with_what_to_do(tmp_path, name):
    make, reason = MISTAKES[name]
    place = make(tmp_path)
    for command in (
        ("runs", "list"),
        ("data", "list"),
        ("doctor",),
        ("data", "synth", "-s", "S", "-t", "1h"),
        ("serve", "--port", free_port()),
    ):
        done = (pitboss if "serve" in command else pitboss_here)(*command, data_dir=place)
        assert done.returncode in (2, 5), (command, done.stderr)
        assert reason in done.stderr, (command, done.stderr)
        assert "→" in done.stderr
        assert "Traceback" not in done.stderr
        assert "inside pitboss" not in done.stderr
    if name not in ("a file", "a folder in a file"):
        data = tmp_path / "data"
        ok("data", "synth", "-s", "SYN", "-t", "1h", "--days", 20, data_dir=data)
        for command in (("backtest", f"{place}.yaml" if "long" in name else place, "-s", "SYN"), ("strategy", "add", place),
                        ("data", "import", place, "-s", "S", "-t", "1h"), ("db", "backup", place),
                        ("data", "export", "-s", "SYN", "-t", "1h", "--to", f"{place}.csv"), ("db", "restore", place)):  # fmt: skip
            if "circle" in name and "export" in command:
                continue  # its name gets an ending
            done = pitboss_here(*command, data_dir=data)
            assert done.returncode in (2, 4, 5), (command, done.stdout, done.stderr)
            assert "→" in done.stderr, (command, done.stderr)
            assert "inside pitboss" not in done.stderr, (command, done.stderr)


def test_a_current_folder_that_is_gone_is_named(tmp_path):
    gone = tmp_path / "gone"
    script = f"import os, sys; os.mkdir({str(gone)!r}); os.chdir({str(gone)!r}); os.rmdir({str(gone)!r}); from pitboss.cli.main import main; main()"
    done = subprocess.run([sys.executable, "-c", script, "runs", "list"], capture_output=True, text=True, check=False)
    assert (done.returncode, "current folder is gone" in done.stderr) == (2, True), done.stderr
    done = subprocess.run([sys.executable, "-c", script, "runs", "list", "--data-dir", str(tmp_path / "data")],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr


def as_nobody(*arguments, data_dir: Path, **options) -> subprocess.CompletedProcess[str]:
    """Run a command as a user who may read everything and write nothing, and who has no home."""
    powers = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--bounding-set=-all,+dac_read_search")
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *powers, sys.executable, "-m",
               "pitboss.cli.main", *map(str, arguments), "--data-dir", str(data_dir)]  # fmt: skip
    environment = {"PATH": os.environ["PATH"], "PITBOSS_MIN_FREE_DISK_MB": "0"}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=environment, **options)


as_root = needs(may_mount(), "other users need root on Linux")


@pytest.fixture
def open_folder(tmp_path):
    """A folder that others reach, too."""
    for parent in (tmp_path, *tmp_path.parents):
        if parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o755)
    return tmp_path


@as_root
def test_only_the_data_folder_needs_to_be_writable(open_folder):
    data = open_folder / "data"
    data.mkdir()
    shutil.chown(data, 65534, 65534)
    (open_folder / "ema.yaml").write_text(STRATEGY)
    made = as_nobody("data", "synth", "-s", "SYN", "-t", "5m", "--days", 30, data_dir=data)
    assert made.returncode == 0, made.stderr
    done = as_nobody("backtest", open_folder / "ema.yaml", "-s", "SYN", data_dir=data)
    assert done.returncode == 0, done.stderr
    assert list((data / "cache" / "numba").rglob("*.nbi")), "compiled kernels are kept in the data folder"


@as_root
def test_a_data_folder_that_is_read_only_can_be_read(open_folder):
    data, mounted = open_folder / "data", open_folder / "mounted"
    (open_folder / "ema.yaml").write_text(STRATEGY)
    ok("data", "synth", "-s", "SYN", "-t", "5m", "--days", 30, data_dir=data)
    ok("backtest", open_folder / "ema.yaml", "-s", "SYN", data_dir=data)
    until(lambda: not told("worker", "list", data_dir=data), 20, "the worker has ended")
    until(lambda: not (data / "pitboss.db-wal").exists(), 20, "the last of its connections is closed")
    mounted.mkdir()
    subprocess.run(["mount", "--bind", data, mounted], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", mounted], check=True)
        for run in (
            lambda *words: pitboss_here(*words, data_dir=mounted),
            lambda *words: as_nobody(*words, data_dir=mounted),
        ):
            for command in (("data", "list"), ("data", "gaps", "-s", "SYN", "-t", "5m"), ("runs", "list"), ("queue",),
                            ("runs", "show", "latest"), ("runs", "export", "latest"), ("strategy", "list"), ("db", "check")):  # fmt: skip
                done = run(*command)
                assert done.returncode == 0, (command, done.stderr)
            for command in (("backtest", open_folder / "ema.yaml", "-s", "SYN"), ("runs", "cancel", "latest"),
                            ("data", "synth", "-s", "S", "-t", "1h"), ("runs", "prune", "--older-than", "0d")):  # fmt: skip
                done = run(*command)
                assert done.returncode == 5, (command, done.stdout, done.stderr)
                assert "read-only" in done.stderr.lower(), done.stderr
                assert "→" in done.stderr
    finally:
        subprocess.run(["umount", mounted], check=True)


@as_root
@pytest.mark.parametrize("umask", [0o002, 0o077], ids=oct)
def test_a_folder_that_a_group_shares_can_be_used_by_all_of_it(open_folder, umask):
    """Two users of one group, whatever their umask: what one makes the other may write, as the folder says."""
    data = open_folder / "data"
    data.mkdir()
    shutil.chown(data, 0, 4242)
    data.chmod(0o2775)
    (open_folder / "ema.yaml").write_text(STRATEGY)
    (open_folder / "ema.yaml").chmod(0o644)  # whatever umask an earlier test has left
    for user in (1111, 2222):
        command = ["setpriv", f"--reuid={user}", "--regid=4242", "--clear-groups", "--inh-caps=+dac_read_search",
                   "--ambient-caps=+dac_read_search", "--bounding-set=-all,+dac_read_search", sys.executable, "-m",
                   "pitboss.cli.main"]  # fmt: skip
        environment = {"PATH": os.environ["PATH"], "PITBOSS_DATA_DIR": str(data), "PITBOSS_MIN_FREE_DISK_MB": "0"}
        for words in (("data", "synth", "-s", "SYN", "-t", "5m", "--days", "30"), ("backtest", str(open_folder / "ema.yaml"), "-s", "SYN"),
                      ("strategy", "add", str(open_folder / "ema.yaml"))):  # fmt: skip
            done = subprocess.run([*command, *words], capture_output=True, text=True, check=False, timeout=120,
                                  env=environment, umask=umask)  # fmt: skip
            assert done.returncode == 0, f"{user} {words}:\n{done.stderr}"
        until(lambda: not told("worker", "list", data_dir=data), 20, "the worker has ended")
    for path in data.rglob("*"):
        mode = path.lstat().st_mode
        assert mode & stat.S_IWGRP, (path, oct(mode))
        assert not mode & stat.S_IWOTH, (path, oct(mode))


def test_a_folder_called_like_home_is_not_home(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    for text, place in (("./~", tmp_path / "~"), ("~/deep", home / "deep"), ("~", home)):
        for how in ({"flag": text}, {"variable": text}):
            flags = ("--data-dir", text) if "flag" in how else ()
            variables = {"PITBOSS_DATA_DIR": text} if "variable" in how else {}
            done = pitboss(
                "config", "show", "--json", *flags, cwd=tmp_path, env=os.environ | {"HOME": str(home)} | variables
            )
            assert done.returncode == 0, done.stderr
            shown = {setting["name"]: setting["value"] for setting in json.loads(done.stdout)}
            assert shown["data_dir"] == str(place), how


@pytest.mark.parametrize(("name", "value", "hint"), [
    ("ROOT_PATH", "/pitboss/", "none behind"), ("ROOT_PATH", "pitboss", "slash before"), ("ALLOWED_HOSTS", '["*"]', "names alone"),
    ("ALLOWED_HOSTS", '["http://a.com"]', "without scheme"), ("ALLOWED_HOSTS", "a.com", "pitboss.example.com"),
    ("TRUSTED_PROXIES", '["nope"]', "10.0.0.0/8"),
])  # fmt: skip
def test_a_setting_that_does_not_fit_says_what_would(tmp_path, name, value, hint):
    done = pitboss("config", "show", data_dir=tmp_path, env=os.environ | {f"PITBOSS_{name}": value})
    assert (done.returncode, hint in done.stderr) == (2, True), done.stderr
    assert "pattern" not in done.stderr


def test_a_private_folder_stays_private(tmp_path):
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (tmp_path / "ema.yaml").write_text(STRATEGY)
    ok("data", "synth", "-s", "SYN", "-t", "5m", "--days", 30, data_dir=data)
    ok("backtest", tmp_path / "ema.yaml", "-s", "SYN", data_dir=data)
    ok("runs", "export", "latest", "--what", "equity", "--to", tmp_path / "equity.csv", data_dir=data)
    assert not [path for path in data.rglob("*") if path.lstat().st_mode & 0o077]
    assert (tmp_path / "equity.csv").stat().st_mode & 0o044, "what is exported has the user's own umask"


def test_a_data_folder_that_is_moved_away_under_a_server_is_told(tmp_path):
    home, away = tmp_path / "home", tmp_path / "away"
    home.mkdir()
    with Server(home) as server:
        ready = f"http://127.0.0.1:{server.port}/readyz"
        home.rename(away)
        until(lambda: httpx.get(ready).status_code == 503, 5, "it is noticed")
        assert "moved away" in httpx.get(ready).json()["detail"]
        ok("data", "synth", "-s", "OTHER", "-t", "1h", "--days", 20, data_dir=home)
        ok("runs", "list", data_dir=home)
        for path in ("/runs", "/data", "/queue", "/strategies"):
            answer = server.http.get(path)
            assert (answer.status_code, "another database" in answer.json()["detail"]) == (503, True), answer.text
        assert httpx.get(ready).status_code == 503
        until(lambda: not server.worker_pids(), 10, "its worker has ended")
        home.rename(tmp_path / "other")
        away.rename(home)
        until(lambda: httpx.get(ready).status_code == 200, 10, "it is back")
        assert server.http.get("/data").json() == []
        until(lambda: httpx.get(ready).json()["workers"], 20, "a worker is back, too")


def test_a_variable_that_is_empty_counts_as_not_set(tmp_path):
    from pitboss.core.settings import Settings

    empty = {f"PITBOSS_{name.upper()}": "" for name in Settings.model_fields}
    done = pitboss("config", "show", "--json", cwd=tmp_path, env=os.environ | empty)
    assert done.returncode == 0, done.stderr
    shown = {setting["name"]: setting["value"] for setting in json.loads(done.stdout)}
    assert shown["data_dir"] == str(tmp_path / "pitboss-data")
    assert (shown["lease_seconds"], shown["resources"], shown["broker_url"]) == (15.0, [], "")
    assert pitboss("runs", "list", "--data-dir", "", cwd=tmp_path).returncode == 2
