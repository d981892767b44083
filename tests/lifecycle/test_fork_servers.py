"""The same for fork servers and the processes of runs."""

from __future__ import annotations

import pytest

from support.breakable import WaitingCommand
from support.engine import until
from support.privileges import control_group, may_group, needs
from support.server import ApiServer
from support.starts import FAULTS, HEALED_SECONDS, TOLD_SECONDS, assert_told_and_healed


@pytest.mark.parametrize("name", [name for name in FAULTS if "fork server" in name])
def test_a_fork_server_that_cannot_start_is_told_to_all_who_ask_and_heals_by_itself(home, name):
    assert_told_and_healed(home, name)


@needs(may_group("pids"), "control groups need root on Linux")
def test_a_process_that_cannot_be_forked_is_told(home):
    with ApiServer(home.data_dir) as api, control_group("pids") as group:
        home.break_into("forks", f"echo $$ > {group}/cgroup.procs")
        assert home.pitboss("backtest", home.strategy, "-s", "SYN").returncode == 0
        (group / "pids.max").write_text((group / "pids.current").read_text())
        waiting = WaitingCommand(home, "backtest", home.strategy, "-s", "SYN")
        until(lambda: "cannot fork: Resource temporarily" in waiting.said(), TOLD_SECONDS, "it says why")
        told = api.http.get(f"http://127.0.0.1:{api.port}/readyz")
        assert (told.status_code, "cannot" in told.json()["detail"]) == (503, True), told.text
        (group / "pids.max").write_text("max")
        assert waiting.process.wait(timeout=HEALED_SECONDS) == 0, waiting.said()


def test_runs_fail_in_the_end_where_nothing_will_get_better(home, monkeypatch):
    home.break_into("forks", 'set -- -S "$@"')
    waiting = WaitingCommand(home, "backtest", home.strategy, "-s", "SYN")
    assert waiting.process.wait(timeout=120) == 1
    assert "No module named" in waiting.said()
    home.mend()
    assert home.pitboss("runs", "retry", "latest").returncode == 0
    assert home.pitboss("runs", "watch", "latest").returncode == 0
