"""Secrets go to the runs that name them, and are readable nowhere else on the disk."""

from __future__ import annotations

import base64
import json
import os
import random
import string
import urllib.parse

import pytest
from ahocorasick_rs import BytesAhoCorasick

from pitboss.core.errors import InvalidInput
from pitboss.core.principal import LOCAL, Principal
from support.engine import Engine
from support.server import pitboss

COUNT, AT_ONCE = 10_000, 1_000
LETTERS = string.ascii_letters + string.digits + string.punctuation + " äöüßéñ€漢字🔑"
SCRIPT = """
import base64, json, os, sys, urllib.parse
names = [name for name in os.environ if name.startswith("SECRET_")]
for name in names:
    secret = os.environ[name]
    data = secret.encode()
    print(secret)
    print(base64.b64encode(data).decode())
    print("Authorization: Basic " + base64.b64encode(b"user:" + data).decode(), file=sys.stderr)
    print(f"https://host/?key={urllib.parse.quote(secret, safe='')}&n=1")
    print(data.hex())
    print(json.dumps({"key": secret}))
with open("left.csv", "w") as file:
    file.writelines(f"{name},{os.environ[name]}\\n" for name in names)
json.dump({name: os.environ[name] for name in names}, open("left.json", "w"))
print('PROGRESS:' + json.dumps({"progress": 50, "message": os.environ[names[0]], "current_item": os.environ[names[1]]}))
print(len(names), "of", len({os.environ[name] for name in names}))
raise RuntimeError("cannot sign in with " + os.environ[names[2]])
"""


def forms(secret):
    """Yield a secret as it is, and in the encodings of the script."""
    data = secret.encode()
    yield data
    yield base64.b64encode(data).rstrip(b"=")
    yield base64.b64encode(b"user:" + data)[8:].rstrip(b"=")[:-1]
    yield urllib.parse.quote(secret, safe="").encode()
    yield data.hex().encode()
    yield json.dumps(secret)[1:-1].encode()


@pytest.fixture
def engine(tmp_path):
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    with Engine(tmp_path / "data", script_folders=[scripts]) as engine:
        engine.scripts = scripts
        yield engine


def declared(engine, name, text, secrets):
    (engine.scripts / f"{name}.py").write_text(text)
    (engine.scripts / f"{name}.pitboss.yaml").write_text(
        f"name: {name}\ncommand: [python, {name}.py]\nsecrets: {json.dumps(secrets)}\nartifacts: ['*.csv', '*.json']\n"
    )


def test_ten_thousand_secrets_are_readable_nowhere(engine):
    rng = random.Random(5)
    secrets = {f"SECRET_{n}": "".join(rng.choices(LETTERS, k=rng.randint(8, 60))) for n in range(COUNT)}
    secrets = {name: value.strip().ljust(8, "x") for name, value in secrets.items()}
    for name, value in secrets.items():
        engine.platform.vault.put(LOCAL, name, value)
    names = list(secrets)
    for start in range(0, COUNT, AT_ONCE):
        declared(engine, f"leak{start}", SCRIPT, names[start : start + AT_ONCE])
    engine.start_worker()
    runs = [engine.submit("script", {"script": f"leak{start}"}) for start in range(0, COUNT, AT_ONCE)]
    for run in runs:
        ended = engine.wait(run, seconds=120)
        assert (ended.state, "cannot sign in with ***" in ended.error["message"]) == ("failed", True), ended.error
        shown = pitboss("runs", "show", run.id, "--log", data_dir=engine.settings.data_dir).stdout
        assert f"{AT_ONCE} of {AT_ONCE}" in shown, "the script had all of them"
        assert "***" in shown
    patterns = sorted({form for secret in secrets.values() for form in forms(secret) if len(form) >= 8})
    finder = BytesAhoCorasick(patterns)
    seen = 0
    for folder, _, files in os.walk(engine.settings.data_dir):
        for name in files:
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    content = file.read()
                found = finder.find_matches_as_indexes(content)
                assert not found, (path, [patterns[which] for which, *_ in found[:3]])
                seen += len(content)
    assert seen > 1_000_000


