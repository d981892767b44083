"""Models at the terminal: trained from a file, listed, compared, promoted, exported."""

from __future__ import annotations

import json
import zipfile

from support.learning import SMALL
from support.server import pitboss


def said(folder, *arguments):
    answer = pitboss(*arguments, data_dir=folder)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_from_a_file_to_a_champion_that_a_backtest_asks(tmp_path):
    document = tmp_path / "small.yaml"
    document.write_text(
        SMALL
        + "entry: {long: \"model('small').probability > 0.5\"}\nexit: {long: \"model('small').probability < 0.5\"}\n"
    )
    said(tmp_path, "data", "synth", "-s", "SYN", "-t", "5m", "--days", 20)
    assert "There are no models" in said(tmp_path, "models", "list")
    told = said(tmp_path, "train", document, "-s", "SYN", "--no-twin")
    assert "Skill" in told
    assert "model 'small' can be asked from" in told
    said(tmp_path, "train", document, "-s", "SYN", "--no-twin", "--to", "2022-01-12")
    listed = json.loads(said(tmp_path, "models", "list", "--json"))
    assert [(each["version"], each["aliases"]) for each in listed] == [(1, ["champion"]), (2, [])]
    assert "small@2" in said(tmp_path, "models", "compare", "small@1", "small@2")
    assert "small@champion is version 2" in said(tmp_path, "models", "promote", "small@2")
    assert "digest" in said(tmp_path, "models", "show", "small")
    archive = tmp_path / "model.zip"
    said(tmp_path, "models", "export", "small", "--to", archive)
    with zipfile.ZipFile(archive) as found:
        assert {"model.json", "final.txt", "fold-1.txt"} <= set(found.namelist())
    assert "its last model" in said(tmp_path, "models", "export", "small", "--to", tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx").stat().st_size > 1000
    traded = said(tmp_path, "backtest", document, "-s", "SYN")
    assert "completed" in traded
    assert "removed small@1" in said(tmp_path, "models", "remove", "small@1")
    wrong = pitboss("models", "show", "smal", data_dir=tmp_path)
    assert wrong.returncode == 4
    assert "small" in wrong.stderr
