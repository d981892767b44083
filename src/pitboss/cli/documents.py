"""What `pitboss strategy …` and `pitboss screen …` have in common: documents that are kept in versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pitboss.cli.desk import Desk, Shelf, desk_of
from pitboss.cli.options import AsJson, DataDir, print_json
from pitboss.cli.render import short_time, table
from pitboss.core.clock import to_iso
from pitboss.core.errors import InvalidInput

File = Annotated[Path, typer.Argument(help="A document's file.")]
Name = Annotated[str, typer.Argument(help="A document's name.")]
Version = Annotated[int | None, typer.Option(help="Its version; the newest without.", min=1, max=2**31 - 1)]


def checked(read: Callable[[Path], Any], file: Path, as_json: bool) -> Any:
    """Answer the document in a file. With mistakes in it: as JSON they are told, and the command ends; else raises
    InvalidInput."""
    try:
        return read(file)
    except InvalidInput as error:
        if not as_json:
            raise
        print_json({"valid": False, "errors": [problem.as_dict() for problem in error.problems]})
        raise typer.Exit(2) from None


def add_shelf(
    app: typer.Typer, word: str, plural: str, shelf_of: Callable[[Desk], Shelf], read: Callable[[Path], Any]
) -> None:  # fmt: skip
    """Add the commands that store, show and list documents; `word` is what one is called, `read` reads a file of it
    and raises InvalidInput."""

    @app.command(help="Store a document under its name, as the next version.")
    def add(file: File, data_dir: DataDir = None, as_json: AsJson = False) -> None:
        document = read(file)
        with desk_of(data_dir) as desk:
            stored = shelf_of(desk).add(desk.who.name, document.name, document.text)
        described = {"name": stored.name, "version": stored.version}
        print_json(described) if as_json else print(f"{stored.name} version {stored.version}")

    @app.command(help="Print a stored document.")
    def show(
        name: Name,
        version: Version = None,
        data_dir: DataDir = None,
        as_json: AsJson = False,
    ) -> None:
        with desk_of(data_dir) as desk:
            stored = shelf_of(desk).get(desk.who.name, name, version)
        if as_json:
            print_json({"name": stored.name, "version": stored.version, "digest": stored.digest, "text": stored.text})
        else:
            print(stored.text, end="" if stored.text.endswith("\n") else "\n")

    @app.command("list", help=f"List the stored {plural}.")
    def list_all(data_dir: DataDir = None, as_json: AsJson = False) -> None:
        with desk_of(data_dir) as desk:
            found, where = shelf_of(desk).all(desk.who.name), desk.place
        if as_json:
            print_json([{"name": s.name, "version": s.version, "created_at": to_iso(s.created_at)} for s in found])
        elif found:
            rows = [[s.name, s.version, short_time(to_iso(s.created_at))] for s in found]
            table(("name", "version", "stored (UTC)"), rows)
        else:
            print(f"There are no {plural} yet in {where}: store one with 'pitboss {word} add FILE'.")