def test_what_a_script_leaves_is_masked_and_its_secrets_are_its_own(engine):
    engine.platform.vault.put(LOCAL, "KEY", "correct horse battery")
    text = """
import os, pathlib
pathlib.Path("a.csv").write_text("key," + os.environ["KEY"] + "\\n")
print(sorted(name for name in os.environ if name in ("KEY", "OTHER")))
"""
    declared(engine, "leaves", text, ["KEY"])
    declared(engine, "without", "import os\nprint('KEY' in os.environ)\n", [])
    engine.platform.vault.put(LOCAL, "OTHER", "another long secret")
    engine.start_worker()
    run = engine.submit("script", {"script": "leaves"})
    other = engine.submit("script", {"script": "without"})
    assert engine.wait(run).state == engine.wait(other).state == "completed"
    data = engine.settings.data_dir
    assert pitboss("runs", "export", run.id, "--what", "a.csv", data_dir=data).stdout == "key,***\n"
    assert pitboss("runs", "show", run.id, "--log", data_dir=data).stdout == "['KEY']\n"
    assert pitboss("runs", "show", other.id, "--log", data_dir=data).stdout == "False\n"


@pytest.mark.parametrize("secret", ["message", "Answered", "current_item", "123456", "Started", "ArtifactSaved"])
def test_a_secret_that_stands_in_what_processes_say_to_each_other_breaks_nothing(engine, secret):
    engine.platform.vault.put(LOCAL, "KEY", secret)
    declared(
        engine,
        "odd",
        "import os\nopen(os.environ['KEY'] + '.csv', 'w').write('x')\nprint(os.environ['KEY'])\n",
        ["KEY"],
    )
    engine.start_worker()
    run = engine.wait(engine.submit("script", {"script": "odd"}))
    assert run.state == "completed", run.error
    (left,) = engine.service.artifacts(LOCAL, run.id)
    assert (left.name, engine.platform.files.fetch(left.path) is not None) == ("***.csv", True)


def test_a_secret_that_is_not_there_or_is_anothers_is_told_before_the_run(engine):
    declared(engine, "needs", "print(1)\n", ["KEY"])
    engine.platform.vault.put(Principal("eve"), "KEY", "correct horse battery")
    with pytest.raises(InvalidInput, match="there is no secret 'KEY'"):
        engine.submit("script", {"script": "needs"})


def test_a_secret_that_is_gone_when_the_run_starts_fails_it(engine):
    declared(engine, "needs", "print(1)\n", ["KEY"])
    engine.platform.vault.put(LOCAL, "KEY", "correct horse battery")
    run = engine.submit("script", {"script": "needs"})
    engine.platform.vault.remove(LOCAL, "KEY")
    engine.start_worker()
    ended = engine.wait(run)
    assert (ended.state, ended.error["message"]) == ("failed", "the secret 'KEY' is gone")
    engine.platform.vault.put(LOCAL, "KEY", "correct horse battery")
    engine.settings.key_file.unlink()
    again = engine.wait(engine.submit("script", {"script": "needs"}))
    assert again.state == "failed"
    assert "set the secret again" in again.error["remedy"]


def test_the_command_line_keeps_lists_and_removes_them(tmp_path):
    kept = pitboss("secrets", "set", "KEY", data_dir=tmp_path, input="correct horse battery\n")
    assert (kept.returncode, "correct horse" in kept.stdout + kept.stderr) == (0, False)
    assert [each["name"] for each in json.loads(pitboss("secrets", "list", "--json", data_dir=tmp_path).stdout)] == [
        "KEY"
    ]
    assert pitboss("secrets", "set", "B", data_dir=tmp_path, input="tiny").returncode == 2
    assert pitboss("secrets", "remove", "KEY", data_dir=tmp_path).returncode == 0
    assert pitboss("secrets", "remove", "KEY", data_dir=tmp_path).returncode == 4
    assert "There are no secrets" in pitboss("secrets", "list", data_dir=tmp_path).stdout
