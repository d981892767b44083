from __future__ import annotations

import pytest

from support.breakable import Installation


@pytest.fixture
def home(tmp_path):
    installed = Installation(tmp_path / "home")
    made = installed.pitboss("data", "synth", "-s", "SYN", "-t", "5m", "--days", 30)
    assert made.returncode == 0, made.stderr
    assert installed.pitboss("runs", "list").returncode == 0
    yield installed
    installed.close()
