"""`pitboss screen …`."""

from __future__ import annotations

import typer

from pitboss.cli.documents import File, add_shelf, checked
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.screening.reader import read_screen_file

app = typer.Typer(help="Check, store and show screen documents.", no_args_is_help=True)


@app.command()
def validate(
    file: File,
    data_dir: DataDir = None,  # noqa: ARG001  (every command takes it)
    as_json: AsJson = False,
) -> None:
    """Check a document and show every mistake in it."""
    document = checked(read_screen_file, file, as_json)
    if as_json:
        print_json({"valid": True, "name": document.name, "errors": []})
    else:
        print(f"{document.name}: no mistakes, {len(document.criteria)} criteria, {len(document.parameters)} parameters")


add_shelf(app, "screen", "screens", lambda desk: desk.screens, read_screen_file)
