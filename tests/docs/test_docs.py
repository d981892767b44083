"""Documentation is tested: what it shows runs, and what exists is documented."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

import pitboss as library
from pitboss.core.settings import Settings
from pitboss.kernel.account import EXIT_REASONS, INCIDENTS
from pitboss.kinds.screen import ScreenParams
from pitboss.market.frames import to_frame
from pitboss.screening.builtin import builtin_screens
from pitboss.screening.reader import KEYS as SCREEN_KEYS
from pitboss.screening.reader import read_screen
from pitboss.strategy.expression import Number
from pitboss.strategy.functions import _OWN
from pitboss.strategy.reader import KEYS
from support.bars import random_bars
from support.server import pitboss

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])


def reference(name):
    return (ROOT / "docs" / "reference" / name).read_text()


def test_the_commands_of_the_readme_print_what_it_shows(tmp_path):
    (tmp_path / "trend.yaml").write_text(re.search(r"```yaml\n(.*?)```", README, re.DOTALL)[1])
    block = next(b for b in re.findall(r"```\n(\$ .*?)```", README, re.DOTALL) if "data synth" in b)
    shown = re.split(r"^\$ pitboss ", block, flags=re.MULTILINE)[1:]
    assert len(shown) == 2
    for entry in shown:
        command, _, output = entry.partition("\n")
        done = pitboss(*shlex.split(command), data_dir=tmp_path / "data", cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        printed = [line.rstrip() for line in done.stdout.splitlines()]
        for line in output.rstrip().splitlines():
            assert line.rstrip() in printed


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_setting_is_documented():
    documented = set(re.findall(r"^\| `(\w+)` \|", reference("settings.md"), re.MULTILINE))
    assert documented == set(Settings.model_fields)


def test_every_part_of_a_screen_is_documented():
    page = reference("screens.md")
    documented = re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)))
    assert set(documented) >= {*SCREEN_KEYS, *ScreenParams.model_fields}
    for name, text in builtin_screens().items():
        screen = read_screen(text)
        section = page.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
        rows = re.findall(r"^\| ([a-z0-9 ]+) \|.*?\| (.*?) \| .*? \|$", section, re.MULTILINE)
        points = {each.name: each.points for each in (*screen.criteria, *screen.overlay)}
        assert [row[0] for row in rows if row[0] != "criterion"] == list(points)
        for criterion, given in rows[1:]:
            if isinstance(points[criterion], Number):
                assert float(given) == points[criterion].value


def test_every_metric_is_documented():
    text = "name: t\ntimeframe: 1h\nentry: {long: 'rising(close, 1)'}\nexit: {long: 'falling(close, 1)'}\n"
    metrics = library.backtest(text, to_frame(random_bars(300, seed=1))).metrics
    rows = re.findall(r"^\| (`.*?) \|", reference("metrics.md"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(metrics)


def test_every_reason_is_documented():
    fills = reference("fills.md")
    assert all(f"`{reason}`" in fills for reason in (*EXIT_REASONS, *INCIDENTS))


def test_every_key_and_function_of_the_language_is_documented():
    language = reference("strategy-language.md")
    assert all(f"`{key}`" in language for key in KEYS)
    assert all(f"`{name}(" in language for name in _OWN)


def test_every_command_is_documented():
    listed = pitboss("--help").stdout
    commands = re.findall(r"^│ (\w+)  ", listed, re.MULTILINE)
    assert len(commands) > 8
    assert all(f"`pitboss {name}" in reference("cli.md") for name in commands)


def test_what_the_architecture_names_exists():
    text = (ROOT / "ARCHITECTURE.md").read_text()
    for path, name in re.findall(r"`([\w/]+\.py): ([\w.]+)`", text):
        source = (ROOT / "src" / "pitboss" / path).read_text()
        assert re.search(rf"(def|class|^) ?{name.rpartition('.')[2]}\b", source, re.MULTILINE), (path, name)
    for path in re.findall(r"`((?:src/pitboss/)?[a-z]+/\w+\.py)`", text):
        assert (ROOT / "src" / "pitboss" / path).exists(), path


def test_no_page_names_a_machine_path_or_a_registry():
    for page in PAGES:
        assert not re.search(r"/(?:work|root|home)/|py[p]i|registry\.npm", page.read_text()), page
