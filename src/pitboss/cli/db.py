"""`pitboss db …`: migrate, check, copy, back up and restore the database."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from pitboss.cli.options import AsJson, DataDir, print_json, settings_of
from pitboss.cli.platform import existing_platform_of, platform_of
from pitboss.cli.render import table
from pitboss.core.places import absolute, elsewhere
from pitboss.storage.database import Database
from pitboss.storage.inspection import broken_logs, stuck_runs
from pitboss.storage.migrate import HEAD, bring_up_to_date, schema_version
from pitboss.storage.transfer import (
    Backup,
    copy_database,
    counts_of,
    damaged_files,
    restore_backup,
    snapshot,
    write_backup,
)

app = typer.Typer(help="Migrate, check, copy, back up and restore the database.", no_args_is_help=True)


@app.command()
def migrate(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Bring the schema up to date; every command does so by itself, this one says it."""
    settings = settings_of(data_dir)
    database = Database(settings.url)
    try:
        before = schema_version(database)
        bring_up_to_date(database)
    finally:
        database.close()
    if as_json:
        print_json({"before": before, "now": HEAD})
    else:
        print(f"schema {HEAD}" + ("" if before == HEAD else f", before {before or 'none'}"))


@app.command()
def check(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Compare the database with itself and with its files: holes, stuck runs, damaged artifacts."""
    with existing_platform_of(data_dir) as platform:
        problems = [*platform.database.integrity_problems()]
        database, settings = platform.database, platform.settings
        damages = stuck_runs(database, settings.lease_seconds) + broken_logs(database, settings.thin_seconds)
        problems += [f"{damage.what} → {damage.remedy}" for damage in damages]
        problems += [f"{name} is missing or damaged → restore a backup, or rerun"
                     for name in damaged_files(platform.database, platform.files)]  # fmt: skip
        problems += [f"{name} is damaged → restore a backup, or import it again" for name in platform.bars.damaged()]
        with snapshot(platform.database) as reading:
            counts = counts_of(reading)
    if as_json:
        print_json({"tables": {c.table: {"rows": c.rows, "digest": c.digest} for c in counts}, "problems": problems})
    else:
        table(("table", "rows", "digest"), [[c.table, c.rows, c.digest] for c in counts])
        print("\n".join(problems) or "Everything is in order.")
    if problems:
        raise typer.Exit(1)


@app.command()
def copy(
    to: Annotated[str, typer.Option(help="Address of an empty database, such as postgresql://user@host/name.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Copy everything into another database, and compare counts and digests. Files stay where they are."""
    with existing_platform_of(data_dir) as platform, closing(Database(to)) as target:
        counts = copy_database(platform.database, target, _tell)
    if as_json:
        print_json({count.table: {"rows": count.rows, "digest": count.digest} for count in counts})
        return
    table(("table", "rows", "digest of both"), [[count.table, count.rows, count.digest] for count in counts])
    print("Both are equal. Set PITBOSS_DATABASE_URL to the new one.")


def _tell(table: str, rows: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{table}: {rows:,} rows   ", end="", file=sys.stderr, flush=True)


@app.command()
def backup(
    to: Annotated[Path, typer.Argument(help="The tar file to write.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write the database, bars and results into one file, consistent while everything goes on."""
    with existing_platform_of(data_dir) as platform, elsewhere():
        done = write_backup(platform.database, platform.files, absolute(to, "file"))
    _show(done, f"written to {to}", as_json)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that 'pitboss db backup' wrote.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Put a backup into an empty database and data folder; interrupted runs go on from their checkpoints."""
    with platform_of(data_dir, takes_up=False) as platform:
        done = restore_backup(absolute(file, "file"), platform.database, platform.files)
    _show(done, "restored", as_json)


def _show(done: Backup, how: str, as_json: bool) -> None:
    rows = {count.table: count.rows for count in done.counts}
    answer: dict[str, Any] = {"rows": rows, "files": done.files, "missing": done.missing}
    if as_json:
        print_json(answer)
    else:
        print(f"{rows['runs']:,} runs, {rows['run_events']:,} events and {done.files:,} files {how}")
        for name in done.missing:
            print(f"missing or damaged: {name}", file=sys.stderr)
    if done.missing:
        raise typer.Exit(1)
