"""`pitboss scripts …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitboss.cli.options import AsJson, DataDir, print_json, settings_of
from pitboss.cli.render import notes, table
from pitboss.core.places import absolute
from pitboss.core.principal import LOCAL
from pitboss.kinds.script.declaration import read_declaration
from pitboss.kinds.script.documents import script_document
from pitboss.kinds.script.registry import Script, Scripts

app = typer.Typer(help="List, show and check the scripts that can be run.", no_args_is_help=True)


def scripts_of(data_dir: Path | None) -> Scripts:
    """Answer the scripts of the registered folders."""
    return Scripts(settings_of(data_dir).script_folders, LOCAL)


@app.command("list")
def list_scripts(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the scripts of the registered folders, and what is wrong with any."""
    scripts = scripts_of(data_dir)
    found, problems = scripts.all()
    if as_json:
        described = [script_document(each, LOCAL) for each in found]
        print_json({"scripts": described, "problems": [problem.as_dict() for problem in problems]})
        return
    if found:
        rows = [
            [each.name, each.declaration.title, ", ".join(each.declaration.params), str(each.path)] for each in found
        ]
        table(("script", "title", "params", "declared in"), rows)
    elif not scripts.folders:
        print("No scripts are registered: name their folders in script_folders in the settings.")
    for problem in problems:
        notes.print(f"{problem.where}: {problem}", markup=False, style="yellow")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A script's name.")], data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Show a script: its command line, its params and what it leaves behind."""
    _show(scripts_of(data_dir).get(name), as_json)


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="A declaration, ANY.pitboss.yaml.")],
    data_dir: DataDir = None,  # noqa: ARG001  (every command takes it)
    as_json: AsJson = False,
) -> None:
    """Check a declaration, wherever it lies, and show every mistake in it."""
    path = absolute(file, "file")
    _show(Script(path, read_declaration(path)), as_json)


def _show(script: Script, as_json: bool) -> None:
    described = script_document(script, LOCAL)
    if as_json:
        print_json(described)
        return
    print(f"{script.name}: {script.declaration.title or script.path}")
    print(f"  {' '.join(script.declaration.command)}")
    rows = [
        [name, spec.type, "needed" if spec.required else "–" if spec.default is None else str(spec.default), spec.title]
        for name, spec in script.declaration.params.items()
    ]
    if rows:
        table(("param", "type", "default", "meaning"), rows)
    if script.declaration.artifacts:
        print(f"  leaves {', '.join(script.declaration.artifacts)}")
