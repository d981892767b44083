"""`pitboss screen …`."""

from __future__ import annotations

import typer

from pitboss.cli.documents import File, add_shelf
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.core.errors import InvalidInput
from pitboss.screening.reader import read_screen_file

app = typer.Typer(help="Check, store and show screen documents.", no_args_is_help=True)


@app.command()
def validate(
    file: File,
    data_dir: DataDir = None,  # noqa: ARG001  (every command takes it)
    as_json: AsJson = False,
) -> None:
    """Check a document and show every mistake in it."""
    try:
        document = read_screen_file(file)
    except InvalidInput as error:
        if not as_json:
            raise
        print_json({"valid": False, "errors": [problem.as_dict() for problem in error.problems]})
        raise typer.Exit(2) from None
    if as_json:
        print_json({"valid": True, "name": document.name, "errors": []})
    else:
        print(f"{document.name}: no mistakes, {len(document.criteria)} criteria, {len(document.parameters)} parameters")


add_shelf(app, "screen", "screens", lambda desk: desk.screens, read_screen_file)
