"""Scripts: declarations with every mistake in its place, command lines, and what is made of what they print."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitboss.core.errors import InvalidInput
from pitboss.core.principal import LOCAL, Principal
from pitboss.kinds.script.declaration import USUAL_PROGRESS, Declaration, read_declaration
from pitboss.kinds.script.output import BoundedLog, Lines, ProgressReader
from pitboss.kinds.script.registry import Script, Scripts

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples" / "scripts"
DECLARED = """\
name: screen
command: [python, screen.py, --file, "{file}", --least, "{least}", --fast, "{fast}", "{names}", "x={least}"]
params:
  file: {type: file}
  least: {type: integer, minimum: 0, maximum: 100}
  fast: {type: boolean, default: false}
  names: {type: list, default: []}
"""


def declared(text=DECLARED, folder=None):
    path = folder / "screen.pitboss.yaml"
    path.write_text(text)
    return Script(path, read_declaration(path))


def test_a_command_line_is_made_of_what_is_given(tmp_path):
    declaration = declared(folder=tmp_path).declaration

    def line(**given):
        values, problems = declaration.check(given)
        assert not problems
        return declaration.arguments(values)[2:]

    assert line() == []
    assert line(least=7) == ["--least", "7", "x=7"]
    assert line(fast=True, names=["a", "; rm -rf /"]) == ["--fast", "a", "; rm -rf /"]
    assert line(file="a b.txt", least=0) == ["--file", "a b.txt", "--least", "0", "x=0"]


def test_every_mistake_in_params_is_told_at_once(tmp_path):
    script = declared(folder=tmp_path)
    values, problems = script.declaration.check({"least": 101, "fast": "yes", "nope": 1, "file": "gone.txt"})
    _, missing = Scripts([tmp_path], LOCAL).located(script, values)
    told = "\n".join(map(str, [*problems, *missing]))
    for what in ("at most 100", "no boolean", "unknown parameter 'nope'", "there is no file"):
        assert what in told


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("name: a\ncommand: [x]\ncolour: red\n", 3, "unknown key 'colour'"),
        ("name: a b\ncommand: [x]\n", 1, "name"),
        ("name: a\n", 1, "'command' is missing"),
        ("name: a\ncommand: [x, '{least}']\n", 1, "names '{least}'"),
        ("name: a\ncommand: [x]\nparams:\n  n: {type: whole}\n", 4, "params.n.type"),
        ("name: a\ncommand: [x]\nparams:\n  n: {type: integer, default: x}\n", 4, "is no integer"),
        ("name: a\ncommand: [x]\nprogress: ['(']\n", 3, "no regular expression"),
        ("name: a\ncommand: [x]\nprogress: ['(?P<far>x)']\n", 3, "unknown group 'far'"),
        ("name: a\ncommand: [x]\nartifacts: [../*]\n", 3, "working folder"),
        ("- a\n", 1, "no mapping"),
        ("name: [\n", 2, "not valid YAML"),
    ],
)
def test_a_mistake_in_a_declaration_is_placed(tmp_path, text, line, what):
    with pytest.raises(InvalidInput) as refused:
        declared(text, tmp_path)
    assert [problem.line for problem in refused.value.problems] == [line]
    assert what in str(refused.value)


def test_scripts_are_found_by_name_and_broken_ones_are_told(tmp_path):
    declared(folder=tmp_path)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "two.pitboss.yaml").write_text("name: screen\ncommand: [x]\n")
    (tmp_path / "broken.pitboss.yaml").write_text("name: broken\n")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "h.pitboss.yaml").write_text("name: hidden\ncommand: [x]\n")
    found, problems = Scripts([tmp_path, tmp_path / "gone"], LOCAL).all()
    assert [script.name for script in found] == ["screen"]
    told = "\n".join(map(str, problems))
    assert "is declared twice" in told
    assert "'command' is missing" in told
    assert "gone is no folder" in told


def test_others_than_operators_keep_to_the_registered_folders(tmp_path):
    script = declared(folder=tmp_path)
    (tmp_path / "in.txt").write_text("")
    for who, path, is_allowed in (
        (LOCAL, "/etc/hostname", True),
        (Principal("eve"), "/etc/hostname", False),
        (Principal("eve"), "../../../../../../etc/hostname", False),
        (Principal("eve"), "in.txt", True),
    ):
        _, problems = Scripts([tmp_path], who).located(
            script, {"file": path, "least": None, "fast": None, "names": None}
        )
        assert bool(problems) is not is_allowed, (who, path)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[12/300] AAPL scored 70", (12, 300, "AAPL")),
        ("done 12.5 %", (12, 100, None)),
        ("screening:  42%|####      | 42/100 [00:01<00:01, 30.0it/s]", (42, 100, None)),
        ("250 %", None),
        ("[300/12] AAPL", None),
        ("[1/0]", None),
        ("nothing of the kind", None),
        ("9" * 400 + "%", None),
    ],
)
def test_progress_is_taken_from_what_scripts_print_anyway(line, expected):
    step = ProgressReader(USUAL_PROGRESS).step(line)
    assert (None if step is None else (step.done, step.total, step.item)) == expected


def test_what_is_said_to_pitboss_is_believed_and_silences_the_patterns():
    reader = ProgressReader(USUAL_PROGRESS)
    said = {"type": "progress", "stage": "b", "completed_items": 3, "total_items": 9, "current_item": "X",
            "metrics": {"passed": 2, "nested": {}}}  # fmt: skip
    step = reader.step("PROGRESS:" + json.dumps(said))
    assert (step.stage, step.done, step.total, step.item, step.metrics) == ("b", 3, 9, "X", {"passed": 2})
    assert reader.step("50 %") is None
    for nonsense in (
        "{",
        "[]",
        '{"progress": 250}',
        '{"progress": "NaN"}',
        '{"completed_items": 1e999}',
        "null",
        "[" * 9999,
    ):
        step = reader.step("PROGRESS:" + nonsense)
        assert step is None or step.done is None


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_no_output_is_too_odd_to_be_read(chunks):
    lines, reader, found = Lines(), ProgressReader(USUAL_PROGRESS), []
    for chunk in chunks:
        found += lines.feed(chunk)
    found += lines.feed(b"", is_last=True)
    assert "".join(found) == "".join(b"".join(chunks).decode("utf-8", "replace").replace("\r", "\n").split("\n"))
    for line in found:
        step = reader.step(line)
        assert step is None or step.done is None or 0 <= step.done <= step.total


def test_a_log_has_its_beginning_and_its_end():
    written = []
    log = BoundedLog(written.append, most_bytes=10, tail_bytes=6)
    for number in range(100):
        log.add(b"%03d" % number)
    log.finish()
    text = b"".join(written).decode()
    assert text.startswith("0000010020")
    assert text.endswith("098099")
    assert "left out" in text
    assert len(text) < 80


def test_the_examples_are_declared_without_mistakes():
    found, problems = Scripts([EXAMPLES], LOCAL).all()
    assert not problems
    for script in found:
        values, wrong = script.declaration.check({})
        assert not wrong
        assert os.access(script.command(values)[0], os.X_OK)


def test_the_progress_module_stands_alone_and_is_silent_outside_a_run(tmp_path):
    source = ROOT / "src" / "pitboss" / "progress.py"
    assert len(source.read_text().splitlines()) <= 60
    (tmp_path / "progress.py").write_text(source.read_text())
    script = "import progress; progress.stage('s'); progress.update(1, 4, item='A', passed=1); progress.log('hello')"

    def said(**environment):
        command = [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {script}"]
        clean = {"PATH": os.environ["PATH"]} | environment
        return subprocess.run(command, env=clean, capture_output=True, text=True, check=True).stdout

    assert said() == ""
    lines = [json.loads(line.removeprefix("PROGRESS:")) for line in said(PITBOSS_RUN_ID="r").splitlines()]
    assert [line["type"] for line in lines] == ["stage", "progress", "log"]
    assert lines[1] | {"timestamp": ""} == {
        "type": "progress", "run_id": "r", "stage": "s", "timestamp": "", "message": "", "completed_items": 1,
        "total_items": 4, "progress": 25.0, "current_item": "A", "metrics": {"passed": 1},
    }  # fmt: skip


def test_a_declaration_has_a_schema():
    assert "command" in Declaration.model_json_schema()["required"]
