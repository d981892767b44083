"""The files of the deployment are parsed, and what they start is started, without a container engine."""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from pitboss.bootstrap import open_platform
from pitboss.core.principal import LOCAL
from pitboss.core.settings import load_settings
from pitboss.runs.submission import Submission
from support import faults
from support.engine import until
from support.postgres import new_postgres_database
from support.privileges import needs
from support.server import free_port, pitboss
from support.servers import RedisServer

ROOT = Path(__file__).parents[2]
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))


def unit(path: Path) -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(strict=False, interpolation=None)
    parsed.optionxform = str
    parsed.read(path)
    return parsed


def test_compose_names_what_it_promises():
    assert set(COMPOSE["services"]) == {"postgres", "redis", "api", "worker-1", "worker-2"}
    for name in ("api", "worker-1", "worker-2"):
        service = COMPOSE["services"][name]
        assert service["depends_on"]["postgres"]["condition"] == "service_healthy"
        assert all(re.fullmatch(r"PITBOSS_[A-Z_]+", variable) for variable in service["environment"])
        known = {f"PITBOSS_{field.upper()}" for field in type(load_settings()).model_fields}
        assert set(service["environment"]) <= known


def test_what_compose_starts_works_together(tmp_path, postgres_url):
    redis = RedisServer(tmp_path / "redis", free_port())
    redis.start()
    address = new_postgres_database(postgres_url)
    environment = os.environ | {
        "PITBOSS_DATA_DIR": str(tmp_path / "data"), "PITBOSS_DATABASE_URL": address, "PITBOSS_BROKER_URL": redis.url,
    }  # fmt: skip
    platform = open_platform(load_settings(data_dir=tmp_path / "data", database_url=address, broker_url=redis.url))
    faults.make_bars(Holder(platform))
    started = []
    try:
        for name in ("api", "worker-1", "worker-2"):
            command = COMPOSE["services"][name]["command"]
            assert command[0] == "pitboss"
            port = str(free_port())
            command = [port if part == "8000" else part for part in command[1:]]
            started.append(subprocess.Popen([sys.executable, "-m", "pitboss.cli.main", *command], env=environment,
                                            stderr=subprocess.DEVNULL))  # fmt: skip
        until(lambda: len(platform.service.workers()) == 2, 40, "both workers sign on")
        runs = [platform.service.submit(LOCAL, Submission(kind="sweep", params=faults.sweep_params() | {"grid": {"fast_period": [5, 9]}}))
                for _ in range(4)]  # fmt: skip
        for run in runs:
            until(lambda run=run: platform.service.get(LOCAL, run.id).state == "completed", 30, "the run completes")
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=30)
        redis.kill()
        platform.close()


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.stem)
def test_a_unit_names_a_command_that_starts_and_ends_on_sigterm(path, tmp_path):
    service = unit(path)["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    assert program == "/opt/pitboss/.venv/bin/pitboss"
    assert service["EnvironmentFile"] == "/etc/pitboss/pitboss.env"
    redis = RedisServer(tmp_path / "redis", free_port())
    redis.start()
    environment = os.environ | {"PITBOSS_DATA_DIR": str(tmp_path / "data"), "PITBOSS_BROKER_URL": redis.url}
    arguments = [str(free_port()) if part == "8000" else part for part in arguments]
    process = subprocess.Popen([sys.executable, "-m", "pitboss.cli.main", *arguments], env=environment,
                               stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    try:
        if service.get("Type") == "oneshot":
            assert process.wait(timeout=30) == 0, process.communicate()
            return
        said = ""
        while not any(word in said for word in ("pitboss serves", "worker started")):
            said = process.stderr.readline()
            assert said, "it ended"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=int(service["TimeoutStopSec"])) == 0
    finally:
        process.kill()
        process.communicate()
        redis.kill()


def test_the_timer_starts_a_unit_that_exists():
    timer = ROOT / "deploy" / "systemd" / "pitboss-prune.timer"
    assert timer.with_suffix(".service") in UNITS
    assert "OnCalendar" in unit(timer)["Timer"]


def test_the_environment_file_sets_known_settings():
    known = {f"PITBOSS_{field.upper()}" for field in type(load_settings()).model_fields}
    text = (ROOT / "deploy" / "systemd" / "pitboss.env").read_text()
    assert set(re.findall(r"(PITBOSS_[A-Z_]+)=", text)) <= known


@needs(os.geteuid() == 0, "runuser needs root")
def test_the_command_for_administrators_has_the_settings_of_the_units(tmp_path):
    (tmp_path / "pitboss.env").write_text(f'# settings\nPITBOSS_DATA_DIR="{tmp_path / "data"}"\nPITBOSS_SLOTS=7\n')
    environment = os.environ | {"PITBOSS_ENV": str(tmp_path / "pitboss.env"), "PITBOSS_USER": "root",
                                "PITBOSS_HOME": str(ROOT)}  # fmt: skip
    told = subprocess.run([ROOT / "deploy" / "pitboss", "config", "show", "--json"], env=environment,
                          capture_output=True, text=True, check=True)  # fmt: skip
    values = {setting["name"]: setting["value"] for setting in json.loads(told.stdout)}
    assert (values["data_dir"], values["slots"]) == (str(tmp_path / "data"), {"default": 7, "session": 50})


@pytest.mark.parametrize("page", ["one-machine", "several-machines", "upgrade"])
def test_the_commands_of_the_how_tos_exist(page):
    text = (ROOT / "docs" / "how-to" / f"{page}.md").read_text()
    commands = set(re.findall(r"pitboss ((?:worker|db|runs|serve|doctor)[a-z -]*)", text))
    assert commands
    for command in commands:
        words = [word for word in command.split() if not word.startswith("-")][:2]
        flags = [word for word in command.split() if word.startswith("--")]
        told = pitboss(*words, "--help")
        if told.returncode:
            told = pitboss(words[0], "--help")
        assert told.returncode == 0, command
        assert all(flag in told.stdout for flag in flags), command


class Holder:
    """As much of an engine as making bars needs."""

    def __init__(self, platform) -> None:
        self.platform = platform
