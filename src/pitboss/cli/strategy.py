"""`pitboss strategy …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pitboss.cli.desk import desk_of
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.cli.render import short_time, table
from pitboss.core.clock import to_iso
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


@app.command()
def add(
    file: Annotated[Path, typer.Argument(help="A document's file.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Store a document under its name, as the next version."""
    document = read_document_file(file)
    with desk_of(data_dir) as desk:
        stored = desk.strategies.add(desk.who.name, document.name, document.text)
    described = {"name": stored.name, "version": stored.version}
    print_json(described) if as_json else print(f"{stored.name} version {stored.version}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A stored strategy.")],
    version: Annotated[int | None, typer.Option(help="Its version; the newest without.", min=1, max=2**31 - 1)] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print a stored document."""
    with desk_of(data_dir) as desk:
        stored = desk.strategies.get(desk.who.name, name, version)
    if as_json:
        print_json({"name": stored.name, "version": stored.version, "digest": stored.digest, "text": stored.text})
    else:
        print(stored.text, end="" if stored.text.endswith("\n") else "\n")


@app.command("list")
def list_strategies(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the stored strategies."""
    with desk_of(data_dir) as desk:
        found, where = desk.strategies.all(desk.who.name), desk.place
    if as_json:
        print_json([{"name": s.name, "version": s.version, "created_at": to_iso(s.created_at)} for s in found])
    elif found:
        table(
            ("name", "version", "stored (UTC)"),
            [[s.name, s.version, short_time(to_iso(s.created_at))] for s in found],
        )
    else:
        print(f"There are no strategies yet in {where}: store one with 'pitboss strategy add FILE'.")
