"""`pitboss strategy …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitboss.cli.documents import add_shelf
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.core.errors import InvalidInput
from pitboss.strategy.reader import read_document_file
from pitboss.strategy.schema import document_schema

app = typer.Typer(help="Check, store and show strategy documents.", no_args_is_help=True)


@app.command()
def validate(
    file: Annotated[Path, typer.Argument(help="A document's file.")],
    data_dir: DataDir = None,  # noqa: ARG001  (every command takes it)
    as_json: AsJson = False,
) -> None:
    """Check a document and show every mistake in it."""
    try:
        document = read_document_file(file)
    except InvalidInput as error:
        if not as_json:
            raise
        print_json({"valid": False, "errors": [problem.as_dict() for problem in error.problems]})
        raise typer.Exit(2) from None
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
