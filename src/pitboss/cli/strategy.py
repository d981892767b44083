"""`pitboss strategy …`."""

from __future__ import annotations

import typer

from pitboss.cli.documents import File, add_shelf, checked
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.strategy.reader import read_document_file
from pitboss.strategy.schema import document_schema

app = typer.Typer(help="Check, store and show strategy documents.", no_args_is_help=True)


@app.command()
def validate(
    file: File,
    data_dir: DataDir = None,  # noqa: ARG001  (every command takes it)
    as_json: AsJson = False,
) -> None:
    """Check a document and show every mistake in it."""
    document = checked(read_document_file, file, as_json)
    if as_json:
        print_json({"valid": True, "name": document.name, "errors": [], "unused": document.unused})
        return
    for name in document.unused:
        print(f"warning: '{name}' is defined and never used")
    warning = "" if document.has_entry else "  (it has no entry condition and cannot be run)"
    print(f"{document.name}: no mistakes, {len(document.parameters)} parameters{warning}")


def schema() -> None:
    """Print the JSON Schema of strategy documents, for editors that check and complete by it."""
    print_json(document_schema())


add_shelf(app, "strategy", "strategies", lambda desk: desk.strategies, read_document_file)
